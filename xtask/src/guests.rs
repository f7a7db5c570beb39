//! The guest kernels: found by scanning, each with what it needs and what it must say.

mod claims;
mod header;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::expect;
pub use header::Header;

/// One guest kernel.
#[derive(Clone, Debug)]
pub struct Guest {
    /// The package that it is built from.
    pub package: String,
    /// Name of its binary.
    pub name: String,
    /// What it needs.
    pub header: Header,
    /// What it must say.
    pub expected: String,
}

impl Guest {
    /// Holds a console against what this guest must say, and what it says of its own text against the file.
    ///
    /// # Errors
    /// The first difference, or a claim that is not so.
    pub fn says(&self, console: &str, elf: &Path) -> Result<()> {
        expect::compare(&self.expected, console)
            .map_err(|difference| anyhow::anyhow!("  {difference}"))?;
        claims::hold(console, elf)
    }
}

/// What a folder of guests holds.
#[derive(Debug, Default)]
pub struct Found {
    /// Guests that can be run, by name.
    pub guests: Vec<Guest>,
    /// Sources that cannot be run, each with the reason.
    pub faulty: Vec<(String, anyhow::Error)>,
}

/// Whether a package is one of guests: by its name, which is that of its folder under tests/.
#[must_use]
pub fn is_guests(package: &str) -> bool {
    package.starts_with("guest")
}

/// The guests of all packages under a folder.
///
/// # Errors
/// When the folder or one of its packages cannot be read or holds no guest.
pub fn scan(tests: &Path) -> Result<Found> {
    let mut packages: Vec<String> = fs::read_dir(tests)
        .with_context(|| format!("cannot read {}", tests.display()))?
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| is_guests(name))
        .collect();
    packages.sort();
    let mut found = Found::default();
    for package in &packages {
        scan_package(&mut found, package, &tests.join(package).join("src/bin"))?;
    }
    if packages.is_empty() {
        bail!("no package of guests in {}", tests.display());
    }
    Ok(found)
}

fn scan_package(found: &mut Found, package: &str, folder: &Path) -> Result<()> {
    let mut sources: Vec<PathBuf> = fs::read_dir(folder)
        .with_context(|| format!("cannot read {}", folder.display()))?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|tail| tail == "rs"))
        .collect();
    sources.sort();
    if sources.is_empty() {
        bail!("no guest kernel in {}", folder.display());
    }
    for path in sources {
        let name = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        match read(package, &name, &path) {
            // Built kernels lie side by side, by their names.
            Ok(guest) if found.guests.iter().any(|other| other.name == name) => {
                let other = format!("{}: another guest has this name", guest.package);
                found.faulty.push((name, anyhow::anyhow!(other)));
            }
            Ok(guest) => found.guests.push(guest),
            Err(error) => found.faulty.push((name, error)),
        }
    }
    Ok(())
}

fn read(package: &str, name: &str, path: &Path) -> Result<Guest> {
    let header = Header::parse(&fs::read_to_string(path)?)?;
    let expected = path.with_extension("expected");
    let expected =
        fs::read_to_string(&expected).with_context(|| format!("has no {}", expected.display()))?;
    Ok(Guest {
        package: package.to_owned(),
        name: name.to_owned(),
        header,
        expected,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_set_is_an_error_and_what_cannot_run_is_named() {
        let tests = tempfile::tempdir().unwrap();
        let refusal = || scan(tests.path()).unwrap_err().to_string();
        assert!(refusal().starts_with("no package of guests"));
        for folder in ["guest", "guest-more", "other"] {
            fs::create_dir_all(tests.path().join(folder).join("src/bin")).unwrap();
        }
        assert!(refusal().starts_with("no guest kernel"));
        for file in [
            "guest/src/bin/a.rs",
            "guest/src/bin/b.rs",
            "guest/src/bin/b.expected",
            "guest-more/src/bin/b.rs",
            "guest-more/src/bin/b.expected",
            "guest-more/src/bin/c.rs",
            "guest-more/src/bin/c.expected",
            "other/src/bin/d.rs",
        ] {
            fs::write(tests.path().join(file), "ok\n").unwrap();
        }
        let found = scan(tests.path()).unwrap();
        let guests: Vec<(&str, &str)> = found
            .guests
            .iter()
            .map(|guest| (guest.package.as_str(), guest.name.as_str()))
            .collect();
        assert_eq!(guests, [("guest", "b"), ("guest-more", "c")]);
        let faulty: Vec<String> = found
            .faulty
            .iter()
            .map(|(name, error)| format!("{name} {error:#}"))
            .collect();
        assert!(faulty[0].starts_with("a has no "), "{faulty:?}");
        assert_eq!(faulty[1..], ["b guest-more: another guest has this name"]);
    }
}
