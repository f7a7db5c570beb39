//! Board support for QEMU's `virt` machine: boot, MMU, vectors, GIC, timer, console, cores, PMU, exit. With feature `rpi3` or
//! `rpi4` it is that for a Raspberry Pi: what differs stands in `boards/`, one file a board, and is [`board`] here.
//!
//! It is what the examples, the test kernels and the benches stand on; nothing of the tracer is in here, except
//! [`platform`], the contract's implementation that the tests share. A kernel is:
//!
//! ```ignore
//! #![no_std]
//! #![no_main]
//! virt::entry!(main);
//! fn main() {
//!     virt::println!("hello");
//! } // returning leaves QEMU with code 0
//! ```
//!
//! and a build.rs that passes `-T<absolute path of linker.ld>` to the linker.
#![no_std]
#![cfg(target_os = "none")]

#[cfg_attr(feature = "rpi3", path = "../boards/rpi3.rs")]
#[cfg_attr(
    all(feature = "rpi4", not(feature = "rpi3")),
    path = "../boards/rpi4.rs"
)]
#[cfg_attr(
    not(any(feature = "rpi3", feature = "rpi4")),
    path = "../boards/qemu.rs"
)]
pub mod board;
mod boot;
pub mod console;
pub mod cores;
pub mod fiq;
pub mod gic;
#[cfg(feature = "heap")]
pub mod heap;
pub mod irq;
pub mod mmu;
#[cfg(feature = "panic-handler")]
mod panic;
pub mod pl011;
pub mod platform;
pub mod pmu;
pub mod quiescent;
pub mod reset;
pub mod timer;
pub mod trap;
pub mod words;

pub use boot::boot_el;
pub use cores::start_core;
pub use gic::sgi_all_others;
pub use irq::{restore as irq_restore, save as irq_save};
#[cfg(feature = "panic-handler")]
pub use panic::on_panic;
pub use trap::set_sync_handler;

/// The end: leaves QEMU with `code` through semihosting (it must run with `-semihosting`), or parks the core of a board.
pub fn exit(code: u32) -> ! {
    console::flush();
    board::leave(code)
}

/// What a kernel's main function may return, and what that means for QEMU's exit code.
pub trait Outcome {
    /// Leaves QEMU with it.
    fn leave(self) -> !;
}

impl Outcome for () {
    fn leave(self) -> ! {
        exit(0)
    }
}

impl<E: core::fmt::Display> Outcome for Result<(), E> {
    fn leave(self) -> ! {
        match self {
            Ok(()) => exit(0),
            Err(error) => {
                println!("error: {error}");
                exit(1)
            }
        }
    }
}

/// Names the function that runs after boot, at EL1 with interrupts masked: `fn main()`, `fn main() -> !` or
/// `fn main() -> Result<(), impl Display>`. Returning leaves QEMU, with code 0, or 1 for an error.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        #[unsafe(no_mangle)]
        #[allow(unreachable_code, reason = "a main that never returns is as welcome")]
        extern "Rust" fn virt_main() -> ! {
            $crate::Outcome::leave($main())
        }
    };
}
