//! [`CpuArea`]: the memory of one core that the asm entries reach without a call.

use crate::instances::LINE as COUNTER_LINE;
use crate::kernel_stack::{KernelStack, NOWHERE};
use crate::return_stack::{NO_STACK, ReturnStack};
use crate::ring::{Control, OFF};
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering, fence};

/// Values that PSTATE.DAIF can have: D, A, I and F, one bit each.
const MASKS: usize = 16;

/// Lowest bit of DAIF as `MRS Xt, DAIF` reads it (Arm ARM DDI 0487, "DAIF, Interrupt Mask Bits").
const DAIF_SHIFT: u32 = 6;

/// The core of an area that no core has.
const NOT_LISTED: u32 = u32::MAX;

/// From a block to its first counter, behind the entry.
const FIRST_COUNTER: u64 = size_of::<u64>() as u64;

/// What the entries need of one core: the guard, and a count of refused calls.
///
/// One for each core (or, in a kernel whose tasks may be preempted inside a tracer, one for each task). Its address
/// stands in the register that the kernel grants: TPIDRRO_EL0 unless a Cargo feature names another.
#[repr(C, align(64))]
#[derive(Debug)]
pub struct CpuArea {
    /// One slot for each interrupt mask: not zero while a guarded tracer runs with that mask.
    guard: [AtomicU64; MASKS],
    refused: AtomicU64,
    core: AtomicU32,
    /// The ring that recorders on this core write to; never null. The asm loads it and the return stack as a pair.
    ring: AtomicPtr<Control>,
    /// The return stack of the task that runs, or of the core. Never null.
    return_stack: AtomicPtr<ReturnStack>,
    /// The area that was made known before this one.
    next: AtomicPtr<CpuArea>,
    /// The ring while recording is off: it has no memory, but counts.
    off: Control,
    /// From a callsite's block to this core's counters, in bytes (src/instances.rs).
    counters: AtomicU64,
    /// The task that runs, as [`Task`] has it.
    task: AtomicU64,
    /// That it runs is in no ring, because nothing was recorded when it began to.
    is_untold: AtomicBool,
    /// The stack that the core runs on. Never null.
    kernel_stack: AtomicPtr<KernelStack>,
    /// SP below which that stack is deeper than its core's deepest; 0 where it has no bounds.
    stack_limit: AtomicU64,
    /// The bytes of the core's deepest stack, as the limit was made with.
    stack_deepest: AtomicU64,
}

/// A task's id, as the kernel numbers them, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Task(pub(crate) u64);

impl Task {
    /// The kernel has not said which task runs.
    pub(crate) const NONE: Self = Self(0);

    /// Its id; 0 of none.
    pub(crate) fn id(self) -> u32 {
        self.0 as u32
    }

    /// The task of this id, which may be 0.
    pub(crate) fn new(id: u32) -> Self {
        Self(1 << u32::BITS | u64::from(id))
    }
}

/// All areas that were made known by [`crate::Ftrace::cpu_online`] or init, newest first. There is one tracer in a kernel:
/// one trampoline, one register, one list.
static AREAS: AtomicPtr<CpuArea> = AtomicPtr::new(core::ptr::null_mut());

impl CpuArea {
    /// An area with no guard taken.
    pub const fn new() -> Self {
        Self {
            guard: [const { AtomicU64::new(0) }; MASKS],
            refused: AtomicU64::new(0),
            core: AtomicU32::new(NOT_LISTED),
            ring: AtomicPtr::new(core::ptr::from_ref(&OFF).cast_mut()),
            return_stack: AtomicPtr::new((&raw const NO_STACK).cast_mut()),
            next: AtomicPtr::new(core::ptr::null_mut()),
            off: Control::off(),
            counters: AtomicU64::new(FIRST_COUNTER),
            task: AtomicU64::new(Task::NONE.0),
            is_untold: AtomicBool::new(false),
            kernel_stack: AtomicPtr::new((&raw const NOWHERE).cast_mut()),
            stack_limit: AtomicU64::new(0),
            stack_deepest: AtomicU64::new(0),
        }
    }

