//! Filters: parsing, what takes and what takes away, and who has the last word.
#![forbid(unsafe_code)]

use super::fake::CTR_NEITHER;
use super::world::{World, guarded};
use crate::error::Error;
use crate::filter::{Filter, MAX_PATTERNS, What};
use crate::glob::GlobError;
use std::string::String;
use std::vec;
use std::vec::Vec;

fn parsed(filter: &Filter<'_>) -> Result<Vec<(String, bool)>, Error> {
    let patterns = filter.parse()?;
    Ok(patterns
        .as_slice()
        .iter()
        .map(|pattern| (std::format!("{:?}", pattern.what), pattern.takes))
        .collect())
}

#[test]
fn patterns_are_globs_addresses_or_indices_and_negation_takes_away() {
    let filter = Filter::new(&["sched::*", "!sched::idle", "0xffff000040080008", "!#12"]);
    let found = parsed(&filter.notrace(&["*::drop", "#3"])).expect("all are well formed");
    let expected = [
        (What::Glob("sched::*"), true),
        (What::Glob("sched::idle"), false),
        (What::Address(0xffff_0000_4008_0008), true),
        (What::Index(12), false),
        (What::Glob("*::drop"), false),
        (What::Index(3), false),
    ]
    .map(|(what, takes)| (std::format!("{what:?}"), takes));
    assert_eq!(found, expected);
}

#[test]
fn what_is_no_pattern_is_refused_with_its_number() {
    let number = |pattern| Err(Error::Number { pattern });
    for (patterns, expected) in [
        (["a", "0x"], number(1)),
        (["0xfg", "a"], number(0)),
        (["a", "0x10000000000000000"], number(1)),
        (["a", "#"], number(1)),
        (["a", "#-1"], number(1)),
        (["!#a", "a"], number(0)),
    ] {
        assert_eq!(parsed(&Filter::new(&patterns)), expected, "{patterns:?}");
    }
    let empty = GlobError::Empty;
    let refused = Err(Error::Glob {
        pattern: 1,
        error: empty,
    });
    assert_eq!(parsed(&Filter::new(&["a", ""])), refused);
    assert_eq!(parsed(&Filter::new(&["a"]).notrace(&[""])), refused);
    assert_eq!(parsed(&Filter::new(&["a", "!"])), refused);
}

#[test]
fn notrace_patterns_count_towards_the_most() {
    let patterns = vec!["a"; MAX_PATTERNS];
    assert_eq!(
        parsed(&Filter::new(&patterns)).map(|all| all.len()),
        Ok(MAX_PATTERNS)
    );
    let count = MAX_PATTERNS + 1;
    let refused = parsed(&Filter::new(&patterns).notrace(&["b"]));
    assert_eq!(refused, Err(Error::TooManyPatterns { count }));
}

/// Which of six functions a filter takes, and how often each of its patterns matched.
fn taken(filter: impl FnOnce(&World) -> Filter<'static>) -> (Vec<usize>, Vec<u32>) {
    let mut world = World::new(&[false; 6], CTR_NEITHER);
    let (ops, filter) = (guarded(), filter(&world));
    let applied = world.register(ops, &filter).expect("matches something");
    let calls: Vec<usize> = (0..6)
        .filter(|&i| world.state(i).0 == ops.target())
        .collect();
    assert_eq!(
        (applied.matched, ops.callsites()),
        (calls.len(), calls.len())
    );
    (calls, applied.hits().to_vec())
}

#[test]
fn patterns_take_and_take_away_in_their_order() {
    let cases: [(&'static [&'static str], &'static [&'static str], &[usize]); 9] = [
        (&[], &[], &[0, 1, 2, 3, 4, 5]),
        (&["#1", "#3"], &[], &[1, 3]),
        (&["#1", "#3", "!#1"], &[], &[3]),
        // The last that matches decides.
        (&["#1", "!#1", "#1"], &[], &[1]),
        (&["!#1", "#1"], &[], &[0, 1, 2, 3, 4, 5]),
        // A first pattern that takes away begins with everything.
        (&["!#1", "!#2"], &[], &[0, 3, 4, 5]),
        (&["#1", "!#2"], &[], &[1]),
        // Notrace always wins, and alone it begins with everything.
        (&[], &["#0", "#5"], &[1, 2, 3, 4]),
        (&["#1", "#2"], &["#2"], &[1]),
    ];
    for (patterns, notrace, expected) in cases {
        let (calls, _) = taken(|_| Filter::new(patterns).notrace(notrace));
        assert_eq!(calls, expected, "{patterns:?} without {notrace:?}");
    }
}

#[test]
fn hits_count_what_each_pattern_matches() {
    let (calls, hits) = taken(|_| Filter::new(&["#1", "#2", "!#2"]));
    assert_eq!((calls, hits), (vec![1], vec![1, 1, 1]));
    let notrace = taken(|_| Filter::new(&["#1", "!#1"]).notrace(&["#1", "#2"]));
    assert_eq!(notrace, (vec![], vec![1, 1, 1, 1]));
    assert_eq!(taken(|_| Filter::ALL).1, []);
}

#[test]
fn addresses_are_taken_beside_patterns_and_notrace_wins_over_both() {
    let at = |world: &World, i: usize| &*vec![world.layout(i).entry()].leak();
    assert_eq!(taken(|world| Filter::at(at(world, 4))).0, [4]);
    assert_eq!(
        taken(|world| Filter::new(&["#2"]).and_at(at(world, 4))).0,
        [2, 4]
    );
    let without = |world: &World| {
        Filter::at(at(world, 4))
            .and_at(at(world, 3))
            .notrace(&["#0"])
    };
    assert_eq!(taken(without).0, [3]);
    let wins = |world: &World| Filter::new(&["#2"]).and_at(at(world, 4)).notrace(&["#4"]);
    assert_eq!(taken(wins).0, [2]);
}
