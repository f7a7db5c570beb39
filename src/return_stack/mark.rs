//! [`ReturnMark`]: how code goes on that leaves functions without returning from them.
#![forbid(unsafe_code)]

use super::ReturnStack;
use crate::error::Error;
use core::sync::atomic::Ordering;

/// Which calls of a [`ReturnStack`] were open: see [`ReturnStack::mark`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReturnMark {
    top: u64,
    child: u64,
    state: u64,
}

impl ReturnStack {
    /// Which calls are open now. For code that will go on here although functions that it has called never return: a longjmp, an
    /// unwinder that finds its landing pad, a kernel that leaves for user mode from wherever it is (its entry from there takes up
    /// what a mark says that was taken before the first time).
    ///
    /// # Context
    /// The task whose stack it is.
    pub fn mark(&self) -> ReturnMark {
        ReturnMark {
            top: self.top.load(Ordering::Relaxed),
            child: self.child.load(Ordering::Relaxed),
            state: self.state.load(Ordering::Relaxed),
        }
    }

    /// Forgets the calls that were entered since the mark was taken: nobody returns from them. Without this the next function that
    /// returns would go where the innermost of them was to return to.
    ///
    /// Each of them that is recorded has an ENTRY without an EXIT; of a [`crate::Profile`] it is no hit, and its time is the own
    /// time of who goes on; the exit of a [`crate::Fprobe`] does not come.
    ///
    /// # Errors
    /// [`Error::ReturnMark`] where the mark is of another stack, or of a call that has returned. Nothing is changed then.
    ///
    /// # Context
    /// The task whose stack it is, where it goes on, before it returns from anything: in the function that took the mark, or in one
    /// that it has called.
    pub fn unwind_to(&self, mark: ReturnMark) -> Result<(), Error> {
        let top = self.top.load(Ordering::Relaxed);
        let base = match self.capacity() {
            0 => top,
            _ => self.all().as_ptr() as u64,
        };
        if !(base..=top).contains(&mark.top) {
            return Err(Error::ReturnMark);
        }
        // Who interrupts between two of these uses the frames above and leaves the words as they are.
        self.state.store(mark.state, Ordering::Relaxed);
        self.child.store(mark.child, Ordering::Relaxed);
        self.top.store(mark.top, Ordering::Relaxed);
        Ok(())
    }
}
