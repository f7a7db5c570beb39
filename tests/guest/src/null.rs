//! A watchpoint over the first page: QEMU's virt has its flash there, so that a null pointer would be read unseen.

use core::arch::asm;

/// DBGWCR0_EL1 (Arm ARM DDI 0487, "DBGWCR<n>_EL1"): enabled, at EL1, loads and stores, all bytes of 4 KiB.
const CONTROL: u64 = 1 | 0b01 << 1 | 0b11 << 3 | 0xff << 5 | 12 << 24;
/// MDSCR_EL1 (Arm ARM DDI 0487, "MDSCR_EL1"): MDE and KDE, debug events at the level that they are for.
const DEBUG_EVENTS: u64 = 1 << 15 | 1 << 13;

aarch64_ftrace::notrace! {
    /// Watches from here on, on this core: whoever touches the page takes a synchronous exception.
    pub fn watch() {
        // SAFETY: debug registers that nobody else uses; PSTATE.D lets their exceptions in.
        unsafe {
            asm!(
                "msr oslar_el1, xzr",
                "msr dbgwvr0_el1, xzr",
                "msr dbgwcr0_el1, {control}",
                "msr mdscr_el1, {events}",
                "msr daifclr, #8",
                "isb",
                control = in(reg) CONTROL,
                events = in(reg) DEBUG_EVENTS,
                options(nostack),
            );
        }
    }

    /// No more.
    pub fn unwatch() {
        // SAFETY: as above.
        unsafe {
            asm!("msr daifset, #8", "msr mdscr_el1, xzr", "isb", options(nostack));
        }
    }
}
