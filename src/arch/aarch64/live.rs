//! The running kernel's text: reads at its executable addresses, writes through the platform's alias.

use crate::cache::{CacheType, data_line};
use crate::error::{Error, WriteFault};
use crate::insn::Insn;
use crate::platform::Platform;
use crate::text::{ReadText, Text};
use aarch64_cpu::asm::barrier;
use core::arch::asm;
use core::ops::Range;

/// The text, between `patch_begin` and `patch_end`.
pub(crate) struct LiveText {
    platform: &'static dyn Platform,
    /// From an executable address to its writable alias.
    distance: isize,
    cache: CacheType,
}

impl LiveText {
    pub(crate) fn open(platform: &'static dyn Platform) -> Result<Self, Error> {
        let distance = platform.patch_begin()?;
        Ok(Self {
            platform,
            distance,
            cache: CacheType::from_ctr(ctr()),
        })
    }
}

impl Drop for LiveText {
    fn drop(&mut self) {
        self.platform.patch_end();
    }
}

/// Reads a callsite's word.
pub(crate) fn read_insn(at: usize) -> Insn {
    // SAFETY: `at` is a word of a callsite, which is mapped, readable and aligned: the table was checked against the
    // kernel's text when it was built.
    Insn(unsafe { (at as *const u32).read_volatile() })
}

/// CTR_EL0, which aarch64-cpu does not have.
fn ctr() -> u64 {
    let ctr: u64;
    // SAFETY: reading an identification register has no effect.
    unsafe { asm!("mrs {}, ctr_el0", out(reg) ctr, options(nomem, nostack, preserves_flags)) };
    ctr
}

/// Cleans a range of memory to the point of coherency.
pub(crate) fn clean_to_memory(memory: Range<usize>) {
    let line = data_line(ctr());
    let first = memory.start & !(line - 1);
    for at in (first..memory.end).step_by(line) {
        // SAFETY: cleaning a line writes back what it holds: no value changes. The caller's range is mapped.
        unsafe { asm!("dc cvac, {}", in(reg) at, options(nostack, preserves_flags)) };
    }
    barrier::dsb(barrier::SY);
}

fn read_literal(at: usize) -> u64 {
    // SAFETY: as `read_insn`; the record is aligned to 8.
    unsafe { (at as *const u64).read_volatile() }
}

impl ReadText for LiveText {
    #[inline]
    fn insn(&self, at: usize) -> Insn {
        read_insn(at)
    }

    #[inline]
    fn literal(&self, at: usize) -> u64 {
        read_literal(at)
    }
}

/// The text as it executes: to look at it needs no alias.
pub(crate) struct Executable;

impl ReadText for Executable {
    #[inline]
    fn insn(&self, at: usize) -> Insn {
        read_insn(at)
    }

    #[inline]
    fn literal(&self, at: usize) -> u64 {
        read_literal(at)
    }
}

impl Text for LiveText {
    #[inline]
    fn store_insn(&self, at: usize, insn: Insn) -> Result<(), WriteFault> {
        let alias = at.wrapping_add_signed(self.distance) as *mut u32;
        // SAFETY: the platform's promise in `patch_begin`: this stores to the word's memory.
        unsafe { alias.write_volatile(insn.0) };
        Ok(())
    }

    #[inline]
    fn store_cold(&self, at: usize, insn: Insn) -> Result<(), WriteFault> {
        let alias = at.wrapping_add_signed(self.distance);
        // SAFETY: the store is to the word's memory, by the platform's promise in `patch_begin`; for the rest see `clean`
        // and `invalidate`. One block, so that nothing stands in between, not even a call in a build without optimisation.
        unsafe {
            asm!(
                "str {insn:w}, [{alias}]",
                "dc cvau, {at}",
                "dsb ish",
                "ic ivau, {at}",
                "dsb ish",
                "isb",
                insn = in(reg) insn.0,
                alias = in(reg) alias,
                at = in(reg) at,
                options(nostack, preserves_flags),
            );
        }
        Ok(())
    }

    #[inline]
    fn store_literal(&self, at: usize, value: u64) -> Result<(), WriteFault> {
        let alias = at.wrapping_add_signed(self.distance) as *mut u64;
        // SAFETY: as `store_insn`.
        unsafe { alias.write_volatile(value) };
        Ok(())
    }

    #[inline]
    fn order_stores(&self) {
        barrier::dmb(barrier::ISHST);
    }

    #[inline]
    fn clean(&self, at: usize) {
        // SAFETY: cleaning a mapped line to the point of unification changes no data. By the executable address: cache
        // maintenance by virtual address affects every alias (Arm ARM DDI 0487, "VIPT" and "PIPT" caches, PoU).
        unsafe { asm!("dc cvau, {}", in(reg) at, options(nostack, preserves_flags)) };
    }

    #[inline]
    fn invalidate(&self, at: usize) {
        // SAFETY: invalidating an instruction cache line loses nothing. By the executable address, which is the one that
        // a VIPT instruction cache is indexed by.
        unsafe { asm!("ic ivau, {}", in(reg) at, options(nostack, preserves_flags)) };
    }

    #[inline]
    fn complete(&self) {
        barrier::dsb(barrier::ISH);
    }

    #[inline]
    fn synchronise(&self) {
        barrier::isb(barrier::SY);
    }

    fn sync_cores(&self) {
        self.platform.sync_cores();
    }

    #[inline]
    fn cache_type(&self) -> CacheType {
        self.cache
    }
}
