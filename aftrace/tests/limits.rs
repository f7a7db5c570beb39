//! What a hostile file can make a reader of calls keep, and look at for each event: as much as the limits say, whatever it holds.

mod kernel;

use std::cell::RefCell;
use std::io::{Seek as _, Write as _};
use std::rc::Rc;

use aarch64_ftrace::trace::{FrameKind, NO_CORE, ProfileEntry, Type, events_head};
use aftrace::trace::added::FUNCTIONS_MAX;
use aftrace::trace::calls::{Calls, Return, Step};
use aftrace::trace::dump::folded;
use aftrace::trace::file::{NAMED_MAX, SYMBOLS_MAX, TASKS_MAX, Trace};
use aftrace::trace::filter::Filter;
use aftrace::trace::ram::FrameWriter;
use aftrace::trace::symbols::Symbols;
use kernel::{callsite, event, header};

/// Frames of events: the core, how many were lost before, what and when, the number of the function or task.
type Frame = (u16, u64, Vec<(Type, u64, u32)>);

fn trace(frames: &[Frame]) -> Trace {
    kernel::opened(&bytes(frames))
}

fn bytes(frames: &[Frame]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut out = FrameWriter::new(&mut bytes);
    let header = header(1).to_bytes();
    out.frame(FrameKind::Header, NO_CORE, &[&header])
        .expect("memory");
    let mut first = 0;
    for (core, lost, events) in frames {
        // A frame has no more.
        for (index, part) in events.chunks(1 << 15).enumerate() {
            let bytes: Vec<u8> = part
                .iter()
                .flat_map(|&(kind, time, what)| {
                    let at = if kind == Type::Task { 0 } else { callsite(0) };
                    event(kind, time, at, what).to_bytes()
                })
                .collect();
            let lost = if index == 0 { *lost } else { 0 };
            let head = events_head(first + lost, lost);
            out.frame(FrameKind::Events, *core, &[&head, &bytes])
                .expect("memory");
            first += lost + part.len() as u64;
        }
    }
    bytes
}

/// Entered, given up, with no end; and what is open at the end. Who keeps a stack by the steps has no more than that.
fn count(trace: &Trace) -> ([u64; 3], u64) {
    let mut calls = Calls::new(trace.play().expect("a file"));
    let (mut counts, mut returned) = ([0; 3], 0);
    while let Some(step) = calls.next().expect("a file") {
        match step {
            Step::Enter(_) => counts[0] += 1,
            Step::Leave(leave) if leave.entered => returned += 1,
            Step::Abandoned(..) => counts[1] += 1,
            Step::Function(_) => counts[2] += 1,
            _ => {}
        }
    }
    let open = calls.unfinished().len() as u64;
    assert_eq!(
        counts[0] - counts[1] - returned,
        open,
        "another stack than the steps say"
    );
    (counts, open)
}

fn returns(frames: &[Frame]) -> Vec<Return> {
    let trace = trace(frames);
    let mut calls = Calls::new(trace.play().expect("a file"));
    let mut returns = Vec::new();
    while let Some(step) = calls.next().expect("a file") {
        if let Step::Leave(leave) = step {
            returns.push(leave);
        }
    }
    returns
}

#[test]
fn calls_deeper_than_any_are_calls_without_an_end() {
    const EVENTS: u64 = 70_000;
    const DEEPEST: u64 = 65_536;
    let nest = |task: u32| {
        let from = u64::from(task) * EVENTS;
        let calls = (0..EVENTS).map(|at| (Type::Entry, from + at, 0));
        std::iter::once((Type::Task, from, task))
            .chain(calls)
            .collect()
    };
    let (counts, open) = count(&trace(&[(0, 0, nest(1))]));
    assert_eq!((counts, open), ([DEEPEST, 0, EVENTS - DEEPEST], DEEPEST));
    // All tasks together.
    let frames: Vec<Frame> = (1..18).map(|task| (0, 0, nest(task))).collect();
    let (counts, open) = count(&trace(&frames));
    assert_eq!((counts[0], open), (16 * DEEPEST, 16 * DEEPEST));
    assert_eq!(counts[2], 17 * EVENTS - 16 * DEEPEST);
}

