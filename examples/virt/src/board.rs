//! Where this machine keeps its devices: the one file that a port to another board replaces, with `linker.ld`.
//!
//! Source: QEMU's `hw/arm/virt` machine documentation; the addresses are part of its stable memory map.

/// First byte of RAM. QEMU puts the device tree there when it loads an ELF file.
pub const RAM_BASE: usize = 0x4000_0000;
/// The device window that is mapped nGnRE: one 1 GiB block below the RAM.
pub const DEVICE_BASE: usize = 0;
/// The console, a PL011.
pub const UART_BASE: usize = 0x0900_0000;
/// Interrupt of the console (SPI 1).
pub const UART_IRQ: u32 = 33;
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
/// Cores for which there is a stack; further ones cannot be started.
pub const MAX_CORES: usize = 8;
/// Bytes of each core's boot stack. `linker.ld` reserves `MAX_CORES` of them.
pub const STACK_BYTES: usize = 0x4_0000;
