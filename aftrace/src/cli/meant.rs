//! What is meant by a glob that no function's name matches: perhaps it lacks the crate, perhaps a letter is wrong.

use std::collections::BTreeSet;

use aarch64_ftrace::glob;

/// So many names are said to be near.
const NEAR: usize = 3;
/// How alike they are at least, of 1.
const ALIKE: f64 = 0.8;
/// Longer names are not compared: files have names of any length.
const COMPARED: usize = 200;

/// The glob with the crate before it that it lacks: the functions of exactly one match it then.
pub fn below_crate<'n>(glob: &str, names: impl Iterator<Item = &'n str>) -> Option<String> {
    let mut found = in_crates(glob, names).into_iter();
    match (found.next(), found.next()) {
        (Some(only), None) => Some(only),
        _ => None,
    }
}

/// What to say then.
pub fn taken(what: &str, below: &str) -> String {
    format!("{what} matches no function's name: {below} is taken")
}

/// The same for each crate of which functions match.
fn in_crates<'n>(glob: &str, names: impl Iterator<Item = &'n str>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for name in names {
        let Some((path, _)) = name.split_once("::") else {
            continue;
        };
        // `<T as Trait>::f` begins with no crate.
        if path.starts_with(|c: char| c.is_alphabetic() || c == '_') {
            let longer = format!("{path}::{glob}");
            if !found.contains(&longer) && glob::matches(&longer, name.bytes()) {
                found.insert(longer);
            }
        }
    }
    found
}

/// What is near a glob that matches none of these names, to be put behind a message.
pub fn near<'n>(glob: &str, names: impl Iterator<Item = &'n str> + Clone) -> String {
    is_it(glob, names).unwrap_or_else(|| "; `aftrace symbols` lists all".to_owned())
}

/// The same, where something is near.
pub fn is_it<'n>(glob: &str, names: impl Iterator<Item = &'n str> + Clone) -> Option<String> {
    let longer = in_crates(glob, names.clone());
    let near: Vec<String> = match longer.is_empty() {
        true => alike(glob, names),
        false => longer.into_iter().take(NEAR).collect(),
    };
    (!near.is_empty()).then(|| format!(": is it {}?", near.join(", or ")))
}

/// The names that are written most like it.
fn alike<'n>(glob: &str, names: impl Iterator<Item = &'n str>) -> Vec<String> {
    // As many parts of a path as the glob has, wherever they stand: of `shced::*` and `sched::idle` the first.
    let wanted: Vec<&str> = glob
        .split("::")
        .map(|part| part.trim_matches('*'))
        .filter(|part| !part.is_empty())
        .collect();
    let text = wanted.join("::");
    let alike = |name: &str| {
        let parts: Vec<&str> = name.split("::").collect();
        let windows = parts.windows(wanted.len().max(1));
        windows
            .map(|window| strsim::jaro_winkler(&text, &window.join("::")))
            .fold(0.0, f64::max)
    };
    let scored = names
        .filter(|name| name.len() <= COMPARED)
        .map(|name| (alike(name), name));
    let mut scored: Vec<_> = scored.filter(|(alike, _)| *alike >= ALIKE).collect();
    // Stable: of those that are as near the one with the lower address.
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    let names = scored.iter().take(NEAR).map(|(_, name)| (*name).to_owned());
    names.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 6] = [
        "demo::sched::idle",
        "demo::sched::spawn::<demo::Task>",
        "core::fmt::write",
        "alloc::fmt::format",
        "<demo::sched::Task as core::ops::Drop>::drop",
        "memcpy",
    ];

    #[test]
    fn a_crate_is_put_before_what_lacks_it_where_only_one_is_meant() {
        let below = |glob| below_crate(glob, NAMES.into_iter());
        assert_eq!(below("sched::*").as_deref(), Some("demo::sched::*"));
        assert_eq!(below("sched::spawn").as_deref(), Some("demo::sched::spawn"));
        assert_eq!(below("fmt::write").as_deref(), Some("core::fmt::write"));
        for neither in ["fmt::*", "fs::*", "Task as core::*", "memcpy", ""] {
            assert_eq!(below(neither), None, "{neither}");
        }
        assert_eq!(
            near("fmt::*", NAMES.into_iter()),
            ": is it alloc::fmt::*, or core::fmt::*?"
        );
        assert_eq!(
            near("sched::idel", NAMES.into_iter()),
            ": is it demo::sched::idle, or demo::sched::spawn::<demo::Task>?"
        );
        let nothing = near("fs::*", NAMES.into_iter());
        assert_eq!(nothing, "; `aftrace symbols` lists all");
    }
}
