//! Raspberry Pi 4: where its devices are.
//!
//! Source: Raspberry Pi, "BCM2711 ARM Peripherals": the addresses of its "low peripheral" mode, in which the firmware
//! starts kernels.

#[path = "raspberry.rs"]
mod raspberry;

pub(crate) use raspberry::{greet, init, leave};

/// What the board is called.
const NAME: &str = "Raspberry Pi 4";
/// First byte of RAM.
pub const RAM_BASE: usize = 0;
/// The device window that is mapped nGnRE, one 1 GiB block. RAM below the peripherals in it, on boards that have so much, is
/// not used.
pub const DEVICE_BASE: usize = 0xc000_0000;
/// Devices within the GiB of the RAM: none.
pub const DEVICES_IN_RAM: core::ops::Range<usize> = RAM_BASE..RAM_BASE;
/// Prescaler of the cores' counter ("ARM_LOCAL", PRESCALER), for entry at EL3.
const PRESCALER: usize = 0xff80_0008;
const PERIPHERALS: usize = 0xfe00_0000;
/// The GPIO controller.
const GPIO_BASE: usize = PERIPHERALS + 0x20_0000;
/// The console, UART0, a PL011.
pub const UART_BASE: usize = PERIPHERALS + 0x20_1000;
/// The UART's clock in hertz: the firmware's default since 2016, and `config.txt` says it.
pub const UART_CLOCK: Option<u32> = Some(48_000_000);
/// Interrupt of the console (SPI 121).
pub const UART_IRQ: u32 = 153;
/// A GIC-400, which is a GICv2.
pub const HAS_GIC: bool = true;
/// GIC distributor.
pub const GICD_BASE: usize = 0xff84_1000;
/// GIC CPU interface.
pub const GICC_BASE: usize = 0xff84_2000;
/// Of a GICv3 only.
pub const GICR_BASE: usize = 0;
/// Of a GICv3 only.
pub const GICR_STRIDE: usize = 0;
/// Interrupt of the EL1 virtual timer (PPI 11).
pub const TIMER_IRQ: u32 = 27;
/// Ticks a second of the counter: its crystal, for entry at EL3 where no firmware has said so.
const TIMER_HERTZ: u32 = 54_000_000;
/// No PSCI: the firmware leaves the other cores in a loop of its own, and there they stay.
pub const HAS_PSCI: bool = false;
/// Cores for which there is a stack, as board.ld says.
pub const MAX_CORES: usize = 4;
/// Bytes of each core's boot stack. `linker.ld` reserves [`MAX_CORES`] of them.
pub const STACK_BYTES: usize = 0x4_0000;
