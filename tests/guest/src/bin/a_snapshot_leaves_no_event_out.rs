//@ cpu: cortex-a53/2/3, neoverse-n1/4/3/single
//@ target: softfloat
//@ profile: release
//! Snapshots one after the other while the other cores record without a pause: every event that can be read is one that was
//! written, each snapshot accounts for all of its own, and all together have as many as there were calls.
#![no_std]
#![no_main]

use aarch64_ftrace::Mode;
use aarch64_ftrace::record::{Item, RecordError};
use guest::record::{EVENTS, RECORDER, install_with, sure};
use guest::writers;
use virt::board::MAX_CORES;
use virt::println;

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

const SNAPSHOTS: u64 = 40;

/// What all snapshots of a core had.
#[derive(Clone, Copy, Default)]
struct Seen {
    written: u64,
    whole: u64,
    unfinished: u64,
    unaccounted: bool,
}

fn take(seen: &mut [Seen]) {
    let snapshot = sure(RECORDER.snapshot());
    for (core, seen) in seen.iter_mut().enumerate() {
        let before = sure(snapshot.counts(core));
        let (mut whole, mut overwritten, mut unfinished) = (0, 0, 0);
        for item in sure(snapshot.read(core)) {
            match item {
                Item::Event { event, .. } => {
                    writers::assert_whole(event);
                    whole += 1;
                }
                Item::Overwritten(count) => overwritten += count,
                Item::Unfinished { .. } => unfinished += 1,
            }
        }
        let after = sure(snapshot.counts(core));
        seen.written += before.written;
        seen.whole += whole;
        seen.unfinished += unfinished;
        // What was not there any more when reading began.
        let gone = before.written - whole - overwritten - unfinished;
        seen.unaccounted |= before.written != after.written
            || !(before.overwritten..=after.overwritten).contains(&gone);
    }
}

fn main() {
    guest::init();
    virt::irq::unmask();
    install_with(Mode::Overwrite, MAX_CORES, true);
    let held = sure(RECORDER.snapshot());
    let second = matches!(RECORDER.snapshot(), Err(RecordError::SnapshotHeld));
    println!("a second one is refused: {second}");
    drop(held);
    let cores = writers::start();
    let mut seen = [Seen::default(); MAX_CORES];
    let seen = &mut seen[..cores];
    for round in 0..SNAPSHOTS {
        // Some find rings that have been filled, some do not.
        writers::wait(1..cores, round * EVENTS / 2);
        take(seen);
        writers::call(0);
    }
    writers::stop();
    let before: u64 = seen.iter().map(|seen| seen.whole).sum();
    println!("events while cores write: {}", before > SNAPSHOTS);
    // What is left, and what late writers left in the other ring.
    (0..2).for_each(|_| take(seen));
    for (core, seen) in seen.iter().enumerate() {
        let calls = writers::calls(core);
        if seen.unaccounted || seen.written != calls || seen.unfinished > SNAPSHOTS {
            println!(
                "core {core}: {calls} calls, {} written, {} unfinished, all accounted for: {}",
                seen.written, seen.unfinished, !seen.unaccounted
            );
        }
    }
    println!("core 0 was called {} times", writers::calls(0));
}
