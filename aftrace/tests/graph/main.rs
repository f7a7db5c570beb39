//! The call graph: against a naive reckoning, the report and the folded stacks; and as a person reads it.
//!
//! `FTRACE_GOLDEN=write cargo test -p aftrace --test graph` writes the golden texts anew.

#[path = "../kernel/mod.rs"]
mod kernel;
mod made;
mod naive;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use aarch64_ftrace::glob;
use aarch64_ftrace::trace::{Event, Type};
use aftrace::trace::dump::folded;
use aftrace::trace::file::Trace;
use aftrace::trace::filter::Filter;
use aftrace::trace::graph::{self, Style};
use aftrace::trace::paths::{Paths, ROOT, Spent};
use aftrace::trace::report::Report;
use aftrace::trace::symbols::{Naming, Symbols};
use kernel::{Core, RETURN, callsite, entry, event, file, opened, same};
use naive::{Tree, add, naive};
use proptest::prelude::*;

fn path_of(paths: &Paths, path: usize) -> Vec<String> {
    let mut names: Vec<_> = paths.outwards(path).map(str::to_owned).collect();
    names.reverse();
    names
}

fn tree(paths: &Paths) -> Tree {
    let nodes = paths.nodes().iter().enumerate().skip(1);
    let tree: Tree = nodes
        .map(|(path, node)| (path_of(paths, path), node.spent))
        .collect();
    assert_eq!(tree.len(), paths.nodes().len() - 1, "a path stands twice");
    tree
}

/// Holds the paths against the naive ones, the report and the folded stacks. Returns how many there are.
fn agrees(trace: &Trace, filter: &Filter) -> usize {
    let symbols = Symbols::of_trace(trace);
    let paths = Paths::new(trace, &symbols, filter).unwrap();
    let expected = naive(trace, &symbols, filter);
    assert_eq!(tree(&paths), expected);
    assert_eq!(paths.nodes()[ROOT].spent, Spent::default());

    let mut sums = BTreeMap::<String, (u64, u64, u64)>::new();
    for (path, spent) in &expected {
        let sum = sums.entry(path.last().unwrap().clone()).or_default();
        *sum = (sum.0 + spent.calls, sum.1 + spent.total, sum.2 + spent.own);
    }
    // Who only calls, and whose calls have not returned, has no row or an empty one.
    sums.retain(|_, sum| *sum != (0, 0, 0));
    let rows = Report::new(trace, &symbols, filter).unwrap().rows;
    let rows = rows
        .into_iter()
        .map(|(name, row)| (name, (row.calls, row.total, row.own)))
        .filter(|(_, sum)| *sum != (0, 0, 0));
    assert_eq!(rows.collect::<BTreeMap<_, _>>(), sums);

    let lines = folded::lines(trace, &symbols, filter).unwrap();
    let wanted = expected
        .iter()
        .filter(|(_, spent)| spent.own > 0 || spent.calls > spent.timed)
        .map(|(path, spent)| {
            let value = symbols.nanoseconds(spent.own) + spent.calls - spent.timed;
            (path.join(";"), value)
        });
    let split = |line: &String| {
        let (path, value) = line.rsplit_once(' ').unwrap();
        (path.to_owned(), value.parse().unwrap())
    };
    assert_eq!(
        lines.iter().map(split).collect::<BTreeMap<_, u64>>(),
        wanted.collect()
    );

    for pattern in ["fs::open", "*::[chp]*", "nobody"] {
        let focus = paths.focus(pattern);
        let (mut below, mut callers) = (Tree::new(), BTreeSet::new());
        for (path, spent) in &expected {
            let first = path.iter().position(|n| glob::matches(pattern, n.bytes()));
            if let Some(first) = first {
                add(&mut below, &path[first..], *spent);
                callers.insert(path[..=first].to_vec());
            }
        }
        assert_eq!(tree(&focus.below), below, "{pattern}");
        let found: Vec<_> = focus.callers.iter().map(|p| path_of(&paths, *p)).collect();
        assert_eq!(found.len(), callers.len(), "{pattern}");
        assert_eq!(BTreeSet::from_iter(found), callers, "{pattern}");
        let totals = focus.callers.iter().map(|p| paths.nodes()[*p].spent.total);
        assert!(totals.rev().is_sorted(), "{pattern}");
    }
    expected.len()
}

