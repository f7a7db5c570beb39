//! Points in a core's program that no tracer can be below, and waiting until every core has passed one: the grace period.
//!
//! For kernels that never switch tasks inside a traced call. An interrupt proves nothing, because it may have interrupted a
//! tracer or the trampoline; so each core says itself, in its main loop, that it is at such a point ([`point`]), or waits for
//! interrupts at one ([`idle`]). Cost: a store and a barrier at each point, nothing anywhere else.

use crate::{board, cores, irq};
use aarch64_cpu::asm::barrier;
use core::arch::asm;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

static PROMISED: AtomicBool = AtomicBool::new(false);

/// One core's mark, in a cache line of its own.
#[repr(C, align(64))]
struct Mark {
    /// How many points it has passed.
    points: AtomicU32,
    /// Not zero while it waits for an interrupt, with interrupts masked.
    idle: AtomicU32,
    /// Not zero when another core has interrupted it, perhaps to see a point, since it last began to be idle.
    kicked: AtomicU32,
}

static MARKS: [Mark; board::MAX_CORES] = [const {
    Mark {
        points: AtomicU32::new(0),
        idle: AtomicU32::new(0),
        kicked: AtomicU32::new(0),
    }
}; board::MAX_CORES];

/// The kernel's word that each of its cores, while it is online, passes [`point`] or [`idle`] again and again. Without it
/// [`wait`] can tell nothing once a second core runs.
pub fn promise() {
    PROMISED.store(true, Ordering::Release);
}

/// This core is at a point that no tracer is below. Not from a tracer; from an interrupt handler it counts for nothing.
#[inline(never)]
pub fn point() {
    if !irq::in_handler() {
        MARKS[cores::index()].points.fetch_add(1, Ordering::Release);
        // What was patched before a core that waits looked at the mark is seen by all that this core loads from here on.
        barrier::dmb(barrier::ISH);
        cores::wake_sleepers();
    }
}

/// Another core wants a point.
pub(crate) fn kicked() {
    MARKS[cores::index()].kicked.store(1, Ordering::Relaxed);
}

/// Waits until an interrupt is pending for this core, which then takes it if they are not masked. A point all the while. May
/// return without an interrupt.
pub fn idle() {
    if irq::in_handler() {
        return aarch64_cpu::asm::wfi();
    }
    let mark = &MARKS[cores::index()];
    mark.kicked.store(0, Ordering::Relaxed);
    point();
    let mask = irq::save();
    // Whoever waits for a point sleeps until one comes: the sleep must not begin between its interrupt and the next point.
    if mark.kicked.load(Ordering::Relaxed) != 0 {
        return irq::restore(mask);
    }
    let idle = mark.idle.as_ptr();
    // In one block, so that not even a debug build calls a function, which could be traced, while the mark says idle.
    // SAFETY: two stores to this core's mark; interrupts are masked, and WFI returns when one is pending.
    unsafe {
        asm!(
            "stlr {one:w}, [{idle}]",
            "dsb sy",
            "wfi",
            "str wzr, [{idle}]",
            "dmb ish",
            one = in(reg) 1,
            idle = in(reg) idle,
            options(nostack, preserves_flags)
        )
    };
    irq::restore(mask);
}

/// The grace period of `Platform::synchronize`: true when every other core has passed a point since this was called, or is
/// idle or off. False, at once, in an interrupt handler, or with other cores and no [`promise`].
pub fn wait() -> bool {
    if irq::in_handler() {
        return false;
    }
    let me = cores::index();
    // What was patched is visible before any mark is looked at: see `point`.
    barrier::dmb(barrier::ISH);
    let points = |core: usize| MARKS[core].points.load(Ordering::Acquire);
    let before: [u32; board::MAX_CORES] = core::array::from_fn(points);
    for (core, before) in before.iter().enumerate() {
        if core == me || !cores::is_running(core) {
            continue;
        }
        if !PROMISED.load(Ordering::Acquire) {
            return false;
        }
        let passed = || points(core) != *before || MARKS[core].idle.load(Ordering::Acquire) != 0;
        // It may be about to sleep, between its point and its mark: hence the kick.
        cores::sleep_until(core, !passed(), || {
            // The other core may be waiting for this one.
            point();
            passed()
        });
    }
    true
}
