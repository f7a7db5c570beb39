//@ cpu: cortex-a53, cortex-a72, neoverse-n1, max
//! The function tracer: one event a call with callsite and caller, alone on a callsite and beside other tracers; the oldest
//! are overwritten and counted; switched off, calls are counted and leave nothing. The atomic add is the core's: of FEAT_LSE where the
//! core has it, an exclusive pair elsewhere.
#![no_std]
#![no_main]

use aarch64_ftrace::record::{RecordError, Sizes};
use aarch64_ftrace::{Filter, GraphOptions, Mode, Ops};
use core::hint::black_box;
use guest::record::{EVENTS, RECORDER, RING_BYTES, counts, events, install, sure, tally};
use guest::{count, raw, register, take_counts, unregister};
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
        task_names: 0,
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

/// Whether the code at an entry adds by one instruction of FEAT_LSE (LDADD, STADD) or by an exclusive pair, up to its first return.
fn adds(entry: usize) -> (bool, bool) {
    let code = (entry..).step_by(4).map(|at| raw::insn(at).0);
    let code = code.take_while(|word| word & 0xffff_fc1f != 0xd65f_0000);
    code.fold((false, false), |(one, pair), word| {
        (
            one | (word & 0xff20_fc00 == 0xf820_0000),
            pair | (word & 0xffff_fc00 == 0xc85f_7c00),
        )
    })
}

/// What a callsite's literal leads to, and its branch: all that there is between a call and the recorder.
fn way(function: usize) -> [u64; 3] {
    let literal = raw::literal(function - 8);
    let entry = raw::literal(literal as usize);
    [literal, entry, raw::insn(function + 4).0.into()]
}

/// Each entry has the add of this core's model, from the literal on.
fn adds_as_the_core_can(function: usize) {
    let midr: u64;
    // SAFETY: reading an identification register has no effect.
    unsafe { core::arch::asm!("mrs {}, midr_el1", out(reg) midr, options(nomem, nostack)) };
    // Arm's numbers of the parts: Cortex-A53, Cortex-A72 (their TRMs, "MIDR_EL1").
    let has_lse = ![0xd03, 0xd08].contains(&(midr >> 4 & 0xfff));
    let graph = [
        sure(RECORDER.graph_ops()),
        sure(RECORDER.graph_ops_with(GraphOptions::new())),
    ];
    let entries = graph.map(|ops| raw::literal(&raw const *ops as usize));
    for entry in [way(function)[1], entries[0], entries[1]] {
        assert_eq!(adds(entry as usize), (has_lse, !has_lse), "{entry:#x}");
    }
    println!("one add where the core has it, a pair where it has not");
}

fn main() {
    guest::init();
    refused();
    install(Mode::Overwrite, 1);
    let ops = sure(RECORDER.ops());
    let both = [outer as *const () as usize, inner as *const () as usize];
    register(ops, &Filter::at(&both));
    adds_as_the_core_can(both[0]);
    println!("result {}", outer(3) + outer(4));
    events(0);
    counts("two calls of two functions", 0);

    register(&BESIDE, &Filter::at(&both[1..]));
    sure(RECORDER.reset(0));
    println!("beside another tracer: result {}", outer(5));
    events(0);
    println!("  the other was called {} times", take_counts::<1>()[0]);
    unregister(&BESIDE);

    let on = both.map(way);
    sure(RECORDER.switch(false));
    println!("off: result {}", outer(6));
    counts("off", 0);
    // A call that is not recorded goes the same way, through the same instructions.
    assert_eq!(both.map(way), on);
    sure(RECORDER.switch(true));
    assert_eq!(both.map(way), on);

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
