//! Arguments and results: DATA behind ENTRY and EXIT, as the golden file has them, in the texts that people read.
//!
//! `FTRACE_GOLDEN=write cargo test -p aftrace --test arguments` writes the golden files anew.

mod kernel;

use aarch64_ftrace::trace::{DATA_ARGUMENT, DATA_RESULT, Data, Event, Type};
use aftrace::trace::calls::{Calls, Step};
use aftrace::trace::filter::Filter;
use aftrace::trace::symbols::Symbols;
use aftrace::trace::text;
use kernel::{TEXT, callsite, entry, event, file, opened, replayed, same};

fn data(kind: u16, index: u8, value: u64) -> Event {
    Data { kind, index, value }.event(0, 12)
}

fn argument(index: u8, value: u64) -> Event {
    data(DATA_ARGUMENT, index, value)
}

fn result(value: u64) -> Event {
    data(DATA_RESULT, 0, value)
}

/// An ENTRY with its arguments.
fn enter(time: u64, function: usize, arguments: &[u64]) -> Vec<Event> {
    let parent = (entry(5) + 40) as u32;
    let first = event(Type::Entry, time, callsite(function), parent);
    let rest = arguments
        .iter()
        .zip(0..)
        .map(|(value, i)| argument(i, *value));
    std::iter::once(first).chain(rest).collect()
}

/// An EXIT, with its result where there is one.
fn leave(time: u64, function: usize, ticks: u32, value: Option<u64>) -> Vec<Event> {
    let first = event(Type::Exit, time, callsite(function), ticks);
    std::iter::once(first).chain(value.map(result)).collect()
}

/// Two cores; on the first, calls inside each other, an error, eight arguments, one without anything; on the second, calls whose
/// times lie between those of the first core's DATA if that were taken for times.
fn events() -> [Vec<Event>; 2] {
    let eight = [0, 1, 2, 3, 4, 0xffff_ffff_ffff_fff0, TEXT + 0x500, 7];
    let first = [
        enter(20_000, 4, &[TEXT + 0x9000, 2]),
        enter(20_100, 1, &[3, u64::MAX]),
        leave(20_200, 1, 100, Some(u64::from(-9_i32 as u32))),
        enter(20_300, 5, &eight),
        enter(20_350, 2, &[]),
        leave(20_360, 2, 10, None),
        leave(20_400, 5, 100, Some(0)),
        leave(20_500, 4, 500, Some(-22_i64 as u64)),
    ];
    let second = [
        enter(20_010, 0, &[1 << 56]),
        leave(20_450, 0, 440, Some(1 << 63)),
    ];
    [first.concat(), second.concat()]
}

#[test]
fn arguments_and_results_are_written_and_read_as_ever() {
    let bytes = file(&events(), 5);
    same("arguments.aft", &bytes);
    let trace = opened(&bytes);
    let symbols = Symbols::of_trace(&trace);
    let out = replayed(&bytes, &Filter::default());
    same("arguments.replay.txt", out.as_bytes());
    let mut out = Vec::new();
    text::function_graph(&trace, &symbols, &Filter::default(), &mut out).unwrap();
    same("arguments.graph.txt", &out);
    let mut out = Vec::new();
    let omitted = text::function(&trace, &symbols, &Filter::default(), &mut out).unwrap();
    same("arguments.function.txt", &out);
    assert_eq!(omitted.values, 4, "results");
}

fn steps(events: &[Event], missing: usize) -> Vec<Step> {
    let trace = opened(&file(&[events.to_vec()], missing));
    let mut calls = Calls::new(trace.play().unwrap());
    std::iter::from_fn(|| calls.next().unwrap()).collect()
}

/// What is written over, from the front: never is an argument taken for another call's or for another one.
#[test]
fn what_is_lost_of_a_call_is_not_made_up() {
    let [all, _] = events();
    for cut in 0..all.len() {
        let (mut calls, mut strays) = (0, 0);
        for step in steps(&all[cut..], all.len()) {
            match step {
                Step::Enter(call) => {
                    calls += 1;
                    let whole = all.iter().position(|event| {
                        event.time() == call.time && event.kind() == Some(Type::Entry)
                    });
                    let at = whole.expect("an entry of the trace") + 1;
                    let wanted: Vec<u64> = all[at..]
                        .iter()
                        .map_while(|event| event.data().map(|data| data.value))
                        .collect();
                    assert_eq!(call.arguments.as_slice(), wanted, "cut {cut}");
                }
                Step::Leave(leave) => assert_eq!(
                    leave.result.is_some(),
                    leave.call.callsite != callsite(2) as u32,
                    "cut {cut}"
                ),
                Step::Other(_) => strays += 1,
                _ => {}
            }
        }
        let expected = all[cut..].iter().take_while(|event| event.data().is_some());
        assert_eq!(strays, expected.count(), "cut {cut}");
        assert_eq!(
            calls,
            all[cut..]
                .iter()
                .filter(|event| event.kind() == Some(Type::Entry))
                .count()
        );
    }
}

/// More than there can be, in another order, of another kind: what does not fit stays an event of its own.
#[test]
fn what_does_not_follow_in_order_is_no_argument() {
    let mut events = enter(100, 0, &[1, 2, 3, 4, 5, 6, 7, 8]);
    events.extend([argument(8, 9), argument(0, 1)]);
    events.extend(enter(200, 1, &[]));
    events.extend([argument(1, 5), data(DATA_RESULT, 0, 6)]);
    events.extend(leave(300, 1, 100, None));
    events.extend([data(DATA_RESULT, 1, 7), argument(0, 8)]);
    let steps = steps(&events, 100);
    let counts: Vec<usize> = steps
        .iter()
        .filter_map(|step| match step {
            Step::Enter(call) => Some(call.arguments.as_slice().len()),
            _ => None,
        })
        .collect();
    assert_eq!(counts, [8, 0]);
    let strays = steps.iter().filter(|step| matches!(step, Step::Other(_)));
    assert_eq!(strays.count(), 6);
    let results = steps
        .iter()
        .filter(|step| matches!(step, Step::Leave(leave) if leave.result.is_some()));
    assert_eq!(results.count(), 0);
}
