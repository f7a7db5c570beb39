//! The library's source for the compiler: several ways, tried in order until one works.
//!
//! Instrumented kernels need `core` and `alloc` built with the kernel's own flags (`-Zbuild-std`), and that needs `rust-src`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;

use super::apt::Apt;
use super::debian;
use super::toolchain::{LibrarySource, Toolchain, has_library, rustup_installed};
use super::version::{Match, Version};
use super::{probe, setup_dir};
use crate::proc;
use crate::ui::{say, took};

/// The nightly that is fetched where rustup may download: the compiler this repo was developed against.
const PINNED_NIGHTLY: &str = "nightly-2026-05-20";
/// Older compilers lack a flag or do not build the library (`rust-version` in Cargo.toml).
pub(super) const OLDEST: Version = Version::new(1, 88, 0);
const COMPONENT_LIMIT: Duration = Duration::from_secs(120);
const TOOLCHAIN_LIMIT: Duration = Duration::from_secs(600);

/// One way to a compiler with its library's source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Way {
    /// It is there already, in an installed toolchain or from an earlier set-up.
    Present,
    /// `rustup component add rust-src` for the current toolchain.
    RustupComponent,
    /// A pinned nightly with rust-src, installed by rustup.
    RustupNightly,
    /// Debian's rust-src of exactly the current compiler's version.
    DebianSrc,
    /// Debian's rust-src of nearly the version of an installed nightly.
    DebianSrcNightly,
    /// Debian's own compiler, cargo and library source, unpacked under target/.
    DebianToolchain,
}

impl Way {
    /// The order of attempts.
    pub const ORDER: [Self; 6] = [
        Self::Present,
        Self::RustupComponent,
        Self::RustupNightly,
        Self::DebianSrc,
        Self::DebianSrcNightly,
        Self::DebianToolchain,
    ];