#[test]
fn a_whole_trace_has_the_reports_and_the_folded_stacks_sums() {
    let cores = [Core::new(1).run(40).events, Core::new(2).run(30).events];
    let trace = opened(&file(&cores, 100));
    assert!(agrees(&trace, &Filter::default()) > 50);
    // What the functions call is what the filter leaves of the trace.
    let symbols = Symbols::of_trace(&trace);
    let filter = Filter {
        functions: vec!["fs::open".to_owned()],
        ..Filter::default()
    };
    let all = Paths::new(&trace, &symbols, &Filter::default()).unwrap();
    let part = Paths::new(&trace, &symbols, &filter).unwrap();
    assert_eq!(tree(&all.focus("fs::open").below), tree(&part));
}

/// Two functions of one path, as two instances of generics without their arguments or two closures may be.
#[test]
fn functions_with_one_name_are_one() {
    let mut events = Vec::new();
    for (at, function) in [(10, 1), (20, 2)] {
        events.push(event(Type::Entry, at, callsite(function), 0));
        events.push(event(Type::Exit, at + 5, callsite(function), 5));
    }
    let mut trace = opened(&file(&[events], 4));
    for symbol in &mut trace.symbols {
        symbol.name = "twin".to_owned();
    }
    agrees(&trace, &Filter::default());
    let rows = Report::new(&trace, &Symbols::of_trace(&trace), &Filter::default())
        .unwrap()
        .rows;
    let row = &rows["twin"];
    assert_eq!((row.calls, row.total, row.min, row.max), (2, 10, 5, 5));
    assert_eq!((row.mean(), row.percentile(99)), (5, 5));
}

