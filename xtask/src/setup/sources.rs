//! Reads the machine's apt sources, in both formats, so that every URL comes from the machine and none from this repo.
//!
//! Pure: text in, entries out.

use std::fmt::Write as _;

/// One archive, suite and set of components that the machine already trusts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The archive's root, as the machine writes it.
    pub uri: String,
    /// Suite, for example `bookworm-updates`.
    pub suite: String,
    /// Components, for example `main`.
    pub components: Vec<String>,
    /// `Signed-By`, verbatim: a path, a fingerprint, or a whole key on several lines.
    pub signed_by: Option<String>,
    /// `Trusted`, verbatim.
    pub trusted: Option<String>,
}

impl Entry {
    /// The same archive and key with another suite.
    #[must_use]
    pub fn with_suite(&self, suite: &str) -> Self {
        Self {
            suite: suite.to_owned(),
            components: vec!["main".to_owned()],
            ..self.clone()
        }
    }

    /// The same entry, verified by another keyring.
    #[must_use]
    pub fn with_keyring(&self, keyring: &str) -> Self {
        Self {
            signed_by: Some(keyring.to_owned()),
            ..self.clone()
        }
    }
}

/// The entries of one file; `name` decides the format.
#[must_use]
pub fn parse(name: &str, text: &str) -> Vec<Entry> {
    if name.ends_with(".sources") {
        parse_deb822(text)
    } else {
        parse_one_line(text)
    }
}

