//! A backtrace by frame records, with the real return addresses in place of hijacked ones.

use crate::FTRACE;
use core::arch::asm;
use virt::println;

/// Prints the functions that the caller of this and those around it return to, `depth` in all. Always inlined: the first frame
/// record is the caller's own.
///
/// # Safety
/// So many frame records there are.
#[inline(always)]
pub unsafe fn print(depth: usize) {
    let frame: usize;
    // SAFETY: reads a register; the kernel is compiled with frame pointers, so it is this function's record.
    unsafe { asm!("mov {}, x29", out(reg) frame, options(nomem, nostack, preserves_flags)) };
    // SAFETY: the caller's promise.
    unsafe { print_from(frame, depth) };
}

/// As [`print`], but for the records that stand below `low`: those of a tracer, whose Fregs begin there.
///
/// # Safety
/// So many frame records there are, from there on.
#[inline(always)]
pub unsafe fn print_from_above(low: usize, depth: usize) {
    let mut frame: usize;
    // SAFETY: as in `print`.
    unsafe { asm!("mov {}, x29", out(reg) frame, options(nomem, nostack, preserves_flags)) };
    while frame < low {
        // SAFETY: a frame record: there are some further up, as the caller promises.
        frame = unsafe { (frame as *const usize).read() };
    }
    // SAFETY: the caller's promise.
    unsafe { print_from(frame, depth) };
}

/// # Safety
/// `frame` is the first of `depth` frame records.
unsafe fn print_from(frame: usize, depth: usize) {
    let Some(stack) = FTRACE.return_stack() else {
        println!("  no return stack");
        return;
    };
    let mut real = stack.real_returns();
    let mut at = frame;
    for _ in 0..depth {
        // SAFETY: a frame record, as AAPCS64 lays them out; the caller's promise.
        let [next, lr] = unsafe { (at as *const [usize; 2]).read() };
        let to = real.real(lr);
        // Not hijacked, what it answers is the same address; its signature, if it has one, says nothing.
        let same = (to ^ lr) as u32 == 0;
        match FTRACE.symbol(to) {
            Some(symbol) => println!("  returns to {}, hijacked: {}", symbol.name, !same),
            None => println!("  returns to no function"),
        }
        at = next;
    }
}