    /// The name that `--way` takes.
    #[must_use]
    pub fn name(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Goes this way. `live` lets the source move into the compiler's sysroot; without it, all stays under target/.
    ///
    /// # Errors
    /// Says why this way leads nowhere on this machine.
    pub fn go(self, live: bool) -> Result<Toolchain> {
        match self {
            Self::Present => present(),
            Self::RustupComponent => rustup_component(live),
            Self::RustupNightly => rustup_nightly(live),
            Self::DebianSrc => debian_src(live),
            Self::DebianSrcNightly => debian_src_nightly(live),
            Self::DebianToolchain => debian::toolchain(),
        }
    }
}

/// Milliseconds: looks, fetches nothing.
fn present() -> Result<Toolchain> {
    let current = Toolchain::current()?;
    let mut candidates = vec![(current.name.clone(), current.rustc.clone(), Vec::new())];
    for (name, rustc) in rustup_installed() {
        // Asking a compiler costs time: only those that can answer the question.
        let sysroot = rustc.ancestors().nth(2).unwrap_or(Path::new("/"));
        if has_library(&sysroot.join("lib/rustlib/src/rust/library")) || name.contains("nightly") {
            candidates.push((name, rustc, Vec::new()));
        }
    }
    if let Some((rustc, libraries)) = debian::parts(&debian::root()) {
        candidates.push(("Debian's rustc".to_owned(), rustc, libraries));
    }
    for (index, (name, rustc, libraries)) in candidates.into_iter().enumerate() {
        let mut toolchain = if index == 0 {
            current.clone()
        } else {
            Toolchain::inspect(&name, &rustc, libraries)?
        };
        let folder = source_folder(&toolchain);
        if toolchain.source == LibrarySource::Missing && is_proved(&folder) {
            toolchain.source = LibrarySource::Folder(folder);
        }
        if toolchain.source != LibrarySource::Missing && toolchain.version >= OLDEST {
            return with_linker(toolchain);
        }
    }
    bail!("no installed toolchain has rust-src")
}

fn rustup() -> Result<PathBuf> {
    proc::which("rustup").context("this machine has no rustup")
}

/// `RUSTUP_AUTO_INSTALL=0` is the owner's word that toolchains do not grow by themselves.
fn downloads_allowed(live: bool) -> Result<()> {
    if live && std::env::var("RUSTUP_AUTO_INSTALL").is_ok_and(|value| value == "0") {
        bail!("RUSTUP_AUTO_INSTALL=0 forbids downloads (`cargo xtask setup --way` overrides it)");
    }
    Ok(())
}

fn rustup_component(live: bool) -> Result<Toolchain> {
    let rustup = rustup()?;
    downloads_allowed(live)?;
    let current = Toolchain::current()?;
    if !current.is_rustup() {
        bail!(
            "the current rustc ({}) is not rustup's",
            current.sysroot.display()
        );
    }
    usable(&current)?;
    let mut command = Command::new(rustup);
    command
        .args(["component", "add", "rust-src", "--toolchain"])
        .arg(current.sysroot.file_name().unwrap_or_default())
        .env("RUSTUP_MAX_RETRIES", "1");
    proc::text_of(&mut command, COMPONENT_LIMIT)?;
    proved(with_linker(Toolchain::current()?)?)
}

fn rustup_nightly(live: bool) -> Result<Toolchain> {
    let rustup = rustup()?;
    downloads_allowed(live)?;
    let mut command = Command::new(rustup);
    command
        .args(["toolchain", "install", PINNED_NIGHTLY, "--no-self-update"])
        .args(["--profile", "minimal", "-c", "rust-src", "-c", "clippy"])
        .env("RUSTUP_MAX_RETRIES", "1");
    proc::text_of(&mut command, TOOLCHAIN_LIMIT)?;
    let (name, rustc) = rustup_installed()
        .into_iter()
        .find(|(name, _)| name.starts_with(PINNED_NIGHTLY))
        .context("rustup installed the nightly, but it is not among its toolchains")?;
    proved(with_linker(Toolchain::inspect(&name, &rustc, Vec::new())?)?)
}

fn debian_src(live: bool) -> Result<Toolchain> {
    let current = Toolchain::current()?;
    usable(&current)?;
    if current.is_nightly() {
        bail!(
            "Debian packages no nightly, and the current toolchain is {}",
            current.release
        );
    }
    debian::from_package(current, Match::Exact, live)
}

fn debian_src_nightly(live: bool) -> Result<Toolchain> {
    let mut why = "no nightly toolchain is installed".to_owned();
    let mut nightlies: Vec<Toolchain> = rustup_installed()
        .iter()
        .filter(|(name, _)| name.contains("nightly"))
        .filter_map(|(name, rustc)| Toolchain::inspect(name, rustc, Vec::new()).ok())
        .collect();
    nightlies.sort_by_key(|toolchain| std::cmp::Reverse(toolchain.version));
    for nightly in nightlies {
        if let Err(error) = usable(&nightly) {
            why = format!("{error:#}");
            continue;
        }
        match debian::from_package(nightly, Match::SameMinor, live) {
            Ok(toolchain) => return Ok(toolchain),
            Err(error) => why = format!("{error:#}"),
        }
    }
    bail!("{why}")
}

/// `ld.lld` of the machine; installed with apt where it is missing.
fn system_linker() -> Result<PathBuf> {
    if let Some(found) = proc::which("ld.lld") {
        return Ok(found);
    }
    let help = "this toolchain brings no rust-lld and PATH has no ld.lld: install the package lld";
    let apt = Apt::detect(&setup_dir().join("apt")).context(help)?;
    say("  installing lld: this toolchain brings no linker for bare metal");
    apt.own()?.install(&["lld"], None).context(help)?;
    proc::which("ld.lld").context(help)
}

/// A compiler that is not rustup's may lack `rust-lld`: then `ld.lld` does.
pub(super) fn with_linker(mut toolchain: Toolchain) -> Result<Toolchain> {
    if !toolchain.has_rust_lld() && toolchain.linker.is_none() {
        let own = debian::root().join("usr/bin/ld.lld");
        toolchain.linker = if toolchain.sysroot.starts_with(setup_dir()) && own.is_file() {
            Some(own)
        } else {
            Some(system_linker()?)
        };
    }
    Ok(toolchain)
}

fn usable(toolchain: &Toolchain) -> Result<()> {
    if toolchain.version < OLDEST {
        bail!(
            "{} is rustc {}, too old: {OLDEST} or newer is needed",
            toolchain.name,
            toolchain.release
        );
    }
    Ok(())
}

/// Builds core and alloc once: a source of nearly the right version may fit, or may not.
pub(super) fn proved(toolchain: Toolchain) -> Result<Toolchain> {
    let start = Instant::now();
    probe::build(&toolchain)?;
    say(format!("  core and alloc build with it ({})", took(start)));
    Ok(toolchain)
}

pub(super) fn source_folder(toolchain: &Toolchain) -> PathBuf {
    setup_dir().join(format!("rust-src-{}", toolchain.release))
}

pub(super) fn mark(folder: &Path) -> PathBuf {
    folder.with_extension("builds")
}

pub(super) fn is_proved(folder: &Path) -> bool {
    has_library(folder) && mark(folder).is_file()
}
