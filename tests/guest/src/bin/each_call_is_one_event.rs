//@ cpu: cortex-a53, neoverse-n1
//! The function tracer: one event a call with callsite and caller, alone on a callsite and beside other tracers; the oldest
//! are overwritten and counted; switched off, calls are counted and leave nothing.
#![no_std]
#![no_main]

use aarch64_ftrace::record::{RecordError, Sizes};
use aarch64_ftrace::{Filter, Mode, Ops};
use core::hint::black_box;
use guest::record::{EVENTS, RECORDER, RING_BYTES, counts, events, install, sure, tally};
use guest::{count, register, take_counts, unregister};
use virt::println;

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

static BESIDE: Ops = Ops::unguarded(count);

#[inline(never)]
fn outer(n: u64) -> u64 {
    black_box(inner(n) + 1)
}

#[inline(never)]
fn inner(n: u64) -> u64 {
    black_box(n * 2)
}

fn refused() {
    println!("before install: {:?}", RECORDER.ops().err());
    static SMALL: aarch64_ftrace::record::RecordMemory<8192> =
        aarch64_ftrace::record::RecordMemory::new();
    let wrong = |cores, ring_bytes| Sizes {
        cores,
        ring_bytes,
        mode: Mode::Overwrite,
        spare: false,
    };
    for sizes in [wrong(0, RING_BYTES), wrong(1, 4097), wrong(1, 2048)] {
        println!("  sizes that cannot be: {:?}", sizes.bytes());
    }
    if let Some(memory) = SMALL.take() {
        println!(
            "too small: {:?}",
            RECORDER.install(memory, wrong(2, RING_BYTES)).err()
        );
    }
    println!("handed out twice: {}", SMALL.take().is_some());
    println!("still without memory: {:?}", RECORDER.ops().err());
}

fn main() {
    guest::init();
    refused();
    install(Mode::Overwrite, 1);
    let ops = sure(RECORDER.ops());
    let both = [outer as *const () as usize, inner as *const () as usize];
    register(ops, &Filter::at(&both));
    println!("result {}", outer(3) + outer(4));
    events(0);
    counts("two calls of two functions", 0);

    register(&BESIDE, &Filter::at(&both[1..]));
    sure(RECORDER.reset(0));
    println!("beside another tracer: result {}", outer(5));
    events(0);
    println!("  the other was called {} times", take_counts::<1>()[0]);
    unregister(&BESIDE);

    sure(RECORDER.switch(false));
    println!("off: result {}", outer(6));
    counts("off", 0);
    sure(RECORDER.switch(true));

    sure(RECORDER.reset(0));
    (0..EVENTS).for_each(|n| {
        outer(n);
    });
    counts("twice what fits", 0);
    let (whole, other) = tally(0);
    println!("  {whole} can be read, {other} cannot");
    for _ in 0..16 {
        (0..EVENTS / 2).for_each(|n| {
            outer(n);
        });
    }
    counts("sixteen laps more", 0);
    let (whole, other) = tally(0);
    println!("  {whole} can be read, {other} cannot");

    unregister(ops);
    sure(RECORDER.reset(0));
    println!("taken away: result {}", outer(7));
    counts("taken away", 0);
    let none = matches!(
        RECORDER.read(9),
        Err(RecordError::NoSuchCore { core: 9, cores: 1 })
    );
    println!("no core 9: {none}");
}
