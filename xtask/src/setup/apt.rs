//! Private apt: package lists, sources and cache under `target/setup/apt`, nothing of the machine's own is changed.
//!
//! Every archive is one that the machine's own sources name, and apt checks its signature with the machine's keys.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, bail};

use super::sources::{self, Entry};
use crate::proc;
use crate::ui::say;

/// Lists younger than this are not fetched again.
const LISTS_KEEP: Duration = Duration::from_secs(3600);
const UPDATE_LIMIT: Duration = Duration::from_secs(180);
const FETCH_LIMIT: Duration = Duration::from_secs(600);

/// The machine's Debian archives.
pub struct Apt {
    root: PathBuf,
    /// Debian's own entries of the machine.
    own: Vec<Entry>,
    /// Codename of the machine's release.
    pub codename: String,
}

/// A package version that one of the suites of an [`Index`] offers.
#[derive(Clone, Debug)]
pub struct Package {
    /// Package name.
    pub name: String,
    /// Full Debian version.
    pub version: String,
}

impl Apt {
    /// Reads the machine's sources.
    ///
    /// # Errors
    /// When the machine has no apt or no Debian archive in its sources.
    pub fn detect(root: &Path) -> Result<Self> {
        if proc::which("apt-get").is_none() || proc::which("dpkg-deb").is_none() {
            bail!("this machine has no apt-get");
        }
        let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
        let codename = release
            .lines()
            .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
            .map(|name| name.trim_matches('"').to_owned())
            .context("/etc/os-release names no VERSION_CODENAME")?;
        let own = sources::debian_only(&read_machine_sources(), &codename);
        if own.is_empty() {
            bail!(
                "no Debian archive for {codename} in /etc/apt/sources.list or /etc/apt/sources.list.d"
            );
        }
        Ok(Self {
            root: root.to_owned(),
            own,
            codename,
        })
    }

    /// The index of the machine's own suites.
    ///
    /// # Errors
    /// When the lists cannot be fetched or verified.
    pub fn own(&self) -> Result<Index> {
        self.index("own", &self.own)
    }

    /// The machine's own suites together with its backports, for installing with dependencies.
    ///
    /// # Errors
    /// When the lists cannot be fetched or verified.
    pub fn own_and_backports(&self) -> Result<Index> {
        let suite = format!("{}-backports", self.codename);
        let mut last = None;
        for base in sources::bases(&self.own) {
            let mut entries = self.own.clone();
            if !entries.iter().any(|entry| entry.suite == suite) {
                entries.push(base.with_suite(&suite));
            }
            match self.index("own-backports", &entries) {
                Ok(index) => return Ok(index),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| anyhow::anyhow!("no archive to take {suite} from")))
    }

    /// The index of one suite, from the archive that the machine uses.
    ///
    /// # Errors
    /// When no archive of the machine has it, or none can be verified.
    pub fn suite(&self, suite: &str) -> Result<Index> {
        let mut last = None;
        for base in sources::bases(&self.own) {
            match self.index(suite, &[base.with_suite(suite)]) {
                Ok(index) => return Ok(index),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| anyhow::anyhow!("no archive to take {suite} from")))
    }

    fn index(&self, name: &str, entries: &[Entry]) -> Result<Index> {
        let index = Index {
            dir: self.root.join(name),
        };
        match index.update(entries) {
            Err(error) if format!("{error:#}").contains("NO_PUBKEY") && name != "own" => {
                say(format!(
                    "  {name}: the machine lacks the suite's signing key"
                ));
                let keyring = self.newer_keyring()?;
                let entries: Vec<Entry> = entries
                    .iter()
                    .map(|entry| entry.with_keyring(&keyring))
                    .collect();
                index.update(&entries)?;
            }
            other => other?,
        }
        Ok(index)
    }

    /// Debian's newest keyring, out of a package that the machine's own, verified suites carry.
    fn newer_keyring(&self) -> Result<String> {
        let own = self.own()?;
        let dir = self.root.join("keyring");
        let package = own
            .versions("debian-archive-keyring")?
            .into_iter()
            .next()
            .context("the machine's suites have no debian-archive-keyring")?;
        let file = own.download(&package, &self.root)?;
        super::debian::unpack(&file, &dir)?;
        ["gpg", "pgp"]
            .iter()
            .map(|tail| dir.join(format!("usr/share/keyrings/debian-archive-keyring.{tail}")))
            .find(|path| path.is_file())
            .map(|path| path.to_string_lossy().into_owned())
            .context("debian-archive-keyring holds no keyring")
    }
}

