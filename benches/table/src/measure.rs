//! What a stretch of code costs: instructions (exact under QEMU's -icount, and on cores whose PMU counts them), cycles,
//! and ticks of the virtual counter.

use core::arch::asm;

/// The cost of a stretch of code.
#[derive(Clone, Copy, Default)]
pub struct Cost {
    /// Instructions retired, modulo 2^32.
    pub insns: u32,
    /// Cycles.
    pub cycles: u64,
    /// Nanoseconds by CNTVCT_EL0.
    pub ns: f32,
}

/// What measuring nothing costs, to be taken away from each measurement.
#[derive(Clone, Copy)]
pub struct Meter {
    empty: u32,
}

fn counter() -> u64 {
    let ticks: u64;
    // SAFETY: reading the virtual counter has no effect.
    unsafe { asm!("isb", "mrs {}, cntvct_el0", out(reg) ticks, options(nostack)) };
    ticks
}

fn frequency() -> u64 {
    let hertz: u64;
    // SAFETY: reading the counter's frequency has no effect.
    unsafe { asm!("mrs {}, cntfrq_el0", out(reg) hertz, options(nomem, nostack)) };
    hertz
}

impl Meter {
    /// Starts the counters and measures the meter itself.
    pub fn new() -> Self {
        virt::pmu::init();
        let empty = (0..4)
            .map(|_| Self { empty: 0 }.measure(|| ()).insns)
            .min()
            .unwrap_or(0);
        Self { empty }
    }

    /// Runs `what` once with interrupts masked.
    #[inline(always)]
    pub fn measure(self, what: impl FnOnce()) -> Cost {
        let mask = virt::irq_save();
        let cost = self.open(what);
        virt::irq_restore(mask);
        cost
    }

    /// Runs `what` once, and counts the interrupts that it takes meanwhile.
    #[inline(always)]
    pub fn open(self, what: impl FnOnce()) -> Cost {
        let (ticks, cycles) = (counter(), virt::pmu::cycles());
        let insns = virt::pmu::instructions_raw();
        what();
        let insns = (virt::pmu::instructions_raw() as u32).wrapping_sub(insns as u32);
        let (cycles, ticks) = (virt::pmu::cycles() - cycles, counter() - ticks);
        let ns = ticks as f32 * 1e9 / frequency() as f32;
        Cost {
            insns: insns.wrapping_sub(self.empty),
            cycles,
            ns,
        }
    }

    /// `calls` calls of the function at `function`, which has no arguments: the loop is three instructions.
    pub fn calls(self, function: usize, calls: u64) -> Cost {
        self.measure(|| {
            // SAFETY: the function is an `extern "C" fn()`, or the same a few instructions further in.
            unsafe {
                asm!(
                    "1: blr x20",
                    "sub x21, x21, #1",
                    "cbnz x21, 1b",
                    in("x20") function,
                    inout("x21") calls => _,
                    clobber_abi("C"),
                )
            }
        })
    }
}
