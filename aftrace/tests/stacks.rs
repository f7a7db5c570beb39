//! Stack traces of triggers, as the golden file has them, in the text that people read.
//!
//! `FTRACE_GOLDEN=write cargo test -p aftrace --test stacks` writes the golden files anew.

mod kernel;

use aarch64_ftrace::trace::{DATA_RETURN_ADDRESS, Data, Event, Type};
use aftrace::trace::filter::Filter;
use kernel::{TEXT, callsite, entry, event, file, replayed, same};

/// Behind the last function that has a name.
const NOWHERE: u64 = TEXT + 0x9000;

/// What a trigger leaves: itself, then the stack with these return addresses.
fn stack(time: u64, function: usize, addresses: &[u64]) -> Vec<Event> {
    let count = addresses.len() as u32;
    let data = |(&value, index)| {
        let kind = DATA_RETURN_ADDRESS;
        Data { kind, index, value }.event(0, 12)
    };
    [
        event(Type::Trigger, time, callsite(function), 5),
        event(Type::Stack, time + 1, callsite(function), count),
    ]
    .into_iter()
    .chain(addresses.iter().zip(0..).map(data))
    .collect()
}

/// A stack inside calls of the graph; one that ends in no function; one with fewer addresses than it says; and on the other core
/// calls at the same times, which do not come between.
fn events() -> [Vec<Event>; 2] {
    let parent = (entry(5) + 40) as u32;
    let mut first = vec![event(Type::Entry, 20_000, callsite(4), parent)];
    first.extend(stack(
        20_100,
        1,
        &[entry(4) + 24, entry(5) + 40, entry(0) + 0x100],
    ));
    first.push(event(Type::Exit, 20_500, callsite(4), 500));
    first.extend(stack(20_600, 2, &[NOWHERE, entry(3) + 8]));
    first.extend(stack(20_700, 2, &[]));
    let mut short = stack(20_800, 0, &[entry(1) + 60, entry(2) + 60]);
    short.pop();
    first.extend(short);
    let second = (0..8)
        .map(|n| event(Type::Function, 20_050 + 100 * n, callsite(3), parent))
        .collect();
    [first, second]
}

#[test]
fn stack_traces_are_written_and_read_as_ever() {
    let bytes = file(&events(), 3);
    same("stacks.aft", &bytes);
    let out = replayed(&bytes, &Filter::default());
    same("stacks.replay.txt", out.as_bytes());
}

#[test]
fn a_stack_stands_where_its_time_and_its_core_are_wanted() {
    let bytes = file(&events(), 3);
    let shown = |filter: &Filter| {
        let text = replayed(&bytes, filter);
        let count = |what: &str| text.lines().filter(|line| line.contains(what)).count();
        [count("trigger"), count("/* stack at"), count("/*   0x")]
    };
    let all = Filter::default;
    assert_eq!(shown(&all()), [4, 4, 6]);
    let time = 20_600..=20_700;
    assert_eq!(shown(&Filter { time, ..all() }), [2, 1, 2]);
    let cores = |core| Some(vec![core]);
    assert_eq!(
        shown(&Filter {
            cores: cores(0),
            ..all()
        }),
        [4, 4, 6]
    );
    assert_eq!(
        shown(&Filter {
            cores: cores(1),
            ..all()
        }),
        [0, 0, 0]
    );
}
