//! Brackets: pairs, in the order of time, with the durations that the report has, whatever is lost.

#[path = "../kernel/mod.rs"]
mod kernel;
mod unseen;

use std::collections::BTreeMap;

use aarch64_ftrace::trace::{Data, Event, FrameKind, Type, events_head};
use aftrace::trace::brackets::{Mark, Rest, play};
use aftrace::trace::calls::Task;
use aftrace::trace::filter::Filter;
use aftrace::trace::ram::FrameWriter;
use aftrace::trace::report::Report;
use aftrace::trace::symbols::Symbols;
use kernel::{Core, callsite, event, file, opened};
use proptest::prelude::*;

fn marks(bytes: &[u8], filter: &Filter) -> (Vec<Mark>, Rest) {
    let trace = opened(bytes);
    let mut marks = Vec::new();
    let rest = play(&trace, &Symbols::of_trace(&trace), filter, |mark| {
        marks.push(mark);
        Ok(())
    });
    (marks, rest.unwrap())
}

/// Pairs of each task, one in the other; times that never go back within a core or a task.
fn check(marks: &[Mark], rest: &Rest) {
    let mut open = BTreeMap::<Task, Vec<_>>::new();
    let mut cores = BTreeMap::<u16, u64>::new();
    let mut tasks = BTreeMap::<Task, u64>::new();
    for mark in marks {
        let (core, time, task) = match *mark {
            Mark::Begin(call) => {
                let open = open.entry(call.task).or_default();
                assert_eq!(call.depth as usize, open.len());
                open.push(call);
                (call.core, call.time, Some(call.task))
            }
            Mark::End(end) => {
                assert_eq!(open.get_mut(&end.call.task).unwrap().pop(), Some(end.call));
                (end.core, end.time, Some(end.call.task))
            }
            Mark::Function(call) => (call.core, call.time, Some(call.task)),
            Mark::Switch(core, time, _) | Mark::Missing(core, time, _) => (core, time, None),
            Mark::Other(item, time) => (item.core, time, None),
        };
        assert!(
            cores.insert(core, time).is_none_or(|last| last <= time),
            "{mark:?}"
        );
        if let Some(task) = task {
            assert!(
                tasks.insert(task, time).is_none_or(|last| last <= time),
                "{mark:?}"
            );
        }
    }
    let open: Vec<_> = open.into_values().flatten().collect();
    assert_eq!(open, rest.open);
}

/// Calls and ticks by callsite, of what returned.
fn sums(marks: &[Mark]) -> BTreeMap<u32, (u64, u64)> {
    let mut sums = BTreeMap::<u32, (u64, u64)>::new();
    for mark in marks {
        if let Mark::End(end) = mark
            && end.returned
        {
            let sum = sums.entry(end.call.callsite).or_default();
            *sum = (sum.0 + 1, sum.1 + end.time - end.call.time);
        }
    }
    sums
}

fn reported(bytes: &[u8], filter: &Filter) -> BTreeMap<u32, (u64, u64)> {
    let trace = opened(bytes);
    let report = Report::new(&trace, &Symbols::of_trace(&trace), filter).unwrap();
    let rows = report.rows.into_iter().filter(|(_, row)| row.timed > 0);
    rows.map(|(name, row)| {
        let function = kernel::FUNCTIONS
            .iter()
            .position(|each| **each == name)
            .unwrap();
        (callsite(function) as u32, (row.timed, row.total))
    })
    .collect()
}

/// A file of one core whose events at `lost` are missing.
fn with_gap(events: &[Event], lost: std::ops::Range<usize>) -> Vec<u8> {
    let mut bytes = file(&[events[..lost.start].to_vec()], 50);
    let slots: Vec<u8> = events[lost.end..]
        .iter()
        .flat_map(|event| event.to_bytes())
        .collect();
    let head = events_head(lost.end as u64, lost.len() as u64);
    let mut out = FrameWriter::new(&mut bytes);
    out.frame(FrameKind::Events, 0, &[&head, &slots]).unwrap();
    bytes
}

#[test]
fn calls_that_began_before_the_trace_begin_where_they_did() {
    let core = Core::new(3).run(20);
    for cut in [1, 7, 37, 90] {
        let bytes = file(&[core.events[cut..].to_vec()], 50);
        let (marks, rest) = marks(&bytes, &Filter::default());
        check(&marks, &rest);
        assert_eq!(rest.left_out, 0);
        assert_eq!(sums(&marks), reported(&bytes, &Filter::default()));
        let ends = marks
            .iter()
            .filter(|mark| matches!(mark, Mark::End(_)))
            .count();
        let exits = core.events[cut..]
            .iter()
            .filter(|e| e.kind() == Some(Type::Exit))
            .count();
        assert_eq!(ends, exits);
    }
}

#[test]
fn calls_that_began_in_a_gap_begin_behind_what_is_missing() {
    let core = Core::new(5).run(30);
    let mut unseen = 0;
    for from in (20..120).step_by(7) {
        let bytes = with_gap(&core.events, from..from + 40);
        let (marks, rest) = marks(&bytes, &Filter::default());
        check(&marks, &rest);
        assert_eq!(
            (sums(&marks), rest.left_out),
            (reported(&bytes, &Filter::default()), 0)
        );
        let gap = marks
            .iter()
            .position(|mark| matches!(mark, Mark::Missing(0, _, 40)))
            .unwrap();
        let Mark::Missing(_, time, _) = marks[gap] else {
            unreachable!()
        };
        assert_eq!(time, core.events[from - 1].time());
        // Those that began in it stand directly behind it.
        for mark in &marks[gap + 1..] {
            match mark {
                Mark::Begin(call) if call.time < core.events[from + 40].time() => unseen += 1,
                _ => break,
            }
        }
    }
    assert!(unseen > 10, "{unseen}");
}

