//! [`Persistent`]: memory that a warm reset leaves as it is.

use super::{RecordError, Recorder, Sizes};
use crate::trace::{FLAG_SURVIVES, HEADER_BYTES, Header};
use core::mem::MaybeUninit;
use core::ptr::NonNull;

/// Memory that holds after a warm reset what it held before. A linker script sets it aside, at an address that is the same in
/// every build, in a section that no loader fills or clears (docs/porting.md, "A recording that survives a reset").
#[derive(Debug)]
pub struct Persistent {
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: nobody else has the memory, which is the same on every core.
unsafe impl Send for Persistent {}

impl Persistent {
    /// Takes that memory.
    ///
    /// # Safety
    /// So many bytes at `start` are RAM, mapped for ever as Normal memory that can be read and written, and belong to nobody
    /// else: no object of the program lies there.
    pub const unsafe fn new(start: NonNull<u8>, bytes: usize) -> Self {
        Self { start, bytes }
    }

    /// What it holds.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: `new`'s contract; RAM holds some value in every byte, and nobody writes while this is borrowed.
        unsafe { core::slice::from_raw_parts(self.start.as_ptr(), self.bytes) }
    }

    /// The memory, to be used in any way.
    pub fn into_memory(self) -> &'static mut [MaybeUninit<u8>] {
        // SAFETY: `new`'s contract: it is nobody else's, for ever.
        unsafe { core::slice::from_raw_parts_mut(self.start.as_ptr().cast(), self.bytes) }
    }
}

impl Recorder {
    /// As [`Recorder::install`], in memory that survives a warm reset: look at [`Recorder::survivor`] first, for this
    /// overwrites it. The header counts the boots that have used the memory.
    ///
    /// # Errors
    /// Those of [`Recorder::install`].
    ///
    /// # Context
    /// As [`Recorder::install`].
    pub fn install_persistent(
        &'static self,
        memory: Persistent,
        sizes: Sizes,
    ) -> Result<(), RecordError> {
        let header = memory.bytes().first_chunk::<HEADER_BYTES>();
        let before = header.and_then(|header| Header::from_bytes(header).ok());
        let boots = before.map_or(0, |header| header.boots).saturating_add(1);
        self.install_as(memory.into_memory(), sizes, boots, FLAG_SURVIVES)
    }

    /// Writes what is recorded from the caches to memory, for a reset that does not keep them: DC CVAC for each line of the
    /// region, then DSB SY. What is written afterwards may or may not be there.
    ///
    /// # Errors
    /// [`RecordError::NotInstalled`].
    ///
    /// # Context
    /// Any; takes as long as the region is large.
    pub fn clean_to_memory(&self) -> Result<(), RecordError> {
        crate::arch::clean_to_memory(self.installed()?.region.memory());
        Ok(())
    }
}
