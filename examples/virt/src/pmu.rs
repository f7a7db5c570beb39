//! The performance counters: instructions retired and cycles. Arm ARM DDI 0487, "The Performance Monitors Extension".
//!
//! QEMU counts instructions only under `-icount`, and then exactly; [`has_instructions`] says whether it does.

use aarch64_cpu::registers::{ID_AA64DFR0_EL1, Readable};
use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};

const PMCR_E: u64 = 1 << 0;
const PMCR_P: u64 = 1 << 1;
const PMCR_C: u64 = 1 << 2;
const PMCR_LC: u64 = 1 << 6;
const PMCR_LP: u64 = 1 << 7;
const PMUVER_V3P5: u64 = 6;
const PMUVER_OTHER: u64 = 0xf;
const INST_RETIRED: u64 = 0x08;
const COUNTER_0: u64 = 1 << 0;
const CYCLE_COUNTER: u64 = 1 << 31;
const LOW_HALF: u64 = 0xffff_ffff;

/// The last value given out, which extends a 32-bit counter to 64 bits.
static LAST: AtomicU64 = AtomicU64::new(0);

/// Resets and starts both counters on this core, at EL1 and EL0.
pub fn init() {
    let mut control = PMCR_E | PMCR_P | PMCR_C | PMCR_LC;
    if is_long() {
        control |= PMCR_LP;
    }
    // SAFETY: every core that this board runs on has a PMUv3 with at least one event counter, and nothing else uses it.
    unsafe {
        asm!(
            "msr pmcr_el0, {control}",
            "msr pmevtyper0_el0, {event}",
            "msr pmccfiltr_el0, xzr",
            "msr pmcntenset_el0, {counters}",
            "isb",
            control = in(reg) control,
            event = in(reg) INST_RETIRED,
            counters = in(reg) COUNTER_0 | CYCLE_COUNTER,
            options(nostack)
        )
    };
    LAST.store(0, Ordering::Relaxed);
}

/// Whether event counters are 64 bits wide (FEAT_PMUv3p5).
fn is_long() -> bool {
    let version = ID_AA64DFR0_EL1.read(ID_AA64DFR0_EL1::PMUVer);
    (PMUVER_V3P5..PMUVER_OTHER).contains(&version)
}

/// Whether this core counts instructions (PMCEID0_EL0).
pub fn has_instructions() -> bool {
    let events: u64;
    // SAFETY: a read of an identification register.
    unsafe { asm!("mrs {}, pmceid0_el0", out(reg) events, options(nomem, nostack)) };
    events >> INST_RETIRED & 1 == 1
}

/// The counter itself, as wide as the core has it: for what is shorter than 2^32 instructions, at the least cost.
#[inline(always)]
pub fn instructions_raw() -> u64 {
    let count: u64;
    // SAFETY: a read of a counter that `init` started. Not `nomem`: memory accesses stay on their side of it.
    unsafe { asm!("isb", "mrs {}, pmevcntr0_el0", out(reg) count, options(nostack)) };
    count
}

/// Instructions retired on this core since [`init`]. The counter is 32 bits wide on most cores, so one call at least every
/// 2^32 instructions is needed; for one core at a time.
pub fn instructions() -> u64 {
    let raw = instructions_raw();
    let last = LAST.load(Ordering::Relaxed);
    let width = if is_long() { u64::MAX } else { LOW_HALF };
    let now = last.wrapping_add(raw.wrapping_sub(last) & width);
    LAST.store(now, Ordering::Relaxed);
    now
}

/// Cycles on this core since [`init`].
#[inline(always)]
pub fn cycles() -> u64 {
    let count: u64;
    // SAFETY: as in `instructions_raw`.
    unsafe { asm!("isb", "mrs {}, pmccntr_el0", out(reg) count, options(nostack)) };
    count
}
