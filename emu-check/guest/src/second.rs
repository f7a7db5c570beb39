//! The second core: waits for interrupts, or first for something to do, without any context synchronisation event meanwhile.

use aarch64_ftrace::notrace;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::steps::{clean, complete, invalidate, synchronise};
use crate::victim;

/// Whether it has something to do.
pub static BUSY: AtomicBool = AtomicBool::new(false);
static GO: AtomicBool = AtomicBool::new(false);
static WENT: AtomicBool = AtomicBool::new(false);
/// The word that it makes visible in the writer's place; without one it executes the traced function.
static MAINTAIN: AtomicUsize = AtomicUsize::new(0);

/// Where it begins.
pub fn begins(_: usize) {
    if !BUSY.load(Ordering::Acquire) {
        return;
    }
    virt::irq::masked(|| {
        // No `spin_loop`: that is an ISB.
        while !GO.load(Ordering::Acquire) {
            core::hint::black_box(());
        }
        match MAINTAIN.load(Ordering::Relaxed) {
            0 => drop(core::hint::black_box(victim(3))),
            at => maintain(at),
        }
    });
    WENT.store(true, Ordering::Release);
}

notrace! {
    /// It makes the word visible, and has when this returns.
    pub fn maintains(at: usize) {
        MAINTAIN.store(at, Ordering::Relaxed);
        goes();
    }

    /// It does what it has to do, and has when this returns.
    pub fn goes() {
        GO.store(true, Ordering::Release);
        while !WENT.load(Ordering::Acquire) {
            core::hint::spin_loop();
        }
    }

    /// All that a written word needs, by the core that did not write it.
    fn maintain(at: usize) {
        clean(at);
        complete("none");
        invalidate(at);
        complete("none");
        synchronise();
    }
}
