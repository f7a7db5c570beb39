//! QEMU: found, or installed with apt; Debian 12 takes it from its backports.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::apt::Apt;
use super::setup_dir;
use super::version::{self, Version};
use crate::proc;
use crate::ui::{say, took};

/// The program.
pub const PROGRAM: &str = "qemu-system-aarch64";
const PACKAGE: &str = "qemu-system-arm";
/// From here on nothing is skipped.
pub const WANTED: Version = Version::new(9, 0, 0);

/// The version of the installed QEMU.
#[must_use]
pub fn installed() -> Option<Version> {
    let mut command = Command::new(PROGRAM);
    let text = proc::text_of(command.arg("--version"), Duration::from_secs(30)).ok()?;
    version::qemu(&text)
}

/// QEMU's version; installs it when it is missing, and with `renew` also when it is older than wanted.
///
/// # Errors
/// When there is no QEMU and none can be installed: names the packages.
pub fn ready(renew: bool) -> Result<Version> {
    let found = installed();
    match found {
        Some(version) if version >= WANTED || !renew => return Ok(version),
        Some(version) => say(format!(
            "set-up: QEMU {version} is there, looking for {WANTED} or newer"
        )),
        None => say("set-up: QEMU is missing, installing it"),
    }
    let start = Instant::now();
    if let Err(error) = install() {
        let help = format!(
            "install QEMU for AArch64 yourself: package qemu-system-arm on Debian and Ubuntu (of backports on \
             Debian 12), qemu-system-aarch64 on Fedora and Arch, qemu elsewhere; {PROGRAM} has to be in PATH"
        );
        let Some(version) = found else {
            bail!("QEMU cannot be installed: {error:#}\n{help}");
        };
        say(format!("  QEMU {version} stays: {error:#}\n  {help}"));
        return Ok(version);
    }
    let version = installed()
        .with_context(|| format!("{PACKAGE} is installed, but {PROGRAM} does not run"))?;
    say(format!("  QEMU {version} ({})", took(start)));
    Ok(version)
}

fn install() -> Result<()> {
    let apt = Apt::detect(&setup_dir().join("apt"))?;
    let own = apt.own()?;
    let new_enough = |package: &super::apt::Package| {
        Version::of_package(&package.version).is_some_and(|version| version >= WANTED)
    };
    if own.versions(PACKAGE)?.iter().any(new_enough) {
        say(format!("  installing {PACKAGE} of {}", apt.codename));
        return own.install(&[PACKAGE], None);
    }
    let backports = format!("{}-backports", apt.codename);
    let newer = apt.own_and_backports().and_then(|index| {
        if !index.versions(PACKAGE)?.iter().any(new_enough) {
            bail!("{backports} has no newer {PACKAGE}");
        }
        say(format!("  installing {PACKAGE} of {backports}"));
        index.install(&[PACKAGE], Some(&backports))
    });
    if let Err(error) = newer {
        say(format!(
            "  {backports}: {error:#}\n  installing the older {PACKAGE} of {}: what needs {WANTED} is skipped",
            apt.codename
        ));
        own.install(&[PACKAGE], None)?;
    }
    Ok(())
}
