//! FIQs: interrupts of the GIC's group 0. Without EL3 there is one security state, and group 0 arrives at EL1 as FIQ.
//!
//! Arm IHI 0069 (GICv3), "Interrupt grouping"; Arm IHI 0048 (GICv2), "GICC_CTLR, CPU Interface Control Register".

use crate::gic::{self, Claim};
use core::arch::asm;
use tock_registers::interfaces::{Readable, Writeable};

/// Above that of all other interrupts, so that a GICv2, which has one acknowledge register, hands it out first.
const PRIORITY: u32 = 0x80;
/// GICC_CTLR: both groups, group 1 acknowledged through the same register, group 0 as FIQ.
const GICC_BOTH_GROUPS: u32 = 0b11;
const GICC_ACK_CTL: u32 = 1 << 2;
const GICC_FIQ_EN: u32 = 1 << 3;
/// ICC_SGI0R_EL1.INTID.
const SGI_ID_SHIFT: u32 = 24;

/// Moves interrupt `number` of this core to group 0; on a GICv2 all others go to group 1, because they are in group 0 by reset.
pub(crate) fn enable(number: u32) {
    assert!(
        number < 32,
        "interrupt {number} is no SGI or PPI: only those can be FIQs here"
    );
    let (byte, shift) = ((number / 4) as usize, number % 4 * 8);
    let prioritise = |word: u32| word & !(0xff << shift) | PRIORITY << shift;
    if gic::version() == 3 {
        let sgi = gic::redistributor().1;
        sgi.group[0].set(sgi.group[0].get() & !(1 << number));
        sgi.priority[byte].set(prioritise(sgi.priority[byte].get()));
        // SAFETY: ICC_IGRPEN0_EL1, on a machine that has it.
        unsafe { asm!("msr S3_0_C12_C12_6, {}", "isb", in(reg) 1_u64, options(nostack)) };
        return;
    }
    let (distributor, cpu) = (gic::distributor(), gic::cpu_interface());
    if cpu.control.get() & GICC_FIQ_EN == 0 {
        distributor
            .group
            .iter()
            .for_each(|group| group.set(u32::MAX));
        distributor.control.set(GICC_BOTH_GROUPS);
        cpu.control
            .set(GICC_BOTH_GROUPS | GICC_ACK_CTL | GICC_FIQ_EN);
    }
    distributor.group[0].set(distributor.group[0].get() & !(1 << number));
    distributor.priority[byte].set(prioritise(distributor.priority[byte].get()));
}

/// Takes the highest pending interrupt of group 0; on a GICv2 of either group, those of group 0 first.
pub(crate) fn claim() -> Option<Claim> {
    if gic::version() == 2 {
        return gic::claim();
    }
    let number: u64;
    // SAFETY: ICC_IAR0_EL1, on a machine that has it.
    unsafe { asm!("mrs {}, S3_0_C12_C8_0", "dsb sy", out(reg) number, options(nostack)) };
    Claim::new(number as u32)
}

/// Tells the GIC that the interrupt has been handled.
pub(crate) fn complete(claim: Claim) {
    if gic::version() == 2 {
        return gic::complete(claim);
    }
    // SAFETY: ICC_EOIR0_EL1, on a machine that has it.
    unsafe {
        asm!("msr S3_0_C12_C8_1, {}", "isb", in(reg) u64::from(claim.number()), options(nostack))
    };
}

/// Sends software interrupt `id` (0 to 15), which [`crate::irq::handle_as_fiq`] made an FIQ, to core 0.
pub fn sgi_core0(id: u32) {
    if gic::version() == 3 {
        let value = u64::from(id & 0xf) << SGI_ID_SHIFT | 1;
        // SAFETY: ICC_SGI0R_EL1, on a machine that has it; it does nothing but raise the interrupt.
        unsafe { asm!("msr S3_0_C12_C11_7, {}", "isb", in(reg) value, options(nostack)) };
    } else {
        gic::sgi_core0(id);
    }
}
