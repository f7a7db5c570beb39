//! A compiler with the source of its library: what it is, where its parts stand, and how cargo is called with it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::version::Version;
use crate::proc;

const ASK_LIMIT: Duration = Duration::from_secs(60);

/// Where the library's source stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LibrarySource {
    /// In the sysroot, where rustup puts it.
    Sysroot,
    /// In a folder of our own; cargo is told by a variable.
    Folder(PathBuf),
    /// Nowhere yet.
    Missing,
}

/// One compiler.
#[derive(Clone, Debug)]
pub struct Toolchain {
    /// What a person calls it.
    pub name: String,
    /// Version.
    pub version: Version,
    /// Version as printed, for example `1.97.0-nightly`.
    pub release: String,
    /// The compiler's own root.
    pub sysroot: PathBuf,
    /// `rustc`.
    pub rustc: PathBuf,
    /// `cargo`.
    pub cargo: PathBuf,
    /// Host triple.
    pub host: String,
    /// The library's source.
    pub source: LibrarySource,
    /// Folders with shared libraries that are not installed on the machine.
    pub libraries: Vec<PathBuf>,
    /// A linker for the bare-metal targets, where the toolchain brings no `rust-lld`.
    pub linker: Option<PathBuf>,
}

impl Toolchain {
    /// Asks a compiler who it is.
    ///
    /// # Errors
    /// When it cannot be started or prints no version.
    pub fn inspect(name: &str, rustc: &Path, libraries: Vec<PathBuf>) -> Result<Self> {
        let ask = |arguments: &[&str]| {
            let mut command = Command::new(rustc);
            command.args(arguments);
            set_libraries(&mut command, &libraries);
            proc::text_of(&mut command, ASK_LIMIT)
        };
        let text = ask(&["-vV"])?;
        let field = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name))
                .map(|value| value.trim().to_owned())
                .with_context(|| format!("{} prints no `{name}`", rustc.display()))
        };
        let release = field("release:")?;
        let host = field("host:")?;
        let sysroot = PathBuf::from(ask(&["--print", "sysroot"])?.trim());
        let version = Version::parse(&release)
            .with_context(|| format!("{} reports version {release}", rustc.display()))?;
        let tool = |tool: &str| sysroot.join("bin").join(tool);
        let cargo = if tool("cargo").is_file() {
            tool("cargo")
        } else {
            proc::which("cargo").context("no cargo beside rustc and none in PATH")?
        };
        let mut toolchain = Self {
            name: name.to_owned(),
            version,
            release,
            rustc: if tool("rustc").is_file() {
                tool("rustc")
            } else {
                rustc.to_owned()
            },
            cargo,
            host,
            source: LibrarySource::Missing,
            libraries,
            linker: None,
            sysroot,
        };
        if has_library(&toolchain.sysroot_library()) {
            toolchain.source = LibrarySource::Sysroot;
        }
        Ok(toolchain)
    }

    /// The compiler that `cargo xtask` itself was started with.
    ///
    /// # Errors
    /// As [`Toolchain::inspect`].
    pub fn current() -> Result<Self> {
        let rustc = std::env::var_os("RUSTC").map_or_else(|| PathBuf::from("rustc"), PathBuf::from);
        let name = std::env::var("RUSTUP_TOOLCHAIN").unwrap_or_else(|_| "the default rustc".into());
        Self::inspect(&name, &rustc, Vec::new())
    }

    /// Whether it is a nightly compiler.
    #[must_use]
    pub fn is_nightly(&self) -> bool {
        self.release.contains("-nightly")
    }

    /// Whether rustup manages it: then its sysroot is a folder among rustup's toolchains.
    #[must_use]
    pub fn is_rustup(&self) -> bool {
        self.sysroot
            .parent()
            .and_then(Path::file_name)
            .is_some_and(|name| name == "toolchains")
    }

    /// Where rustup would put the library's source.
    #[must_use]
    pub fn sysroot_library(&self) -> PathBuf {
        self.sysroot.join("lib/rustlib/src/rust/library")
    }

    /// Whether the bare-metal targets' default linker comes with the toolchain or stands in PATH.
    #[must_use]
    pub fn has_rust_lld(&self) -> bool {
        self.sysroot
            .join("lib/rustlib")
            .join(&self.host)
            .join("bin/rust-lld")
            .is_file()
            || proc::which("rust-lld").is_some()
    }

    /// Whether `cargo SUBCOMMAND` (clippy, fmt) comes with this toolchain.
    #[must_use]
    pub fn has_tool(&self, subcommand: &str) -> bool {
        let name = format!("cargo-{subcommand}");
        self.sysroot.join("bin").join(name).is_file()
    }

    /// cargo of this toolchain, ready to build kernels: the source of the library, the linker, unstable flags allowed.
    ///
    /// # Errors
    /// When the library's source is missing.
    pub fn cargo(&self) -> Result<Command> {
        let mut command = Command::new(&self.cargo);
        // Called directly, not through rustup's proxies: those would look at variables that the outer cargo left behind.
        for variable in [
            "RUSTUP_TOOLCHAIN",
            "RUSTFLAGS",
            "CARGO_ENCODED_RUSTFLAGS",
            "CARGO_BUILD_TARGET",
            "CARGO_TARGET_DIR",
            "CARGO",
        ] {
            command.env_remove(variable);
        }
        let mut path = OsString::from(self.sysroot.join("bin"));
        if let Some(old) = std::env::var_os("PATH") {
            path.push(":");
            path.push(old);
        }
        command
            .env("PATH", path)
            .env("RUSTC", &self.rustc)
            .env("RUSTC_BOOTSTRAP", "1");
        set_libraries(&mut command, &self.libraries);
        match &self.source {
            LibrarySource::Sysroot => {}
            LibrarySource::Folder(folder) => {
                // cargo's own tests redirect the source with this variable; it is the only way without a writable sysroot.
                command.env("__CARGO_TESTS_ONLY_SRC_ROOT", folder);
            }
            LibrarySource::Missing => bail!("{} has no rust-src", self.name),
        }
        if let Some(linker) = &self.linker {
            for target in ["AARCH64_UNKNOWN_NONE", "AARCH64_UNKNOWN_NONE_SOFTFLOAT"] {
                command.env(format!("CARGO_TARGET_{target}_LINKER"), linker);
            }
        }
        Ok(command)
    }

    /// One line about it.
    #[must_use]
    pub fn describe(&self) -> String {
        let source = match &self.source {
            LibrarySource::Sysroot => "rust-src in its sysroot".to_owned(),
            LibrarySource::Folder(folder) => format!("rust-src in {}", folder.display()),
            LibrarySource::Missing => "no rust-src".to_owned(),
        };
        format!("{} (rustc {}), {source}", self.name, self.release)
    }
}

