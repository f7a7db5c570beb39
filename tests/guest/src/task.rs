//! Tasks that give the core to each other by name: a stack, and a switch, for guests whose tasks end inside traced functions.

use core::arch::global_asm;
use core::sync::atomic::{AtomicU64, Ordering};

global_asm!(
    ".pushsection .text.ftrace_notrace.task, \"ax\", %progbits",
    ".balign 8",
    // task_switch(from: *mut u64, to: u64): callee-saved registers to the stack, sp to *from, and back from `to`.
    ".global task_switch",
    "task_switch:",
    "sub sp, sp, #160",
    "stp x19, x20, [sp, #0]",
    "stp x21, x22, [sp, #16]",
    "stp x23, x24, [sp, #32]",
    "stp x25, x26, [sp, #48]",
    "stp x27, x28, [sp, #64]",
    "stp x29, x30, [sp, #80]",
    ".if {VECTORS}",
    "stp d8, d9, [sp, #96]",
    "stp d10, d11, [sp, #112]",
    "stp d12, d13, [sp, #128]",
    "stp d14, d15, [sp, #144]",
    ".endif",
    "mov x9, sp",
    "str x9, [x0]",
    "mov sp, x1",
    ".if {VECTORS}",
    "ldp d8, d9, [sp, #96]",
    "ldp d10, d11, [sp, #112]",
    "ldp d12, d13, [sp, #128]",
    "ldp d14, d15, [sp, #144]",
    ".endif",
    "ldp x19, x20, [sp, #0]",
    "ldp x21, x22, [sp, #16]",
    "ldp x23, x24, [sp, #32]",
    "ldp x25, x26, [sp, #48]",
    "ldp x27, x28, [sp, #64]",
    "ldp x29, x30, [sp, #80]",
    "add sp, sp, #160",
    "ret",
    // Where a new task's first switch returns to: its function is in x19.
    "task_first:",
    "mov x29, xzr",
    "mov x30, xzr",
    // Through x16: lands on a BTI C.
    "mov x16, x19",
    "br x16",
    ".popsection",
    VECTORS = const cfg!(target_feature = "neon") as usize,
);

unsafe extern "C" {
    fn task_switch(from: *mut u64, to: u64);
    safe fn task_first();
}

/// What `task_switch` leaves on a stack, in words; x19, x29 and x30 among them.
const SAVED: usize = 20;
const X19: usize = 0;
const X30: usize = 11;

/// A task that does not run: its stack pointer.
#[derive(Debug, Default)]
pub struct Task(AtomicU64);

impl Task {
    /// No task yet; or the one that runs, which is not switched to before it has been switched from.
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Makes it a task that begins with `body`, on this stack, when it is switched to. What it was before is gone.
    ///
    /// # Safety
    /// Nobody else uses the stack from here on, and it lasts.
    pub unsafe fn begin(&self, body: fn() -> !, stack: *mut u128, words: usize) {
        // The end of an array of u128 is aligned as a stack pointer must be.
        let sp = (stack.wrapping_add(words))
            .cast::<u64>()
            .wrapping_sub(SAVED);
        // SAFETY: within the stack, which is the caller's to give.
        unsafe { sp.write_bytes(0, SAVED) };
        for (at, value) in [
            (X19, body as *const () as u64),
            (X30, task_first as *const () as u64),
        ] {
            // SAFETY: as above.
            unsafe { sp.wrapping_add(at).write(value) };
        }
        self.0.store(sp as u64, Ordering::Relaxed);
    }
}

/// Gives the core to `to`; comes back when somebody gives it to `from`.
///
/// # Safety
/// `from` is the task that runs; `to` is one that does not, and has begun or been switched from.
pub unsafe fn switch(from: &Task, to: &Task) {
    let next = to.0.load(Ordering::Relaxed);
    // SAFETY: the caller's promise: `next` is what this function, or `begin`, left.
    unsafe { task_switch(from.0.as_ptr(), next) };
}
