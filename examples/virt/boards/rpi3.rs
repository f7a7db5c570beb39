//! Raspberry Pi 3: where its devices are.
//!
//! Source: Broadcom, "BCM2835 ARM Peripherals", with the peripherals at 0x3f00_0000 instead of 0x2000_0000; Raspberry Pi,
//! "BCM2836 ARM-local peripherals" (QA7), for the second window.

#[path = "raspberry.rs"]
mod raspberry;

pub(crate) use raspberry::{greet, init, leave};

/// What the board is called.
const NAME: &str = "Raspberry Pi 3";
/// First byte of RAM.
pub const RAM_BASE: usize = 0;
/// The device window that is mapped nGnRE as one 1 GiB block: the peripherals of the cores.
pub const DEVICE_BASE: usize = 0x4000_0000;
/// Devices within the GiB of the RAM, in whole blocks of 2 MiB, mapped nGnRE as well.
pub const DEVICES_IN_RAM: core::ops::Range<usize> = PERIPHERALS..0x4000_0000;
/// Prescaler of the cores' counter ("Core timer prescaler"), for entry at EL3.
const PRESCALER: usize = 0x4000_0008;
const PERIPHERALS: usize = 0x3f00_0000;
/// The GPIO controller.
const GPIO_BASE: usize = PERIPHERALS + 0x20_0000;
/// The console, UART0, a PL011.
pub const UART_BASE: usize = PERIPHERALS + 0x20_1000;
/// The UART's clock in hertz: the firmware's default since 2016, and `config.txt` says it.
pub const UART_CLOCK: Option<u32> = Some(48_000_000);
/// Interrupt of the console: it goes to a controller that is not driven here.
pub const UART_IRQ: u32 = 0;
/// No GIC: the interrupt controllers of this board are not driven, so there are no interrupts.
pub const HAS_GIC: bool = false;
/// None.
pub const GICD_BASE: usize = 0;
/// None.
pub const GICC_BASE: usize = 0;
/// None.
pub const GICR_BASE: usize = 0;
/// None.
pub const GICR_STRIDE: usize = 0;
/// Interrupt of the EL1 virtual timer (PPI 11).
pub const TIMER_IRQ: u32 = 27;
/// Ticks a second of the counter: its crystal, for entry at EL3 where no firmware has said so.
const TIMER_HERTZ: u32 = 19_200_000;
/// No PSCI: the firmware leaves the other cores in a loop of its own, and there they stay.
pub const HAS_PSCI: bool = false;
/// Cores for which there is a stack, as board.ld says.
pub const MAX_CORES: usize = 4;
/// Bytes of each core's boot stack. `linker.ld` reserves [`MAX_CORES`] of them.
pub const STACK_BYTES: usize = 0x4_0000;