/// Those that have returned, or were given up, are not kept.
#[test]
fn any_number_of_calls_has_an_end() {
    const CALLS: u64 = (1 << 20) + 10;
    let calls = (0..CALLS / 2).flat_map(|n| {
        let at = 10 * n;
        // The inner one is given up when the outer one returns.
        [
            (Type::Entry, at, 0),
            (Type::Entry, at + 1, 0),
            (Type::Exit, at + 5, 5),
        ]
    });
    let (counts, open) = count(&trace(&[(0, 0, calls.collect())]));
    assert_eq!((counts, open), ([CALLS, CALLS / 2, 0], 0));
}

/// Where no call has an ENTRY, those that returned wait for who called them; when they are many, those that are long past as one.
#[test]
fn calls_that_returned_keep_their_sum() {
    const CALLS: u64 = 100_000;
    const LATE: u64 = 20_000;
    let mut events: Vec<_> = (1..=CALLS).map(|n| (Type::Exit, 10 * n + 5, 5)).collect();
    let end = 10 * CALLS + 10;
    events.push((Type::Exit, end, 10 * LATE as u32));
    events.push((Type::Exit, end + 10, end as u32));
    let returns = returns(&[(0, 0, events)]);
    let own: Vec<_> = returns[CALLS as usize - 1..]
        .iter()
        .map(|leave| leave.own)
        .collect();
    assert_eq!(own, [5, 5 * LATE, end - 5 * (CALLS - LATE) - 10 * LATE]);
}

#[test]
fn as_many_damages_are_named_as_the_limit_says() {
    let frame = bytes(&[]);
    let mut damaged = frame.clone();
    for _ in 0..=NAMED_MAX {
        damaged.push(b'X');
        damaged.extend(&frame);
    }
    let trace = kernel::opened(&damaged);
    assert_eq!(trace.damage.len(), NAMED_MAX);
    assert!(trace.unlisted > 0);
}

#[test]
fn more_tasks_than_any_give_up_their_calls() {
    let tasks = 3 << 16;
    let events = (1..=tasks).flat_map(|task| {
        let at = u64::from(task);
        [(Type::Task, at, task), (Type::Entry, at, 0)]
    });
    let (counts, open) = count(&trace(&[(0, 0, events.collect())]));
    assert_eq!((counts[0], counts[2]), (u64::from(tasks), 0));
    assert!(counts[1] > 0 && open <= 1 << 16, "{open}");
}

/// Where tasks move between cores, what one core has lost may be the end of any call.
#[test]
fn a_loss_of_one_core_is_learnt_by_the_tasks_of_all() {
    let other = |lost| (1, lost, vec![(Type::Task, 20, 8), (Type::Entry, 25, 0)]);
    // The EXIT is of another call than the one that was entered.
    let core = |entry, ticks| -> Frame {
        let events = vec![
            (Type::Task, 1, 7),
            (Type::Entry, entry, 0),
            (Type::Exit, 30, ticks),
        ];
        (0, 0, events)
    };
    let left_out = |entry, ticks, lost| {
        let first = returns(&[core(entry, ticks), other(lost)])[0];
        assert!(!first.entered);
        first.left_out
    };
    assert!(left_out(10, 5, 0));
    assert!(!left_out(10, 5, 3));
    // What comes later is sure again.
    assert!(left_out(27, 2, 3));
}

