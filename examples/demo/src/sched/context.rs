//! What a task leaves on its stack while others run, shared with `switch.S`.

use core::arch::global_asm;
use core::mem::offset_of;

const FP: bool = cfg!(target_feature = "neon");

/// The registers that a function keeps for its caller, and the tracer's area.
#[repr(C, align(16))]
pub struct Context {
    /// x19 to x28.
    x: [usize; 10],
    fp: usize,
    lr: usize,
    /// TPIDRRO_EL0.
    area: usize,
    fpcr: usize,
    d: [u64; 8],
}

global_asm!(
    include_str!("switch.S"),
    BYTES = const size_of::<Context>(),
    AREA = const offset_of!(Context, area),
    D = const offset_of!(Context, d),
    FP = const FP as u8,
);

unsafe extern "C" {
    fn sched_first();
    fn sched_switch(from: *mut usize, to: usize);
}

/// Puts the context of a new task at the top of its stack: it begins with `main`, which does not return, with its own tracer area.
/// Returns the task's SP.
pub fn prepare(stack: &mut [u128], main: fn() -> !, area: usize) -> usize {
    let top = stack.as_mut_ptr_range().end as usize;
    let sp = top - size_of::<Context>();
    let mut context = Context {
        x: [0; 10],
        fp: 0,
        lr: sched_first as *const () as usize,
        area,
        fpcr: 0,
        d: [0; 8],
    };
    context.x[0] = main as usize;
    let first = stack.len() - size_of::<Context>() / size_of::<u128>();
    let slot = stack[first..].as_mut_ptr().cast::<Context>();
    // SAFETY: `slot` is the last size_of::<Context>() bytes of the stack, which is aligned for u128 as Context is.
    unsafe { slot.write(context) };
    sp
}

/// Goes on with the task whose SP is `to`; returns when somebody switches back to the caller.
///
/// # Safety
///
/// Interrupts are masked; `from` outlives the switch; `to` is what [`prepare`] returned or an earlier switch stored,
/// and it is used once.
pub unsafe fn switch(from: *mut usize, to: usize) {
    // SAFETY: the caller's contract is switch.S's.
    unsafe { sched_switch(from, to) };
}
