//! [`Ops`]: what a callsite calls.

use crate::fregs::Fregs;
use crate::graph::Shape;
use crate::instances::Instances;
use core::fmt;
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

/// A tracer: what the call and set entries call at a traced function's entry.
///
/// * `ip`: the address of the callsite's BL. [`crate::Ftrace::symbol`] names it.
/// * `parent_ip`: where the traced function will return to.
/// * `ops`: the ops that was registered.
/// * `fregs`: the function's argument registers, readable and writable.
///
/// # Context
/// That of the traced function: any exception level the kernel runs at, any interrupt mask, any lock held by the traced
/// code. It must not block, and must not call what takes a lock that traced code may hold.
pub type TracerFn = extern "C" fn(ip: usize, parent_ip: usize, ops: &Ops, fregs: &mut Fregs);

/// An asm entry that the trampoline branches to.
pub type EntryFn = unsafe extern "C" fn();

/// How an ops is called, and with that which entry it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
#[allow(
    dead_code,
    reason = "the recorders are the users of the built-in kinds"
)]
pub(crate) enum Kind {
    /// NOP_OPS.
    Nop,
    /// A tracer that looks after its own recursion.
    Call,
    /// A tracer under the guard of its core and context.
    Guarded,
    /// The tracer's own asm.
    Direct,
    /// An interned set of ops.
    Set,
    /// Built in: an event for each call, in the ring buffer.
    Record,
    /// Built in: how often each function is called.
    Count,
    /// Built in: how long each function takes.
    Profile,
    /// Built in: entry and exit of each call.
    Graph,
    /// Built in: what is called from here is recorded, or is not.
    Mark,
    /// Calls at entry and return.
    Fprobe,
    /// Built in: which functions have been called.
    Coverage,
    /// Built in: how deep the stack is.
    Stack,
}

impl Kind {
    /// Whether its callsites point to blocks of their own.
    pub(crate) const fn has_instances(self) -> bool {
        matches!(self, Self::Count | Self::Profile | Self::Coverage)
    }

    /// Whether its entry pushes to the return stack.
    pub(crate) const fn has_return(self) -> bool {
        matches!(
            self,
            Self::Profile | Self::Graph | Self::Mark | Self::Fprobe
        )
    }

    /// Where it is called among those of one callsite: marks before what they are for, those under the guard last, as sets want.
    pub(crate) const fn rank(self) -> u32 {
        match self {
            Self::Mark => 0,
            Self::Guarded | Self::Fprobe => 2,
            _ => 1,
        }
    }

    /// Whether the recursion guard is taken before the tracer is called. In a set these come last.
    pub(crate) const fn is_guarded(self) -> bool {
        matches!(self, Self::Guarded | Self::Fprobe)
    }
}

/// What every target of a literal begins with: an ops or a set.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Head {
    pub(crate) entry: EntryFn,
    pub(crate) kind: Kind,
    /// Direct ops only: branch to it without the trampoline.
    pub(crate) straight: bool,
}

/// What a callsite calls: one tracer with its way of being called.
///
/// An ops is registered with [`crate::Ftrace::register`]; while it is, its address stands in the literals of the
/// functions that it traces, so it lives for ever (`static`, or leaked).
#[repr(C)]
pub struct Ops {
    pub(crate) head: Head,
    pub(crate) func: Option<TracerFn>,
    data: usize,
    /// Order of registration, 0 while not registered.
    pub(crate) order: AtomicU32,
    /// How many callsites call this ops.
    pub(crate) callsites: AtomicU32,
    /// The records that may call this ops: first, and one behind the last.
    pub(crate) first: AtomicU32,
    pub(crate) end: AtomicU32,
    /// Next registered ops.
    pub(crate) next: AtomicPtr<Ops>,
    /// What belongs to its kind: the blocks that its callsites point to instead of the ops itself, or the graph's options.
    own: AtomicPtr<()>,
}

impl Ops {
    /// A tracer that never recurses into itself.
    ///
    /// A guard is kept for each core and each interrupt mask (PSTATE.DAIF). While a guarded tracer runs, a traced
    /// function that it calls itself, on the same core and with the same mask, does not call guarded tracers again:
    /// the call is counted in [`crate::CpuArea::refused`] and the function runs untraced. An interrupt or exception
    /// that arrives meanwhile has more of DAIF set, so what it calls is traced.
    ///
    /// All guarded tracers of a core share the guard: two of them do not trace each other.
    ///
    /// Where the mask does not tell contexts apart the guard errs as follows. An interrupt handler that unmasks
    /// interrupts again while a tracer is interrupted is not traced until that tracer ends. A tracer that masks
    /// interrupts itself and then calls traced functions is entered once more for each further mask it sets: at most
    /// sixteen deep, in practice twice. Mark what such a tracer calls with [`crate::notrace!`]. A synchronous exception
    /// that is taken while all of DAIF is set already changes no mask, so its handler shares the slot of the code that it
    /// interrupts: in a guarded tracer, what the handler calls is counted as refused and not traced, and the tracer is
    /// not entered again; anywhere else the slot is free, the calls are delivered, and the slot is given back before the
    /// interrupted code goes on.
    pub const fn new(tracer: TracerFn) -> Self {
        Self::with(
            Kind::Guarded,
            crate::arch::entry::CALL_GUARDED,
            Some(tracer),
        )
    }

    /// A tracer that looks after itself: no guard, about eight instructions less a call.
    ///
    /// It is called again for every traced function that it calls. Mark it and all that it calls with
    /// [`crate::notrace!`], or keep them out of the filter. Its own function is never attached to itself.
    pub const fn unguarded(tracer: TracerFn) -> Self {
        Self::with(Kind::Call, crate::arch::entry::CALL, Some(tracer))
    }