fn read_machine_sources() -> Vec<Entry> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(folder) = fs::read_dir("/etc/apt/sources.list.d") {
        let mut more: Vec<PathBuf> = folder.flatten().map(|file| file.path()).collect();
        more.retain(|path| {
            path.extension()
                .is_some_and(|tail| tail == "list" || tail == "sources")
        });
        more.sort();
        files.extend(more);
    }
    let mut entries = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap_or_default();
        entries.extend(sources::parse(&file.to_string_lossy(), &text));
    }
    entries
}

/// The lists of some suites, in a folder of their own.
pub struct Index {
    dir: PathBuf,
}

impl Index {
    fn options(&self) -> Vec<String> {
        let dir = self.dir.display();
        let mut options = vec![
            "Dir::Etc::sourcelist=/dev/null".to_owned(),
            format!("Dir::Etc::sourceparts={dir}/parts"),
            format!("Dir::State::lists={dir}/lists"),
            format!("Dir::Cache={dir}/cache"),
            // The folders stand below the user's own, where apt's sandbox user cannot reach.
            "APT::Sandbox::User=root".to_owned(),
            "Acquire::Languages=none".to_owned(),
            "Acquire::Retries=2".to_owned(),
            "Acquire::http::Timeout=20".to_owned(),
            "Acquire::https::Timeout=20".to_owned(),
            "APT::Update::Error-Mode=any".to_owned(),
            // Only the package lists are wanted, no contents and no icons.
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".to_owned(),
            "Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false".to_owned(),
            "Dpkg::Use-Pty=0".to_owned(),
        ];
        options = options
            .into_iter()
            .flat_map(|option| ["-o".to_owned(), option])
            .collect();
        options
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .args(self.options())
            .env("LC_ALL", "C")
            .env("DEBIAN_FRONTEND", "noninteractive");
        command
    }

    fn update(&self, entries: &[Entry]) -> Result<()> {
        let stamp = self.dir.join("updated");
        let text = sources::render(entries);
        let young = fs::metadata(&stamp)
            .and_then(|meta| meta.modified())
            .is_ok_and(|time| {
                SystemTime::now()
                    .duration_since(time)
                    .is_ok_and(|age| age < LISTS_KEEP)
            });
        if young && fs::read_to_string(&stamp).is_ok_and(|old| old == text) {
            return Ok(());
        }
        for folder in ["parts", "lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(self.dir.join(folder))
                .with_context(|| format!("cannot make {}", self.dir.join(folder).display()))?;
        }
        fs::write(self.dir.join("parts/derived.sources"), &text)?;
        let name = self.dir.file_name().unwrap_or_default().to_string_lossy();
        say(format!("  apt: fetching the lists of {name}"));
        let mut command = self.command("apt-get");
        let captured = proc::capture(command.args(["-q", "update"]), UPDATE_LIMIT)?;
        if !captured.ok {
            fs::remove_file(&stamp).ok();
            bail!(
                "apt-get update ({name}): {}",
                first_errors(&captured.stderr)
            );
        }
        fs::write(stamp, text)?;
        Ok(())
    }

    /// The versions of a package, newest first as apt lists them.
    ///
    /// # Errors
    /// When apt-cache fails.
    pub fn versions(&self, name: &str) -> Result<Vec<Package>> {
        let mut command = self.command("apt-cache");
        let text = proc::text_of(command.args(["madison", name]), UPDATE_LIMIT)?;
        let mut found: Vec<Package> = Vec::new();
        for line in text.lines() {
            let mut columns = line.split('|').map(str::trim);
            if columns.next() == Some(name)
                && let Some(version) = columns.next()
                && !found.iter().any(|known| known.version == version)
            {
                found.push(Package {
                    name: name.to_owned(),
                    version: version.to_owned(),
                });
            }
        }
        Ok(found)
    }

