//@ cpu: cortex-a53, neoverse-n1
//! Stop when full: the first events stay, the others are counted as dropped, the functions run on; after a reset there is
//! room again.
#![no_std]
#![no_main]

use aarch64_ftrace::record::Item;
use aarch64_ftrace::{Filter, Mode, Ops};
use core::hint::black_box;
use guest::record::{EVENTS, RECORDER, counts, install, name, sure, tally};
use guest::{count, register, take_counts};
use virt::println;

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

static BESIDE: Ops = Ops::unguarded(count);

#[inline(never)]
fn first(n: u64) -> u64 {
    black_box(n + 1)
}

#[inline(never)]
fn second(n: u64) -> u64 {
    black_box(n * 2)
}

fn oldest() -> impl core::fmt::Display {
    match sure(RECORDER.read(0)).next() {
        Some(Item::Event { event, .. }) => name(event.callsite_low()),
        other => panic!("the first is {other:?}"),
    }
}

fn main() {
    guest::init();
    install(Mode::StopWhenFull, 1);
    let (one, two) = (first as *const () as usize, second as *const () as usize);
    register(sure(RECORDER.ops()), &Filter::at(&[one, two]));
    for round in 0..2 {
        first(0);
        let sum: u64 = (0..EVENTS + 100).map(second).sum();
        println!("round {round}: result {sum}");
        counts("  more than fits", 0);
        println!("  the oldest is {}; {:?} can be read", oldest(), tally(0));
        sure(RECORDER.reset(0));
    }
    // From a set, the same limit holds.
    register(&BESIDE, &Filter::at(&[two]));
    let sum: u64 = (0..EVENTS + 7).map(second).sum();
    println!(
        "from a set: result {sum}, the other tracer {:?}",
        take_counts::<1>()
    );
    counts("  more than fits", 0);
    println!("  the oldest is {}; {:?} can be read", oldest(), tally(0));
}
