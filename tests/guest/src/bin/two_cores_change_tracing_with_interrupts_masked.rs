//@ cpu: cortex-a53/2/3, max/2/2/single
//@ target: softfloat
//@ profile: release
//@ timeout: 120
//! Two cores change tracing at the same time, both with interrupts masked all the while: neither waits for ever. The one waits
//! for its turn, the other, whose turn it is, until every core has taken a context synchronisation event: `Platform::relax`
//! takes it. Each core's own function is counted exactly; a third is traced by both, so that sets come and go.
#![no_std]
#![no_main]

use aarch64_ftrace::{Applied, CpuArea, Error, Filter, Fregs, Ftrace, Ops};
use core::hint::black_box;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use guest::platform::{Noted, RELAXED};
use guest::{bump, take_counts};
use virt::{cores, irq, println, quiescent};

virt::entry!(main);

static FTRACE: Ftrace = Ftrace::new(&Noted);
static AREAS: [CpuArea; 2] = [const { CpuArea::new() }; 2];
static OPS: [Ops; 2] = [
    Ops::new(tracer).with_data(0),
    Ops::unguarded(tracer).with_data(1),
];
/// In the argument of the shared function.
const SHARED: u64 = 1 << 63;
const ROUNDS: u32 = 100;

static READY: AtomicU32 = AtomicU32::new(0);
static DONE: AtomicBool = AtomicBool::new(false);

#[inline(never)]
fn own<const CORE: u64>(n: u64) -> u64 {
    black_box(n ^ (CORE + 1))
}

#[inline(never)]
fn shared(n: u64) -> u64 {
    black_box(n + 1)
}

aarch64_ftrace::notrace! {
    /// Counts the calls of a core's own function, and apart from them those of the shared one.
    extern "C" fn tracer(_: usize, _: usize, ops: &Ops, fregs: &mut Fregs) {
        let shared = fregs.arg(0).is_some_and(|n| n & SHARED != 0);
        bump(ops.data() + if shared { 2 } else { 0 });
    }
}

fn sure(what: &str, answer: Result<Applied, Error>) {
    if let Err(error) = answer {
        panic!("{what} on core {}: {error}", cores::index());
    }
}

/// Changes with interrupts masked, until both cores have made their rounds.
fn change(me: usize) {
    let function: fn(u64) -> u64 = [own::<0>, own::<1>][me];
    let both = [function as usize, shared as *const () as usize];
    let ops = &OPS[me];
    assert!(!irq::enabled());
    READY.fetch_add(1, Ordering::AcqRel);
    while READY.load(Ordering::Acquire) != 2 {
        cores::pause();
    }
    for round in 0..ROUNDS {
        let n = u64::from(round);
        sure("register", FTRACE.register(ops, &Filter::at(&both)));
        assert_eq!(function(n), n ^ (me as u64 + 1));
        assert_eq!(shared(n | SHARED), (n | SHARED) + 1);
        sure(
            "set_filter",
            FTRACE.set_filter(ops, &Filter::at(&both[..1])),
        );
        assert_eq!(function(n), n ^ (me as u64 + 1));
        sure("unregister", FTRACE.unregister(ops));
        assert_eq!(function(n), n ^ (me as u64 + 1));
        quiescent::point();
    }
}

fn other_core(me: usize) {
    FTRACE.cpu_online(&AREAS[me]);
    change(me);
    DONE.store(true, Ordering::Release);
    // From here on it takes interrupts, and is idle.
}

fn main() {
    FTRACE.cpu_online(&AREAS[0]);
    if let Err(error) = FTRACE.init() {
        panic!("init: {error}");
    }
    quiescent::promise();
    if let Err(error) = virt::start_core(1, other_core) {
        panic!("{error}");
    }
    change(0);
    irq::unmask();
    while !DONE.load(Ordering::Acquire) {
        quiescent::point();
        cores::pause();
    }
    let [own @ .., shared, shared_too] = take_counts::<4>();
    println!(
        "changes {}; calls of each core's own function {own:?}",
        2 * 3 * ROUNDS
    );
    println!(
        "  of the shared one, by each ops: {}",
        shared > 0 && shared_too > 0
    );
    println!(
        "a core waited for its turn: {}",
        RELAXED.load(Ordering::Relaxed) > 0
    );
    println!("sets left: {:?}", FTRACE.sets());
}
