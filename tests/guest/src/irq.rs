//! A software interrupt to the own core, at a known point of the program: interrupts without timing.

use core::arch::asm;

/// The software-generated interrupt that guests use.
pub const SGI: u32 = 1;

/// GICD_SGIR of a GICv2 (Arm IHI 0048, "GICD_SGIR"): bits 25:24 = 2 is "only the requesting core".
const GICD_SGIR: usize = virt::board::GICD_BASE + 0xf00;
const SGIR_SELF: u32 = 0b10 << 24;

/// ICC_SGI1R_EL1 (Arm IHI 0069, "ICC_SGI1R_EL1"): INTID from bit 24 on, the target list in bits 15:0.
const SGI1R_INTID_SHIFT: u32 = 24;

aarch64_ftrace::notrace! {
    /// Sends [`SGI`] to core 0, which must be the one that runs this. It is taken before this returns where it is not masked.
    pub fn send() {
        if virt::gic::version() == 2 {
            // SAFETY: a write-only register in the device window; the write does nothing but raise the interrupt.
            unsafe { (GICD_SGIR as *mut u32).write_volatile(SGIR_SELF | SGI) };
        } else {
            let value = u64::from(SGI) << SGI1R_INTID_SHIFT | 1;
            // SAFETY: as above, the register is ICC_SGI1R_EL1.
            unsafe { asm!("msr S3_0_C12_C11_5, {}", "isb", in(reg) value, options(nostack)) };
        }
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
