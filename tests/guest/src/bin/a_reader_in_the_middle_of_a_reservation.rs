//@ cpu: cortex-a53, neoverse-n1
//@ target: softfloat
//@ profile: release
//! At each instruction of a call that is recorded, an exception reads the ring, records a call of its own, and reads again: between
//! the reservation of a slot and its store there is one unfinished event, which is finished afterwards; before and after there is
//! none. The same with so many calls in the exception that the ring is filled by them: it is unfinished until it has been
//! overwritten, and when its writer stores at last it costs one newer event, which is unfinished then.
#![no_std]
#![no_main]

use aarch64_ftrace::record::Item;
use aarch64_ftrace::{Filter, Mode};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use guest::record::{EVENTS, RECORDER, install, sure};
use guest::step::{self, nest};
use guest::{callsite, probe, register};
use virt::println;

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

/// Calls at each stop.
static CALLS: AtomicU64 = AtomicU64::new(1);
static STOPS: AtomicU64 = AtomicU64::new(0);
/// Stops with so many unfinished events.
static WITH: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];
/// How often that number has changed.
static CHANGES: AtomicU64 = AtomicU64::new(0);
static BEFORE: AtomicU64 = AtomicU64::new(0);

/// How many events cannot be read; the others are calls of the probe, in order of time.
fn unfinished() -> u64 {
    let site = callsite(probe::entry() as *const ()).layout().branch() as u64 + 4;
    let mut missing = 0;
    for item in sure(RECORDER.read(0)) {
        match item {
            Item::Event { event, .. } => {
                let found = sure(RECORDER.header()).text_address(event.callsite_low());
                assert_eq!(found & !7, site & !7);
            }
            Item::Unfinished { .. } => missing += 1,
            Item::Overwritten(_) => panic!("nobody writes while this reads"),
        }
    }
    missing
}

fn at_stop(_: &virt::trap::TrapFrame) {
    let missing = unfinished();
    let before = BEFORE.swap(missing, Relaxed);
    CHANGES.fetch_add(u64::from(before != missing), Relaxed);
    WITH[missing as usize].fetch_add(1, Relaxed);
    STOPS.fetch_add(1, Relaxed);
    for _ in 0..CALLS.load(Relaxed) {
        probe::call();
    }
    // More than a ring of calls has gone over the slot.
    let left = if CALLS.load(Relaxed) > 1 { 0 } else { missing };
    assert_eq!(unfinished(), left);
}

fn pass(calls: u64) {
    for count in [&STOPS, &WITH[0], &WITH[1], &CHANGES, &BEFORE] {
        count.store(0, Relaxed);
    }
    CALLS.store(calls, Relaxed);
    sure(RECORDER.reset(0));
    let window = || {
        probe::call_stepped();
    };
    step::run(window, at_stop);
    let (stops, counts) = (STOPS.load(Relaxed), sure(RECORDER.counts(0)));
    let ends = CHANGES.load(Relaxed) / 2;
    println!(
        "{calls} calls at each stop: all written {}, unfinished {ends} times, longer than a stop {}, in the end {}",
        counts.written == stops * calls + 1,
        WITH[1].load(Relaxed) > ends,
        unfinished()
    );
}

fn main() {
    guest::init();
    install(Mode::Overwrite, 1);
    nest::install();
    register(sure(RECORDER.ops()), &Filter::at(&[probe::entry()]));
    pass(1);
    pass(EVENTS + 1);
}
