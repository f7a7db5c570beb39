//! A software interrupt to the own core, at a known point of the program: interrupts without timing.

use core::arch::asm;

/// The software-generated interrupt that guests use.
pub const SGI: u32 = 1;

aarch64_ftrace::notrace! {
    /// Sends [`SGI`] to core 0, which must be the one that runs this. It is taken before this returns where it is not masked.
    pub fn send() {
        virt::gic::sgi_core0(SGI);
        wait();
    }

    /// Gives an interrupt the time to arrive: an unmasked one arrives long before this ends.
    pub fn wait() {
        for _ in 0..10_000 {
            // SAFETY: an instruction without effect.
            unsafe { asm!("isb", options(nostack)) };
        }
    }
}
