//! Interrupts: mask and restore on this core, and the handlers that the vectors dispatch to.

use crate::{board, cores, fiq, gic};
use aarch64_cpu::registers::{DAIF, Readable, Writeable};
use core::sync::atomic::{AtomicU32, Ordering};
use spin::Mutex;

/// Interrupt numbers below this can have a handler: SGIs, PPIs and the first SPIs of the GIC.
pub const COUNT: usize = 128;

/// What [`save`] found: the interrupt mask to go back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "interrupts stay masked until it is given to `restore`"]
pub struct Mask(u64);

/// Masks interrupts on this core and returns what was before.
#[inline]
pub fn save() -> Mask {
    let before = Mask(DAIF.get());
    // A DAIFSet is one instruction and keeps D, A and F as they are.
    // SAFETY: masking interrupts is allowed at any time.
    unsafe { core::arch::asm!("msr daifset, #2", options(nostack)) };
    before
}

/// Goes back to the mask that [`save`] found.
#[inline]
pub fn restore(before: Mask) {
    DAIF.set(before.0);
}

/// Lets interrupts in.
pub fn unmask() {
    // SAFETY: vectors are set before any kernel code runs.
    unsafe { core::arch::asm!("msr daifclr, #2", options(nostack)) };
}

/// Runs `work` with interrupts masked.
#[inline]
pub fn masked<R>(work: impl FnOnce() -> R) -> R {
    let before = save();
    let result = work();
    restore(before);
    result
}

/// Whether this core takes interrupts now.
pub fn enabled() -> bool {
    !DAIF.is_set(DAIF::I)
}

/// What is pending for this core, masked or not: ISR_EL1, with IRQ, FIQ and SError where DAIF has their masks.
pub fn pending() -> u64 {
    let pending: u64;
    // SAFETY: a read of a status register. Not `nomem`: what makes something pending stays before it.
    unsafe {
        core::arch::asm!("mrs {}, isr_el1", out(reg) pending, options(nostack, preserves_flags))
    };
    pending
}

/// What an interrupt calls.
type Handler = Mutex<Option<fn()>>;

static HANDLERS: [Handler; COUNT] = [const { Mutex::new(None) }; COUNT];
static ON_EXIT: Mutex<Option<fn()>> = Mutex::new(None);

/// Sets the handler of interrupt `number` and enables it: on this core for SGIs and PPIs (below 32), on the boot core for others.
/// Handlers run with interrupts masked.
///
/// # Panics
///
/// When `number` is not below [`COUNT`].
pub fn handle(number: u32, handler: fn()) {
    masked(|| *HANDLERS[number as usize].lock() = Some(handler));
    gic::enable(number);
}

/// As [`handle`], for an SGI or PPI (below 32) of this core, which is then taken as an FIQ instead of an IRQ.
/// Handlers run with interrupts masked, IRQ and FIQ.
///
/// # Panics
///
/// When `number` is not below 32.
pub fn handle_as_fiq(number: u32, handler: fn()) {
    masked(|| *HANDLERS[number as usize].lock() = Some(handler));
    gic::enable(number);
    fiq::enable(number);
}

/// Sets what runs after each interrupt, when the GIC is done with it and before the interrupted code goes on: the place
/// where a scheduler switches tasks.
pub fn set_exit_hook(hook: fn()) {
    masked(|| *ON_EXIT.lock() = Some(hook));
}

/// How many handlers each core is in.
static DEPTH: [AtomicU32; board::MAX_CORES] = [const { AtomicU32::new(0) }; board::MAX_CORES];

/// Whether this core is in an interrupt's handler.
pub fn in_handler() -> bool {
    DEPTH[cores::index()].load(Ordering::Relaxed) != 0
}

/// Calls the handler of interrupt `number`, if it has one.
fn call(number: u32) {
    // The lock is free again before the handler runs: handlers may nest and may set handlers.
    let handler = HANDLERS
        .get(number as usize)
        .and_then(|handler| *handler.lock());
    if let Some(handler) = handler {
        handler();
    }
}

/// Takes the pending FIQs to their handlers; the FIQ vector calls it.
pub(crate) fn dispatch_fiq() {
    let depth = &DEPTH[cores::index()];
    depth.fetch_add(1, Ordering::Relaxed);
    while let Some(claim) = fiq::claim() {
        call(claim.number());
        fiq::complete(claim);
    }
    depth.fetch_sub(1, Ordering::Relaxed);
}

/// Takes the pending interrupts to their handlers; the IRQ vector calls it.
pub(crate) fn dispatch() {
    let depth = &DEPTH[cores::index()];
    depth.fetch_add(1, Ordering::Relaxed);
    while let Some(claim) = gic::claim() {
        call(claim.number());
        gic::complete(claim);
    }
    depth.fetch_sub(1, Ordering::Relaxed);
    let hook = *ON_EXIT.lock();
    if let Some(hook) = hook {
        hook();
    }
}
