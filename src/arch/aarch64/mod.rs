//! The real thing: system registers by aarch64-cpu, one-instruction wrappers for what it has none.

mod entries;
mod image;
mod live;
pub(crate) mod semihosting;
mod veneer;

pub(crate) use entries::{
    entry, fprobe_handler, graph_handler, mark_handler, return_handlers, trampoline,
};
pub(crate) use image::{image, veneers};
pub(crate) use live::{Executable, LiveText, clean_to_memory, read_insn};

use crate::cpu::CpuArea;
use crate::ops::EntryFn;
use aarch64_cpu::registers::{CNTFRQ_EL0, CNTVCT_EL0, ID_AA64ISAR0_EL1, Readable as _};

/// The virtual counter (Arm ARM DDI 0487, "CNTVCT_EL0").
pub(crate) fn ticks() -> u64 {
    CNTVCT_EL0.get()
}

/// How many of them make a second, as firmware says (Arm ARM DDI 0487, "CNTFRQ_EL0").
pub(crate) fn frequency() -> u64 {
    CNTFRQ_EL0.get()
}

/// Whether this core has the atomic instructions of FEAT_LSE; all cores of a system have the same.
pub(crate) fn has_lse() -> bool {
    /// The field Atomic, which aarch64-cpu does not name: bits 23:20.
    const ATOMIC: (u32, u64) = (20, 0xf);
    ID_AA64ISAR0_EL1.get() >> ATOMIC.0 & ATOMIC.1 != 0
}

/// The address without the signature of a pointer that PACIASP has signed.
pub(crate) fn without_pac(mut address: usize) -> usize {
    // SAFETY: XPACLRI, which strips x30 and does nothing else; where there is no FEAT_PAuth it is a NOP.
    unsafe {
        core::arch::asm!("hint #7", inout("x30") address, options(nomem, nostack, preserves_flags));
    }
    address
}

static BOOT_CPU_AREA: CpuArea = CpuArea::new();

/// Gives the boot core its area, unless the kernel has done so already.
pub(crate) fn set_boot_cpu_area(core: usize) {
    if entries::cpu_area_register() == 0 {
        set_cpu_area(&BOOT_CPU_AREA, core);
    }
}

/// Gives this core its area, with the counters of `core`.
pub(crate) fn set_cpu_area(area: &'static CpuArea, core: usize) {
    area.set_core(core);
    entries::set_cpu_area_register(core::ptr::from_ref(area) as u64);
}

/// Takes this core's area away.
pub(crate) fn clear_cpu_area() {
    entries::set_cpu_area_register(0);
}

/// This core's area, if it is online.
#[inline]
pub(crate) fn cpu_area() -> Option<&'static CpuArea> {
    let area = entries::cpu_area_register() as *const CpuArea;
    // SAFETY: the register holds zero or what `set_cpu_area` put there, the address of a `&'static CpuArea`.
    unsafe { area.as_ref() }
}

/// Whether a guarded tracer runs on this core.
pub(crate) fn in_tracer() -> bool {
    cpu_area().is_some_and(CpuArea::in_tracer)
}

/// D, A, I and F of DAIFSET (Arm ARM DDI 0487, "MSR (immediate)").
const ALL_MASKED: u8 = 0b1111;

/// Masks all exceptions that can be masked.
pub(crate) fn mask_all() {
    // SAFETY: whoever parks its core takes no interrupt any more.
    unsafe { core::arch::asm!("msr daifset, #{}", const ALL_MASKED, options(nostack)) };
}

/// Runs `f` with all exceptions masked that can be masked, and puts the mask back.
pub(crate) fn masked<R>(f: impl FnOnce() -> R) -> R {
    let before: u64;
    // SAFETY: what is masked is put back below; nothing in between may be missed for longer than `f` takes.
    unsafe {
        core::arch::asm!("mrs {}, daif", "msr daifset, #{}", out(reg) before, const ALL_MASKED, options(nostack));
    }
    let result = f();
    // SAFETY: the mask as it was.
    unsafe { core::arch::asm!("msr daif, {}", in(reg) before, options(nostack)) };
    result
}

/// Waits for an event, or not.
pub(crate) fn wait() {
    // SAFETY: WFE changes nothing but the event register.
    unsafe { core::arch::asm!("wfe", options(nomem, nostack, preserves_flags)) };
}

/// The counter's entry, for this core's way of atomic adds.
pub(crate) fn count_entry() -> EntryFn {
    if has_lse() {
        entry::COUNT_LSE
    } else {
        entry::COUNT
    }
}

/// The profiler's return handler, likewise.
pub(crate) fn profile_handler() -> usize {
    entries::profile_handler(has_lse())
}