/// Of few cores and of many the events come in the order of their time.
#[test]
fn events_of_many_cores_come_in_order() {
    for cores in [3_u16, 64, 65, 400] {
        let mut all = Vec::new();
        let frames: Vec<Frame> = (0..cores)
            .map(|core| {
                let step = 1 + u64::from(core) * 7919 % 97;
                let times = (1..50).map(|n| n * step);
                all.extend(times.clone().map(|time| (time, core)));
                (
                    core,
                    0,
                    times.map(|time| (Type::Function, time, 0)).collect(),
                )
            })
            .collect();
        all.sort_unstable();
        let trace = trace(&frames);
        let mut events = trace.play().expect("a file");
        let mut played = Vec::new();
        while let Some(item) = events.next().expect("a file") {
            played.push((item.event.time(), item.core));
            // What is taken of a core out of turn is not played again.
            if played.len() % 10 == 0
                && let Some(next) = events.peek(cores / 2)
            {
                let taken = events.next_of(cores / 2).expect("a file");
                assert_eq!(taken, Some(next));
                played.push((next.event.time(), next.core));
            }
        }
        assert_eq!(events.peek(cores), None);
        played.sort_unstable();
        assert_eq!(played, all, "{cores}");
    }
}

/// With a right CRC, and not what its kind says: named by its offset, and all else is there.
#[test]
fn a_frame_that_does_not_fit_its_kind_is_named() {
    let kinds = [
        (FrameKind::Events, 16 + 2 * 16 + 5),
        (FrameKind::Events, 15),
        (FrameKind::Counts, 39),
        (FrameKind::Tasks, 7),
        (FrameKind::Symbols, 13),
        (FrameKind::Header, 255),
    ];
    let mut bytes = Vec::new();
    let mut out = FrameWriter::new(&mut bytes);
    let mut offset = 24 + 256;
    let mut malformed = Vec::new();
    out.frame(FrameKind::Header, NO_CORE, &[&header(1).to_bytes()])
        .expect("memory");
    for (kind, length) in kinds {
        out.frame(kind, 0, &[&vec![1; length]]).expect("memory");
        malformed.push(offset as u64);
        offset += 24 + length;
    }
    let good = event(Type::Function, 1, callsite(0), 0).to_bytes();
    out.frame(FrameKind::Events, 0, &[&events_head(0, 0), &good])
        .expect("memory");
    let trace = kernel::opened(&bytes);
    assert_eq!((trace.malformed, trace.damage.len()), (malformed, 0));
    assert_eq!(trace.cores[&0].events, 1);
}