    /// Fetches a package's file; apt checks its hash against the signed lists.
    ///
    /// # Errors
    /// When the package cannot be fetched or verified.
    pub fn download(&self, package: &Package, folder: &Path) -> Result<PathBuf> {
        let into = folder.join("fetch");
        if into.exists() {
            fs::remove_dir_all(&into)?;
        }
        fs::create_dir_all(&into)?;
        let mut command = self.command("apt-get");
        command
            .args(["-qq", "download"])
            .arg(format!("{}={}", package.name, package.version))
            .current_dir(&into);
        proc::text_of(&mut command, FETCH_LIMIT)?;
        fs::read_dir(&into)?
            .flatten()
            .map(|file| file.path())
            .find(|path| path.extension().is_some_and(|tail| tail == "deb"))
            .with_context(|| format!("apt-get download left no file for {}", package.name))
    }

    /// What would have to be installed for `names`, by a dry run; nothing is installed.
    ///
    /// # Errors
    /// When the packages cannot be had together.
    pub fn closure(&self, names: &[String], suite: Option<&str>) -> Result<Vec<Package>> {
        let mut command = self.command("apt-get");
        command.args(["-s", "--no-install-recommends", "install"]);
        if let Some(suite) = suite {
            command.args(["-t", suite]);
        }
        let text = proc::text_of(command.args(names), UPDATE_LIMIT)?;
        Ok(text.lines().filter_map(simulated).collect())
    }

    /// Installs on the machine, as root or through sudo.
    ///
    /// # Errors
    /// When apt-get fails, or the user is neither root nor has sudo.
    pub fn install(&self, names: &[&str], suite: Option<&str>) -> Result<()> {
        let mut command = if is_root() {
            Command::new("apt-get")
        } else if proc::which("sudo").is_some() {
            let mut sudo = Command::new("sudo");
            sudo.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]);
            sudo
        } else {
            bail!(
                "neither root nor sudo: install {} yourself",
                names.join(" ")
            );
        };
        command
            .args(self.options())
            .env("LC_ALL", "C")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args(["-qq", "-y", "--no-install-recommends", "install"]);
        if let Some(suite) = suite {
            command.args(["-t", suite]);
        }
        command.args(names);
        // sudo asks for a password on the terminal itself, so the streams can be kept for the case of a failure.
        let captured = proc::capture(&mut command, FETCH_LIMIT)?;
        if !captured.ok {
            bail!("apt-get install {}: {}", names.join(" "), captured.tail(4));
        }
        Ok(())
    }
}

/// `Inst NAME [OLD] (NEW SUITE [ARCH]) ...` of a dry run.
fn simulated(line: &str) -> Option<Package> {
    let rest = line.strip_prefix("Inst ")?;
    let (name, rest) = rest.split_once(' ')?;
    let (_, rest) = rest.split_once('(')?;
    Some(Package {
        name: name.to_owned(),
        version: rest.split_whitespace().next()?.to_owned(),
    })
}

fn is_root() -> bool {
    // The owner of a process' own folder in /proc is its effective user.
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}

fn first_errors(stderr: &str) -> String {
    let lines: Vec<&str> = stderr
        .lines()
        .filter(|line| line.starts_with("E:") || line.starts_with("W:") || line.starts_with("Err"))
        .take(3)
        .collect();
    if lines.is_empty() {
        stderr.lines().last().unwrap_or("no message").to_owned()
    } else {
        lines.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dry_run_is_read_with_and_without_an_old_version() {
        let new = simulated("Inst lld-14 (1:14.0.6-12 Debian:12.15/oldstable [amd64])").unwrap();
        assert_eq!(
            (new.name.as_str(), new.version.as_str()),
            ("lld-14", "1:14.0.6-12")
        );
        let old = simulated("Inst libc6 [2.36-9] (2.36-10 Debian:12/stable [amd64]) []").unwrap();
        assert_eq!(old.version, "2.36-10");
        assert!(simulated("Conf lld-14 (1:14.0.6-12 Debian)").is_none());
    }

    #[test]
    fn errors_of_apt_are_cut_to_the_first() {
        assert_eq!(first_errors("x\nE: one\nW: two\n"), "E: one; W: two");
        assert_eq!(first_errors("odd end"), "odd end");
    }
}
