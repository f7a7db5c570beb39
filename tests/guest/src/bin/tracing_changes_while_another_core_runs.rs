//@ smp: 2
//! One core runs traced functions without a pause while the other changes tracing hundreds of times: functions that stay in
//! the filter are counted on every call, results stay right, and the second core's own area guards it.
#![no_std]
#![no_main]

use aarch64_ftrace::{CpuArea, Filter, Ops};
use core::hint::black_box;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use guest::{FTRACE, count, register, take_counts, unregister};
use virt::println;

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

static SECOND_AREA: CpuArea = CpuArea::new();
static STOP: AtomicBool = AtomicBool::new(false);
static DONE: AtomicBool = AtomicBool::new(false);
static CALLS: AtomicU32 = AtomicU32::new(0);
static WRONG: AtomicU32 = AtomicU32::new(0);

#[inline(never)]
fn one(n: u64) -> u64 {
    black_box(n + 1)
}

#[inline(never)]
fn two(n: u64) -> u64 {
    black_box(n ^ 0x55)
}

/// The second core: calls until it is told to stop, and counts its own calls.
fn busy(_: usize) {
    FTRACE.cpu_online(&SECOND_AREA);
    virt::irq::unmask();
    let mut n = 0;
    while !STOP.load(Ordering::Acquire) {
        let right = one(n) == n + 1 && two(n) == n ^ 0x55;
        WRONG.fetch_add(u32::from(!right), Ordering::Relaxed);
        CALLS.fetch_add(1, Ordering::Release);
        n += 1;
    }
    DONE.store(true, Ordering::Release);
}

static ALWAYS: Ops = Ops::new(count);
static ALWAYS_TOO: Ops = Ops::unguarded(count).with_data(1);
static SOMETIMES: Ops = Ops::new(count).with_data(2);
static SOMETIMES_TOO: Ops = Ops::unguarded(count).with_data(3);

/// Lets the other core run for a while between two changes.
fn wait() {
    let before = CALLS.load(Ordering::Acquire);
    while CALLS.load(Ordering::Acquire).wrapping_sub(before) < 2 {
        core::hint::spin_loop();
    }
}

fn main() {
    guest::init();
    virt::irq::unmask();
    let both = [one as *const () as usize, two as *const () as usize];
    register(&ALWAYS, &Filter::at(&both[..1]));
    register(&ALWAYS_TOO, &Filter::at(&both));
    if let Err(error) = virt::start_core(1, busy) {
        panic!("{error}");
    }
    wait();
    for round in 0..300 {
        register(&SOMETIMES, &Filter::at(&both[round % 2..]));
        wait();
        register(&SOMETIMES_TOO, &Filter::at(&both));
        let moved = FTRACE.set_filter(&ALWAYS, &Filter::at(&both[..1 + round % 2]));
        assert!(moved.is_ok(), "{moved:?}");
        wait();
        unregister(&SOMETIMES);
        wait();
        unregister(&SOMETIMES_TOO);
        if round % 50 == 0 {
            // Everything but what the two cores print and wait with.
            register(&SOMETIMES, &Filter::ALL);
            wait();
            unregister(&SOMETIMES);
        }
    }
    let alone = FTRACE.set_filter(&ALWAYS, &Filter::at(&both[..1]));
    assert!(alone.is_ok(), "{alone:?}");
    STOP.store(true, Ordering::Release);
    while !DONE.load(Ordering::Acquire) {
        core::hint::spin_loop();
    }
    let calls = CALLS.load(Ordering::Acquire);
    let [always, always_too, sometimes, sometimes_too] = take_counts();
    println!("called more than 1800 times: {}", calls > 1800);
    println!("wrong results: {}", WRONG.load(Ordering::Relaxed));
    println!(
        "one and two, counted on every call: {}",
        always_too == 2 * calls
    );
    println!(
        "one, counted on every call while two came and went: {}",
        always >= calls && always <= 2 * calls
    );
    println!(
        "the others were called: {}, {}",
        sometimes > 0,
        sometimes_too > 0
    );
    unregister(&ALWAYS);
    unregister(&ALWAYS_TOO);
    println!(
        "left on: {}",
        FTRACE.callsites().filter(|c| c.is_enabled()).count()
    );
}
