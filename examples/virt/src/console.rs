//! `print!`, `println!` and the received bytes, over the board's UART.
//!
//! The lock is held with interrupts masked, so that an interrupt handler may print too. Code that may run while this core
//! already prints (a tracer on a function below `print!`) uses [`try_print`], which drops instead of waiting for itself.

use crate::{board, irq, pl011::Pl011};
use aarch64_ftrace::sink::{Sink, SinkError};
use core::fmt::{self, Write};
use spin::{Mutex, MutexGuard};

// SAFETY: the board's UART, in the device window that boot.S maps; only this file drives it.
static UART: Mutex<Pl011> = Mutex::new(unsafe { Pl011::new(board::UART_BASE) });

struct Out<'a>(&'a Pl011);

impl Write for Out<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if byte == b'\n' {
                self.0.send(b'\r');
            }
            self.0.send(byte);
        }
        Ok(())
    }
}

/// Sets the UART up, where the board asks for it at 115,200 baud; boot calls it.
pub(crate) fn init() {
    board::init();
    UART.lock().init(board::UART_CLOCK);
    board::greet();
}

/// Prints. Waits for the console, so never from code that may interrupt a print on the same core.
pub fn print(text: fmt::Arguments) {
    irq::masked(|| {
        // An argument's own Display may fail; what came before it has been printed.
        let _ = Out(&UART.lock()).write_fmt(text);
    });
}

/// Prints if nobody is printing; otherwise the text is dropped and the answer is false.
pub fn try_print(text: fmt::Arguments) -> bool {
    irq::masked(|| match UART.try_lock() {
        Some(uart) => Out(&uart).write_fmt(text).is_ok(),
        None => false,
    })
}

/// Prints whoever holds the console: for the last words of a kernel.
pub fn force_print(text: fmt::Arguments) {
    // SAFETY: a second handle on the same registers; the worst that can happen is interleaved text.
    let uart = unsafe { Pl011::new(board::UART_BASE) };
    let _ = Out(&uart).write_fmt(text);
}

/// [`force_print`] as a writer.
pub struct Forced;

impl Write for Forced {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        force_print(format_args!("{text}"));
        Ok(())
    }
}

/// The console as a trace's way out, for `Stream::serial`. While a frame is on its way interrupts are masked on this core, and
/// other cores that print wait: some 600 bytes, 50 ms at 115,200 baud. What they print stands between frames.
pub struct TraceLine {
    waits: bool,
    held: Option<(MutexGuard<'static, Pl011>, irq::Mask)>,
}

impl TraceLine {
    /// Waits for the console before each frame, so never from code that may interrupt a print on the same core.
    pub const fn new() -> Self {
        Self {
            waits: true,
            held: None,
        }
    }

    /// Sends whoever holds the console: for the last words of a kernel.
    pub const fn forced() -> Self {
        Self {
            waits: false,
            held: None,
        }
    }
}

impl Default for TraceLine {
    fn default() -> Self {
        Self::new()
    }
}

impl Sink for TraceLine {
    fn write(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        // SAFETY: as in `force_print`; between `frame_begins` and `frame_ends` it is this one's.
        let uart = unsafe { Pl011::new(board::UART_BASE) };
        bytes.iter().for_each(|byte| uart.send(*byte));
        Ok(())
    }

    fn frame_begins(&mut self) {
        if self.waits && self.held.is_none() {
            let mask = irq::save();
            self.held = Some((UART.lock(), mask));
        }
    }

    fn frame_ends(&mut self) {
        if let Some((uart, mask)) = self.held.take() {
            drop(uart);
            irq::restore(mask);
        }
    }
}

/// The next byte received, if there is one.
pub fn receive() -> Option<u8> {
    irq::masked(|| UART.lock().receive())
}

/// Switches the receive interrupt ([`board::UART_IRQ`]) on or off.
pub fn receive_interrupt(on: bool) {
    irq::masked(|| UART.lock().receive_interrupt(on));
}

/// Waits until all that was printed has left.
pub fn flush() {
    // SAFETY: as in `force_print`; this one only reads.
    unsafe { Pl011::new(board::UART_BASE) }.flush();
}

/// Prints to the console.
#[macro_export]
macro_rules! print {
    ($($arg:tt)*) => { $crate::console::print(format_args!($($arg)*)) };
}

/// Prints to the console, with a newline.
#[macro_export]
macro_rules! println {
    () => { $crate::print!("\n") };
    ($($arg:tt)*) => { $crate::console::print(format_args!("{}\n", format_args!($($arg)*))) };
}
