//! The panic handler of kernels that do not bring their own: say where and why, leave with code 101 as Rust programs do.

use crate::console;
use core::panic::PanicInfo;

#[panic_handler]
fn panic(info: &PanicInfo) -> ! {
    let _ = crate::irq::save();
    // A panic while the console is locked must still be heard: the lock's owner never runs again.
    console::force_print(format_args!("{info}\n"));
    crate::exit(101)
}
