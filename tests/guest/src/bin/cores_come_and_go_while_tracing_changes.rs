//@ cpu: cortex-a72/4/3, max/8/2/single
//@ target: softfloat
//@ profile: dev, release
//@ args: 3000
//@ long-args: 100000
//@ emu-check-args: 150 once
//@ timeout: 120
//! Cores start, call traced functions, and switch themselves off, again and again, while another changes tracing: patching
//! does not wait for cores that are off, and a core that comes back sees the text as it is then. A core that has been started is
//! waited for from then on, long before it executes anything.
#![no_std]
#![no_main]

use aarch64_ftrace::{Filter, Ops};
use core::sync::atomic::{AtomicU32, Ordering};
use guest::smp::{self, Random, Writer};
use guest::{FTRACE, register, unregister};
use virt::board::MAX_CORES;
use virt::{cores, println, quiescent, timer};

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

/// How often each core was up.
static LIVES: [AtomicU32; MAX_CORES] = [const { AtomicU32::new(0) }; MAX_CORES];

/// A few bursts, then off.
fn live(me: usize) {
    smp::arrive();
    let life = LIVES[me].fetch_add(1, Ordering::Relaxed);
    let mut random = Random::new(u64::from(life) << 8 | me as u64);
    for _ in 0..random.below(6) {
        smp::burst(&mut random);
        quiescent::point();
    }
    if FTRACE.cpu_offline().is_ok() {
        cores::stop();
    }
}

/// How often a core is started to be waited for.
const STARTS: u32 = 8;
static OPS: Ops = Ops::new(guest::count);
static HELD: AtomicU32 = AtomicU32::new(0);
/// Cores that have begun, each for its time.
static BEGUN: AtomicU32 = AtomicU32::new(0);

/// Takes its time, on a core that is starting: a fiftieth of a second, for others to go wrong in.
fn dawdle() {
    let end = timer::ticks() + timer::frequency() / 50;
    while timer::ticks() < end {
        cores::pause();
    }
}

/// Stays until it is let go. It has passed no point when it says that it has begun.
fn held(_: usize) {
    BEGUN.fetch_add(1, Ordering::Release);
    while HELD.load(Ordering::Acquire) != 0 {
        quiescent::point();
        cores::answer();
        cores::pause();
    }
    cores::stop();
}

/// Starts core 1, and calls `waits` at once; `over` is asked behind that, and the core is off when this returns.
fn starting(waits: fn(), over: fn() -> bool) -> bool {
    HELD.store(1, Ordering::Release);
    BEGUN.store(0, Ordering::Release);
    if let Err(error) = virt::start_core(1, held) {
        panic!("{error}");
    }
    waits();
    let over = over();
    let_go();
    over
}

fn let_go() {
    HELD.store(0, Ordering::Release);
    while BEGUN.load(Ordering::Acquire) == 0 || cores::online() != 1 {
        cores::pause();
    }
}

/// Both that wait for other cores: a change, and the grace period. Nobody may wait for a core that is off: this would have no end.
fn changes_wait_for_a_core_that_is_starting() {
    let change = || {
        register(&OPS, &Filter::at(&[held as *const () as usize]));
        unregister(&OPS);
    };
    let grace = || assert!(FTRACE.synchronize());
    let has_arrived = || cores::online() & 0b10 != 0;
    let has_begun = || BEGUN.load(Ordering::Acquire) != 0;
    let mut waited = [0; 2];
    cores::before_arrival(Some(dawdle));
    for _ in 0..STARTS {
        change();
        grace();
        waited[0] += u32::from(starting(change, has_arrived));
        waited[1] += u32::from(starting(grace, has_begun));
    }
    cores::before_arrival(None);
    // Where there is no such core, it is on its way until the firmware has answered.
    BEGUN.store(0, Ordering::Release);
    match virt::start_core(MAX_CORES - 1, held) {
        Ok(()) => let_go(),
        Err(_) => {
            change();
            grace();
        }
    }
    println!(
        "a change waits for a core that is starting, and so does the grace period: {}",
        waited == [STARTS; 2]
    );
}

fn main() {
    guest::init();
    smp::arrive();
    quiescent::promise();
    changes_wait_for_a_core_that_is_starting();
    let (changes, again) = smp::asked();
    let mut writer = Writer::new(again);
    let mut random = Random::new(0);
    let mut planned = true;
    while writer.changes < changes {
        // Those that are up, on their way, or not there, refuse.
        let _ = virt::start_core(1 + random.below(MAX_CORES as u64 - 1) as usize, live);
        writer.step();
        planned &= writer.text_is_as_planned();
    }
    writer.end();
    while cores::online() != 1 {
        assert!(FTRACE.synchronize());
        core::hint::spin_loop();
    }
    let lives = LIVES.each_ref().map(|lives| lives.load(Ordering::Relaxed));
    println!(
        "three cores or more were up more than ten times: {}",
        lives.iter().filter(|&&lives| lives > 10).count() >= 3
    );
    println!("text as planned after each change: {planned}");
    smp::report(100);
}
