//! Globs: the documented rules one by one, and everything against a naive recursive matcher.

use aarch64_ftrace::glob::{GlobError, matches, validate};
use proptest::prelude::*;

fn hit(pattern: &str, text: &str) -> bool {
    matches(pattern, text.bytes())
}

#[test]
fn table_of_rules() {
    let table = [
        // pattern, text, matches
        ("sched::idle", "sched::idle", true),
        ("sched::idle", "sched::idle2", false),
        ("sched::idle2", "sched::idle", false),
        ("sched::*", "sched::run::idle", true),
        ("sched::*", "sched::", true),
        ("sched::*", "sched", false),
        (
            "*::drop",
            "<demo::Pipe as core::ops::drop::Drop>::drop",
            true,
        ),
        ("*::drop", "demo::drop_all", false),
        ("*", "", true),
        ("*", "anything", true),
        ("**", "anything", true),
        ("a*b*c", "a-b-b-c", true),
        ("a*b*c", "a-c-b", false),
        ("*aab", "aaaaab", true),
        ("?", "x", true),
        ("?", "", false),
        ("?", "xy", false),
        ("?", "\u{e9}", true),
        ("gr\u{f6}\u{df}e::*", "gr\u{f6}\u{df}e::x", true),
        ("[Ss]ched", "Sched", true),
        ("[Ss]ched", "sched", true),
        ("[Ss]ched", "ched", false),
        ("x[a-c]", "xb", true),
        ("x[a-c]", "xd", false),
        ("x[!a-c]", "xd", true),
        ("x[!a-c]", "xb", false),
        ("x[!a]", "x", false),
        ("x[]]", "x]", true),
        ("x[!]]", "x]", false),
        ("x[a-]", "x-", true),
        ("x[\\]a]", "x]", true),
        ("x[\u{e0}-\u{ff}]", "x\u{e9}", true),
        ("\\*", "*", true),
        ("\\*", "x", false),
        ("a\\", "a\\", true),
        ("x[a", "x[a", true),
        // Types keep their brackets ...
        ("<[T]>::len", "<[T]>::len", true),
        ("<[T]>::len", "<T>::len", false),
        ("<[*]>::len", "<[u8]>::len", true),
        (
            "core::slice::<impl [T]>::*",
            "core::slice::<impl [T]>::sort",
            true,
        ),
        ("f::<&[u8], [u8; 4]>", "f::<&[u8], [u8; 4]>", true),
        ("f::<[[u8; 2]; 4]>", "f::<[[u8; 2]; 4]>", true),
        // ... and everywhere else a bracket is a class.
        ("*[Pp]ush", "a::b::Push", true),
        ("a::[xy]", "a::x", true),
        // The last generic arguments are optional, only the last, only as a whole.
        ("sched::spawn", "sched::spawn::<demo::Task>", true),
        ("*::spawn", "sched::spawn::<a::b::<c>, fn(u8) -> u8>", true),
        ("sched::spawn::<u8>", "sched::spawn::<u16>", false),
        ("sched::spawn", "sched::spawn::<u8>::inner", false),
        ("a", "a::<b>::<c>", false),
        ("a::<b>", "a::<b>::<c>", true),
        ("a", "a::<b>>", false),
        ("a", "a::b", false),
        ("a::<b", "a::<b::<c>>", false),
    ];
    for (pattern, text, expected) in table {
        assert_eq!(hit(pattern, text), expected, "{pattern} on {text}");
    }
}

#[test]
fn faults_are_found_where_they_are() {
    let table = [
        ("", Err(GlobError::Empty)),
        ("a[b", Err(GlobError::UnclosedClass { at: 1 })),
        ("ab[!]", Err(GlobError::UnclosedClass { at: 2 })),
        ("x[a]y\\", Err(GlobError::TrailingEscape { at: 5 })),
        ("x[ab-cz-a]", Err(GlobError::ReversedRange { at: 6 })),
        ("x[!z-a]", Err(GlobError::ReversedRange { at: 3 })),
        ("<[T", Ok(())),
        ("x[a-z]\\\\", Ok(())),
        ("*", Ok(())),
    ];
    for (pattern, expected) in table {
        assert_eq!(validate(pattern), expected, "{pattern}");
    }
    assert_eq!(
        GlobError::UnclosedClass { at: 1 }.to_string(),
        "`[` at offset 1 has no `]`: close it, or write `\\[` for the character itself"
    );
}

#[test]
fn broken_utf8_matches_without_panic() {
    let text = [b'a', 0xC3, b'b', 0xFF, 0xF0, 0x9F];
    assert!(matches("a*", text.iter().copied()));
    assert!(matches("a?b??", text.iter().copied()));
}

/// Many stars over a long text: exponential matchers do not come back from this one.
#[test]
fn many_stars_take_polynomial_time() {
    let text = "a".repeat(2000);
    let pattern = "a*".repeat(50) + "b";
    assert!(!hit(&pattern, &text));
}

// The naive matcher: its own parser, recursion over all choices, slices instead of cursors.
enum Item {
    Star,
    Any,
    Char(char),
    Class(bool, Vec<(char, char)>),
}

