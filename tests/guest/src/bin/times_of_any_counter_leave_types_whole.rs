//@ cpu: cortex-a53, neoverse-n1
//@ virtualization: yes
//@ profile: release
//@ variant: plain
//! Release builds only: what is looked at is asm, the same in every build. The counter has 64 bits, an event has 56 of them: whatever
//! stands above, each event has its type and its time, also where the 56 bits begin anew in the middle of a call. A call that takes
//! longer than an EXIT can say has its duration modulo 2^32 where it has an ENTRY, and the greatest where it has none.
#![no_std]
#![no_main]

use aarch64_ftrace::record::Item;
use aarch64_ftrace::trace::{Event, TIME_BITS, Type};
use aarch64_ftrace::{Filter, GraphOptions, Mode, Ops, ReturnStack};
use core::hint::black_box;
use core::sync::atomic::{AtomicU64, Ordering};
use guest::record::{RECORDER, install, sure};
use guest::returns::frames;
use guest::{FTRACE, register, unregister};
use virt::println;
use virt::timer::{set_offset, ticks};

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

static STACK: ReturnStack = ReturnStack::new();
static OFFSET: AtomicU64 = AtomicU64::new(0);

const LOW: u64 = (1 << TIME_BITS) - 1;
/// More calls than the ring has room for, so that events stand across its end, too.
const CALLS: u64 = 300;
/// Ticks that no call takes that is not made to.
const MUCH: u64 = 1 << 28;

/// Takes so many ticks, for all that its callers know.
#[inline(never)]
extern "C" fn takes(much: u64) -> u64 {
    let offset = OFFSET.load(Ordering::Relaxed).wrapping_sub(much);
    OFFSET.store(offset, Ordering::Relaxed);
    assert!(set_offset(offset), "entered at EL2");
    black_box(much)
}

/// Makes the counter this one, as near as that goes.
fn set_counter(to: u64) {
    takes(to.wrapping_sub(ticks()));
    assert!(ticks().wrapping_sub(to) < MUCH);
}

fn events() -> impl Iterator<Item = Event> {
    sure(RECORDER.read(0)).map(|item| match item {
        Item::Event { event, .. } => event,
        other => panic!("{other:?}"),
    })
}

/// Calls with each counter, and counts events by type. The last is near the end of the 56 bits.
fn types(what: &str, ops: &'static Ops) {
    for counter in [
        1 << 40,
        1 << 56,
        0xa5 << 56,
        u64::MAX << 57,
        (1 << 56) - 1000,
    ] {
        set_counter(counter);
        register(ops, &Filter::at(&[takes as *const () as usize]));
        let before = ticks();
        sure(RECORDER.reset(0));
        for _ in 0..CALLS {
            assert_eq!(takes(7), 7);
        }
        let passed = ticks().wrapping_sub(before);
        unregister(ops);
        let mut found = [0_usize; 4];
        let mut all = 0;
        for event in events() {
            let code = usize::from(event.code());
            assert!(code < found.len(), "{counter:#x}: {event:?}");
            found[code] += 1;
            all += 1;
            let after = event.time().wrapping_sub(before) & LOW;
            let is_data = event.kind() == Some(Type::Data);
            assert!(is_data || after <= passed, "{counter:#x}: {event:?}");
        }
        assert_eq!(all, 256);
        let [function, entry, exit, data] = found;
        // Of the oldest call something may be gone.
        let is_whole = entry.abs_diff(exit) <= 1;
        println!(
            "{what}, {counter:#x}: function {}, entry {}, exit {}, data {}, pairs: {is_whole}",
            function > 0,
            entry > 0,
            exit > 0,
            data > 0
        );
    }
}

/// What the EXIT of a call says that takes so long, with the counter near the end of the 56 bits, and whether it has an ENTRY.
fn exit(ops: &'static Ops, much: u64) -> (u32, bool) {
    set_counter((1 << 56) - (1 << 20));
    register(ops, &Filter::at(&[takes as *const () as usize]));
    sure(RECORDER.reset(0));
    takes(much);
    unregister(ops);
    let entries = events().filter(|event| event.kind() == Some(Type::Entry));
    let has_entry = entries.count() == 1;
    let mut exits = events().filter(|event| event.kind() == Some(Type::Exit));
    let exit = exits.next().expect("an exit");
    (exit.upper(), has_entry)
}

fn durations(what: &str, ops: &'static Ops) {
    for much in [1_u64 << 30, 3 << 30, (1 << 32) + (1 << 30), 1 << 40] {
        let (upper, has_entry) = exit(ops, much);
        let rest = u64::from(upper).wrapping_sub(much & u64::from(u32::MAX));
        let said = match (upper, rest < MUCH) {
            (u32::MAX, _) => "the greatest",
            (_, true) => "modulo 2^32",
            (_, false) => "something else",
        };
        println!("{what}, {much:#x} ticks: {said}, has an entry: {has_entry}");
    }
}

fn main() {
    guest::init();
    install(Mode::Overwrite, 1);
    assert_eq!(STACK.set_frames(frames(8)), Ok(()));
    // SAFETY: no function has been hijacked yet.
    unsafe { FTRACE.switch_return_stack(&STACK) };
    let all = GraphOptions {
        arguments: 8,
        result: true,
        ..GraphOptions::new()
    };
    types("function", sure(RECORDER.ops()));
    types("graph", sure(RECORDER.graph_ops()));
    types("arguments", sure(RECORDER.graph_ops_with(all)));
    durations("graph", sure(RECORDER.graph_ops()));
    let long = GraphOptions {
        minimum: 1 << 29,
        ..GraphOptions::new()
    };
    durations("long calls", sure(RECORDER.graph_ops_with(long)));
}
