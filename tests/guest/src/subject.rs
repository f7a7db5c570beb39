//! Three small functions to be traced, for guests that are not about the functions themselves.

use core::hint::black_box;

/// Adds one.
#[inline(never)]
pub fn first(n: u64) -> u64 {
    black_box(n + 1)
}

/// Adds two.
#[inline(never)]
pub fn second(n: u64) -> u64 {
    black_box(n + 2)
}

/// Adds three.
#[inline(never)]
pub fn third(n: u64) -> u64 {
    black_box(n + 3)
}
