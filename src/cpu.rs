//! [`CpuArea`]: the memory of one core that the asm entries reach without a call.
#![forbid(unsafe_code)]

use core::sync::atomic::{AtomicU64, Ordering};

/// Values that PSTATE.DAIF can have: D, A, I and F, one bit each.
const MASKS: usize = 16;

/// Lowest bit of DAIF as `MRS Xt, DAIF` reads it (Arm ARM DDI 0487, "DAIF, Interrupt Mask Bits").
const DAIF_SHIFT: u32 = 6;

/// What the entries need of one core: the guard, and a count of refused calls.
///
/// One for each core (or, in a kernel whose tasks may be preempted inside a tracer, one for each task). Its address
/// stands in the register that the kernel grants: TPIDRRO_EL0 unless a Cargo feature names another.
#[repr(C, align(64))]
#[derive(Debug)]
pub struct CpuArea {
    /// One slot for each interrupt mask: not zero while a guarded tracer runs with that mask.
    guard: [AtomicU64; MASKS],
    refused: AtomicU64,
}

impl CpuArea {
    /// An area with no guard taken.
    pub const fn new() -> Self {
        Self {
            guard: [const { AtomicU64::new(0) }; MASKS],
            refused: AtomicU64::new(0),
        }
    }

    /// Whether a guarded tracer runs on the core that has this area, in whatever context.
    pub(crate) fn in_tracer(&self) -> bool {
        self.guard
            .iter()
            .any(|slot| slot.load(Ordering::Relaxed) != 0)
    }

    /// How many calls were not delivered because they came from inside a guarded tracer.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

impl Default for CpuArea {
    fn default() -> Self {
        Self::new()
    }
}

/// Byte offsets and shifts for the asm.
#[cfg_attr(not(target_arch = "aarch64"), allow(dead_code))]
pub(crate) mod offset {
    use super::{CpuArea, DAIF_SHIFT};
    use core::mem::offset_of;

    pub(crate) const GUARD: usize = offset_of!(CpuArea, guard);
    pub(crate) const REFUSED: usize = offset_of!(CpuArea, refused);
    /// DAIF shifted right by this is the offset of its slot.
    pub(crate) const DAIF_TO_SLOT: u32 = DAIF_SHIFT - size_of::<u64>().trailing_zeros();
}
