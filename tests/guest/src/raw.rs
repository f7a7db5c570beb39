//! The kernel's text and registers as someone else would use them, beside the tracer.

use aarch64_ftrace::insn::Insn;
use core::arch::asm;

/// Reads an instruction word.
pub fn insn(at: usize) -> Insn {
    // SAFETY: guests give addresses of callsites, which are mapped, readable and aligned.
    Insn(unsafe { (at as *const u32).read_volatile() })
}

/// Reads a literal.
pub fn literal(at: usize) -> u64 {
    // SAFETY: as `insn`; literals are aligned to 8.
    unsafe { (at as *const u64).read_volatile() }
}

/// Overwrites an instruction word through the writable alias and makes this core fetch it.
pub fn overwrite_insn(at: usize, insn: Insn) {
    let alias = at.wrapping_add_signed(virt::mmu::map_alias()) as *mut u32;
    // SAFETY: the guest's own callsite, aligned, on the only running core.
    unsafe { alias.write_volatile(insn.0) };
    virt::mmu::unmap_alias();
    publish(at);
}

/// Overwrites a literal through the writable alias.
pub fn overwrite_literal(at: usize, value: u64) {
    let alias = at.wrapping_add_signed(virt::mmu::map_alias()) as *mut u64;
    // SAFETY: as `overwrite_insn`.
    unsafe { alias.write_volatile(value) };
    virt::mmu::unmap_alias();
    publish(at);
}

fn publish(at: usize) {
    // SAFETY: maintenance of one mapped line, by its executable address.
    unsafe {
        asm!("dc cvau, {at}", "dsb ish", "ic ivau, {at}", "dsb ish", "isb", at = in(reg) at, options(nostack, preserves_flags));
    }
}

/// TPIDRRO_EL0, the register in which the tracer finds this core's area.
pub fn area_register() -> u64 {
    let value: u64;
    // SAFETY: reading a software register has no effect.
    unsafe {
        asm!("mrs {}, tpidrro_el0", out(reg) value, options(nomem, nostack, preserves_flags))
    };
    value
}

/// Takes this core's area away, as it is before the core is online.
pub fn clear_area_register() {
    // SAFETY: zero is the register's documented value before `cpu_online`.
    unsafe {
        asm!(
            "msr tpidrro_el0, xzr",
            "isb",
            options(nostack, preserves_flags)
        )
    };
}

unsafe extern "C" {
    static mut __start___patchable_function_entries: u64;
    static mut __stop___patchable_function_entries: u64;
    static __ftrace_text_start: u8;
    static __ftrace_text_end: u8;
    static __ftrace_notrace_start: u8;
    static __ftrace_notrace_end: u8;
    static __start_ftrace_names: u8;
    static __stop_ftrace_names: u8;
    fn ftrace_caller();
}

/// What every BL of a callsite reaches.
pub fn trampoline() -> usize {
    ftrace_caller as *const () as usize
}

/// The linker's records, as long as no tracer has them.
pub fn records() -> &'static [u64] {
    let start = &raw const __start___patchable_function_entries;
    let stop = &raw const __stop___patchable_function_entries;
    let count = (stop as usize - start as usize) / size_of::<u64>();
    // SAFETY: the linker placed `count` words here; guests that call this do not call `Ftrace::init` while they hold it.
    unsafe { core::slice::from_raw_parts(start, count) }
}

/// The kernel's text and the part that is never traced.
pub fn ranges() -> aarch64_ftrace::TextRanges {
    aarch64_ftrace::TextRanges {
        text: &raw const __ftrace_text_start as usize..&raw const __ftrace_text_end as usize,
        notrace: &raw const __ftrace_notrace_start as usize
            ..&raw const __ftrace_notrace_end as usize,
    }
}

/// Section `ftrace_names`.
pub fn names() -> &'static [u8] {
    let start = &raw const __start_ftrace_names;
    let stop = &raw const __stop_ftrace_names;
    // SAFETY: the linker placed the section from one symbol to the other, in read-only data.
    unsafe { core::slice::from_raw_parts(start, stop as usize - start as usize) }
}
