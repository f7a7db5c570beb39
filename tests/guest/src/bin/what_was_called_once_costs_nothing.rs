//@ cpu: cortex-a53, max
//@ variant: plain, bti
//@ smp: 2
//! Coverage: the first call of a function marks it, alone on its callsite and beside other tracers; settled, the callsite is
//! as if it had never been traced, whoever calls it meanwhile; those that were not called stay.
#![no_std]
#![no_main]

extern crate alloc;

use aarch64_ftrace::{Applied, CounterLine, Cover, Error, Filter, Ops};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::hint::black_box;
use core::sync::atomic::{AtomicU32, Ordering};
use guest::{FTRACE, callsite, count, irq, probe, register, say, take_counts, unregister};
use virt::println;

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

static COVER: Cover = Cover::new();
static BESIDE: Ops = Ops::unguarded(count);
/// What the other core does: 0 nothing yet, 1 calls, 2 has called, 3 is to end, 4 has ended.
static STEP: AtomicU32 = AtomicU32::new(0);

#[inline(never)]
fn first(n: u64) -> u64 {
    black_box(n + 1)
}

#[inline(never)]
fn second(n: u64) -> u64 {
    black_box(n + 2)
}

#[inline(never)]
fn interrupted(n: u64) -> u64 {
    irq::send();
    black_box(n + 3)
}

#[inline(never)]
fn in_handler(n: u64) -> u64 {
    black_box(n + 4)
}

#[inline(never)]
fn never(n: u64) -> u64 {
    black_box(n + 5)
}

#[inline(never)]
fn elsewhere(n: u64) -> u64 {
    black_box(n + 6)
}

fn handler() {
    assert_eq!(in_handler(1), 5);
}

fn other_core(_: usize) {
    // Whoever patches waits for this core.
    virt::irq::unmask();
    while STEP.load(Ordering::Acquire) == 0 {
        core::hint::spin_loop();
    }
    let mut n = 0;
    while STEP.load(Ordering::Acquire) < 3 {
        assert_eq!(elsewhere(black_box(n)), n + 6);
        n += 1;
        if n == 1000 {
            STEP.store(2, Ordering::Release);
        }
    }
    STEP.store(4, Ordering::Release);
    loop {
        core::hint::spin_loop();
    }
}

fn functions() -> [(&'static str, usize); 7] {
    [
        ("first", first as *const () as usize),
        ("second", second as *const () as usize),
        ("interrupted", interrupted as *const () as usize),
        ("in_handler", in_handler as *const () as usize),
        ("never", never as *const () as usize),
        ("elsewhere", elsewhere as *const () as usize),
        ("probe", probe::entry()),
    ]
}

/// The set, and which callsites still call something.
fn show(what: &str) {
    let all = functions().map(|(name, at)| (name, callsite(at as *const ())));
    let names = |takes: &dyn Fn(&aarch64_ftrace::Callsite) -> bool| {
        let taken = all.iter().filter(|(_, callsite)| takes(callsite));
        taken.map(|(name, _)| *name).collect::<Vec<_>>()
    };
    let hit = names(&|callsite| COVER.is_hit(callsite));
    let on = names(&|callsite| callsite.is_enabled());
    let counted = FTRACE.covered(&COVER).count();
    println!("{what}: {counted} covered: {hit:?}, on: {on:?}");
}

fn refused(what: &str, answer: Result<(), Error>) {
    match answer {
        Err(Error::CounterMemory { lines: 0 }) => println!("{what}: refused, none"),
        Err(Error::CounterMemory { .. }) => println!("{what}: refused, too few or again"),
        other => println!("{what}: {other:?}"),
    }
}

fn lines(count: usize) -> &'static mut [CounterLine] {
    let mut lines = Vec::new();
    lines.resize_with(count, CounterLine::new);
    lines.leak()
}

fn workload() -> u64 {
    let mut tree = BTreeMap::new();
    for n in 0..black_box(100_u64) {
        tree.insert(n * 7919 % 1009, alloc::format!("{n:>5}/{:#x}", n * n));
    }
    irq::send();
    tree.values()
        .flat_map(|text| text.bytes())
        .fold(17, |sum: u64, byte| sum.rotate_left(5) ^ u64::from(byte))
}