    /// Makes the area known to recorders as that of this core. An area is listed once, whatever core it serves later.
    pub(crate) fn list(&'static self, core: u32) {
        if self.core.swap(core, Ordering::AcqRel) != NOT_LISTED {
            return;
        }
        self.ring
            .store(core::ptr::from_ref(&self.off).cast_mut(), Ordering::Relaxed);
        let this = core::ptr::from_ref(self).cast_mut();
        let mut head = AREAS.load(Ordering::Acquire);
        loop {
            self.next.store(head, Ordering::Relaxed);
            match AREAS.compare_exchange(head, this, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    pub(crate) fn newest() -> *const Self {
        AREAS.load(Ordering::Acquire)
    }

    pub(crate) fn older(&self) -> *const Self {
        self.next.load(Ordering::Acquire)
    }

    /// The number of the core it serves.
    pub(crate) fn core(&self) -> usize {
        self.core.load(Ordering::Acquire) as usize
    }

    /// Sends what is recorded on this core to `ring`, or nowhere (`None`). One store: whoever is in an entry finishes
    /// with the ring that it has read. Sequentially consistent: who stores here looks afterwards whether that is still wanted.
    pub(crate) fn set_ring(&'static self, ring: Option<&'static Control>) {
        let ring = ring.unwrap_or(&self.off);
        self.ring
            .store(core::ptr::from_ref(ring).cast_mut(), Ordering::SeqCst);
    }

    /// Where recorders on this core write to.
    pub(crate) fn ring_address(&self) -> *const Control {
        self.ring.load(Ordering::Acquire)
    }

    /// Whether what recorders on this core write is kept.
    pub(crate) fn is_recorded(&self) -> bool {
        !self.is_off(self.ring_address())
    }

    /// Whether this is where its events go while recording is off.
    pub(crate) fn is_off(&self, ring: *const Control) -> bool {
        core::ptr::eq(ring, &self.off)
    }

    /// The task that runs, as the kernel has said last.
    pub(crate) fn task(&self) -> Task {
        Task(self.task.load(Ordering::SeqCst))
    }

    pub(crate) fn set_task(&self, task: Task) {
        self.task.store(task.0, Ordering::SeqCst);
    }

    /// Whether a ring is to be told which task runs. Sequentially consistent, as all that decides where events go.
    pub(crate) fn set_untold(&self, untold: bool) {
        self.is_untold.store(untold, Ordering::SeqCst);
    }

    /// The same, for who will tell: nobody else does.
    pub(crate) fn take_untold(&self) -> bool {
        self.is_untold.load(Ordering::SeqCst) && self.is_untold.swap(false, Ordering::SeqCst)
    }

    /// How many events recording was off for.
    pub(crate) fn off_events(&self) -> u64 {
        self.off.reserved()
    }

    /// Whether a guarded tracer runs on the core that has this area, in whatever context.
    pub(crate) fn in_tracer(&self) -> bool {
        self.guard
            .iter()
            .any(|slot| slot.load(Ordering::Relaxed) != 0)
    }

    /// The stack that hijacked return addresses go to.
    pub(crate) fn return_stack(&self) -> &'static ReturnStack {
        // SAFETY: never null: made with NO_STACK, and `set_return_stack` stores what its caller promises to be alive.
        unsafe { &*self.return_stack.load(Ordering::Relaxed) }
    }

    pub(crate) fn set_return_stack(&self, stack: &ReturnStack) {
        self.return_stack
            .store(core::ptr::from_ref(stack).cast_mut(), Ordering::Relaxed);
    }

    /// The stack that the core runs on.
    pub(crate) fn kernel_stack(&self) -> &'static KernelStack {
        // SAFETY: never null: made with NOWHERE, and `set_kernel_stack` stores what its caller promises to be alive.
        unsafe { &*self.kernel_stack.load(Ordering::Relaxed) }
    }

    pub(crate) fn set_kernel_stack(&self, stack: &KernelStack) {
        self.kernel_stack
            .store(core::ptr::from_ref(stack).cast_mut(), Ordering::Relaxed);
        // Behind the stack: who sets the limit from another core looks at the stack again afterwards.
        let deepest = self.stack_deepest.load(Ordering::Relaxed);
        self.stack_limit
            .store(stack.high().saturating_sub(deepest), Ordering::Release);
    }

    /// SP below which the stack that the core runs on is deeper than any was.
    pub(crate) fn stack_limit(&self) -> u64 {
        self.stack_limit.load(Ordering::Relaxed)
    }

    /// From here on only what is deeper than `bytes` is. From any core: whoever else sets it looks again afterwards, too.
    pub(crate) fn set_stack_deepest(&self, bytes: u64) {
        self.stack_deepest.store(bytes, Ordering::SeqCst);
        loop {
            let stack = self.kernel_stack();
            let limit = stack.high().saturating_sub(bytes);
            self.stack_limit.store(limit, Ordering::SeqCst);
            fence(Ordering::SeqCst);
            if core::ptr::eq(stack, self.kernel_stack()) {
                return;
            }
        }
    }

    /// Says whose counters this core changes.
    pub(crate) fn set_core(&self, core: usize) {
        let offset = FIRST_COUNTER + (core * COUNTER_LINE) as u64;
        self.counters.store(offset, Ordering::Relaxed);
    }

    /// The core whose counters this core changes.
    pub(crate) fn counted_core(&self) -> usize {
        (self.counters.load(Ordering::Relaxed) - FIRST_COUNTER) as usize / COUNTER_LINE
    }

    /// How many calls were not delivered because they came from inside a guarded tracer.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

impl Default for CpuArea {
    fn default() -> Self {
        Self::new()
    }
}

/// Byte offsets and shifts for the asm.
#[cfg_attr(not(target_arch = "aarch64"), allow(dead_code))]
pub(crate) mod offset {
    use super::{CpuArea, DAIF_SHIFT};
    use core::mem::offset_of;

    pub(crate) const GUARD: usize = offset_of!(CpuArea, guard);
    pub(crate) const REFUSED: usize = offset_of!(CpuArea, refused);
    #[allow(dead_code, reason = "the recorders' asm")]
    pub(crate) const RING: usize = offset_of!(CpuArea, ring);
    pub(crate) const RETURN_STACK: usize = offset_of!(CpuArea, return_stack);
    // A pair, within one aligned 16 bytes, so that no model takes longer for it than for one.
    const _: () = assert!(RETURN_STACK == RING + size_of::<usize>() && RING.is_multiple_of(16));
    pub(crate) const COUNTERS: usize = offset_of!(CpuArea, counters);
    pub(crate) const STACK_LIMIT: usize = offset_of!(CpuArea, stack_limit);
    /// DAIF shifted right by this is the offset of its slot.
    pub(crate) const DAIF_TO_SLOT: u32 = DAIF_SHIFT - size_of::<u64>().trailing_zeros();
}