#[test]
fn with_a_minimum_calls_stand_where_they_began() {
    // Two tasks take turns on one core; both calls are long.
    let events = vec![
        event(Type::Task, 1, 0, 7),
        event(Type::Entry, 10, callsite(0), 0),
        event(Type::Entry, 11, callsite(2), 0),
        event(Type::Exit, 12, callsite(2), 1),
        event(Type::Task, 20, 0, 8),
        event(Type::Entry, 30, callsite(1), 0),
        event(Type::Exit, 1030, callsite(1), 1000),
        event(Type::Task, 1040, 0, 7),
        event(Type::Exit, 1110, callsite(0), 1100),
    ];
    let filter = Filter {
        minimum: 500,
        ..Filter::default()
    };
    let (marks, rest) = marks(&file(&[events], 50), &filter);
    check(&marks, &rest);
    let begun: Vec<_> = marks
        .iter()
        .filter_map(|mark| match mark {
            Mark::Begin(call) => Some((call.time, call.callsite)),
            _ => None,
        })
        .collect();
    assert_eq!(begun, [(10, callsite(0) as u32), (30, callsite(1) as u32)]);
    assert_eq!(
        sums(&marks).values().map(|sum| sum.1).collect::<Vec<_>>(),
        [1100, 1000]
    );
}

#[test]
fn a_minimum_lets_the_same_calls_through_as_in_a_report() {
    let bytes = file(
        &[Core::new(1).run(40).events, Core::new(2).run(30).events],
        100,
    );
    let filter = Filter {
        minimum: 3000,
        ..Filter::default()
    };
    let (marks, rest) = marks(&bytes, &filter);
    check(&marks, &rest);
    assert_eq!(sums(&marks), reported(&bytes, &filter));
    assert!(sums(&marks) != reported(&bytes, &Filter::default()));
}

#[test]
fn what_an_interrupt_did_does_not_make_time_go_back() {
    // The interrupt came after the counter was read and before the slot was reserved: of the EXIT of 0, and of the ENTRY of 1.
    let interrupt = |at: u64| {
        [
            event(Type::Entry, at, callsite(3), 0),
            event(Type::Exit, at + 20, callsite(3), 20),
        ]
    };
    let mut events = vec![event(Type::Entry, 10, callsite(0), 0)];
    events.extend(interrupt(101));
    events.push(event(Type::Exit, 100, callsite(0), 90));
    events.extend(interrupt(201));
    events.push(event(Type::Entry, 200, callsite(1), 0));
    events.push(
        Data {
            kind: 3,
            index: 1,
            value: u64::MAX,
        }
        .event(0, 12),
    );
    events.push(event(Type::Exit, 300, callsite(1), 100));
    let bytes = file(&[events], 50);
    let trace = opened(&bytes);
    let report = Report::new(&trace, &Symbols::of_trace(&trace), &Filter::default()).unwrap();
    let row = |function: usize| &report.rows[kernel::FUNCTIONS[function]];
    assert_eq!((row(0).total, row(0).own), (90, 90));
    assert_eq!((row(1).total, row(1).own), (100, 80));
    let (marks, rest) = marks(&bytes, &Filter::default());
    check(&marks, &rest);
    assert_eq!(sums(&marks), reported(&bytes, &Filter::default()));
    let data = marks
        .iter()
        .position(|mark| matches!(mark, Mark::Other(..)))
        .unwrap();
    assert!(
        matches!(marks[data - 1], Mark::Begin(call) if call.time == 200),
        "DATA follows its event"
    );
}

#[test]
fn data_stays_behind_its_event_whatever_other_cores_do() {
    let value = |value| {
        Data {
            kind: 3,
            index: 0,
            value,
        }
        .event(0, 12)
    };
    let first = vec![
        event(Type::Entry, 10, callsite(0), 0),
        value(0),
        event(Type::Exit, 90, callsite(0), 80),
    ];
    let second = vec![
        event(Type::Entry, 20, callsite(1), 0),
        value(u64::MAX),
        event(Type::Exit, 30, callsite(1), 10),
    ];
    let (marks, _) = marks(&file(&[first, second], 50), &Filter::default());
    let kinds: Vec<_> = marks
        .iter()
        .map(|mark| match mark {
            Mark::Begin(call) => ('b', call.core),
            Mark::End(end) => ('e', end.core),
            Mark::Other(item, _) => ('d', item.core),
            _ => ('?', 0),
        })
        .collect();
    assert_eq!(
        kinds,
        [('b', 0), ('d', 0), ('b', 1), ('d', 1), ('e', 1), ('e', 0)]
    );
}

proptest! {
    /// Whatever the events say, and whatever is lost of them.
    #[test]
    fn brackets_pair_up_for_any_events(
        words in prop::collection::vec((0_u64..9, 0_u64..5000, 0_usize..6, 0_u32..3000), 20..200),
        lost in 1_usize..10,
        minimum in prop::sample::select(vec![0, 100, 1000]),
    ) {
        let events: Vec<_> = words
            .into_iter()
            .map(|(kind, time, function, upper)| Event([kind << 56 | time, u64::from(upper) << 32 | u64::from(callsite(function) as u32 & !7)]))
            .collect();
        let filter = Filter { minimum, ..Filter::default() };
        let (marks, rest) = marks(&with_gap(&events, 5..5 + lost), &filter);
        check(&marks, &rest);
    }
}