    /// The tracer's own asm, reached through the literal: nothing is saved for it.
    ///
    /// It arrives with x9 = the traced function's LR, x30 = where the function goes on, x11 = this ops, and owns
    /// x9-x17 and the flags; everything else it must leave as it was. It begins with `BTI C` and ends as
    /// `mov x10, x30; mov x30, x9; ret x10`. A direct ops has its callsites for itself.
    ///
    /// # Safety
    /// `entry` must be such asm.
    pub const unsafe fn direct(entry: EntryFn) -> Self {
        Self::with(Kind::Direct, entry, None)
    }

    /// A direct ops that the callsite's BL reaches without the trampoline, where it is in range of a BL.
    ///
    /// # Safety
    /// As [`Ops::direct`], but x11 is not set.
    pub const unsafe fn straight(entry: EntryFn) -> Self {
        let mut ops = Self::with(Kind::Direct, entry, None);
        ops.head.straight = true;
        ops
    }

    /// An ops that this crate brings: asm of its own that saves nothing, and a tracer that does the same from a set.
    ///
    /// A callsite that only this ops has branches to `entry`, as to a direct ops'. Where it shares the callsite, the set
    /// calls `func` as it calls an unguarded tracer, and whatever it writes to the `Fregs` counts.
    pub(crate) const fn builtin(kind: Kind, entry: EntryFn, func: TracerFn) -> Self {
        Self::with(kind, entry, Some(func))
    }

    /// Adds a word of the owner's, which a tracer reads through its `&Ops`.
    #[must_use]
    pub const fn with_data(mut self, data: usize) -> Self {
        self.data = data;
        self
    }

    /// The word given to [`Ops::with_data`], or 0.
    #[inline]
    pub const fn data(&self) -> usize {
        self.data
    }

    /// Whether the ops is registered.
    pub fn is_registered(&self) -> bool {
        self.order.load(Ordering::Relaxed) != 0
    }

    /// How many callsites call this ops now.
    pub fn callsites(&self) -> usize {
        self.callsites.load(Ordering::Relaxed) as usize
    }

    pub(crate) const fn with(kind: Kind, entry: EntryFn, func: Option<TracerFn>) -> Self {
        Self {
            head: Head {
                entry,
                kind,
                straight: false,
            },
            func,
            data: 0,
            order: AtomicU32::new(0),
            callsites: AtomicU32::new(0),
            first: AtomicU32::new(0),
            end: AtomicU32::new(0),
            next: AtomicPtr::new(core::ptr::null_mut()),
            own: AtomicPtr::new(core::ptr::null_mut()),
        }
    }

    /// The address that a literal holds for this ops.
    #[inline]
    pub(crate) fn target(&'static self) -> u64 {
        core::ptr::from_ref(self) as u64
    }

    /// The blocks of its callsites, once they have their memory.
    #[inline]
    pub(crate) fn instances(&self) -> Option<&'static Instances> {
        if !self.head.kind.has_instances() {
            return None;
        }
        let instances = self.own.load(Ordering::Acquire) as *const Instances;
        // SAFETY: of these kinds, null or what `set_instances` stored, which came from a `&'static Instances`.
        unsafe { instances.as_ref() }
    }

    /// Gives its callsites blocks, which have their memory.
    pub(crate) fn set_instances(&self, instances: &'static Instances) {
        debug_assert!(self.head.kind.has_instances());
        let instances = core::ptr::from_ref(instances).cast_mut().cast();
        self.own.store(instances, Ordering::Release);
    }

    /// What it records of each call, once that was said: of [`Kind::Graph`] alone.
    pub(crate) fn shape(&self) -> Option<&'static Shape> {
        if self.head.kind != Kind::Graph {
            return None;
        }
        let shape = self.own.load(Ordering::Acquire) as *const Shape;
        // SAFETY: of this kind, null or what `set_shape` stored, which came from a `&'static Shape`.
        unsafe { shape.as_ref() }
    }

    /// Says where stands what it records of each call, before it is registered.
    pub(crate) fn set_shape(&self, shape: &'static Shape) {
        debug_assert!(self.head.kind == Kind::Graph);
        let shape = core::ptr::from_ref(shape).cast_mut().cast();
        self.own.store(shape, Ordering::Release);
    }

    /// Whether a literal calls this ops and no other.
    #[inline]
    pub(crate) fn is_called_by(&'static self, literal: u64) -> bool {
        literal == self.target()
            || self
                .instances()
                .is_some_and(|instances| instances.has(literal))
    }

    /// The address of the tracer's function, 0 for a direct ops.
    #[inline]
    pub(crate) fn func_address(&self) -> usize {
        self.func.map_or(0, |func| func as usize)
    }
}

impl fmt::Debug for Ops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ops")
            .field("kind", &self.head.kind)
            .field("tracer", &format_args!("{:#x}", self.func_address()))
            .field("callsites", &self.callsites())
            .finish()
    }
}

/// What the literal of a callsite without a tracer points to. Its entry returns into the function.
pub(crate) static NOP_OPS: Ops = Ops::with(Kind::Nop, crate::arch::entry::NOP, None);

/// Byte offsets for the asm.
#[cfg_attr(not(target_arch = "aarch64"), allow(dead_code))]
pub(crate) mod offset {
    use super::{Head, Ops};
    use core::mem::offset_of;

    pub(crate) const ENTRY: usize = offset_of!(Ops, head) + offset_of!(Head, entry);
    pub(crate) const FUNC: usize = offset_of!(Ops, func);
    pub(crate) const DATA: usize = offset_of!(Ops, data);
    pub(crate) const OWN: usize = offset_of!(Ops, own);
    pub(crate) const ORDER: usize = offset_of!(Ops, order);
    const _: () = assert!(ENTRY == 0, "docs promise that the entry is the first field");
}
