//! Calls that have not returned when the trace ends.

use std::collections::BTreeMap;

use aarch64_ftrace::trace::Type;
use aftrace::trace::filter::Filter;
use aftrace::trace::report::Report;
use aftrace::trace::symbols::Symbols;
use proptest::prelude::*;

use super::choices::filters;
use super::kernel::{FUNCTIONS, callsite, event, file, opened};
use super::{all_events, found, lines, made, shown};

/// A line for each call: indented like that, these would be four gigabytes.
#[test]
fn the_lines_of_a_deep_recursion_are_bounded() {
    const DEEP: u64 = 1 << 16;
    let down = (1..=DEEP).map(|time| event(Type::Entry, time, callsite(0), 0));
    let trace = opened(&file(&[down.collect()], 4096));
    let text = lines(
        &trace,
        &Symbols::of_trace(&trace),
        &Filter::default(),
        Some(0),
    );
    let left: Vec<_> = text.iter().filter(|line| line.contains("# [")).collect();
    assert_eq!(left.len() as u64, DEEP);
    assert!(left.iter().all(|line| line.len() < 300));
}

proptest! {
    /// Those that have not returned are left where the filter would show them, in each text.
    #[test]
    fn what_has_not_returned_is_what_a_recursion_finds(
        words in prop::collection::vec(prop::collection::vec((0..20_u64, 0..9_usize), 0..40), 2),
        batch in 1..40_usize,
        filter in filters(),
    ) {
        let calls = [made(0, &words[0], true), made(1, &words[1], true)];
        let trace = opened(&file(&calls.each_ref().map(|calls| all_events(calls)), batch));
        let symbols = Symbols::of_trace(&trace);
        let expected = found(&filter, &calls);
        for fold in [true, false] {
            prop_assert_eq!(&shown(&trace, &symbols, &filter, fold), &expected);
        }
        let left = expected.1.iter().map(|&(core, _, function)| (core, FUNCTIONS[function].to_owned()));
        let left: Vec<_> = left.collect();
        let text = lines(&trace, &symbols, &filter, None);
        let listed = text.iter().filter_map(|line| {
            let (core, name) = line.strip_prefix("# [")?.split_once(']')?;
            Some((core.trim().parse().expect("a core"), name.trim().to_owned()))
        });
        prop_assert_eq!(&listed.collect::<Vec<_>>(), &left, "{}", text.join("\n"));
        let mut counts = BTreeMap::new();
        for (_, name) in left {
            *counts.entry(name).or_insert(0) += 1;
        }
        let report = Report::new(&trace, &symbols, &filter).expect("a file");
        let rows = report.rows.into_iter().filter(|(_, row)| row.unfinished > 0);
        let rows = rows.map(|(name, row)| (name, row.unfinished));
        prop_assert_eq!(rows.collect::<BTreeMap<_, _>>(), counts);
    }
}