/// Of each kind as many as are kept, and one more: that frame is named, and what is known already is known on.
#[test]
fn as_many_names_and_sums_are_kept_as_the_limits_say() {
    let task = |number: u32| [&number.to_le_bytes()[..], &[0, 0]].concat();
    let symbol = |number: u32| [&number.to_le_bytes()[..], &[0; 10]].concat();
    let covered = |number: u32| number.to_le_bytes().to_vec();
    let profiled = |number: u32| {
        let callsite = number;
        let entry = ProfileEntry {
            callsite,
            hits: 1,
            ..ProfileEntry::default()
        };
        entry.to_bytes().to_vec()
    };
    type Entry<'e> = &'e dyn Fn(u32) -> Vec<u8>;
    type Kept = fn(&Trace) -> usize;
    let rows: [(FrameKind, usize, Entry<'_>, Kept); 4] = [
        (FrameKind::Tasks, TASKS_MAX, &task, |trace| {
            trace.tasks.len()
        }),
        (FrameKind::Symbols, SYMBOLS_MAX, &symbol, |trace| {
            trace.symbols.len()
        }),
        (FrameKind::Profile, FUNCTIONS_MAX, &profiled, |trace| {
            trace.added.profile.len()
        }),
        (FrameKind::Coverage, FUNCTIONS_MAX, &covered, |trace| {
            trace.added.coverage.as_ref().map_or(0, |set| set.len())
        }),
    ];
    for (kind, most, entry, kept) in rows {
        let mut bytes = Vec::new();
        let mut out = FrameWriter::new(&mut bytes);
        let mut frame =
            |kind, payload: &[u8]| out.frame(kind, NO_CORE, &[payload]).expect("memory");
        frame(FrameKind::Header, &header(1).to_bytes());
        let all: Vec<u32> = (0..most as u32).collect();
        for part in all.chunks(1 << 14) {
            frame(
                kind,
                &part
                    .iter()
                    .flat_map(|number| entry(*number))
                    .collect::<Vec<_>>(),
            );
        }
        let mut out = FrameWriter::new(&mut bytes);
        // Functions may have several names, all else is told anew.
        if kind != FrameKind::Symbols {
            out.frame(kind, NO_CORE, &[&entry(7)]).expect("memory");
        }
        out.frame(kind, NO_CORE, &[&entry(most as u32)])
            .expect("memory");
        let last = bytes.len() - 24 - entry(0).len();
        let trace = kernel::opened(&bytes);
        assert_eq!(
            (kept(&trace), trace.malformed),
            (most, vec![last as u64]),
            "{kind:?}"
        );
    }
}

/// A line has all names of its path: without a limit, this would be eight million of them.
#[test]
fn the_lines_of_a_deep_recursion_are_bounded_and_lose_no_time() {
    const DEEP: u64 = 4_000;
    let down = (1..=DEEP).map(|time| (Type::Entry, time, 0));
    let up = (1..=DEEP).map(|back| (Type::Exit, DEEP + back, (2 * back - 1) as u32));
    let trace = trace(&[(0, 0, down.chain(up).collect())]);
    let symbols = Symbols::of_trace(&trace);
    let lines = folded::lines(&trace, &symbols, &Filter::default()).expect("a file");
    let names: usize = lines.iter().map(|line| line.matches(';').count() + 1).sum();
    assert!((1 << 21..=1 << 22).contains(&names), "{names} names");
    let value = |line: &String| line.rsplit(' ').next()?.parse::<u64>().ok();
    let sum: u64 = lines.iter().filter_map(value).sum();
    assert_eq!(sum, symbols.nanoseconds(2 * DEEP - 1));
}

#[test]
fn each_pass_over_a_trace_is_heard_of_from_its_beginning_to_its_end() {
    let heard = Rc::new(RefCell::new(Vec::new()));
    let events = (1..=200_000)
        .map(|time| (Type::Function, time, 0))
        .collect();
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(&bytes(&[(0, 0, events)])).expect("room");
    file.rewind().expect("a file");
    let ears = Rc::clone(&heard);
    let hear = move |behind, all| ears.borrow_mut().push((behind, all));
    let trace = Trace::index(file, Box::new(hear)).expect("a trace");
    let passes: [(u64, &dyn Fn()); 2] = [
        (trace.bytes, &|| ()),
        (16 * 200_000, &|| {
            count(&trace);
        }),
    ];
    for (size, pass) in passes {
        pass();
        let steps = heard.take();
        assert!(steps.len() > 3, "{steps:?}");
        assert_eq!(steps.first(), Some(&(0, size)));
        assert_eq!(steps.last(), Some(&(size, size)));
        assert!(steps.is_sorted(), "{steps:?}");
    }
}

/// Frames that only say what was lost behind the last event: nothing is kept of each.
#[test]
fn losses_without_events_add_up_before_the_next_event() {
    let mut bytes = Vec::new();
    let mut out = FrameWriter::new(&mut bytes);
    let mut frame = |kind, core, payload: &[&[u8]]| out.frame(kind, core, payload).expect("memory");
    frame(FrameKind::Header, NO_CORE, &[&header(1).to_bytes()]);
    let one = |time| event(Type::Function, time, callsite(0), 0).to_bytes();
    let frames: [(u64, u64, &[u8]); 5] = [
        (2, 2, &one(5)),
        (8, 5, &[]),
        (11, 3, &[]),
        (12, 1, &one(10)),
        (17, 4, &[]),
    ];
    for (first, lost, events) in frames {
        frame(FrameKind::Events, 0, &[&events_head(first, lost), events]);
    }
    let trace = kernel::opened(&bytes);
    let mut calls = Calls::new(trace.play().expect("a file"));
    let mut losses = Vec::new();
    while let Some(step) = calls.next().expect("a file") {
        if let Step::Missing(_, events, time) = step {
            losses.push((events, time));
        }
    }
    assert_eq!(losses, [(2, 5), (9, 10)]);
    assert_eq!(trace.cores[&0].missing, 15);
}
