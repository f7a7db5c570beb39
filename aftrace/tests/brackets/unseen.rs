//! Calls whose ENTRY is lost although their core recorded all the time.

use aarch64_ftrace::trace::{DATA_RESULT, Data, Event, FrameKind, Type, events_head};
use aftrace::trace::brackets::Mark;
use aftrace::trace::filter::Filter;
use aftrace::trace::ram::FrameWriter;

use super::kernel::{callsite, event, file};
use super::{check, marks, reported, sums};

fn starts(marks: &[Mark]) -> Vec<(u64, u32)> {
    let begun = marks.iter().filter_map(|mark| match mark {
        Mark::Begin(call) => Some((call.time, call.callsite)),
        _ => None,
    });
    begun.collect()
}

#[test]
fn a_call_of_which_another_core_has_the_entry_begins_at_its_own_time() {
    // Task 7 was entered where nothing was recorded, goes on here, and returns here; the core recorded all the time.
    let events = vec![
        event(Type::Task, 1, 0, 8),
        event(Type::Entry, 10, callsite(1), 0),
        event(Type::Exit, 30, callsite(1), 20),
        event(Type::Entry, 40, callsite(1), 0),
        event(Type::Exit, 90, callsite(1), 50),
        event(Type::Task, 95, 0, 7),
        event(Type::Entry, 100, callsite(2), 0),
        event(Type::Exit, 110, callsite(2), 10),
        event(Type::Exit, 120, callsite(3), 70),
        event(Type::Exit, 121, callsite(0), 86),
    ];
    let bytes = file(&[events], 50);
    let (marks, rest) = marks(&bytes, &Filter::default());
    check(&marks, &rest);
    assert_eq!(rest.left_out, 0);
    assert_eq!(sums(&marks), reported(&bytes, &Filter::default()));
    let [c0, c1, c2, c3] = [0, 1, 2, 3].map(|function| callsite(function) as u32);
    let expected = [(10, c1), (35, c0), (40, c1), (50, c3), (100, c2)];
    assert_eq!(starts(&marks), expected);
}

#[test]
fn calls_that_end_in_another_order_than_brackets_are_left_out_and_counted() {
    // A kernel that does not say that it went on to another task at 15: the first call returns while the second is open.
    let mut events = vec![event(Type::Task, 1, 0, 7)];
    let mut last = 1;
    for round in 0..10 {
        let at = 1000 * round;
        events.extend([
            event(Type::Entry, at + 2, callsite(1), 0),
            event(Type::Exit, at + 8, callsite(1), 6),
            event(Type::Entry, at + 10, callsite(0), 0),
            event(Type::Entry, at + 20, callsite(2), 0),
            event(Type::Exit, at + 30, callsite(0), 20),
            event(Type::Entry, at + 32, callsite(1), 0),
            event(Type::Exit, at + 39, callsite(1), 7),
            event(Type::Exit, at + 40, callsite(2), 20),
        ]);
        last = at + 40;
    }
    let bytes = file(&[events], 100);
    let (marks, rest) = marks(&bytes, &Filter::default());
    check(&marks, &rest);
    assert_eq!(rest.left_out, 10);
    let mut expected = reported(&bytes, &Filter::default());
    assert_eq!(expected.remove(&(callsite(2) as u32)), Some((10, 200)));
    assert_eq!(sums(&marks), expected);
    // None of them was begun a second time, and none moved a time.
    let second = starts(&marks)
        .iter()
        .filter(|each| each.1 == callsite(2) as u32)
        .count();
    assert_eq!(second, 10);
    assert!(
        marks
            .iter()
            .all(|mark| !matches!(mark, Mark::End(end) if end.time > last))
    );
}

#[test]
fn what_a_task_did_where_another_core_lost_events_is_not_known() {
    // Task 7 leaves core 1 at 20; elsewhere it returns from the function, enters it again at 30, and comes back inside it.
    let events = vec![
        event(Type::Task, 1, 0, 7),
        event(Type::Entry, 10, callsite(2), 0),
        event(Type::Task, 20, 0, 0),
        event(Type::Task, 50, 0, 7),
        event(Type::Exit, 60, callsite(2), 30),
        event(Type::Task, 70, 0, 0),
    ];
    let c2 = callsite(2) as u32;
    // Lost before the core's first event, between two of them, and behind its last.
    let before = [(9, 1000, 1)];
    let between = [(0, 5, 1), (9, 1000, 1)];
    // Over when the task comes back, at a time at which no core runs one.
    let over = [(9, 40, 1)];
    let behind = [(0, 5, 1), (9, 0, 0)];
    for parts in [&before[..], &between, &over, &behind] {
        let mut bytes = file(&[Vec::new(), events.clone()], 50);
        let mut number = 0;
        for &(lost, time, events) in parts {
            number += lost;
            let slot = event(Type::Function, time, callsite(4), 0).to_bytes();
            let head = events_head(number, lost);
            let mut out = FrameWriter::new(&mut bytes);
            let written = out.frame(FrameKind::Events, 0, &[&head, &slot[..16 * events]]);
            written.unwrap();
            number += events as u64;
        }
        let (marks, rest) = marks(&bytes, &Filter::default());
        check(&marks, &rest);
        assert_eq!(rest.left_out, 0);
        assert_eq!(
            sums(&marks),
            reported(&bytes, &Filter::default()),
            "{parts:?}"
        );
        assert_eq!(sums(&marks), [(c2, (1, 30))].into(), "{parts:?}");
        assert_eq!(starts(&marks), [(10, c2), (30, c2)], "{parts:?}");
    }
    // Nor is it where nothing is lost: the EXIT says when its call began, and that is another one within, whose ENTRY is left out.
    let (marks, rest) = marks(&file(&[Vec::new(), events], 50), &Filter::default());
    assert_eq!(starts(&marks), [(10, c2), (30, c2)]);
    assert_eq!((rest.open.len(), rest.left_out), (1, 0));
}

