//! The cores that call the traced function without a pause.

use crate::{CORES, FTRACE, RECORDER, sure};
use aarch64_ftrace::{Counts, CpuArea};
use core::hint::{black_box, spin_loop};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use virt::timer;

/// Calls between two looks at what the reader wants.
const BURST: u64 = 100;

static AREAS: [CpuArea; CORES] = [const { CpuArea::new() }; CORES];
static GO: AtomicBool = AtomicBool::new(false);
static STOP: AtomicBool = AtomicBool::new(false);
static READY: AtomicU32 = AtomicU32::new(0);
static WRITERS: [Writer; CORES] = [const { Writer::new() }; CORES];

/// What one core has done, and what it is asked for.
struct Writer {
    calls: AtomicU64,
    /// Of recordings that are over.
    written: AtomicU64,
    dropped: AtomicU64,
    /// The reader has read all of a full ring.
    drained: AtomicBool,
}

impl Writer {
    const fn new() -> Self {
        Self {
            calls: AtomicU64::new(0),
            written: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            drained: AtomicBool::new(false),
        }
    }

    /// Begins a new recording, as only the core itself may; interrupts are masked.
    fn make_room(&self, core: usize) {
        let counts = sure(RECORDER.counts(core));
        self.written.fetch_add(counts.written, Ordering::Relaxed);
        self.dropped.fetch_add(counts.dropped, Ordering::Relaxed);
        sure(RECORDER.reset(core));
        self.drained.store(false, Ordering::Release);
    }
}

#[inline(never)]
pub extern "C" fn tracee() {}

/// Starts a core; returns when it waits for [`go`].
pub fn start(core: usize) {
    let ready = READY.load(Ordering::Acquire);
    if let Err(error) = virt::start_core(core, run) {
        panic!("{error}");
    }
    while READY.load(Ordering::Acquire) == ready {
        spin_loop();
    }
}

fn run(core: usize) {
    FTRACE.cpu_online(&AREAS[core]);
    RECORDER.cpu_online();
    let writer = &WRITERS[core];
    READY.fetch_add(1, Ordering::AcqRel);
    while !GO.load(Ordering::Acquire) {
        spin_loop();
    }
    let function: extern "C" fn() = black_box(tracee);
    let mut calls = 0;
    while !STOP.load(Ordering::Acquire) {
        if writer.drained.load(Ordering::Acquire) {
            writer.make_room(core);
        }
        (0..BURST).for_each(|_| function());
        calls += BURST;
    }
    writer.calls.store(calls, Ordering::Relaxed);
    READY.fetch_sub(1, Ordering::AcqRel);
}

/// Lets them begin; the time at which they do.
pub fn go() -> u64 {
    let start = timer::ticks();
    GO.store(true, Ordering::Release);
    start
}

/// Lets them end, and waits for it.
pub fn stop() {
    STOP.store(true, Ordering::Release);
    while READY.load(Ordering::Acquire) > 0 {
        spin_loop();
    }
}

/// Asks the core for room in its ring.
pub fn drained(core: usize) {
    WRITERS[core].drained.store(true, Ordering::Release);
}

/// Whether it has not yet made the room that it was asked for.
pub fn is_drained(core: usize) -> bool {
    WRITERS[core].drained.load(Ordering::Acquire)
}

/// Calls that the core has made, when it has ended.
pub fn calls(core: usize) -> u64 {
    WRITERS[core].calls.load(Ordering::Relaxed)
}

/// Of all its recordings, when it has ended.
pub fn counts(core: usize) -> Counts {
    let last = sure(RECORDER.counts(core));
    let before = &WRITERS[core];
    Counts {
        written: last.written + before.written.load(Ordering::Relaxed),
        dropped: last.dropped + before.dropped.load(Ordering::Relaxed),
        ..last
    }
}
