//! What filters let through and `report` adds up, beside a plain recursion over the tree of calls that made the trace.

mod choices;
#[path = "../kernel/mod.rs"]
mod kernel;
mod left_out;
mod tasks;
mod unfinished;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use aarch64_ftrace::glob;
use aarch64_ftrace::trace::{Event, Type};
use aftrace::trace::calls::{Return, Step, Task};
use aftrace::trace::file::Trace;
use aftrace::trace::filter::{Filter, Shown};
use aftrace::trace::replay::{self, Style};
use aftrace::trace::report::{Key, Report, Row};
use aftrace::trace::symbols::Symbols;
use choices::filters;
use kernel::{FUNCTIONS, callsite, entry, event, file, opened};
use proptest::prelude::*;

/// Who calls the outermost ones.
const OUTSIDE: usize = 5;

#[derive(Clone, Debug)]
struct Made {
    function: usize,
    start: u64,
    /// Of one that has not returned the time of the last event.
    end: u64,
    returned: bool,
    callees: Vec<Made>,
}

/// A call that is seen: core, function, start, ticks, of those its own.
type Seen = (u16, usize, u64, u64, u64);
/// A call that has not returned: core, start, function.
type Left = (u16, u64, usize);

/// Each word a step of a core: time passes, then a function is called or one returns. `cut`: those that are open at the end stay so.
fn made(core: u16, words: &[(u64, usize)], cut: bool) -> Vec<Made> {
    // No two cores do something at the same time, so that there is one order.
    let mut now = 1000 + u64::from(core);
    let mut last = now;
    let called = |function, start| Made {
        function,
        start,
        end: 0,
        returned: false,
        callees: Vec::new(),
    };
    let mut open = vec![called(OUTSIDE, 0)];
    let close = |open: &mut Vec<Made>, end, returned| {
        if open.len() > 1
            && let Some(call) = open.pop()
            && let Some(around) = open.last_mut()
        {
            around.callees.push(Made {
                end,
                returned,
                ..call
            });
        }
    };
    for &(ticks, function) in words {
        now += 2 + 2 * ticks;
        if function < FUNCTIONS.len() {
            open.push(called(function, now));
            last = now;
        } else if open.len() > 1 {
            close(&mut open, now, true);
            last = now;
        }
    }
    while open.len() > 1 {
        now += 2;
        match cut {
            true => close(&mut open, last, false),
            false => close(&mut open, now, true),
        }
    }
    open.pop()
        .map(|outside| outside.callees)
        .unwrap_or_default()
}

fn events(calls: &[Made], caller: usize, out: &mut Vec<Event>) {
    for call in calls {
        let at = callsite(call.function);
        let parent = (entry(caller) + 32) as u32;
        out.push(event(Type::Entry, call.start, at, parent));
        events(&call.callees, call.function, out);
        let ticks = (call.end - call.start) as u32;
        if call.returned {
            out.push(event(Type::Exit, call.end, at, ticks));
        }
    }
}

fn is_one_of(globs: &[String], function: usize) -> bool {
    globs
        .iter()
        .any(|glob| glob::matches(glob, FUNCTIONS[function].bytes()))
}

/// What the filter's words say, call by call; `left` are those that have not returned, which have no time.
fn naive(
    filter: &Filter,
    core: u16,
    calls: &[Made],
    caller: usize,
    inside: Option<u32>,
    (seen, left): (&mut Vec<Seen>, &mut Vec<Left>),
) {
    for call in calls {
        if is_one_of(&filter.hidden, call.function) {
            continue;
        }
        let selected = filter.functions.is_empty() || is_one_of(&filter.functions, call.function);
        let level = match inside {
            Some(level) => Some(level + 1),
            None => selected.then_some(0),
        };
        let ticks = call.end - call.start;
        let called: u64 = call.callees.iter().map(|c| c.end - c.start).sum();
        if level.is_some_and(|level| level < filter.depth)
            && (filter.callers.is_empty() || is_one_of(&filter.callers, caller))
            && filter.time.contains(&call.start)
            && ticks >= filter.minimum
            && !is_one_of(&filter.skipped, call.function)
            && filter
                .tasks
                .as_ref()
                .is_none_or(|tasks| tasks.contains(&Task::Core(core)))
            && filter
                .cores
                .as_ref()
                .is_none_or(|cores| cores.contains(&core))
        {
            match call.returned {
                true => seen.push((core, call.function, call.start, ticks, ticks - called)),
                false => left.push((core, call.start, call.function)),
            }
        }
        let into = (&mut *seen, &mut *left);
        naive(filter, core, &call.callees, call.function, level, into);
    }
}