#[test]
fn in_the_same_tick_what_is_open_at_the_end_stands_outside() {
    // The call without an ENTRY begins in the tick in which the one around it begins.
    let events = vec![
        event(Type::Task, 1, 0, 7),
        event(Type::Entry, 10, callsite(0), 0),
        event(Type::Exit, 20, callsite(1), 10),
        event(Type::Exit, 30, callsite(0), 20),
    ];
    let bytes = file(&[events], 50);
    let (marks, rest) = marks(&bytes, &Filter::default());
    check(&marks, &rest);
    assert_eq!(rest.left_out, 0);
    assert_eq!(sums(&marks), reported(&bytes, &Filter::default()));
    assert_eq!(starts(&marks)[0], (10, callsite(0) as u32));
}

#[test]
fn a_gap_of_another_core_takes_the_calls_that_began_in_it() {
    // Both cores lose a part; the calls of the tasks that they ran return on the other core.
    let part = |core: u16, lost: u64, events: &[Event], out: &mut Vec<u8>| {
        let slots: Vec<u8> = events.iter().flat_map(|event| event.to_bytes()).collect();
        let mut out = FrameWriter::new(out);
        let head = events_head(2 + lost, lost);
        out.frame(FrameKind::Events, core, &[&head, &slots])
            .unwrap();
    };
    let mut bytes = file(
        &[
            vec![
                event(Type::Task, 1, 0, 7),
                event(Type::Function, 5, callsite(4), 0),
            ],
            vec![
                event(Type::Task, 2, 0, 8),
                event(Type::Function, 600, callsite(4), 0),
            ],
        ],
        50,
    );
    // Task 7 enters 0 at 100 on core 0 and 1 at 500 on core 1, where that is in front of what is lost.
    part(
        0,
        9,
        &[
            event(Type::Task, 1000, 0, 7),
            event(Type::Exit, 1020, callsite(0), 920),
        ],
        &mut bytes,
    );
    part(
        1,
        9,
        &[
            event(Type::Task, 800, 0, 7),
            event(Type::Exit, 900, callsite(1), 400),
        ],
        &mut bytes,
    );
    let (marks, rest) = marks(&bytes, &Filter::default());
    check(&marks, &rest);
    assert_eq!(rest.left_out, 0);
    assert_eq!(sums(&marks), reported(&bytes, &Filter::default()));
    let begun = [(100, callsite(0) as u32), (500, callsite(1) as u32)];
    assert_eq!(starts(&marks), begun);
    let missing: Vec<_> = marks
        .iter()
        .filter_map(|mark| match *mark {
            Mark::Missing(core, time, events) => Some((core, time, events)),
            _ => None,
        })
        .collect();
    assert_eq!(missing, [(0, 5, 9), (1, 600, 9)]);
}

#[test]
fn values_of_a_lost_event_do_not_make_time_jump() {
    let call = |start: u64, function: usize| {
        let at = callsite(function);
        [
            event(Type::Entry, start, at, 0),
            event(Type::Exit, start + 10, at, 10),
        ]
    };
    let mut bytes = file(&[call(10, 0).to_vec()], 50);
    let value = Data {
        kind: DATA_RESULT,
        index: 0,
        value: 5,
    };
    // What it belongs to is lost; its words are no time.
    let mut behind = vec![value.event(0, 12)];
    behind.extend(call(50, 1));
    behind.push(event(Type::Exit, 300, callsite(3), 100));
    behind.extend(call(400, 2));
    let slots: Vec<u8> = behind.iter().flat_map(|event| event.to_bytes()).collect();
    let head = events_head(9, 7);
    let mut out = FrameWriter::new(&mut bytes);
    out.frame(FrameKind::Events, 0, &[&head, &slots]).unwrap();
    let (marks, rest) = marks(&bytes, &Filter::default());
    check(&marks, &rest);
    let [c0, c1, c2, c3] = [0, 1, 2, 3].map(|function| callsite(function) as u32);
    assert_eq!(starts(&marks), [(10, c0), (50, c1), (200, c3), (400, c2)]);
    let missing = marks.iter().find_map(|mark| match mark {
        Mark::Missing(core, time, events) => Some((*core, *time, *events)),
        _ => None,
    });
    assert_eq!(missing, Some((0, 20, 7)));
}
