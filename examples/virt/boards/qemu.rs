//! QEMU's `virt` machine: where its devices are, and how it is left.
//!
//! A port to another board is such a file, one like `qemu.ld` beside it, and a feature in Cargo.toml that names them.
//!
//! Source: QEMU's `hw/arm/virt` machine documentation; the addresses are part of its stable memory map.

/// First byte of RAM. QEMU puts the device tree there when it loads an ELF file.
pub const RAM_BASE: usize = 0x4000_0000;
/// The device window that is mapped nGnRE: one 1 GiB block.
pub const DEVICE_BASE: usize = 0;
/// Devices within the GiB of the RAM, in whole blocks of 2 MiB, mapped nGnRE as well: none.
pub const DEVICES_IN_RAM: core::ops::Range<usize> = RAM_BASE..RAM_BASE;
/// The console, a PL011.
pub const UART_BASE: usize = 0x0900_0000;
/// The UART's clock in hertz, from which the baud rate is made; QEMU needs none.
pub const UART_CLOCK: Option<u32> = None;
/// Interrupt of the console (SPI 1).
pub const UART_IRQ: u32 = 33;
/// Whether there is a GIC; without one there are no interrupts.
pub const HAS_GIC: bool = true;
/// GIC distributor, version 2 and 3.
pub const GICD_BASE: usize = 0x0800_0000;
/// GIC CPU interface, version 2 only.
pub const GICC_BASE: usize = 0x0801_0000;
/// First GIC redistributor, version 3 only; one per core, [`GICR_STRIDE`] apart.
pub const GICR_BASE: usize = 0x080A_0000;
/// Bytes from one core's redistributor to the next one's.
pub const GICR_STRIDE: usize = 0x2_0000;
/// Interrupt of the EL1 virtual timer (PPI 11).
pub const TIMER_IRQ: u32 = 27;
/// Whether the firmware offers PSCI, by which other cores are started.
pub const HAS_PSCI: bool = true;
/// Cores for which there is a stack, as board.ld says; further ones cannot be started.
pub const MAX_CORES: usize = 8;
/// Bytes of each core's boot stack. `linker.ld` reserves [`MAX_CORES`] of them.
pub const STACK_BYTES: usize = 0x4_0000;

/// Before the console: nothing to do.
pub(crate) fn init() {}

/// With the console: nothing to say.
pub(crate) fn greet() {}

/// Leaves QEMU with `code` through semihosting; QEMU must run with `-semihosting`.
pub(crate) fn leave(code: u32) -> ! {
    use qemu_exit::QEMUExit;
    qemu_exit::AArch64::new().exit(code)
}