/// `deb [key=value ...] URI SUITE COMPONENT...`, a line each.
fn parse_one_line(text: &str) -> Vec<Entry> {
    text.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Entry> {
    let line = line.split('#').next().unwrap_or("").trim();
    let mut rest = line.strip_prefix("deb")?;
    if !rest.starts_with([' ', '\t']) {
        return None; // deb-src
    }
    rest = rest.trim_start();
    let mut signed_by = None;
    let mut trusted = None;
    if let Some(after) = rest.strip_prefix('[') {
        let (options, tail) = after.split_once(']')?;
        for option in options.split_whitespace() {
            match option.split_once('=') {
                Some(("signed-by", value)) => signed_by = Some(value.to_owned()),
                Some(("trusted", value)) => trusted = Some(value.to_owned()),
                _ => {}
            }
        }
        rest = tail;
    }
    let mut words = rest.split_whitespace().map(str::to_owned);
    Some(Entry {
        uri: words.next()?,
        suite: words.next()?,
        components: words.collect(),
        signed_by,
        trusted,
    })
}

/// Stanzas of `Field: value`, continuation lines indented.
fn parse_deb822(text: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in text.lines().chain([""]) {
        if line.trim().is_empty() {
            entries.extend(stanza(&fields));
            fields.clear();
        } else if line.starts_with('#') {
            // A comment may stand between the lines of one field.
        } else if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = fields.last_mut() {
                value.push('\n');
                value.push_str(line);
            }
        } else if let Some((name, value)) = line.split_once(':') {
            fields.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    entries
}

fn stanza(fields: &[(String, String)]) -> Vec<Entry> {
    let get = |wanted: &str| {
        fields
            .iter()
            .find(|(name, _)| name == wanted)
            .map(|(_, value)| value.as_str())
    };
    let words = |name: &str| -> Vec<String> {
        get(name)
            .unwrap_or("")
            .split_whitespace()
            .map(str::to_owned)
            .collect()
    };
    let enabled = get("enabled").is_none_or(|value| {
        !matches!(
            value.to_ascii_lowercase().as_str(),
            "no" | "false" | "0" | "off" | "without" | "disable"
        )
    });
    if !enabled || !words("types").iter().any(|kind| kind == "deb") {
        return Vec::new();
    }
    let mut entries = Vec::new();
    for uri in words("uris") {
        for suite in words("suites") {
            entries.push(Entry {
                uri: uri.clone(),
                suite,
                components: words("components"),
                signed_by: get("signed-by").map(str::to_owned),
                trusted: get("trusted").map(str::to_owned),
            });
        }
    }
    entries
}

/// Those of Debian itself: the machine's own release or one of Debian's moving names, component `main`.
///
/// An archive of someone else has a suite or a component of its own (`nodistro`, `bookworm-pgdg`, `stable` as a component).
#[must_use]
pub fn debian_only(entries: &[Entry], codename: &str) -> Vec<Entry> {
    let ours = |suite: &str| {
        let base = ["-updates", "-security", "-backports", "/updates"]
            .iter()
            .find_map(|tail| suite.strip_suffix(tail))
            .unwrap_or(suite);
        base == codename || ["stable", "oldstable", "testing", "unstable", "sid"].contains(&base)
    };
    entries
        .iter()
        .filter(|entry| ours(&entry.suite) && entry.components.iter().any(|c| c == "main"))
        .cloned()
        .collect()
}

/// The archives from which other suites can be had: one entry each, those that look like a main mirror first.
#[must_use]
pub fn bases(debian: &[Entry]) -> Vec<Entry> {
    let mut found: Vec<Entry> = Vec::new();
    for entry in debian {
        let security = entry.suite.ends_with("-security") || entry.suite.ends_with("/updates");
        if !security && !found.iter().any(|known| known.uri == entry.uri) {
            found.push(entry.clone());
        }
    }
    found.sort_by_key(|entry| !entry.uri.trim_end_matches('/').ends_with("/debian"));
    found
}

/// The text of a `.sources` file with these entries.
#[must_use]
pub fn render(entries: &[Entry]) -> String {
    let mut text = String::new();
    for entry in entries {
        let _ = writeln!(text, "Types: deb");
        let _ = writeln!(text, "URIs: {}", entry.uri);
        let _ = writeln!(text, "Suites: {}", entry.suite);
        let _ = writeln!(text, "Components: {}", entry.components.join(" "));
        if let Some(key) = &entry.signed_by {
            let _ = writeln!(text, "Signed-By: {key}");
        }
        if let Some(trusted) = &entry.trusted {
            let _ = writeln!(text, "Trusted: {trusted}");
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(uri: &str, suite: &str, components: &[&str], key: Option<&str>) -> Entry {
        Entry {
            uri: uri.to_owned(),
            suite: suite.to_owned(),
            components: components.iter().map(|&c| c.to_owned()).collect(),
            signed_by: key.map(str::to_owned),
            trusted: None,
        }
    }

    #[test]
    fn one_line_format_with_options_comments_and_sources_of_source() {
        let text = "# deb http://off/debian bookworm main\n\
                    deb-src http://m/debian bookworm main\n\
                    deb [arch=amd64 signed-by=/k.gpg] http://m/debian bookworm main contrib # why\n\
                    \tdeb http://m/debian  bookworm-updates   main\n\
                    deb [arch=amd64 http://broken/debian bookworm main\n";
        assert_eq!(
            parse("sources.list", text),
            [
                entry(
                    "http://m/debian",
                    "bookworm",
                    &["main", "contrib"],
                    Some("/k.gpg")
                ),
                entry("http://m/debian", "bookworm-updates", &["main"], None),
            ]
        );
    }

    #[test]
    fn deb822_takes_the_product_of_uris_and_suites() {
        let text = "Types: deb deb-src\n# a comment inside\nURIs: http://a/debian http://b/debian\n\
                    Suites: trixie\n  trixie-updates\nComponents: main\nSigned-By: /k.pgp\n";
        let suites: Vec<_> = parse("debian.sources", text)
            .into_iter()
            .map(|e| (e.uri, e.suite))
            .collect();
        let own = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(
            suites,
            [
                own("http://a/debian", "trixie"),
                own("http://a/debian", "trixie-updates"),
                own("http://b/debian", "trixie"),
                own("http://b/debian", "trixie-updates"),
            ]
        );
    }

    #[test]
    fn deb822_leaves_out_what_is_disabled_or_source_only() {
        let text = "Enabled: no\nTypes: deb\nURIs: http://a/debian\nSuites: trixie\nComponents: main\n\n\
                    Types: deb-src\nURIs: http://b/debian\nSuites: trixie\nComponents: main\n";
        assert_eq!(parse("x.sources", text), []);
    }

    #[test]
    fn an_inline_key_survives_parsing_and_rendering() {
        let text = "Types: deb\nURIs: http://a/debian\nSuites: trixie\nComponents: main\n\
                    Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\n -----END PGP PUBLIC KEY BLOCK-----\n";
        let entries = parse("x.sources", text);
        assert_eq!(entries.len(), 1);
        assert!(
            entries[0]
                .signed_by
                .as_ref()
                .unwrap()
                .contains("\n .\n abc\n")
        );
        assert_eq!(parse("y.sources", &render(&entries)), entries);
    }

    #[test]
    fn foreign_archives_are_left_alone() {
        let entries = [
            entry("http://node/x", "nodistro", &["main"], None),
            entry("http://pg/x", "bookworm-pgdg", &["main"], None),
            entry("http://docker/debian", "bookworm", &["stable"], None),
            entry("http://m/debian", "bookworm", &["main"], None),
            entry(
                "http://m/debian-security",
                "bookworm-security",
                &["main"],
                None,
            ),
        ];
        assert_eq!(debian_only(&entries, "bookworm"), entries[3..]);
    }

    #[test]
    fn bases_prefer_a_main_mirror_and_leave_out_security() {
        let entries = [
            entry(
                "http://m/debian-security",
                "bookworm-security",
                &["main"],
                None,
            ),
            entry("http://odd/prod", "bookworm", &["main"], None),
            entry("http://m/debian/", "bookworm", &["main"], None),
            entry("http://m/debian/", "bookworm-updates", &["main"], None),
        ];
        let uris: Vec<_> = bases(&entries).into_iter().map(|e| e.uri).collect();
        assert_eq!(uris, ["http://m/debian/", "http://odd/prod"]);
    }

    #[test]
    fn a_derived_suite_keeps_archive_and_key() {
        let base = entry(
            "http://m/debian",
            "bookworm",
            &["main", "contrib"],
            Some("/k"),
        );
        assert_eq!(
            base.with_suite("sid"),
            entry("http://m/debian", "sid", &["main"], Some("/k"))
        );
        assert_eq!(base.with_keyring("/new").signed_by.as_deref(), Some("/new"));
    }
}
