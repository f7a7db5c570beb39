//@ cpu: cortex-a53/2/3, max/2/2/single
//@ target: softfloat
//@ profile: release
//! When `unregister_boxed` has given the box back nobody runs its tracer, or walks a set that had it: what is freed is filled
//! with poison at once and never used again. First with a tracer that is held inside until `unregister` waits for it, in each
//! round; then with both cores as fast as they can.
#![no_std]
#![no_main]

extern crate alloc;

use aarch64_ftrace::{CpuArea, Filter, Fregs, Ftrace, Ops, Registered, TracerFn};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::arch::asm;
use core::hint::black_box;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use guest::platform::{Noted, WAITING};
use guest::raw;
use guest::smp::Random;
use virt::{cores, heap, irq, println, quiescent};

virt::entry!(main);

static FTRACE: Ftrace = Ftrace::new(&Noted);
static AREAS: [CpuArea; 2] = [const { CpuArea::new() }; 2];

/// Rounds with a tracer that is held inside, and without.
const HELD_ROUNDS: u32 = 200;
const FREE_ROUNDS: u32 = 1500;
/// What every ops has as its data while it lives.
const ALIVE: usize = 0x600d;
/// Turns of a tracer that is held, from the moment on when `unregister` waits. It ends at once where the ops is freed.
const HELD: u32 = 500;

/// Whether a tracer was entered in this round, and in how many rounds its ops has been freed.
static INSIDE: AtomicBool = AtomicBool::new(false);
static FREED: AtomicU32 = AtomicU32::new(0);
static STOP: AtomicBool = AtomicBool::new(false);

/// Tracers that were inside while unregister waited.
static OVERLAPS: AtomicU32 = AtomicU32::new(0);
/// Tracers inside of which the ops was freed, or no longer held what it holds while it lives.
static OUTLIVED: AtomicU32 = AtomicU32::new(0);
static POISONED: AtomicU32 = AtomicU32::new(0);
static CALLED: AtomicU32 = AtomicU32::new(0);
static WRONG: AtomicU32 = AtomicU32::new(0);

#[inline(never)]
fn subject(n: u64) -> u64 {
    black_box(n + 1)
}

fn look(ops: &Ops) {
    // Read anew each time: what the compiler may take for constant is what is in doubt.
    if black_box(ops).data() != ALIVE {
        POISONED.fetch_add(1, SeqCst);
    }
}

extern "C" fn hold(_: usize, _: usize, ops: &Ops, _: &mut Fregs) {
    look(ops);
    let before = FREED.load(SeqCst);
    let freed = || FREED.load(SeqCst) != before;
    INSIDE.store(true, SeqCst);
    // Masked from the look on, so that the interrupt that wakes is not taken before the sleep.
    let sleeps = || {
        irq::masked(|| {
            let over = WAITING.load(SeqCst) || freed();
            if !over {
                // SAFETY: returns when an interrupt is pending.
                unsafe { asm!("wfi", options(nostack, preserves_flags)) };
            }
            !over
        })
    };
    while sleeps() {}
    OVERLAPS.fetch_add(u32::from(!freed()), SeqCst);
    let outlived = (0..HELD).any(|_| {
        cores::pause();
        freed()
    });
    OUTLIVED.fetch_add(u32::from(outlived), SeqCst);
    look(ops);
}

extern "C" fn pass(_: usize, _: usize, ops: &Ops, _: &mut Fregs) {
    look(ops);
    CALLED.fetch_add(1, SeqCst);
    look(ops);
}

fn other_core(_: usize) {
    FTRACE.cpu_online(&AREAS[1]);
    irq::unmask();
    let mut random = Random::new(1);
    while !STOP.load(SeqCst) {
        for _ in 0..=random.below(24) {
            let n = random.below(1 << 30);
            WRONG.fetch_add(u32::from(subject(n) != n + 1), SeqCst);
        }
        // Mostly it sleeps, until a change interrupts it: the other core has the emulator for itself then.
        if random.below(4) == 0 {
            quiescent::point();
        } else {
            quiescent::idle();
        }
    }
}

