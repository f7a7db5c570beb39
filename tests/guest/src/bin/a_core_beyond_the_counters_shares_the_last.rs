//@ cpu: cortex-a53, max
//@ smp: 2
//! Counters for fewer cores than there are: refused where such a core is online already; a core that comes online later
//! counts with the last one, and no call is lost between the two.
#![no_std]
#![no_main]

use aarch64_ftrace::{Count, CpuArea, Filter};
use core::hint::black_box;
use core::sync::atomic::{AtomicU32, Ordering};
use guest::returns::lines;
use guest::{FTRACE, callsite, register, unregister};
use virt::println;

virt::entry!(main);

static EARLY: Count = Count::new();
static LATE: Count = Count::new();
static OTHER_AREA: CpuArea = CpuArea::new();
static STEP: AtomicU32 = AtomicU32::new(0);
const CALLS: u64 = 10_000;

#[inline(never)]
fn subject(n: u64) -> u64 {
    black_box(n + 1)
}

fn call() {
    for n in 0..CALLS {
        assert_eq!(subject(black_box(n)), n + 1);
    }
}

fn other_core(_: usize) {
    FTRACE.cpu_online(&OTHER_AREA);
    STEP.store(1, Ordering::Release);
    // Whoever patches waits for this core.
    virt::irq::unmask();
    while STEP.load(Ordering::Acquire) < 2 {
        core::hint::spin_loop();
    }
    call();
    STEP.store(3, Ordering::Release);
    loop {
        core::hint::spin_loop();
    }
}

fn main() {
    guest::init();
    println!(
        "for one core: {:?}",
        FTRACE.place_count(&EARLY, lines(FTRACE.count_lines(1)), 1)
    );
    if let Err(error) = virt::cores::start_core(1, other_core) {
        panic!("{error}");
    }
    while STEP.load(Ordering::Acquire) < 1 {
        core::hint::spin_loop();
    }
    let refused = FTRACE
        .place_count(&LATE, lines(FTRACE.count_lines(1)), 1)
        .is_err();
    println!("again, with two online: refused {refused}");
    register(&EARLY, &Filter::at(&[subject as *const () as usize]));
    STEP.store(2, Ordering::Release);
    call();
    while STEP.load(Ordering::Acquire) < 3 {
        core::hint::spin_loop();
    }
    let callsite = callsite(subject as *const ());
    println!(
        "hits: {:?}, {:?}",
        EARLY.hits(&callsite, 0),
        EARLY.hits(&callsite, 1)
    );
    unregister(&EARLY);
}