fn all_events(calls: &[Made]) -> Vec<Event> {
    let mut out = Vec::new();
    events(calls, OUTSIDE, &mut out);
    out
}

/// What the filter lets through of these cores.
fn found(filter: &Filter, cores: &[Vec<Made>]) -> (Vec<Seen>, Vec<Left>) {
    let (mut seen, mut left) = (Vec::new(), Vec::new());
    for (core, calls) in (0..).zip(cores) {
        naive(filter, core, calls, OUTSIDE, None, (&mut seen, &mut left));
    }
    seen.sort_unstable();
    left.sort_unstable();
    (seen, left)
}

fn function_of(low: u32) -> usize {
    let function = (0..FUNCTIONS.len()).find(|f| callsite(*f) as u32 == low);
    function.expect("one of ours")
}

fn shown(trace: &Trace, symbols: &Symbols, filter: &Filter, fold: bool) -> (Vec<Seen>, Vec<Left>) {
    let mut seen = Vec::new();
    let mut open = Vec::new();
    let unfinished = filter.play(trace, symbols, fold, |shown| {
        let mut take = |leave: Return| {
            let call = leave.call;
            let function = function_of(call.callsite);
            seen.push((call.core, function, call.time, leave.duration, leave.own));
        };
        match shown {
            Shown::Leaf(leave) => {
                assert!(fold);
                take(leave);
            }
            Shown::Step(Step::Enter(call)) => open.push(call),
            Shown::Step(Step::Leave(leave)) if !leave.entered => {
                assert!(leave.left_out);
                take(leave);
            }
            Shown::Step(Step::Leave(leave)) => {
                let entered = open.iter().rposition(|call| *call == leave.call);
                open.remove(entered.expect("shown where it begins"));
                take(leave);
            }
            other => panic!("{other:?}"),
        }
        Ok(())
    });
    let mut unfinished = unfinished.expect("a file");
    unfinished.sort_unstable_by_key(|call| (call.core, call.time));
    open.sort_unstable_by_key(|call| (call.core, call.time));
    assert_eq!(unfinished, open);
    seen.sort_unstable();
    let left = open.iter();
    let left = left.map(|call| (call.core, call.time, function_of(call.callsite)));
    (seen, left.collect())
}

/// Calls, total, self, least, most.
type Sums = BTreeMap<String, (u64, u64, u64, u64, u64)>;

fn sums(seen: &[Seen]) -> Sums {
    let mut sums = Sums::new();
    for &(_, function, _, ticks, own) in seen {
        let row = sums
            .entry(FUNCTIONS[function].to_owned())
            .or_insert((0, 0, 0, u64::MAX, 0));
        *row = (
            row.0 + 1,
            row.1 + ticks,
            row.2 + own,
            row.3.min(ticks),
            row.4.max(ticks),
        );
    }
    sums
}

fn lines(trace: &Trace, symbols: &Symbols, filter: &Filter, tail: Option<usize>) -> Vec<String> {
    let style = Style {
        tail,
        ..Style::default()
    };
    let mut out = Vec::new();
    replay::replay(trace, symbols, filter, &style, &mut out).expect("memory");
    let text = String::from_utf8(out).expect("text");
    text.lines().map(str::to_owned).collect()
}

fn rows_in_order(report: &Report, sums: &Sums) -> Result<(), TestCaseError> {
    let rows = report.rows.iter().map(|(name, row)| {
        (
            name.clone(),
            (row.calls, row.total, row.own, row.min, row.max),
        )
    });
    prop_assert_eq!(&rows.collect::<Sums>(), sums);
    type Value = fn(&(u64, u64, u64, u64, u64)) -> u64;
    type OfAll = fn(&Row) -> u64;
    let keys: [(Key, Value); 7] = [
        (Key::Total, |row| row.1),
        (Key::Own, |row| row.2),
        (Key::Calls, |row| row.0),
        (Key::Min, |row| row.3),
        (Key::Max, |row| row.4),
        (Key::Mean, |row| row.1 / row.0),
        (Key::Name, |_| 0),
    ];
    // `sums.rs` holds these against all durations.
    let of_all: [(Key, OfAll); 3] = [
        (Key::Deviation, Row::deviation),
        (Key::P50, |row| row.percentile(50)),
        (Key::P99, |row| row.percentile(99)),
    ];
    for (key, value) in of_all {
        let rows = report.rows.iter();
        let mut rows: Vec<_> = rows
            .map(|(name, row)| (Reverse(value(row)), &**name))
            .collect();
        rows.sort();
        let said = report.sorted(&[key]).into_iter().map(|(name, _)| name);
        prop_assert!(said.eq(rows.into_iter().map(|(_, name)| name)), "{key:?}");
    }
    for (key, value) in keys {
        let mut names: Vec<_> = sums
            .iter()
            .map(|(name, row)| (Reverse(value(row)), name))
            .collect();
        names.sort();
        let said = report.sorted(&[key]).into_iter().map(|(name, _)| name);
        prop_assert!(
            said.eq(names.into_iter().map(|(_, name)| name.as_str())),
            "{key:?}"
        );
        let mut names: Vec<_> = sums
            .iter()
            .map(|(name, row)| (Reverse(row.0), Reverse(value(row)), name))
            .collect();
        names.sort();
        let said = report.sorted(&[Key::Calls, key]).into_iter();
        let said = said.map(|(name, _)| name);
        prop_assert!(
            said.eq(names.into_iter().map(|(.., name)| name.as_str())),
            "{key:?} behind calls"
        );
    }
    Ok(())
}