fn settle() -> Applied {
    match FTRACE.settle(&COVER) {
        Ok(applied) => applied,
        Err(error) => panic!("settle: {error}"),
    }
}

/// Everything there is, while it runs.
fn everything() {
    let untraced = workload();
    COVER.clear();
    if let Err(error) = FTRACE.set_filter(&COVER, &Filter::ALL) {
        panic!("set_filter: {error}");
    }
    let all = COVER.callsites();
    let marked = workload();
    let mut out = 0;
    // What settling itself calls is hit, too, and what the other core calls after it has answered a round, with nobody waiting for
    // it: then once more.
    let covered = loop {
        out += settle().disabled;
        let covered = FTRACE.covered(&COVER).count();
        if covered == out {
            break covered;
        }
    };
    println!(
        "everything: same result {}, some are covered {}, as many are out {}, the others on {}",
        untraced == marked && marked == workload(),
        covered > 20 && covered < all,
        covered == out,
        all - out == COVER.callsites()
            && all - out
                == FTRACE
                    .callsites()
                    .filter(|callsite| callsite.is_enabled())
                    .count()
    );
    let legal = FTRACE.audit(|finding| println!("{finding}"));
    println!("  illegal: {:?}", legal.map(|audit| audit.illegal));
}

fn main() {
    refused("before init", FTRACE.place_cover(&COVER, lines(1)));
    guest::init();
    virt::irq::handle(irq::SGI, handler);
    virt::irq::unmask();
    let at = functions().map(|(_, at)| at);
    refused(
        "no memory",
        FTRACE.register(&COVER, &Filter::at(&at)).map(|_| ()),
    );
    let count = FTRACE.cover_lines();
    println!(
        "eight callsites share a line: {}",
        (FTRACE.profile_lines(1) / 8).abs_diff(count) <= 1
    );
    refused("too little", FTRACE.place_cover(&COVER, lines(count - 1)));
    refused("cover", FTRACE.place_cover(&COVER, lines(count)));
    refused("again", FTRACE.place_cover(&COVER, lines(count)));
    say("not registered", FTRACE.settle(&COVER));
    if let Err(error) = virt::cores::start_core(1, other_core) {
        panic!("{error}");
    }

    register(&COVER, &Filter::at(&at));
    show("nothing called");
    say("settled", FTRACE.settle(&COVER));
    println!("result {} {}", first(1), first(2));
    probe::run("first call");
    probe::run("second call");
    show("two called");
    say("settled", FTRACE.settle(&COVER));
    show("two called");
    probe::run("settled");
    println!("result {} {}", first(3), interrupted(4));
    show("with an interrupt");
    say("settled", FTRACE.settle(&COVER));
    say("again", FTRACE.settle(&COVER));

    STEP.store(1, Ordering::Release);
    while STEP.load(Ordering::Acquire) < 2 {
        core::hint::spin_loop();
    }
    say("while another core calls", FTRACE.settle(&COVER));
    show("on another core");
    STEP.store(3, Ordering::Release);
    while STEP.load(Ordering::Acquire) < 4 {
        core::hint::spin_loop();
    }

    register(&BESIDE, &Filter::at(&[at[1], at[4]]));
    println!("result {}", second(5));
    show("beside another tracer");
    say("settled", FTRACE.settle(&COVER));
    println!("result {}", second(6));
    println!("  which was called {} times", take_counts::<1>()[0]);
    unregister(&BESIDE);
    show("without it");

    COVER.clear();
    show("cleared");
    println!("result {}", first(7));
    show("not armed again");
    say("armed", FTRACE.set_filter(&COVER, &Filter::at(&at)));
    println!("result {}", first(8));
    show("armed again");
    everything();
    unregister(&COVER);
    println!("result {}", never(1));
    COVER.clear();
    println!("result {}", never(2));
    show("taken away");
}
