//! Versions: what rustc and QEMU report, and which Debian package fits. Pure.

use std::fmt;

/// `major.minor.patch`, all that matters of any version here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Major.
    pub major: u32,
    /// Minor.
    pub minor: u32,
    /// Patch.
    pub patch: u32,
}

impl Version {
    /// A version from its three numbers.
    #[must_use]
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self {
            major,
            minor,
            patch,
        }
    }

    /// Reads the three numbers at the start of `text`; whatever follows (`-nightly`, `+dfsg`) is left alone.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let end = text
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text.len());
        let mut parts = text[..end].split('.').map(str::parse);
        let major = parts.next()?.ok()?;
        let minor = parts.next()?.ok()?;
        let patch = match parts.next() {
            Some(part) => part.ok()?,
            None => 0,
        };
        Some(Self::new(major, minor, patch))
    }

    /// The upstream part of a Debian version: without the epoch.
    #[must_use]
    pub fn of_package(text: &str) -> Option<Self> {
        Self::parse(text.split_once(':').map_or(text, |(_, rest)| rest))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// How closely a source package has to match the compiler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// The very same version.
    Exact,
    /// The same minor version; the nearest patch wins.
    SameMinor,
}

/// The package version that fits `wanted`, of those offered; the first of equals.
#[must_use]
pub fn choose(wanted: Version, how: Match, offered: &[String]) -> Option<&String> {
    let mut best: Option<(u32, &String)> = None;
    for text in offered {
        let Some(version) = Version::of_package(text) else {
            continue;
        };
        if (version.major, version.minor) != (wanted.major, wanted.minor) {
            continue;
        }
        let distance = version.patch.abs_diff(wanted.patch);
        if how == Match::Exact && distance > 0 {
            continue;
        }
        if best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, text));
        }
    }
    best.map(|(_, text)| text)
}

/// The version in `QEMU emulator version 10.0.2 (Debian ...)`.
#[must_use]
pub fn qemu(text: &str) -> Option<Version> {
    let (_, rest) = text.lines().next()?.split_once("version ")?;
    Version::parse(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(list: &[&str]) -> Vec<String> {
        list.iter().map(|&text| text.to_owned()).collect()
    }

    #[test]
    fn parses_what_the_tools_print() {
        assert_eq!(Version::parse("1.95.0"), Some(Version::new(1, 95, 0)));
        assert_eq!(
            Version::parse("1.97.0-nightly"),
            Some(Version::new(1, 97, 0))
        );
        assert_eq!(Version::parse("7.2"), Some(Version::new(7, 2, 0)));
        assert_eq!(Version::parse("nightly"), None);
        assert_eq!(
            Version::of_package("1:10.0.2+ds-2"),
            Some(Version::new(10, 0, 2))
        );
        assert_eq!(
            qemu("QEMU emulator version 7.2.9 (Debian 1:7.2+dfsg-7)\nCopyright"),
            Some(Version::new(7, 2, 9))
        );
        assert_eq!(qemu("nonsense"), None);
    }

    #[test]
    fn versions_order_by_number_not_by_text() {
        assert!(Version::new(10, 0, 0) > Version::new(9, 2, 0));
        assert!(Version::new(1, 100, 0) > Version::new(1, 95, 9));
    }

    #[test]
    fn exact_takes_only_the_same_patch() {
        let list = offered(&["1.95.1+dfsg1-1", "1.95.0+dfsg1-2~bpo13+1", "1.95.0+dfsg1-1"]);
        let wanted = Version::new(1, 95, 0);
        assert_eq!(choose(wanted, Match::Exact, &list), Some(&list[1]));
        assert_eq!(choose(wanted, Match::Exact, &list[..1]), None);
    }

    #[test]
    fn same_minor_takes_the_nearest_patch_and_never_another_minor() {
        let list = offered(&[
            "1.98.0+dfsg1-1",
            "1.97.2+dfsg1-1",
            "1.97.1+dfsg1-1",
            "1.96.0-1",
        ]);
        let wanted = Version::new(1, 97, 0);
        assert_eq!(choose(wanted, Match::SameMinor, &list), Some(&list[2]));
        assert_eq!(
            choose(Version::new(1, 99, 0), Match::SameMinor, &list),
            None
        );
    }
}