/// Whether a folder holds the library's source, as far as build-std needs it.
#[must_use]
pub fn has_library(folder: &Path) -> bool {
    folder.join("Cargo.lock").is_file() && folder.join("core/src/lib.rs").is_file()
}

fn set_libraries(command: &mut Command, libraries: &[PathBuf]) {
    if let Ok(joined) = std::env::join_paths(libraries)
        && !libraries.is_empty()
    {
        command.env("LD_LIBRARY_PATH", joined);
    }
}

/// Compilers that rustup has installed: name and `rustc`.
#[must_use]
pub fn rustup_installed() -> Vec<(String, PathBuf)> {
    let home = std::env::var_os("RUSTUP_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".rustup")));
    let Some(folder) = home.and_then(|home| std::fs::read_dir(home.join("toolchains")).ok()) else {
        return Vec::new();
    };
    let mut found: Vec<(String, PathBuf)> = folder
        .flatten()
        .map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, entry.path().join("bin/rustc"))
        })
        .filter(|(_, rustc)| rustc.is_file())
        .collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_current_compiler_is_recognised() {
        let toolchain = Toolchain::current().unwrap();
        assert!(toolchain.version >= Version::new(1, 88, 0));
        assert!(toolchain.sysroot.is_absolute() && toolchain.rustc.is_file());
    }

    #[test]
    fn without_source_no_kernel_build_is_started() {
        let mut toolchain = Toolchain::current().unwrap();
        toolchain.source = LibrarySource::Missing;
        assert!(
            toolchain
                .cargo()
                .unwrap_err()
                .to_string()
                .contains("no rust-src")
        );
    }

    #[test]
    fn half_a_source_is_no_source() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("Cargo.lock"), "").unwrap();
        assert!(!has_library(folder.path()));
    }
}
