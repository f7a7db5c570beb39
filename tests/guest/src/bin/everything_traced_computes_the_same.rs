//@ profile: dev, release, release-lto
//@ timeout: 120
//! All functions of the kernel at once: a workload of collections, text and interrupts computes what it does untraced, the
//! tracer's own code is not among them, and every callsite's words are legal.
#![no_std]
#![no_main]

extern crate alloc;

use aarch64_ftrace::insn::Insn;
use aarch64_ftrace::{Filter, Ops, Reason};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;
use core::hint::black_box;
use core::sync::atomic::{AtomicU32, Ordering};
use guest::{FTRACE, raw, take_counts};
use virt::println;

virt::entry!(main);
aarch64_ftrace::reserve_names!(256 * 1024);

static INTERRUPTS: AtomicU32 = AtomicU32::new(0);

fn on_interrupt() {
    INTERRUPTS.fetch_add(1, Ordering::Relaxed);
}

/// The timer runs beside it: interrupts wherever they fall.
static TICKS: AtomicU32 = AtomicU32::new(0);

fn on_tick() {
    TICKS.fetch_add(1, Ordering::Relaxed);
}

static ONE: Ops = Ops::new(guest::count);
static TWO: Ops = Ops::unguarded(guest::count).with_data(1);
static FEW: Ops = Ops::new(guest::count).with_data(2);

fn workload() -> u64 {
    let mut tree = BTreeMap::new();
    for n in 0..black_box(300_u64) {
        tree.insert(n * 7919 % 1009, alloc::format!("{n:>5}/{:#x}", n * n));
    }
    guest::irq::send();
    tree.retain(|key, _| key % 3 != 0);
    let mut texts: VecDeque<String> = tree.values().cloned().collect();
    texts.rotate_left(11);
    let mut sorted: Vec<&String> = texts.iter().collect();
    sorted.sort();
    guest::irq::send();
    sorted
        .iter()
        .flat_map(|text| text.bytes())
        .fold(17, |sum: u64, byte| sum.rotate_left(5) ^ u64::from(byte))
}

fn check(what: &str) {
    let (mut on, mut off, mut wrong) = (0, 0, 0);
    // One and the same for all that are off.
    let mut nop_literal = None;
    let own = raw::ranges().notrace;
    for callsite in FTRACE.callsites() {
        let layout = callsite.layout();
        let branch = raw::insn(layout.branch());
        let legal = raw::insn(layout.mov()) == Insn::MOV_X9_X30 && !own.contains(&layout.literal());
        if legal && branch == Insn::NOP {
            off += 1;
            nop_literal.get_or_insert(raw::literal(layout.literal()));
            wrong += usize::from(nop_literal != Some(raw::literal(layout.literal())));
        } else if legal && branch.branch_target(layout.branch()) == Some(raw::trampoline()) {
            on += 1;
            let ops = raw::literal(layout.literal());
            wrong += usize::from(!ops.is_multiple_of(8) || ops == 0 || nop_literal == Some(ops));
        } else {
            wrong += 1;
        }
    }
    println!(
        "{what}: some on {}, some off {}, wrong {wrong}",
        on > 0,
        off > 0
    );
}

fn main() {
    guest::init();
    virt::irq::handle(guest::irq::SGI, on_interrupt);
    virt::timer::start_periodic(1000, on_tick);
    virt::irq::unmask();
    let untraced = workload();
    check("nothing");
    take_counts::<3>();
    for (what, ops, filter) in [
        ("one guarded", &ONE, Filter::ALL),
        ("and one unguarded", &TWO, Filter::ALL),
        (
            "and one on a few",
            &FEW,
            Filter::new(&["alloc::*", "core::*"]),
        ),
    ] {
        match FTRACE.register(ops, &filter) {
            Ok(applied) => println!("{what}: {}", applied.matched > 10),
            Err(error) => panic!("{what}: {error}"),
        }
        println!("  same result: {}", workload() == untraced);
        check("  words");
    }
    let counts = take_counts::<3>();
    println!(
        "counted: {}, {}, {}",
        counts[0] > 1000,
        counts[1] > 1000,
        counts[2] > 1000
    );
    for ops in [&TWO, &ONE, &FEW] {
        if let Err(error) = FTRACE.unregister(ops) {
            panic!("{error}");
        }
    }
    take_counts::<3>();
    println!(
        "same result: {}, counted {:?}",
        workload() == untraced,
        take_counts::<3>()
    );
    virt::timer::stop();
    println!(
        "interrupts: {} sent, timer {}",
        INTERRUPTS.load(Ordering::Relaxed),
        TICKS.load(Ordering::Relaxed) > 0
    );
    check("nothing");
    let own = |name: alloc::string::String| {
        name.starts_with("aarch64_ftrace::") || name.starts_with("<aarch64_ftrace::")
    };
    let traceable = FTRACE
        .callsites()
        .flat_map(|callsite| callsite.names())
        .filter(|name| own(alloc::format!("{name}")))
        .count();
    let left = FTRACE
        .rejects()
        .filter(|reject| reject.reason == Reason::OwnCode)
        .count();
    println!(
        "own functions traceable: {traceable}, left alone: {}, sets {:?}",
        left > 10,
        FTRACE.sets()
    );
    println!(
        "all touched: {}",
        FTRACE.callsites().all(|callsite| callsite.is_touched())
    );
}
