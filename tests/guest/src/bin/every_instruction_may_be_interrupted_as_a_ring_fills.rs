//@ cpu: cortex-a53, neoverse-n1, max
//@ profile: release
//@ virtualization: yes
//@ icount: yes
//! As `every_instruction_may_be_interrupted`, for the recorder's entries that stop when the ring is full: while there is room, and when
//! there is none.
#![no_std]
#![no_main]

use aarch64_ftrace::record::Sizes;
use aarch64_ftrace::{ARGUMENTS_MAX, GraphOptions, Mode, ReturnStack};
use guest::record::{EVENTS, RECORDER, begin_at, install_sizes, is_intact, sure};
use guest::returns::frames;
use guest::step::ledger;
use guest::step::nest::{self, Case};
use guest::{FTRACE, probe};
use virt::println;

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

static STACK: ReturnStack = ReturnStack::new();

/// Room for all the events of one pass.
const RING_BYTES: u64 = 16384;
const RING_EVENTS: u64 = RING_BYTES / 16;

/// All that a graph can record of a call.
const WHOLE: GraphOptions = GraphOptions {
    arguments: ARGUMENTS_MAX,
    result: true,
    ..GraphOptions::new()
};

fn empty() {
    sure(RECORDER.reset(0));
}

fn fill() {
    empty();
    for _ in 0..RING_EVENTS {
        probe::call();
    }
}

fn written() -> u64 {
    sure(RECORDER.counts(0)).written
}

fn dropped() -> u64 {
    sure(RECORDER.counts(0)).dropped
}

fn main() {
    guest::init();
    install_sizes(Sizes {
        cores: 1,
        ring_bytes: RING_BYTES,
        mode: Mode::StopWhenFull,
        spare: false,
        task_names: 0,
    });
    assert_eq!(STACK.set_frames(frames(16)), Ok(()));
    // SAFETY: no function has been hijacked yet.
    unsafe { FTRACE.switch_return_stack(&STACK) };
    nest::install();
    let (record, graph) = (sure(RECORDER.ops()), sure(RECORDER.graph_ops()));
    let more = sure(RECORDER.graph_ops_with(WHOLE));
    let with = |prepare, hijacked, case| Case {
        prepare,
        hijacked,
        intact: || is_intact::<8>(0),
        ..case
    };
    let room = |name, each, hijacked| with(empty, hijacked, Case::builtin(name, written, each));
    let full = |name, each, hijacked| with(fill, hijacked, Case::builtin(name, dropped, each));
    nest::with(&[record], &room("record, room", 1, false));
    nest::with(&[record], &full("record, full", 1, false));
    nest::with(&[graph], &room("graph, room", 2, true));
    nest::with(&[graph], &full("graph, full", 2, true));
    // One slot behind the other; whoever interrupts leaves it so. Then all of them dropped.
    let again = || begin_at(0, RING_EVENTS / EVENTS);
    let whole = Case {
        hijacked: true,
        prepare: again,
        after_each: again,
        ..Case::builtin("graph with arguments, room", || 0, 0)
    };
    nest::with(&[more], &whole);
    let each = 2 + u64::from(WHOLE.arguments) + u64::from(WHOLE.result);
    let name = "graph with arguments, full";
    let all_dropped = with(fill, true, Case::builtin(name, dropped, each));
    nest::with(
        &[more],
        &Case {
            intact: || true,
            ..all_dropped
        },
    );
    // EXITs alone; the probe's calls are long.
    let of_long = GraphOptions {
        result: true,
        minimum: 1,
        ..GraphOptions::new()
    };
    let more = sure(RECORDER.graph_ops_with(of_long));
    let exits = |case| Case {
        intact: || true,
        ..case
    };
    nest::with(&[more], &exits(room("graph of long calls, room", 2, true)));
    nest::with(&[more], &exits(full("graph of long calls, full", 2, true)));
    nest::with(&[graph], &Case::no_room("graph, no room"));
    nest::with(&[more], &Case::no_room("graph with arguments, no room"));
    nest::with(&[record], &Case::offline("record, not online", written));
    nest::with(&[graph], &Case::offline("graph, not online", written));
    let name = "graph with arguments, not online";
    nest::with(&[more], &Case::offline(name, written));
    println!("open: {}", STACK.depth());
    ledger::report(Mode::StopWhenFull);
}
