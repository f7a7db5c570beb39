//! [`KernelStack`]: where a stack lies, so that whoever walks it stays inside.

use crate::arch;
use crate::cpu::CpuArea;
use crate::error::Error;
use crate::fregs::Fregs;
use crate::return_stack::RealReturns;
use crate::tracer::Ftrace;
use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering};

/// Alignment of the stack pointer, and so of a stack (AAPCS64 IHI 0055, "The Stack").
pub(crate) const SP_ALIGN: u64 = 16;

/// Bytes of a frame record: the caller's frame pointer, the return address (AAPCS64 IHI 0055, "The Frame Pointer").
pub(crate) const RECORD: u64 = size_of::<[u64; 2]>() as u64;

/// The memory of one stack: a core's, or a task's.
///
/// Backtraces of triggers read frame records in it and nowhere else. A stack without bounds is as none: there is nothing to walk.
#[repr(C)]
#[derive(Debug)]
pub struct KernelStack {
    low: AtomicU64,
    high: AtomicU64,
}

/// What a [`CpuArea`] has until the kernel says which stack it runs on.
pub(crate) static NOWHERE: KernelStack = KernelStack::new();

impl KernelStack {
    /// A stack without bounds.
    pub const fn new() -> Self {
        Self {
            low: AtomicU64::new(0),
            high: AtomicU64::new(0),
        }
    }

    /// Says where it lies: from its lowest byte to the one behind its highest, where it begins to grow down.
    ///
    /// # Errors
    /// [`Error::StackBounds`] where that is empty, or not aligned to 16 bytes. Nothing is changed then.
    ///
    /// # Context
    /// Any, while no core has this stack.
    pub fn set_bounds(&self, bounds: Range<usize>) -> Result<(), Error> {
        let (low, high) = (bounds.start as u64, bounds.end as u64);
        if low >= high || !low.is_multiple_of(SP_ALIGN) || !high.is_multiple_of(SP_ALIGN) {
            return Err(Error::StackBounds {
                low: bounds.start,
                high: bounds.end,
            });
        }
        self.low.store(low, Ordering::Relaxed);
        self.high.store(high, Ordering::Relaxed);
        Ok(())
    }

    /// Where it lies; empty where that has not been said.
    pub fn bounds(&self) -> Range<usize> {
        self.low.load(Ordering::Relaxed) as usize..self.high.load(Ordering::Relaxed) as usize
    }

    /// The address behind its highest byte; 0 without bounds.
    pub(crate) fn high(&self) -> u64 {
        self.high.load(Ordering::Relaxed)
    }

    /// How much of it is used where SP is `sp`, in bytes. `None` where that is not on this stack.
    pub(crate) fn used(&self, sp: u64) -> Option<u64> {
        let high = self.high();
        (self.low.load(Ordering::Relaxed)..=high)
            .contains(&sp)
            .then(|| high - sp)
    }

    /// The frame records from `fp` outwards, none below `sp`. Empty where `sp` is not on this stack.
    ///
    /// # Safety
    /// The memory in its bounds may be read until the iterator is gone.
    pub(crate) unsafe fn records(&self, sp: u64, fp: u64) -> Records {
        let high = self.high();
        let inside = (self.low.load(Ordering::Relaxed)..high).contains(&sp);
        Records {
            left: if inside { sp..high } else { 0..0 },
            next: fp,
        }
    }
}

impl Default for KernelStack {
    fn default() -> Self {
        Self::new()
    }
}

/// A frame record: where it stands, and the return address in it, as it stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) at: u64,
    pub(crate) lr: u64,
}

/// A walk over frame records. Each stands above the one before, so it ends, whatever the memory says: where a record would stand
/// lower, outside of the stack, not aligned, or would return to zero.
#[derive(Debug)]
pub(crate) struct Records {
    /// Where the next record may stand.
    left: Range<u64>,
    next: u64,
}

impl Iterator for Records {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        let at = self.next;
        let end = at.checked_add(RECORD)?;
        let is_record = at.is_multiple_of(size_of::<u64>() as u64)
            && self.left.contains(&at)
            && end <= self.left.end;
        if !is_record {
            self.left = 0..0;
            return None;
        }
        // SAFETY: 16 bytes within the bounds of a stack that may be read, as whoever made the walk has promised; aligned to 8.
        let [next, lr] = unsafe { (at as *const [u64; 2]).read_volatile() };
        self.left.start = end;
        self.next = next;
        (lr != 0).then_some(Record { at, lr })
    }
}

/// Where the functions on the calling core's stack return to, from a traced function at its entry outwards: the real addresses,
/// in place of those that were exchanged.
pub(crate) struct Backtrace {
    next: Option<u64>,
    records: Records,
    real: RealReturns<'static>,
}

impl Backtrace {
    /// From a tracer. `None` on a core that is not online.
    pub(crate) fn at_entry(fregs: &Fregs) -> Option<Self> {
        let area = arch::cpu_area()?;
        // SAFETY: the stack is this core's, by the promise of `switch_kernel_stack`: its memory may be read.
        let records = unsafe { area.kernel_stack().records(fregs.sp(), fregs.fp()) };
        Some(Self {
            next: Some(fregs.lr()),
            records,
            real: area.return_stack().real_returns(),
        })
    }

    /// Whether the function runs on the stack that the kernel has said; if not, only its caller is known.
    pub(crate) fn is_inside(&self) -> bool {
        !self.records.left.is_empty()
    }
}

/// One of the functions that are open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Return {
    /// Where in it its callee returns to.
    pub(crate) address: u64,
    /// Where its own frame record stands, if that is known.
    pub(crate) record: Option<u64>,
}

impl Iterator for Backtrace {
    type Item = Return;

    fn next(&mut self) -> Option<Return> {
        let lr = self.next.take()?;
        let record = self.records.next();
        self.next = record.map(|record| record.lr);
        Some(Return {
            address: self.real.real(lr as usize) as u64,
            record: record.map(|record| record.at),
        })
    }
}

impl Ftrace {
    /// Says on which stack the calling core runs from here on: one of these calls when a core comes online and, in a kernel with
    /// tasks, one in its context switch. Two loads and two stores. A kernel that takes interrupts on a stack of their own may say so there and
    /// back, or say nothing: what runs outside of the bounds is not walked.
    ///
    /// # Safety
    /// The memory in the bounds of `stack` is mapped and may be read, and both live, until the core has another stack.
    ///
    /// # Context
    /// On a core that is online (nothing happens on others), interrupts masked or not.
    #[inline]
    pub unsafe fn switch_kernel_stack(&self, stack: &KernelStack) {
        if let Some(area) = arch::cpu_area() {
            area.set_kernel_stack(stack);
        }
    }

    /// The stack that the calling core runs on, as the kernel has said. `None` where it has not.
    pub fn kernel_stack(&self) -> Option<&'static KernelStack> {
        let stack = arch::cpu_area().map(CpuArea::kernel_stack)?;
        (!stack.bounds().is_empty()).then_some(stack)
    }
}
