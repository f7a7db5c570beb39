//@ cpu: cortex-a53/4/3/single, max/8/3/single
//@ target: softfloat
//@ profile: release
//! Four and eight cores record without a pause, also from interrupts, while the first reads all the
//! rings: what a reader is given is whole, what it is not given is counted, and written is as often as was called.
#![no_std]
#![no_main]

use aarch64_ftrace::Mode;
use aarch64_ftrace::record::{Item, Reader};
use guest::record::{EVENTS, RECORDER, install, sure};
use guest::writers;
use virt::board::MAX_CORES;
use virt::println;

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

/// At least so many.
const ROUNDS: u64 = 60;
const INTERRUPTS: u64 = 100;

/// What a reader was given of one core, in events.
#[derive(Clone, Copy, Default)]
struct Seen {
    whole: u64,
    overwritten: u64,
    unfinished: u64,
}

impl Seen {
    fn read(&mut self, reader: &mut Reader) {
        reader.go_on();
        for item in reader {
            match item {
                Item::Event { event, .. } => {
                    writers::assert_whole(event);
                    self.whole += 1;
                }
                Item::Overwritten(count) => self.overwritten += count,
                Item::Unfinished { .. } => self.unfinished += 1,
            }
        }
    }
}

fn main() {
    guest::init();
    virt::irq::unmask();
    install(Mode::Overwrite, MAX_CORES);
    let mut readers: [Reader; MAX_CORES] = core::array::from_fn(|core| sure(RECORDER.read(core)));
    let mut seen = [Seen::default(); MAX_CORES];
    let cores = writers::start();
    let (mut round, mut calls) = (0, 0);
    while round < ROUNDS || writers::interrupts() < INTERRUPTS {
        // Some rounds find less than a ring, some more.
        round += 1;
        calls += if round % 8 == 0 {
            2 * EVENTS
        } else {
            EVENTS / 4
        };
        writers::wait(1..cores, calls);
        writers::call(0);
        for (seen, reader) in seen.iter_mut().zip(&mut readers) {
            seen.read(reader);
        }
    }
    writers::stop();
    let while_writing: u64 = seen[1..].iter().map(|seen| seen.whole).sum();
    println!("events while cores write: {}", while_writing > ROUNDS);
    let lost: u64 = seen.iter().map(|seen| seen.overwritten).sum();
    println!("some of them overwritten: {}", lost > 0);
    for (core, seen) in seen.iter_mut().enumerate() {
        seen.read(&mut readers[core]);
        let (calls, counts) = (writers::calls(core), sure(RECORDER.counts(core)));
        let all = seen.whole + seen.overwritten + seen.unfinished;
        if counts.written != calls || all != calls || counts.dropped != 0 {
            println!("core {core}: {calls} calls, {all} read or counted, {counts:?}");
        }
    }
}
