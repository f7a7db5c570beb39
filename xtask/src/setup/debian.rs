//! What Debian's packages give: the library's source for a rustup toolchain, or a whole toolchain. All is unpacked, not installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::apt::{self, Apt, Package};
use super::rust::{OLDEST, is_proved, mark, proved, source_folder, with_linker};
use super::toolchain::{LibrarySource, Toolchain, has_library};
use super::version::{Match, Version, choose};
use super::{brief, setup_dir};
use crate::proc;
use crate::ui::say;

const COPY_LIMIT: Duration = Duration::from_secs(600);

/// Unpacks Debian's rust-src beside target/, proves that it builds, and moves it to its place.
///
/// # Errors
/// When no suite has a fitting version, or it does not build.
pub fn from_package(mut toolchain: Toolchain, how: Match, live: bool) -> Result<Toolchain> {
    let folder = source_folder(&toolchain);
    if !is_proved(&folder) {
        let (package, index) = find_source(toolchain.version, how)?;
        say(format!("  fetching {} {}", package.name, package.version));
        let deb = index.download(&package, &setup_dir())?;
        unpack_library(&deb, &folder)?;
    }
    toolchain.source = LibrarySource::Folder(folder.clone());
    let mut toolchain = proved(with_linker(toolchain)?)?;
    fs::write(mark(&folder), "")?;
    let place = toolchain.sysroot_library();
    if live {
        match move_folder(&folder, &place) {
            Ok(()) => {
                fs::remove_file(mark(&folder)).ok();
                say(format!("  rust-src is now in {}", place.display()));
                toolchain.source = LibrarySource::Sysroot;
            }
            Err(error) => say(format!(
                "  {} stays where it is: {error:#}",
                folder.display()
            )),
        }
    }
    Ok(toolchain)
}

fn find_source(version: Version, how: Match) -> Result<(Package, apt::Index)> {
    let machine = Apt::detect(&setup_dir().join("apt"))?;
    let own_backports = format!("{}-backports", machine.codename);
    let mut suites = vec![String::new(), own_backports];
    for suite in ["trixie", "trixie-backports", "forky", "sid"] {
        if suite != machine.codename && !suites.iter().any(|known| known == suite) {
            suites.push(suite.to_owned());
        }
    }
    let mut seen = Vec::new();
    let mut failed = false;
    for suite in suites {
        let index = if suite.is_empty() {
            machine.own()
        } else {
            machine.suite(&suite)
        };
        let index = match index {
            Ok(index) => index,
            Err(error) => {
                let name = if suite.is_empty() { "own" } else { &suite };
                say(format!("  {name}: {}", brief(&format!("{error:#}"))));
                failed = true;
                continue;
            }
        };
        for name in ["rust-src", "rust-web-src"] {
            let offered: Vec<String> = index
                .versions(name)?
                .into_iter()
                .map(|package| package.version)
                .collect();
            if let Some(version) = choose(version, how, &offered) {
                let package = Package {
                    name: name.to_owned(),
                    version: version.clone(),
                };
                return Ok((package, index));
            }
            seen.extend(offered);
        }
    }
    if seen.is_empty() && failed {
        bail!("the lists of Debian's suites cannot be fetched");
    }
    bail!(
        "no Debian suite has rust-src {version}; there are {}",
        seen.join(", ")
    )
}

fn unpack_library(deb: &Path, folder: &Path) -> Result<()> {
    let unpacked = setup_dir().join("unpacked");
    if unpacked.exists() {
        fs::remove_dir_all(&unpacked)?;
    }
    unpack(deb, &unpacked)?;
    let library = fs::read_dir(unpacked.join("usr/src"))?
        .flatten()
        .map(|entry| entry.path().join("library"))
        .find(|path| has_library(path))
        .context("the package holds no library with a Cargo.lock")?;
    move_folder(&library, folder)?;
    fs::remove_dir_all(&unpacked)?;
    Ok(())
}

/// Debian's own compiler with `ld.lld`, under target/.
///
/// # Errors
/// When the packages cannot be had or do not build the library.
pub fn toolchain() -> Result<Toolchain> {
    let root = root();
    if parts(&root).is_none() {
        fetch_debian(&root)?;
    }
    let (rustc, libraries) = parts(&root).context("the packages hold no rustc with its library")?;
    // A linker that the machine has already is not among the fetched packages.
    let toolchain = with_linker(Toolchain::inspect("Debian's rustc", &rustc, libraries)?)?;
    proved(toolchain)
}

