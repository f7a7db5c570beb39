//! Builds kernels: a package, for a target, in a profile, with `core` and `alloc` built by the same flags.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use aftrace::embed::{EmbedError, Report, embed_file};
use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;
use serde::Deserialize;

use crate::proc;
use crate::setup::probe::BUILD_STD;
use crate::setup::repo;
use crate::setup::toolchain::Toolchain;

pub(crate) const BUILD_LIMIT: Duration = Duration::from_secs(1200);

/// The bare-metal targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Target {
    /// `aarch64-unknown-none-softfloat`
    Softfloat,
    /// `aarch64-unknown-none`, with FP and SIMD
    #[value(alias = "none")]
    Hardfloat,
}

impl Target {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Softfloat, Self::Hardfloat];

    /// Its triple.
    #[must_use]
    pub fn triple(self) -> &'static str {
        match self {
            Self::Softfloat => "aarch64-unknown-none-softfloat",
            Self::Hardfloat => "aarch64-unknown-none",
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Softfloat => "softfloat",
            Self::Hardfloat => "hardfloat",
        })
    }
}

/// The profiles that kernels are built in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Profile {
    /// Not optimised.
    Dev,
    /// Optimised.
    Release,
    /// Optimised across all crates.
    ReleaseLto,
}

impl Profile {
    /// cargo's name of it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Release => "release",
            Self::ReleaseLto => "release-lto",
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A built kernel with its names.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// Name of the binary.
    pub name: String,
    /// What to boot.
    pub elf: PathBuf,
    /// What it was built for.
    pub target: Target,
    /// How it was built.
    pub profile: Profile,
    /// What the table of names holds; nothing in a kernel that reserves no space for it.
    pub names: Option<Report>,
}

/// The folder that kernels are built in: not the host's, so that neither waits for the other.
#[must_use]
pub fn target_dir() -> PathBuf {
    repo().join("target/kernels")
}

/// Below it, the folder of each target: cargo locks one while it builds, and so two targets are built at the same time.
pub(crate) fn folder(target: Target) -> PathBuf {
    target_dir().join(target.to_string())
}

/// `cargo SUBCOMMAND --target TRIPLE` with build-std.
///
/// # Errors
/// When the toolchain has no rust-src.
pub fn cargo(toolchain: &Toolchain, subcommand: &str, target: Target) -> Result<Command> {
    cargo_in(toolchain, subcommand, target, &folder(target))
}

pub(crate) fn cargo_in(
    toolchain: &Toolchain,
    subcommand: &str,
    target: Target,
    folder: &Path,
) -> Result<Command> {
    let mut command = toolchain.cargo()?;
    command
        .args([subcommand, "--target", target.triple()])
        .args(BUILD_STD)
        // Kernels are many and small: to keep what an incremental build keeps takes each longer than it ever saves.
        .env("CARGO_INCREMENTAL", "0")
        .arg("--target-dir")
        .arg(folder)
        .current_dir(repo());
    Ok(command)
}

/// Builds all kernels of some packages, or only one of their binaries, and writes the names into each.
///
/// # Errors
/// When the build fails (with the compiler's own words), yields no kernel, or the names cannot be written.
pub fn build(
    toolchain: &Toolchain,
    packages: &[&str],
    binary: Option<&str>,
    target: Target,
    profile: Profile,
) -> Result<Vec<Kernel>> {
    build_for(toolchain, packages, binary, target, profile, None)
}

/// As [`build`], for a board: the packages' feature of that name. Without one for QEMU's virt machine.
///
/// # Errors
/// As [`build`].
pub fn build_for(
    toolchain: &Toolchain,
    packages: &[&str],
    binary: Option<&str>,
    target: Target,
    profile: Profile,
    board: Option<&str>,
) -> Result<Vec<Kernel>> {
    let mut command = cargo(toolchain, "build", target)?;
    if let Some(board) = board {
        command.args(["--features", board]);
    }
    command
        .args(["--profile", profile.name()])
        .arg("--message-format=json-render-diagnostics");
    for package in packages {
        command.args(["-p", package]);
    }
    match binary {
        Some(binary) => command.args(["--bin", binary]),
        None => command.arg("--bins"),
    };
    let captured = proc::capture(&mut command, BUILD_LIMIT)?;
    if !captured.ok {
        bail!("`{}` failed:\n{}", proc::line(&command), captured.stderr);
    }
    let mut kernels = Vec::new();
    for (name, path) in executables(&captured.stdout) {
        kernels.push(with_names(&name, &path, target, profile, board)?);
    }
    if kernels.is_empty() {
        bail!("`{}` built no kernel", proc::line(&command));
    }
    kernels.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(kernels)
}

/// Binaries in cargo's messages: name and path.
pub(crate) fn executables(messages: &str) -> Vec<(String, PathBuf)> {
    #[derive(Deserialize)]
    struct Message {
        executable: Option<PathBuf>,
        target: Option<Built>,
    }
    #[derive(Deserialize)]
    struct Built {
        name: String,
    }
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok())
        .filter_map(|message| Some((message.target?.name, message.executable?)))
        .collect()
}

