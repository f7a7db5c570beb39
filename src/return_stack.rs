//! [`ReturnStack`]: where the real return addresses are while the profiler and the function graph have hijacked them.

mod mark;
mod words;

pub use mark::ReturnMark;
#[cfg_attr(
    not(target_arch = "aarch64"),
    allow(unused_imports, reason = "the asm stores it")
)]
pub(crate) use words::WORDS;

use crate::arch;
use crate::cpu::CpuArea;
use crate::error::Error;
use crate::fregs::Fregs;
use crate::graph::OUTSIDE;
use crate::ops::Ops;
use crate::tracer::Ftrace;
use core::sync::atomic::{AtomicU64, Ordering, compiler_fence};

/// One hijacked return: 32 bytes of a [`ReturnStack`].
#[repr(C, align(32))]
#[derive(Debug)]
pub struct ReturnFrame {
    /// The address that the function would have returned to.
    lr: AtomicU64,
    /// The callsite, or its block.
    ip: AtomicU64,
    /// Ticks at the entry.
    time: AtomicU64,
    /// The entry's own word.
    aux: AtomicU64,
}

impl ReturnFrame {
    /// A frame of zeroes.
    pub const fn new() -> Self {
        Self {
            lr: AtomicU64::new(0),
            ip: AtomicU64::new(0),
            time: AtomicU64::new(0),
            aux: AtomicU64::new(0),
        }
    }
}

impl Default for ReturnFrame {
    fn default() -> Self {
        Self::new()
    }
}

/// The return stack of one task, or of one core in a kernel without tasks.
///
/// A stack without frames is full: every call that wants to push is counted in [`ReturnStack::overruns`] and runs
/// untraced, nothing else. The frames are given once, and belong to the stack from then on.
#[repr(C)]
#[derive(Debug)]
pub struct ReturnStack {
    /// Address behind the last frame in use.
    top: AtomicU64,
    /// Address behind the last frame.
    limit: AtomicU64,
    /// Ticks that the calls of the function at hand have taken (asm/entry_profile.S).
    child: AtomicU64,
    /// How many calls are open that the graph with options records (src/graph.rs says what else).
    state: AtomicU64,
    overruns: AtomicU64,
    frames: spin::Once<&'static [ReturnFrame]>,
}

/// What a [`crate::CpuArea`] has until the kernel gives it a stack.
pub(crate) static NO_STACK: ReturnStack = ReturnStack::new();

impl ReturnStack {
    /// A stack without frames.
    pub const fn new() -> Self {
        Self {
            top: AtomicU64::new(0),
            limit: AtomicU64::new(0),
            child: AtomicU64::new(0),
            state: AtomicU64::new(OUTSIDE),
            overruns: AtomicU64::new(0),
            frames: spin::Once::new(),
        }
    }

    /// Gives the stack its memory: as many frames as traced calls may be open inside each other.
    ///
    /// # Errors
    /// [`Error::ReturnStackMemory`] where there is no frame in it, or the stack has its memory already.
    ///
    /// # Context
    /// Any, before the stack is used.
    pub fn set_frames(&self, frames: &'static mut [ReturnFrame]) -> Result<(), Error> {
        let given = frames.len();
        if given == 0 || self.frames.is_completed() {
            return Err(Error::ReturnStackMemory { frames: given });
        }
        let frames: &'static [ReturnFrame] = frames;
        self.frames.call_once(|| frames);
        let range = frames.as_ptr_range();
        self.top.store(range.start as u64, Ordering::Relaxed);
        self.limit.store(range.end as u64, Ordering::Release);
        Ok(())
    }

    /// How many frames it has.
    pub fn capacity(&self) -> usize {
        self.all().len()
    }

    /// How many of them are in use.
    pub fn depth(&self) -> usize {
        let base = self.all().as_ptr() as u64;
        match self.capacity() {
            0 => 0,
            _ => (self.top.load(Ordering::Relaxed) - base) as usize / size_of::<ReturnFrame>(),
        }
    }

    /// How many calls found no room and ran untraced.
    pub fn overruns(&self) -> u64 {
        self.overruns.load(Ordering::Relaxed)
    }

    /// Empties the stack of a task that has ended inside traced functions, so that another task may have it; or of one that nothing
    /// returns on any more, because its kernel stack begins anew.
    ///
    /// # Context
    /// Nobody returns from what was entered with this stack.
    pub fn reset(&self) {
        if self.capacity() > 0 {
            let base = self.all().as_ptr() as u64;
            self.top.store(base, Ordering::Relaxed);
            self.state.store(OUTSIDE, Ordering::Relaxed);
        }
    }

    /// Where the task is, for the graph's options: see [`crate::graph::Shape::takes`].
    pub(crate) fn state(&self) -> u64 {
        self.state.load(Ordering::Relaxed)
    }

    pub(crate) fn set_state(&self, state: u64) {
        self.state.store(state, Ordering::Relaxed);
    }

    /// As if the calls of the function at hand had taken so long.
    #[cfg(test)]
    pub(crate) fn set_child(&self, ticks: u64) {
        self.child.store(ticks, Ordering::Relaxed);
    }

