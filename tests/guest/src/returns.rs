//! Functions whose return is hijacked, and memory for that and for counters: what the guests of the function graph, of the
//! counter and of the profiler share.

extern crate alloc;

use crate::irq;
use aarch64_ftrace::{CounterLine, ReturnFrame};
use alloc::vec::Vec;
use core::hint::black_box;

/// As many calls, each inside the one before, and one more.
#[inline(never)]
pub extern "C" fn deep(n: u64) -> u64 {
    if n == 0 {
        0
    } else {
        black_box(deep(n - 1) + 1)
    }
}

/// Takes and returns floats.
#[inline(never)]
pub extern "C" fn weigh(a: f64, b: f64) -> f64 {
    black_box(a * 2.0 + b)
}

/// Interrupts itself by [`irq::SGI`].
#[inline(never)]
pub fn interrupted(n: u64) -> u64 {
    irq::send();
    black_box(n + 3)
}

/// Memory that is never given back.
pub fn leaked<T>(count: usize, make: fn() -> T) -> &'static mut [T] {
    let mut all = Vec::new();
    all.resize_with(count, make);
    all.leak()
}

/// For a counter or a profiler.
pub fn lines(count: usize) -> &'static mut [CounterLine] {
    leaked(count, CounterLine::new)
}

/// For a return stack.
pub fn frames(count: usize) -> &'static mut [ReturnFrame] {
    leaked(count, ReturnFrame::new)
}