fn parse(pattern: &str) -> Vec<Item> {
    let chars: Vec<char> = pattern.chars().collect();
    let mut items = Vec::new();
    let mut i = 0;
    while i < chars.len() {
        let in_type = i > 0 && "<([{&, ".contains(chars[i - 1]);
        match chars[i] {
            '*' => items.push(Item::Star),
            '?' => items.push(Item::Any),
            '\\' if i + 1 < chars.len() => {
                i += 1;
                items.push(Item::Char(chars[i]));
            }
            '[' if !in_type && class(&chars[i..]).is_some() => {
                let (negated, ranges, len) = class(&chars[i..]).unwrap();
                items.push(Item::Class(negated, ranges));
                i += len - 1;
            }
            c => items.push(Item::Char(c)),
        }
        i += 1;
    }
    items
}

/// Negated or not, the ranges, the length in characters.
type Class = (bool, Vec<(char, char)>, usize);

fn class(text: &[char]) -> Option<Class> {
    let negated = text.get(1) == Some(&'!');
    let start = if negated { 2 } else { 1 };
    let mut members = Vec::new();
    let mut i = start;
    loop {
        match *text.get(i)? {
            ']' if i > start => break,
            '\\' => {
                i += 1;
                members.push((*text.get(i)?, true));
            }
            c => members.push((c, false)),
        }
        i += 1;
    }
    let mut ranges = Vec::new();
    let mut m = 0;
    while m < members.len() {
        if m + 2 < members.len() && members[m + 1] == ('-', false) {
            ranges.push((members[m].0, members[m + 2].0));
            m += 3;
        } else {
            ranges.push((members[m].0, members[m].0));
            m += 1;
        }
    }
    Some((negated, ranges, i + 1))
}

fn naive(items: &[Item], text: &[char]) -> bool {
    match items.split_first() {
        None => text.is_empty(),
        Some((Item::Star, rest)) => (0..=text.len()).any(|n| naive(rest, &text[n..])),
        Some((item, rest)) => match text.split_first() {
            None => false,
            Some((c, tail)) => {
                let ok = match item {
                    Item::Char(own) => own == c,
                    Item::Class(negated, ranges) => {
                        ranges.iter().any(|(a, b)| a <= c && c <= b) != *negated
                    }
                    _ => true,
                };
                ok && naive(rest, tail)
            }
        },
    }
}

/// Each place to cut `::<...>` off the end: by search, not by counting forwards.
fn without_generics(text: &[char]) -> Option<&[char]> {
    (0..text.len()).find_map(|at| {
        let tail = text[at..].strip_prefix(&[':', ':', '<'][..])?;
        let mut depth = 1;
        for (i, c) in tail.iter().enumerate() {
            let arrow = *c == '>' && i > 0 && tail[i - 1] == '-';
            depth += i32::from(*c == '<') - i32::from(*c == '>' && !arrow);
            if depth == 0 {
                return (i + 1 == tail.len()).then_some(&text[..at]);
            }
        }
        None
    })
}

fn naive_matches(pattern: &str, text: &str) -> bool {
    let (items, text) = (parse(pattern), text.chars().collect::<Vec<_>>());
    naive(&items, &text) || without_generics(&text).is_some_and(|head| naive(&items, head))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_the_naive_matcher(
        pattern in "([ab:<>]|\\*|\\?|\\[[ab!-]{0,3}\\]?|\\\\|\u{e9}){0,8}",
        text in "([ab:<>-]|\\]|\\[|::<|\u{e9}){0,12}",
    ) {
        prop_assert_eq!(hit(&pattern, &text), naive_matches(&pattern, &text));
    }

    /// A pattern made from the text by putting stars in place of runs must match it.
    #[test]
    fn starred_text_matches(text in "[ab:<>]{1,20}", cuts in proptest::collection::vec((0usize..20, 0usize..6), 0..4)) {
        let mut pattern = text.clone();
        for (at, len) in cuts {
            let at = at.min(pattern.len());
            let end = (at + len).min(pattern.len());
            pattern.replace_range(at..end, "*");
        }
        prop_assert!(hit(&pattern, &text));
    }

    /// What a list of functions shows can be pasted as a filter.
    #[test]
    fn a_path_matches_itself(path in path()) {
        prop_assert_eq!(validate(&path), Ok(()));
        prop_assert!(hit(&path, &path));
    }
}

/// Paths as rustc-demangle prints them.
fn path() -> impl Strategy<Value = String> {
    let ty = prop_oneof![
        Just("u8".to_owned()),
        Just("()".to_owned()),
        "[a-z]{1,4}::[A-Z][a-z]{0,3}"
    ];
    let ty = ty.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|t| format!("[{t}]")),
            inner.clone().prop_map(|t| format!("[{t}; 4]")),
            inner.clone().prop_map(|t| format!("&mut {t}")),
            inner.clone().prop_map(|t| format!("&{t}")),
            inner.clone().prop_map(|t| format!("*const {t}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}, {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("fn({a}) -> {b}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("m::Map<{a}, {b}>")),
            inner.prop_map(|t| format!("dyn m::Iter<Item = {t}> + m::Send")),
        ]
    });
    prop_oneof![
        ty.clone()
            .prop_map(|t| format!("core::slice::<impl {t}>::len")),
        (ty.clone(), ty.clone()).prop_map(|(a, b)| format!("<{a} as m::From<{b}>>::from")),
        ty.prop_map(|t| format!("a::b::<{t}>::{{closure#0}}")),
    ]
}