    /// What an unwinder asks: see [`RealReturns`].
    pub fn real_returns(&self) -> RealReturns<'_> {
        RealReturns {
            open: self.all().get(..self.depth()).unwrap_or_default(),
        }
    }

    fn all(&self) -> &'static [ReturnFrame] {
        self.frames.get().copied().unwrap_or_default()
    }

    /// Hijacks the return of a call that comes from a set, as the asm entries do for one that does not.
    /// The time in the frame, or `None` where it is not hijacked: returned early by another tracer, or no room (counted).
    pub(crate) fn hijack(
        &self,
        fregs: &mut Fregs,
        ip: u64,
        handler: usize,
        aux: u64,
    ) -> Option<u64> {
        self.push(fregs, ip, handler, || aux)
    }

    /// As [`ReturnStack::hijack`], for the profiler: its caller's time goes into the frame.
    pub(crate) fn hijack_timed(
        &self,
        fregs: &mut Fregs,
        block: u64,
        handler: usize,
    ) -> Option<u64> {
        self.push(fregs, block, handler, || {
            let child = self.child.load(Ordering::Relaxed);
            self.child.store(0, Ordering::Relaxed);
            child
        })
    }

    fn push(
        &self,
        fregs: &mut Fregs,
        ip: u64,
        handler: usize,
        aux: impl FnOnce() -> u64,
    ) -> Option<u64> {
        // A tracer before this one returns in the function's place: its body, and so its return, never comes.
        if fregs.pc() == fregs.lr() {
            return None;
        }
        let top = self.top.load(Ordering::Relaxed);
        let offset = top.wrapping_sub(self.all().as_ptr() as u64) as usize;
        let Some(frame) = self.all().get(offset / size_of::<ReturnFrame>()) else {
            self.overruns.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        self.top
            .store(top + size_of::<ReturnFrame>() as u64, Ordering::Relaxed);
        // Whoever interrupts from here on uses the frames above: the compiler must not write this one before.
        compiler_fence(Ordering::SeqCst);
        frame.aux.store(aux(), Ordering::Relaxed);
        frame.lr.store(fregs.lr(), Ordering::Relaxed);
        frame.ip.store(ip, Ordering::Relaxed);
        let time = arch::ticks();
        frame.time.store(time, Ordering::Relaxed);
        fregs.hijack(handler as u64);
        Some(time)
    }
}

impl Default for ReturnStack {
    fn default() -> Self {
        Self::new()
    }
}

/// The real addresses behind hijacked ones, for a walk from the innermost function outwards.
///
/// A backtrace finds the address of a return handler in the frame record of a function that the profiler or the graph
/// traces. Asked for every return address in turn, this gives the one that the code will get to in the end.
///
/// # Context
/// The task whose stack it is does not run meanwhile, or is the one that asks.
#[derive(Clone, Debug)]
pub struct RealReturns<'a> {
    open: &'a [ReturnFrame],
}

impl RealReturns<'_> {
    /// The real return address behind `address`, which is `address` itself where it is not hijacked. Signed or not (Arm ARM
    /// DDI 0487, "Pointer authentication"): the answer is not.
    pub fn real(&mut self, address: usize) -> usize {
        // A function that signs its return address signs that of the handler. Frames have theirs from before.
        let mut address = arch::without_pac(address);
        // Tail calls leave handlers behind handlers.
        while arch::return_handlers().contains(&address) {
            let Some((last, rest)) = self.open.split_last() else {
                break;
            };
            self.open = rest;
            let lr = last.lr.load(Ordering::Relaxed);
            if lr != words::WORDS {
                address = lr as usize;
            }
        }
        address
    }
}

impl Ftrace {
    /// Makes `stack` the calling core's return stack: two of these calls in a kernel, one when a core comes online, one in
    /// its context switch, with the stack of the task that runs next. One store.
    ///
    /// # Safety
    /// A traced function that is entered with one stack must return with the same: `stack` is that of the task that runs
    /// next on this core, no other core has it, and it lives until the core has another one.
    ///
    /// # Context
    /// On a core that is online (nothing happens on others), interrupts masked or not.
    #[inline]
    pub unsafe fn switch_return_stack(&self, stack: &ReturnStack) {
        if let Some(area) = arch::cpu_area() {
            area.set_return_stack(stack);
        }
    }

    /// The calling core's return stack, for an unwinder and for its counts. `None` where the core is not online.
    pub fn return_stack(&self) -> Option<&'static ReturnStack> {
        arch::cpu_area().map(CpuArea::return_stack)
    }

    /// Whether an ops that needs a return stack may be registered.
    pub(crate) fn check_return_stack(&self, ops: &Ops) -> Result<(), Error> {
        let none = || {
            self.return_stack()
                .is_none_or(|stack| stack.capacity() == 0)
        };
        if ops.head.kind.has_return() && none() {
            return Err(Error::NoReturnStack);
        }
        Ok(())
    }
}

/// Byte offsets for the asm.
#[cfg_attr(not(target_arch = "aarch64"), allow(dead_code))]
pub(crate) mod offset {
    use super::{ReturnFrame, ReturnStack};
    use core::mem::offset_of;

    pub(crate) const TOP: usize = offset_of!(ReturnStack, top);
    pub(crate) const LIMIT: usize = offset_of!(ReturnStack, limit);
    pub(crate) const CHILD: usize = offset_of!(ReturnStack, child);
    pub(crate) const STATE: usize = offset_of!(ReturnStack, state);
    pub(crate) const OVERRUNS: usize = offset_of!(ReturnStack, overruns);
    pub(crate) const FRAME_LR: usize = offset_of!(ReturnFrame, lr);
    pub(crate) const FRAME_AUX: usize = offset_of!(ReturnFrame, aux);
    pub(crate) const FRAME_TIME: usize = offset_of!(ReturnFrame, time);
    pub(crate) const FRAME_IP: usize = offset_of!(ReturnFrame, ip);
    // What the asm stores by pairs must be neighbours; a pop reads the first pair at the frame itself.
    const _: () = assert!(FRAME_LR == 0 && FRAME_IP == FRAME_LR + 8);
    const _: () = assert!(offset_of!(ReturnFrame, aux) == FRAME_TIME + 8);
}
