//@ cpu: cortex-a53/4/3/single, max/8/3/single
//@ target: softfloat
//@ profile: release
//! Four and eight cores fill rings that stop when they are full, also from interrupts, and go on calling: of each core the first
//! events stay as they were, and what was written and what was dropped are together as many as it called.
#![no_std]
#![no_main]

use aarch64_ftrace::Mode;
use aarch64_ftrace::record::Item;
use guest::record::{EVENTS, RECORDER, install, sure, tally};
use guest::writers;
use virt::board::MAX_CORES;
use virt::println;

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

/// Calls of the first core, whose ring has room for them.
const FEW: u64 = EVENTS - 1;
const INTERRUPTS: u64 = 100;

/// All that a core's ring holds, mixed.
fn mixed(core: usize) -> u64 {
    sure(RECORDER.read(core)).fold(0, |sum: u64, item| match item {
        Item::Event { event, .. } => {
            writers::assert_whole(event);
            sum.rotate_left(5) ^ event.time()
        }
        other => panic!("core {core}: {other:?}"),
    })
}

fn main() {
    guest::init();
    virt::irq::unmask();
    install(Mode::StopWhenFull, MAX_CORES);
    let cores = writers::start();
    (0..FEW).for_each(|_| writers::call(0));
    writers::wait(1..cores, 2 * EVENTS);
    let mut first = [0; MAX_CORES];
    for (core, mixed) in first.iter_mut().enumerate().take(cores) {
        *mixed = self::mixed(core);
    }
    let mut calls = 2 * EVENTS;
    while calls < 8 * EVENTS || writers::interrupts() < INTERRUPTS {
        calls += EVENTS;
        writers::wait(1..cores, calls);
    }
    writers::stop();
    let mut exact = 0;
    for (core, first) in first.into_iter().enumerate().take(cores) {
        let (calls, counts) = (writers::calls(core), sure(RECORDER.counts(core)));
        let wanted = (calls.min(EVENTS), calls.saturating_sub(EVENTS), 0, 0);
        let found = (
            counts.written,
            counts.dropped,
            counts.overwritten,
            counts.refused,
        );
        assert_eq!(found, wanted, "core {core}, {calls} calls");
        assert_eq!(tally(core), (wanted.0, 0), "core {core}");
        assert_eq!(mixed(core), first, "core {core}");
        exact += 1;
    }
    println!(
        "all cores exact: {}",
        exact == cores && [4, 8].contains(&cores)
    );
    println!(
        "of the first none dropped: {}",
        sure(RECORDER.counts(0)).dropped == 0
    );
}
