//! Interrupts, on this core: mask and restore.

use aarch64_cpu::registers::{DAIF, Readable, Writeable};

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
    // SAFETY: vectors are set before any Rust code runs.
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