fn fetch_debian(root: &Path) -> Result<()> {
    let machine = Apt::detect(&setup_dir().join("apt"))?;
    let backports = format!("{}-backports", machine.codename);
    let families = [
        ["rustc-web", "cargo-web", "rust-web-src"],
        ["rustc", "cargo", "rust-src"],
    ];
    let mut why = "too old".to_owned();
    for (index, suite) in [
        (machine.own(), None),
        (machine.own_and_backports(), Some(backports.as_str())),
    ] {
        let index = match index {
            Ok(index) => index,
            Err(error) => {
                why = brief(&format!("{error:#}"));
                continue;
            }
        };
        for family in families {
            let newest = index.versions(family[0])?.into_iter().find(|package| {
                Version::of_package(&package.version).is_some_and(|version| version >= OLDEST)
            });
            let Some(newest) = newest else { continue };
            let mut names = Vec::new();
            for name in family {
                let same = index.versions(name)?.into_iter().find(|package| {
                    without_rebuild(&package.version) == without_rebuild(&newest.version)
                });
                let same = same.with_context(|| format!("{name} {} is missing", newest.version))?;
                names.push(format!("{name}={}", same.version));
            }
            names.push("lld".to_owned());
            let packages = index.closure(&names, suite)?;
            say(format!(
                "  fetching {} {} and {} packages it needs",
                family[0],
                newest.version,
                packages.len().saturating_sub(1)
            ));
            let fresh = root.with_extension("part");
            if fresh.exists() {
                fs::remove_dir_all(&fresh)?;
            }
            for package in &packages {
                let deb = index.download(package, &setup_dir())?;
                unpack(&deb, &fresh)?;
            }
            if root.exists() {
                fs::remove_dir_all(root)?;
            }
            fs::rename(&fresh, root)?;
            return Ok(());
        }
    }
    bail!("no Debian suite of this machine has rustc {OLDEST} or newer: {why}")
}

/// A package rebuilt without a change of its source gets `+bN`; the packages for all architectures do not.
fn without_rebuild(version: &str) -> &str {
    match version.rsplit_once("+b") {
        Some((source, count)) if count.bytes().all(|byte| byte.is_ascii_digit()) => source,
        _ => version,
    }
}

/// Where Debian's toolchain is unpacked.
#[must_use]
pub fn root() -> PathBuf {
    setup_dir().join("debian-toolchain")
}

/// rustc and the folders of its shared libraries, when the unpacked tree is whole.
#[must_use]
pub fn parts(root: &Path) -> Option<(PathBuf, Vec<PathBuf>)> {
    let rustc = root.join("usr/bin/rustc");
    if !rustc.is_file() || !has_library(&root.join("usr/lib/rustlib/src/rust/library")) {
        return None;
    }
    let mut libraries = vec![root.join("usr/lib")];
    for entry in fs::read_dir(root.join("usr/lib")).ok()?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with("-linux-gnu") {
            libraries.push(entry.path());
        } else if name.starts_with("llvm-") {
            libraries.push(entry.path().join("lib"));
        }
    }
    libraries.sort();
    Some((rustc, libraries))
}

/// Renames; across file systems copies to a neighbour first, so that the place is never half filled.
fn move_folder(from: &Path, to: &Path) -> Result<()> {
    let parent = to.parent().context("no parent folder")?;
    fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    if to.exists() {
        fs::remove_dir_all(to).with_context(|| format!("cannot replace {}", to.display()))?;
    }
    if fs::rename(from, to).is_ok() {
        return Ok(());
    }
    let part = to.with_extension("part");
    let mut copy = Command::new("cp");
    copy.arg("-a").arg("--").arg(from).arg(&part);
    proc::text_of(&mut copy, COPY_LIMIT)?;
    fs::rename(&part, to).with_context(|| format!("cannot fill {}", to.display()))?;
    fs::remove_dir_all(from).ok();
    Ok(())
}

/// Unpacks a package's files into a folder, without installing it.
///
/// # Errors
/// When dpkg-deb fails.
pub fn unpack(deb: &Path, into: &Path) -> Result<()> {
    fs::create_dir_all(into)?;
    let mut command = Command::new("dpkg-deb");
    command.arg("-x").arg(deb).arg(into);
    proc::text_of(&mut command, COPY_LIMIT)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rebuild_is_the_same_source() {
        assert_eq!(
            without_rebuild("1.96.0+dfsg1-1~deb13u1+b1"),
            "1.96.0+dfsg1-1~deb13u1"
        );
        assert_eq!(
            without_rebuild("1.96.1+dfsg1-2~bpo13+1"),
            "1.96.1+dfsg1-2~bpo13+1"
        );
        assert_eq!(without_rebuild("1.0+beta"), "1.0+beta");
    }
}