#[test]
fn a_tree_is_what_a_person_reads() {
    let events = vec![
        event(Type::Entry, 1000, callsite(4), (entry(0) + 32) as u32),
        event(Type::Entry, 1100, callsite(2), (entry(4) + 32) as u32),
        event(Type::Exit, 1200, callsite(2), 100),
        event(Type::Entry, 1300, callsite(5), RETURN as u32),
        event(Type::Entry, 1310, callsite(5), (entry(5) + 32) as u32),
        event(Type::Exit, 1320, callsite(5), 10),
        event(Type::Exit, 1500, callsite(5), 200),
        event(Type::Exit, 64_001_000, callsite(4), 64_000_000),
        event(
            Type::Function,
            64_001_001,
            callsite(3),
            (entry(0) + 32) as u32,
        ),
        event(Type::Entry, 64_001_002, callsite(0), 0),
        event(Type::Entry, 64_001_003, callsite(5), 0),
        event(Type::Exit, 64_001_013, callsite(5), 10),
    ];
    let trace = opened(&file(&[events], 3));
    let short = Naming {
        short: true,
        ..Naming::default()
    };
    let symbols = Symbols::of_trace(&trace).shown_as(short);
    let paths = Paths::new(&trace, &symbols, &Filter::default()).unwrap();
    let style = Style { backtraces: 2 };
    let mut out = Vec::new();
    graph::write(&paths, &symbols, style, &mut out).unwrap();
    let expected = "\
#    TOTAL       SELF     CALLS  FUNCTION
  1.024  s   1.023  s         1  fs::open
  3.200 us   3.040 us         1   +-mem::copy
  0.160 us   0.160 us         1   |  +-mem::copy
  1.600 us   1.600 us         1   +-alloc::vec::Vec<...>::push
                                 sched::schedule  (1 not returned)
  0.160 us   0.160 us         1   +-mem::copy
                              1   +-irq::handle
";
    let out = String::from_utf8(out).unwrap();
    assert_eq!(out, expected);
    let mut out = Vec::new();
    assert!(graph::write_focus(&paths, "mem::*", &symbols, style, &mut out).unwrap());
    let expected = "\
#    TOTAL       SELF     CALLS  BACKTRACE
  3.200 us   3.040 us         1  mem::copy
                                 <- fs::open
  0.160 us   0.160 us         1  mem::copy
                                 <- sched::schedule

#    TOTAL       SELF     CALLS  FUNCTION
  3.360 us   3.200 us         2  mem::copy
  0.160 us   0.160 us         1   +-mem::copy
";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

/// A recursion deeper than any line is wide, and far deeper than a stack may be.
#[test]
fn a_deep_recursion_is_shown_in_lines_that_stay_short() {
    const LEVELS: u64 = 50_000;
    let down = (0..LEVELS).map(|n| event(Type::Entry, 100 + n, callsite(4), 0));
    let trace = opened(&file(&[down.collect()], 30_000));
    let symbols = Symbols::of_trace(&trace);
    let paths = Paths::new(&trace, &symbols, &Filter::default()).unwrap();
    let mut out = Vec::new();
    graph::write(&paths, &symbols, Style::default(), &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert_eq!(text.lines().count() as u64, 1 + LEVELS);
    assert!(text.lines().all(|line| line.len() < 300));
    let last = format!("+-(level {}) fs::open  (1 not returned)\n", LEVELS - 1);
    assert!(text.ends_with(&last));
}

fn aftrace(arguments: &[&str]) -> (Option<i32>, Vec<u8>, String) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
    let output = Command::new(env!("CARGO_BIN_EXE_aftrace"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), output.stdout, err)
}

#[test]
fn the_golden_traces_are_shown_as_ever() {
    for (name, arguments) in [
        ("two_cores.tree.txt", &["graph", "two_cores.aft"][..]),
        ("arguments.tree.txt", &["graph", "arguments.aft"]),
        (
            "arguments.push.txt",
            &["graph", "arguments.aft", "*::push", "--short"],
        ),
    ] {
        let (code, out, err) = aftrace(arguments);
        assert_eq!(code, Some(0), "{err}");
        same(name, &out);
    }
    let (code, out, err) = aftrace(&["graph", "arguments.aft", "fs::close"]);
    assert_eq!((code, out.len()), (Some(2), 0));
    let said = "arguments.aft: no call of a function that \"fs::close\" matches: `aftrace report`";
    assert!(err.contains(said), "{err}");
    let (code, _, err) = aftrace(&["graph", "arguments.aft", "[a"]);
    assert!(code == Some(2) && err.contains("[a"), "{err}");
}

proptest! {
    /// Whatever the events say, and whatever of them is asked for.
    #[test]
    fn any_events_make_the_naive_paths(
        words in prop::collection::vec((0_u64..9, 0_u64..5000, 0_usize..6, 0_u32..300), 0..200),
        which in 0..6,
    ) {
        let events: Vec<_> = words
            .into_iter()
            .map(|(kind, time, function, upper)| {
                let low = callsite(function) as u32 & !7;
                Event([kind << 56 | time, u64::from(upper) << 32 | u64::from(low)])
            })
            .collect();
        let trace = opened(&file(&[events.clone(), events], 7));
        let all = Filter::default();
        let filter = match which {
            0 => Filter { minimum: 100, ..all },
            1 => Filter { depth: 2, ..all },
            2 => Filter { hidden: vec!["mem::*".to_owned()], ..all },
            3 => Filter { functions: vec!["*::[oh]*".to_owned()], time: 100..=4000, ..all },
            4 => Filter { cores: Some(vec![1]), ..all },
            _ => all,
        };
        agrees(&trace, &filter);
    }
}
