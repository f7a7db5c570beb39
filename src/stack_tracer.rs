//! [`StackTracer`]: the deepest kernel stack that was seen on each core, function by function. Linux's stack tracer
//! (kernel/trace/trace_stack.c).
#![forbid(unsafe_code)]

pub(crate) mod deep_stack;
pub(crate) mod slot;

use crate::arch;
use crate::areas;
use crate::cpu::CpuArea;
use crate::engine::Applied;
use crate::error::Error;
use crate::filter::Filter;
use crate::fregs::Fregs;
use crate::kernel_stack::Backtrace;
use crate::ops::{Kind, Ops};
use crate::tracer::Ftrace;
use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};
pub use deep_stack::{DeepStack, StackFrame};
pub use slot::{STACK_FRAMES, StackSlot};

/// The one that has been set: how it is found by its ops.
static TRACER: spin::Once<&'static StackTracer> = spin::Once::new();

/// Keeps the deepest stack of each core: how deep, at which function's entry, and which functions were open. Make it a `static`,
/// with a slot for each core, and [`StackTracer::set`] it on the functions that shall look.
///
/// A call costs 13 instructions, trampoline included, where the function is its callsite's only tracer and the stack is no deeper than
/// before. Where it is, the frame records are followed, at most [`STACK_FRAMES`], with interrupts masked on that core meanwhile.
///
/// The kernel says where its stacks lie: [`Ftrace::switch_kernel_stack`]. What runs on a stack that it has not said is not looked
/// at; where such a stack lies lower in memory than the one that it has said, each call there costs as much as one of a tracer.
///
/// ```
/// use aarch64_ftrace::{AliasError, Filter, Ftrace, Platform, StackSlot, StackTracer};
///
/// struct Kernel;
/// // SAFETY: one core, whose text is writable where it runs.
/// unsafe impl Platform for Kernel {
///     fn patch_begin(&self) -> Result<isize, AliasError> {
///         Ok(0)
///     }
///     fn sync_cores(&self) {}
///     fn cpu_index(&self) -> usize {
///         0
///     }
/// }
///
/// static FTRACE: Ftrace = Ftrace::new(&Kernel);
/// static SLOTS: [StackSlot; 1] = [const { StackSlot::new() }; 1];
/// static STACKS: StackTracer = StackTracer::new(&FTRACE, &SLOTS);
///
/// // Nothing is traced before Ftrace::init and Ftrace::switch_kernel_stack: a typed error says so.
/// assert!(STACKS.set(&Filter::new(&["*"])).is_err());
/// assert!(STACKS.deepest(0).is_none());
/// ```
pub struct StackTracer {
    ops: Ops,
    ftrace: &'static Ftrace,
    slots: &'static [StackSlot],
    missed: AtomicU64,
}

impl StackTracer {
    /// A tracer that has seen nothing. `slots` has one for each core, by its number.
    pub const fn new(ftrace: &'static Ftrace, slots: &'static [StackSlot]) -> Self {
        Self {
            ops: Ops::builtin(Kind::Stack, arch::entry::STACK, called),
            ftrace,
            slots,
            missed: AtomicU64::new(0),
        }
    }

    /// Looks at the entry of the functions that the filter takes.
    ///
    /// # Errors
    /// Nothing is changed then. [`Error::NoKernelStack`] where the calling core's stack is not known; [`Error::StackSlots`] where a
    /// core that is online has no slot; [`Error::AnotherStackTracer`]; those of [`Ftrace::register`].
    ///
    /// # Context
    /// As [`Ftrace::register`].
    pub fn set(&'static self, filter: &Filter<'_>) -> Result<Applied, Error> {
        if self.ftrace.kernel_stack().is_none() {
            return Err(Error::NoKernelStack);
        }
        let slots = self.slots.len();
        let mut cores = areas::all().map(CpuArea::core);
        if let Some(core) = cores.find(|&core| core >= slots) {
            return Err(Error::StackSlots { slots, core });
        }
        if !core::ptr::eq(*TRACER.call_once(|| self), self) {
            return Err(Error::AnotherStackTracer);
        }
        self.ftrace.register(&self.ops, filter)
    }

    /// Looks no more; what was seen stays.
    ///
    /// # Errors
    /// Those of [`Ftrace::unregister`].
    ///
    /// # Context
    /// As [`Ftrace::unregister`].
    pub fn unset(&'static self) -> Result<Applied, Error> {
        self.ftrace.unregister(&self.ops)
    }

    /// Whether it is set.
    pub fn is_set(&self) -> bool {
        self.ops.is_registered()
    }

    /// How deep the deepest stack of a core was, in bytes: Linux's `stack_max_size`. 0 where none was seen; `None` for a core without
    /// a slot.
    ///
    /// # Context
    /// Any.
    pub fn max_bytes(&self, core: usize) -> Option<u64> {
        Some(self.slots.get(core)?.bytes())
    }

    /// The deepest stack of a core: Linux's `stack_trace`. `None` where none was seen, for a core without a slot, and where the core was
    /// stopped for good while it wrote one.
    ///
    /// # Context
    /// Any. Takes no lock; 2 KiB of stack. While a core finds a deeper one, it is read again.
    pub fn deepest(&self, core: usize) -> Option<DeepStack> {
        DeepStack::read(self.ftrace, core, self.slots.get(core)?)
    }

    /// Forgets what was seen, on all cores.
    ///
    /// # Context
    /// Any. A call that is found to be the deepest meanwhile is forgotten or kept, as a whole.
    pub fn clear(&self) {
        for slot in self.slots {
            slot.clear();
        }
        for area in areas::all() {
            if let Some(slot) = self.slots.get(area.core()) {
                slot.limit(area);
            }
        }
    }

    /// How often a deeper stack was not kept: on a core without a slot, that came online later, or where tasks share areas among
    /// cores and two wrote at once.
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }

    fn look(&self, ip: usize, fregs: &Fregs) {
        let Some(area) = arch::cpu_area() else {
            return;
        };
        let sp = fregs.sp();
        // From a set nobody has asked yet.
        if sp >= area.stack_limit() {
            return;
        }
        let stack = area.kernel_stack();
        let Some(bytes) = stack.used(sp) else {
            return;
        };
        let kept = self.slots.get(area.core()).is_some_and(|slot| {
            let kept =
                arch::masked(|| slot.keep(bytes, ip, sp, stack, || Backtrace::at_entry(fregs)));
            slot.limit(area);
            kept
        });
        if !kept {
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl fmt::Debug for StackTracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StackTracer")
            .field("slots", &self.slots.len())
            .field("missed", &self.missed())
            .finish_non_exhaustive()
    }
}

extern "C" fn called(ip: usize, _: usize, ops: &Ops, fregs: &mut Fregs) {
    let tracer = TRACER.get();
    if let Some(tracer) = tracer.filter(|tracer| core::ptr::eq(&raw const tracer.ops, ops)) {
        tracer.look(ip, fregs);
    }
}
