//! Programs of other people: the machine's own, or out of Debian's packages, unpacked under target/ and not installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::apt::Apt;
use super::{debian, setup_dir};
use crate::proc;
use crate::ui::say;

/// None takes longer than this.
const LIMIT: Duration = Duration::from_secs(60);

/// Packages unpacked into one folder.
pub struct Debian {
    root: PathBuf,
}

/// A program that can be run.
pub struct Tool {
    program: PathBuf,
    /// Where the packages were unpacked, if they were.
    root: Option<PathBuf>,
}

impl Debian {
    /// In `folder`.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self {
            root: folder.join("root"),
        }
    }

    /// The program, of the machine or of the package.
    ///
    /// # Errors
    /// There is neither.
    pub fn tool(&self, program: &str, package: &str) -> Result<Tool> {
        if let Some(program) = proc::which(program) {
            return Ok(Tool {
                program,
                root: None,
            });
        }
        // Complete only when the mark is there.
        let mark = self.root.join(format!("{package}.unpacked"));
        if !mark.exists() {
            self.unpack(package).with_context(|| {
                format!("{program} is not in PATH, and Debian's package is not to be had")
            })?;
            fs::write(&mark, "")?;
        }
        Ok(Tool {
            program: self.root.join("usr/bin").join(program),
            root: Some(self.root.clone()),
        })
    }

    fn unpack(&self, package: &str) -> Result<()> {
        let index = Apt::detect(&setup_dir().join("apt"))?.own()?;
        let packages = index.closure(&[package.to_owned()], None)?;
        say(format!(
            "  fetching {package} and {} packages it needs",
            packages.len().saturating_sub(1)
        ));
        for package in &packages {
            let deb = index.download(package, &setup_dir())?;
            debian::unpack(&deb, &self.root)?;
        }
        Ok(())
    }
}

impl Tool {
    /// To run it, without arguments.
    ///
    /// # Errors
    /// Its libraries are gone.
    pub fn command(&self) -> Result<Command> {
        let mut command = Command::new(&self.program);
        command.env("LC_ALL", "C").env("TZ", "UTC");
        if let Some(root) = &self.root {
            let libraries = libraries(root)?;
            let joined = std::env::join_paths(&libraries)?;
            command.env("LD_LIBRARY_PATH", joined);
            for library in &libraries {
                command.env("TRACEEVENT_PLUGIN_DIR", library.join("traceevent/plugins"));
                command.env(
                    "BABELTRACE_PLUGIN_PATH",
                    library.join("babeltrace2/plugins"),
                );
            }
        }
        Ok(command)
    }

    /// What it prints.
    ///
    /// # Errors
    /// It fails, takes too long, or complains on standard error.
    pub fn text(&self, arguments: &[&str]) -> Result<String> {
        let captured = self.run(arguments)?;
        anyhow::ensure!(
            captured.stderr.trim().is_empty(),
            "it complains:\n{}",
            captured.stderr
        );
        Ok(captured.stdout)
    }

    /// What it prints and what it complains of.
    ///
    /// # Errors
    /// It fails or takes too long.
    pub fn run(&self, arguments: &[&str]) -> Result<proc::Captured> {
        let mut command = self.command()?;
        command.args(arguments);
        let captured = proc::capture(&mut command, LIMIT)?;
        anyhow::ensure!(
            captured.ok,
            "`{}` failed:\n{}",
            proc::line(&command),
            captured.tail(20)
        );
        Ok(captured)
    }
}

/// The folder of the architecture's libraries.
fn libraries(root: &Path) -> Result<Vec<PathBuf>> {
    let all = fs::read_dir(root.join("usr/lib"))?.flatten();
    Ok(all
        .filter(|entry| entry.file_name().to_string_lossy().ends_with("-linux-gnu"))
        .map(|entry| entry.path())
        .collect())
}