/// A copy with the table of names in it: cargo's own file stays as the linker left it. `apart` is the folder for kernels of a
/// board or variant.
pub(crate) fn with_names(
    name: &str,
    built: &Path,
    target: Target,
    profile: Profile,
    apart: Option<&str>,
) -> Result<Kernel> {
    let folder = target_dir()
        .join("named")
        .join(apart.unwrap_or_default())
        .join(target.to_string())
        .join(profile.name());
    fs::create_dir_all(&folder)?;
    let elf = folder.join(name);
    fs::copy(built, &elf).with_context(|| format!("cannot copy {}", built.display()))?;
    let names = match embed_file(&elf) {
        Ok(report) => Some(report),
        Err(EmbedError::NoSpace { .. }) => None,
        Err(error) => return Err(error).with_context(|| format!("names of kernel {name}")),
    };
    Ok(Kernel {
        name: name.to_owned(),
        elf,
        target,
        profile,
        names,
    })
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

/// A package of this workspace.
#[derive(Clone, Debug, Deserialize)]
pub struct Package {
    /// Name.
    pub name: String,
    dependencies: Vec<Dependency>,
    targets: Vec<PackageTarget>,
}

#[derive(Clone, Debug, Deserialize)]
struct Dependency {
    name: String,
    features: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct PackageTarget {
    kind: Vec<String>,
    name: String,
}

impl Package {
    /// Names of its binaries.
    #[must_use]
    pub fn binaries(&self) -> Vec<&str> {
        self.targets
            .iter()
            .filter(|target| target.kind.iter().any(|kind| kind == "bin"))
            .map(|target| target.name.as_str())
            .collect()
    }

    /// The features of the library that it asks for.
    fn library_features(&self) -> &[String] {
        let library = self.dependencies.iter().find(|other| other.name == LIBRARY);
        library.map_or(&[], |library| &library.features)
    }
}

/// The library.
pub const LIBRARY: &str = "aarch64-ftrace";
/// The board support that every kernel stands on.
const BOARD: &str = "virt";

/// The packages for bare metal: the board support and what depends on it.
///
/// # Errors
/// When cargo does not describe the workspace.
pub fn packages() -> Result<Vec<Package>> {
    let mut command = host_cargo();
    command.args(["metadata", "--no-deps", "--format-version", "1"]);
    let text = proc::text_of(&mut command, Duration::from_secs(120))?;
    let metadata: Metadata = serde_json::from_str(&text).context("cannot read cargo metadata")?;
    Ok(metadata
        .packages
        .into_iter()
        .filter(|package| {
            package.name == BOARD || package.dependencies.iter().any(|other| other.name == BOARD)
        })
        .collect())
}

/// Packages in groups that may be built by one command. Within one build cargo gives every package the features that any of
/// them asks for, so what wants a feature of the library is built apart from what must do without.
#[must_use]
pub fn groups(packages: &[Package]) -> Vec<Vec<&Package>> {
    let mut groups: Vec<Vec<&Package>> = Vec::new();
    for package in packages {
        let same =
            |group: &&mut Vec<&Package>| group[0].library_features() == package.library_features();
        match groups.iter_mut().find(same) {
            Some(group) => group.push(package),
            None => groups.push(vec![package]),
        }
    }
    groups
}

/// Builds `aftrace`, as xtask was built.
///
/// # Errors
/// When its build fails.
pub fn program() -> Result<PathBuf> {
    let mut cargo = host_build();
    let messages = proc::text_of(cargo.args(["-p", "aftrace", "--bins"]), BUILD_LIMIT)?;
    let mut built = executables(&messages).into_iter();
    let found = built.find(|(name, _)| name == "aftrace");
    let (_, program) = found.context("no command was built")?;
    Ok(repo().join(program))
}

/// `cargo build` of what is named behind it and of xtask: to all packages of one command cargo gives the same dependencies with
/// the same features, and so nothing that xtask stands on is compiled a second time.
pub fn host_build() -> Command {
    let mut cargo = host_cargo();
    cargo.args(["build", "-q", "--message-format=json", "-p", "xtask"]);
    cargo
}

/// cargo for host crates: the one that xtask was started with.
#[must_use]
pub fn host_cargo() -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(repo());
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_binaries_are_taken_from_the_messages() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"virt","kind":["lib"]},"executable":null}
{"reason":"compiler-artifact","target":{"name":"demo","kind":["bin"]},"executable":"/t/demo"}
{"reason":"build-finished","success":true}
not json"#;
        assert_eq!(
            executables(messages),
            [("demo".to_owned(), PathBuf::from("/t/demo"))]
        );
    }

    #[test]
    fn what_wants_a_feature_of_the_library_is_built_apart() {
        let package = |name: &str, features: &str| -> Package {
            let text = format!(
                r#"{{"name":"{name}","targets":[],"dependencies":[{{"name":"virt","features":["heap"]}},
                {{"name":"aarch64-ftrace","features":{features}}}]}}"#
            );
            serde_json::from_str(&text).unwrap()
        };
        let packages = [
            package("a", "[]"),
            package("b", r#"["alloc"]"#),
            package("c", "[]"),
        ];
        let names: Vec<Vec<&str>> = groups(&packages)
            .iter()
            .map(|group| group.iter().map(|package| package.name.as_str()).collect())
            .collect();
        assert_eq!(names, [vec!["a", "c"], vec!["b"]]);
    }
}
