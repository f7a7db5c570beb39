//! Values that a kernel sets aside in a `static`, and gives away once: memory without an allocator.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};

/// `N` values in a `static`, for what takes a `&'static mut` slice: [`crate::ReturnStack::set_frames`],
/// [`crate::Ftrace::place_profile`], [`crate::Ftrace::place_count`], [`crate::Ftrace::place_cover`].
///
/// ```
/// use aarch64_ftrace::{ReturnFrame, ReturnStack, Storage};
///
/// static STACK: ReturnStack = ReturnStack::new();
/// static FRAMES: Storage<ReturnFrame, 64> = Storage::new([const { ReturnFrame::new() }; 64]);
///
/// let frames = FRAMES.take().expect("nobody else takes them");
/// STACK.set_frames(frames)?;
/// assert_eq!(STACK.capacity(), 64);
/// assert!(FRAMES.take().is_none());
/// # Ok::<(), aarch64_ftrace::Error>(())
/// ```
#[repr(C)]
pub struct Storage<T, const N: usize> {
    values: UnsafeCell<[T; N]>,
    taken: AtomicBool,
}

// SAFETY: the values are reached through `take` only, which gives them to one caller, who may be any thread: `T` is Send.
unsafe impl<T: Send, const N: usize> Sync for Storage<T, N> {}

impl<T, const N: usize> Storage<T, N> {
    /// Values that nobody has.
    pub const fn new(values: [T; N]) -> Self {
        Self {
            values: UnsafeCell::new(values),
            taken: AtomicBool::new(false),
        }
    }

    /// The values, for the first who asks; `None` for all others.
    ///
    /// # Context
    /// Any.
    #[allow(clippy::mut_from_ref, reason = "`taken` lets one caller through")]
    pub fn take(&'static self) -> Option<&'static mut [T]> {
        if self.taken.swap(true, Ordering::AcqRel) {
            return None;
        }
        // SAFETY: `taken` was false, so nobody has the values, and nobody gets them again.
        Some(unsafe { &mut *self.values.get() })
    }
}

impl<T, const N: usize> core::fmt::Debug for Storage<T, N> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Storage")
            .field("values", &N)
            .field("taken", &self.taken)
            .finish()
    }
}