/// Until the other core, which is woken, has come to something.
fn until(done: impl Fn() -> bool) {
    while !done() {
        cores::synchronize();
    }
}

fn add(guarded: bool, tracer: TracerFn) -> Registered {
    let ops = if guarded {
        Ops::new(tracer)
    } else {
        Ops::unguarded(tracer)
    };
    let at = subject as *const () as usize;
    let ops = Box::new(ops.with_data(ALIVE));
    let registered = match FTRACE.register_boxed(ops, &Filter::at(&[at])) {
        Ok((registered, _)) => registered,
        Err(error) => panic!("register_boxed: {error}"),
    };
    // QEMU may lose a patched word: guest::smp::Writer says why. Stored again it does not.
    let branch = at + size_of::<u32>();
    raw::overwrite_insn(branch, raw::insn(branch));
    registered
}

/// Takes the ops away and frees it.
fn free(ops: Registered, freed: &mut Vec<*const u8>) {
    freed.push(core::ptr::from_ref::<Ops>(&ops).cast());
    match FTRACE.unregister_boxed(ops) {
        Ok((Some(ops), _)) => drop(ops),
        Ok((None, _)) => panic!("the platform knows a grace period"),
        Err(error) => panic!("unregister_boxed: {error}"),
    }
}

fn held_round(round: u32, freed: &mut Vec<*const u8>) {
    // Alone and in a set, unguarded and guarded, and mixed.
    let [shared, guarded, other_guarded] = [1, 2, 4].map(|bit| round & bit != 0);
    INSIDE.store(false, SeqCst);
    // The other first: where there is one, the tracer that is held is called from a set.
    let other = shared.then(|| add(other_guarded, pass));
    let held = add(guarded, hold);
    until(|| INSIDE.load(SeqCst));
    free(held, freed);
    FREED.fetch_add(1, SeqCst);
    cores::synchronize();
    if let Some(other) = other {
        free(other, freed);
    }
}

fn free_round(round: u32, freed: &mut Vec<*const u8>) {
    let mut all = Vec::new();
    for ops in 0..1 + round % 3 {
        all.push(add((round >> (2 + ops)) & 1 != 0, pass));
    }
    let called = CALLED.load(SeqCst);
    until(|| CALLED.load(SeqCst) != called);
    while !all.is_empty() {
        free(all.swap_remove(round as usize % all.len()), freed);
    }
}

fn main() {
    FTRACE.cpu_online(&AREAS[0]);
    if let Err(error) = FTRACE.init() {
        panic!("init: {error}");
    }
    irq::unmask();
    quiescent::promise();
    if let Err(error) = virt::start_core(1, other_core) {
        panic!("{error}");
    }
    let mut freed = Vec::with_capacity((3 * FREE_ROUNDS + 2 * HELD_ROUNDS) as usize);
    heap::quarantine();
    for round in 0..HELD_ROUNDS {
        held_round(round, &mut freed);
    }
    println!(
        "rounds {HELD_ROUNDS}, a tracer was inside while unregister waited in {}",
        OVERLAPS.load(SeqCst)
    );
    for round in 0..FREE_ROUNDS {
        free_round(round, &mut freed);
    }
    STOP.store(true, SeqCst);
    cores::synchronize();
    println!(
        "tracers that outlived their ops {}, that saw poison {}; wrong results {}",
        OUTLIVED.load(SeqCst),
        POISONED.load(SeqCst),
        WRONG.load(SeqCst)
    );
    let poisoned = |at: &&*const u8| {
        // SAFETY: quarantined: nobody uses this memory any more, and it is never handed out again.
        let bytes = unsafe { core::slice::from_raw_parts(**at, size_of::<Ops>()) };
        bytes.iter().all(|&byte| byte == heap::POISON)
    };
    println!(
        "ops freed {}, all poison since: {}",
        freed.len(),
        freed.iter().filter(poisoned).count() == freed.len()
    );
    println!("sets left: {:?}", FTRACE.sets());
}
