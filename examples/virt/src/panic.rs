//! The panic handler of kernels that do not bring their own: say where and why, leave with code 101 as Rust programs do.

use crate::console;
use core::fmt::Write;
use core::panic::PanicInfo;
use spin::Once;

/// What the kernel adds: it may print to what it is given, and must take no lock.
pub type LastWords = fn(&mut dyn Write);

static LAST_WORDS: Once<LastWords> = Once::new();

/// Names a function that a panic calls after its message; the first one named stays.
pub fn on_panic(last_words: LastWords) {
    LAST_WORDS.call_once(|| last_words);
}

#[panic_handler]
fn panic(info: &PanicInfo) -> ! {
    let _ = crate::irq::save();
    // A panic while the console is locked must still be heard: the lock's owner never runs again.
    console::force_print(format_args!("{info}\n"));
    if let Some(last_words) = LAST_WORDS.get() {
        last_words(&mut console::Forced);
    }
    crate::exit(101)
}