/// A line for each function of both: how calls and times differ, in ticks of 16 ns.
fn differences(text: &str, key: Key, old: &Sums, new: &Sums) -> Result<(), TestCaseError> {
    let mut found = BTreeMap::new();
    let mut changes = Vec::new();
    for line in text.lines().skip(1) {
        let words: Vec<_> = line.split_whitespace().collect();
        let (numbers, name) = words.split_at(5);
        let nanoseconds = |at: usize| {
            let unit = if numbers[at + 1] == "us" { 1e3 } else { 1e6 };
            (numbers[at].parse::<f64>().expect("a number") * unit).round() as i64
        };
        let calls: i64 = numbers[4].parse().expect("a number");
        let change = match key {
            Key::Total => nanoseconds(0),
            Key::Own => nanoseconds(2),
            _ => calls,
        };
        // Names decide between equals.
        changes.push((Reverse(change.abs()), name.join(" ")));
        found.insert(name.join(" "), (calls, nanoseconds(0), nanoseconds(2)));
    }
    let nothing = (0, 0, 0, 0, 0);
    let expected = old.keys().chain(new.keys()).map(|name| {
        let (a, b) = (
            old.get(name).unwrap_or(&nothing),
            new.get(name).unwrap_or(&nothing),
        );
        let less = |a: u64, b: u64| b as i64 - a as i64;
        (
            name.clone(),
            (less(a.0, b.0), 16 * less(a.1, b.1), 16 * less(a.2, b.2)),
        )
    });
    prop_assert_eq!(found, expected.collect::<BTreeMap<_, _>>(), "{}", text);
    prop_assert!(changes.is_sorted(), "{}", text);
    Ok(())
}

proptest! {
    #[test]
    fn filters_show_and_report_adds_up_what_a_recursion_finds(
        words in prop::collection::vec(prop::collection::vec((0..20_u64, 0..11_usize), 0..60), 2),
        batch in 1..40_usize,
        filter in filters(),
        tail in 0..20_usize,
    ) {
        let calls = [made(0, &words[0], false), made(1, &words[1], false)];
        let trace = opened(&file(&calls.each_ref().map(|calls| all_events(calls)), batch));
        let symbols = Symbols::of_trace(&trace);
        let find = |filter: &Filter| found(filter, &calls).0;
        let expected = find(&filter);
        for fold in [true, false] {
            prop_assert_eq!(&shown(&trace, &symbols, &filter, fold), &(expected.clone(), vec![]));
        }

        let all = lines(&trace, &symbols, &filter, None);
        let last = lines(&trace, &symbols, &filter, Some(tail));
        let first = all.len() - tail.min(all.len() - 1);
        prop_assert_eq!(&last[0], &all[0]);
        prop_assert_eq!(&last[1..], &all[first..]);

        let part = Report::new(&trace, &symbols, &filter).expect("a file");
        rows_in_order(&part, &sums(&expected))?;
        let whole = Report::new(&trace, &symbols, &Filter::default()).expect("a file");
        let all = sums(&find(&Filter::default()));
        rows_in_order(&whole, &all)?;
        for key in [Key::Total, Key::Own, Key::Calls] {
            let mut out = Vec::new();
            whole.write_difference(&symbols, (&part, &symbols), &[key], &mut out).expect("memory");
            differences(&String::from_utf8(out).expect("text"), key, &all, &sums(&expected))?;
        }
    }
}
