//! A function of eight arguments, and what the function graph must have recorded of its calls.

use crate::record::{RECORDER, name, sure};
use aarch64_ftrace::record::Item;
use aarch64_ftrace::trace::{DATA_ARGUMENT, DATA_RESULT, Data, Event, Type};
use core::hint::black_box;
use virt::println;

/// Argument `i` of call `n`: another one for each, with something in both halves.
pub fn argument(n: u64, i: u64) -> u64 {
    (n + 1).wrapping_mul(0x0123_4567_89ab_cdef) ^ i << 60 ^ i << 3
}

/// Mixes its arguments.
#[inline(never)]
#[allow(clippy::too_many_arguments, reason = "it is about so many")]
pub extern "C" fn eight(a: u64, b: u64, c: u64, d: u64, e: u64, f: u64, g: u64, h: u64) -> u64 {
    black_box(mix([a, b, c, d, e, f, g, h]))
}

fn mix(arguments: [u64; 8]) -> u64 {
    arguments
        .iter()
        .fold(0, |sum: u64, argument| sum.rotate_left(7) ^ argument)
}

fn arguments(n: u64) -> [u64; 8] {
    core::array::from_fn(|i| argument(n, i as u64))
}

/// Call `n`.
///
/// # Panics
/// Where its result is not what it must be.
pub fn call(n: u64) {
    let [a, b, c, d, e, f, g, h] = arguments(n);
    let result = eight(a, b, c, d, e, f, g, h);
    assert_eq!(result, mix(arguments(n)), "call {n}");
}

/// Which call it was, by its first argument.
fn is_of(n: u64, count: usize, found: &[Option<Data>; 8]) -> bool {
    let wanted = arguments(n).map(Some);
    (0..8).all(|i| {
        let expected = wanted[i].filter(|_| i < count).map(|value| Data {
            kind: DATA_ARGUMENT,
            index: i as u8,
            value,
        });
        found[i] == expected
    })
}

/// An event with what belongs to it.
#[derive(Clone, Copy)]
pub struct Whole {
    /// The event.
    pub event: Event,
    /// Its DATA slots, in their order.
    pub data: [Option<Data>; 8],
}

/// The events that are left, oldest first, each with its data, from the first that is not DATA on. Answers how many slots are
/// no events.
pub fn events(mut each: impl FnMut(Whole)) -> usize {
    let mut last: Option<Whole> = None;
    let mut other = 0;
    for item in sure(RECORDER.read(0)) {
        let Item::Event { event, .. } = item else {
            other += 1;
            continue;
        };
        match (event.data(), &mut last) {
            (Some(data), Some(whole)) => {
                let taken = whole.data.iter().flatten().count();
                whole.data[taken.min(7)] = Some(data);
            }
            (Some(_), None) => {}
            (None, _) => {
                last.replace(Whole {
                    event,
                    data: [None; 8],
                })
                .into_iter()
                .for_each(&mut each);
            }
        }
    }
    last.into_iter().for_each(each);
    other
}

/// What [`check`] found.
pub struct Checked {
    /// Calls of which both events are there with all that belongs to them.
    pub whole: usize,
}

/// Looks at all calls that are left in the ring: consecutive ones of [`call`], the last of them with all its slots.
///
/// # Panics
/// Where one is not as it must be.
pub fn check(count: usize, result: bool) -> Checked {
    let (mut whole, mut first) = (0, None);
    let other = events(|Whole { event, data }| match event.kind() {
        Some(Type::Entry) => {
            let n = *first.get_or_insert_with(|| {
                let of = |&n: &u64| is_of(n, count, &data);
                (0..300).find(of).unwrap_or(300)
            });
            // Without arguments all calls look alike.
            assert!(
                count == 0 || is_of(n + whole as u64, count, &data),
                "{data:?}"
            );
        }
        Some(Type::Exit) => {
            assert!(
                data[usize::from(result)..].iter().all(Option::is_none),
                "{data:?}"
            );
            let Some(n) = first else { return };
            let value = data[0].filter(|data| data.kind == DATA_RESULT && data.index == 0);
            let right =
                value.map(|data| data.value) == result.then(|| mix(arguments(n + whole as u64)));
            assert!(right || count == 0, "{data:?}");
            whole += 1;
        }
        other => panic!("{other:?}"),
    });
    assert_eq!(other, 0, "slots without an event");
    Checked { whole }
}

/// Looks at the last call, which was call `n`.
///
/// # Panics
/// Where it is not as it must be.
pub fn check_last(n: u64, count: usize, result: bool) {
    let mut last = [None; 2];
    let _ = events(|whole| last = [last[1], Some(whole)]);
    let [Some(entry), Some(exit)] = last else {
        panic!("call {n} left less than two events")
    };
    let is_entry = entry.event.kind() == Some(Type::Entry);
    assert!(
        is_entry && is_of(n, count, &entry.data),
        "call {n}: {:?}",
        entry.data
    );
    let value = exit.data[0].map(|data| (data.kind, data.index, data.value));
    let wanted = result.then(|| (DATA_RESULT, 0, mix(arguments(n))));
    let is_exit = exit.event.kind() == Some(Type::Exit);
    assert!(
        is_exit && value == wanted && exit.data[1].is_none(),
        "call {n}: {:?}",
        exit.data
    );
    assert_eq!(entry.event.callsite_low(), exit.event.callsite_low());
    assert_eq!(
        exit.event.time() - entry.event.time(),
        u64::from(exit.event.upper())
    );
}

/// Prints the events that are left: whether arguments are those of call 77, and what else small numbers say.
pub fn print() {
    let other = events(|Whole { event, data }| {
        let function = name(event.callsite_low());
        let slots = data.iter().flatten().count();
        let first = data[0].map(|data| data.value);
        let seventy_seven =
            is_of(77, slots, &data) && slots > 0 || first == Some(mix(arguments(77)));
        let kind = event.kind();
        match first {
            Some(_) if seventy_seven => {
                println!("  {kind:?} {function}, {slots} slots, of call 77");
            }
            first => println!("  {kind:?} {function}, {slots} slots, the first {first:?}"),
        }
    });
    println!("  and {other} others");
}
