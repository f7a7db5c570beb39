//! What the Raspberry Pis share: the image's header and first instructions, the pins of the console, and the end.
//!
//! Sources: Raspberry Pi documentation, "config.txt", "Boot options"; Broadcom, "BCM2835 ARM Peripherals", "General Purpose I/O";
//! for what firmware does before it starts a kernel, Raspberry Pi's `tools/armstubs`.

use super::{GICC_BASE, GICD_BASE, GPIO_BASE, HAS_GIC, NAME, PRESCALER, TIMER_HERTZ};
use crate::{console, timer};
use aarch64_cpu::registers::SPSR_EL3;
use core::arch::global_asm;
use core::sync::atomic::{AtomicUsize, Ordering};

/// SCR_EL3: lower levels are non-secure (NS) and AArch64 (RW), HVC works, SMC does not (there is no firmware behind it),
/// bits 5 and 4 are RES1.
const SCR: u64 = 1 << 10 | 1 << 8 | 1 << 7 | 0b11 << 4 | 1;
/// CPUECTLR_EL1.SMPEN of Cortex-A53 and Cortex-A72: without it the core's caches are not coherent.
const SMPEN: u64 = 1 << 6;
/// SCTLR_EL2's bits that are RES1, with everything off.
const SCTLR_EL2_RES1: u64 = 0x30c5_0830;
/// One tick of the counter for each of the crystal's.
const PRESCALER_ONE: u64 = 0x8000_0000;
const GICD_IGROUPR: usize = 0x80;
const GICC_PMR: usize = 0x4;

global_asm!(
    include_str!("raspberry.S"),
    // Little-endian, 4 KiB pages, near the RAM's beginning.
    FLAGS = const 0b0010,
    CORE_MASK = const 0xff,
    EL_SHIFT = const 2,
    EL3 = const 3,
    SCR = const SCR,
    SMPEN = const SMPEN,
    TIMER_HERTZ = const TIMER_HERTZ,
    PRESCALER = const PRESCALER,
    PRESCALER_ONE = const PRESCALER_ONE,
    HAS_GIC = const HAS_GIC as u8,
    IGROUPR = const GICD_BASE + GICD_IGROUPR,
    IGROUPR_WORDS = const 8,
    PMR = const GICC_BASE + GICC_PMR,
    SCTLR_EL2_RES1 = const SCTLR_EL2_RES1,
    // EL2h: M[3:0] = 0b1001.
    SPSR = const (SPSR_EL3::D::Masked.value | SPSR_EL3::A::Masked.value | SPSR_EL3::I::Masked.value
        | SPSR_EL3::F::Masked.value | SPSR_EL3::M::EL2h.value),
    CTR_DMINLINE_SHIFT = const 16,
    CTR_DMINLINE_BITS = const 4,
);

/// At which exception level the image was entered, and where it had been loaded; `raspberry.S` writes both, before `.bss`
/// is cleared.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".data.board_entry")]
static BOARD_ENTRY: [AtomicUsize; 2] = [const { AtomicUsize::new(usize::MAX) }; 2];

/// GPFSEL1: three bits for each of pins 10 to 19.
const GPFSEL1: usize = GPIO_BASE + 0x4;
/// Pins 14 and 15.
const PINS: u32 = 0b111 << 12 | 0b111 << 15;
/// UART0 is their alternate function 0, which is written as 0b100.
const UART0: u32 = 0b100 << 12 | 0b100 << 15;

/// Before the console: its pins, which the firmware may have given to the mini UART.
pub(crate) fn init() {
    let select = core::ptr::with_exposed_provenance_mut::<u32>(GPFSEL1);
    // SAFETY: a register of the GPIO controller, mapped as device memory; only boot writes it.
    let pins = unsafe { select.read_volatile() };
    // SAFETY: as above.
    unsafe { select.write_volatile(pins & !PINS | UART0) };
}

/// With the console: what board this is and how it was started. Every line of the board's own begins like this one.
pub(crate) fn greet() {
    let [level, loaded] = BOARD_ENTRY
        .each_ref()
        .map(|each| each.load(Ordering::Relaxed));
    let hertz = timer::frequency();
    crate::println!(
        "board: {NAME}, entered at EL{level}, loaded at {loaded:#x}, counter at {hertz} Hz"
    );
}

/// Nobody is there to go back to: says so, and the core waits for ever.
pub(crate) fn leave(code: u32) -> ! {
    console::force_print(format_args!(
        "board: done, code {code}; this core is parked\n"
    ));
    console::flush();
    let _masked = crate::irq::save();
    loop {
        aarch64_cpu::asm::wfe();
    }
}
