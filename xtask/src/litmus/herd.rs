//! herd7: found in PATH, or unpacked under target/ from Debian's sid together with the libraries that it was built for.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::proc;
use crate::setup::apt::Apt;
use crate::setup::version::Version;
use crate::setup::{brief, debian, repo, setup_dir};
use crate::ui::say;

/// The first version whose model has all that the tests ask for.
const WANTED: Version = Version::new(7, 58, 0);
const PROGRAM: &str = "herd7";
const PACKAGE: &str = "herdtools7";
/// What herd7 needs beside itself, in sid's own versions: the machine's are older.
const LIBRARIES: [&str; 2] = ["libc6", "libgmp10"];
const SUITE: &str = "sid";
const LIMIT: Duration = Duration::from_secs(60);
/// A test that only a model with instruction fetch flags.
const PROBE: &str = "tests/litmus/nop-to-mov.litmus";
const PROBE_FLAG: &str = "Flag violates-CMODX-requirements";

/// A herd7 that can run the tests.
pub struct Herd {
    start: Vec<PathBuf>,
    /// Its version.
    pub version: Version,
}

impl Herd {
    /// herd7, without arguments.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.start[0]);
        command.args(&self.start[1..]);
        command
    }

    /// Asks its version, and has it flag what only an instruction fetch can be flagged for.
    fn prove(start: Vec<PathBuf>) -> Result<Self> {
        let mut herd = Self {
            start,
            version: WANTED,
        };
        let text = proc::text_of(herd.command().arg("-version"), LIMIT)?;
        herd.version = Version::parse(text.trim()).context("herd7 says no version")?;
        if herd.version < WANTED {
            bail!("herd7 {} is older than {WANTED}", herd.version);
        }
        let mut command = herd.command();
        command.args(["-variant", "ifetch"]).arg(repo().join(PROBE));
        if !proc::text_of(&mut command, LIMIT)?.contains(PROBE_FLAG) {
            bail!("herd7 {} knows no instruction fetch", herd.version);
        }
        Ok(herd)
    }
}

/// herd7 of the machine if it is new enough, else the one under target/, fetched when it is not there.
///
/// # Errors
/// When there is none and none can be had.
pub fn ready() -> Result<Herd> {
    if let Some(path) = proc::which(PROGRAM) {
        match Herd::prove(vec![path]) {
            Ok(herd) => return Ok(herd),
            Err(error) => say(format!("herd7 of PATH: {}", brief(&format!("{error:#}")))),
        }
    }
    let root = setup_dir().join("herd7");
    if !root.join("usr/bin").join(PROGRAM).is_file() {
        fetch(&root).with_context(|| {
            format!(
                "herd7 {WANTED} or newer (package {PACKAGE} of Debian {SUITE}) is not to be had"
            )
        })?;
    }
    Herd::prove(unpacked(&root)?)
}

/// How the unpacked herd7 is started: by its own dynamic linker, with its own libraries.
fn unpacked(root: &Path) -> Result<Vec<PathBuf>> {
    let (linker, libraries) = fs::read_dir(root.join("usr/lib"))?
        .flatten()
        .map(|entry| entry.path())
        .filter(|folder| folder.to_string_lossy().ends_with("-linux-gnu"))
        .find_map(|folder| {
            let file = fs::read_dir(&folder).ok()?.flatten().find(|file| {
                let name = file.file_name();
                name.to_string_lossy().starts_with("ld-linux")
            })?;
            Some((file.path(), folder))
        })
        .context("sid's libc6 holds no dynamic linker")?;
    Ok(vec![
        linker,
        PathBuf::from("--library-path"),
        libraries,
        root.join("usr/bin").join(PROGRAM),
        PathBuf::from("-set-libdir"),
        root.join("usr/share").join(PACKAGE).join("herd"),
    ])
}

fn fetch(root: &Path) -> Result<()> {
    let index = Apt::detect(&setup_dir().join("apt"))?.suite(SUITE)?;
    let newest = |name: &str| {
        let offered = index.versions(name)?.into_iter().next();
        offered.with_context(|| format!("{SUITE} has no {name}"))
    };
    let herd = newest(PACKAGE)?;
    if Version::of_package(&herd.version).is_none_or(|version| version < WANTED) {
        bail!("{SUITE} has {PACKAGE} {}", herd.version);
    }
    say(format!("fetching {PACKAGE} {} of {SUITE}", herd.version));
    let fresh = root.with_extension("part");
    if fresh.exists() {
        fs::remove_dir_all(&fresh)?;
    }
    for name in LIBRARIES {
        debian::unpack(&index.download(&newest(name)?, &setup_dir())?, &fresh)?;
    }
    debian::unpack(&index.download(&herd, &setup_dir())?, &fresh)?;
    if root.exists() {
        fs::remove_dir_all(root)?;
    }
    fs::rename(&fresh, root)?;
    Ok(())
}
