//! [`Image`]: where the running kernel has its records, its text and its names.

use crate::error::Error;
use crate::table::TextRanges;
use crate::veneer::Veneer;

/// What [`crate::Ftrace::init_with`] needs to know of the kernel.
#[derive(Debug)]
pub struct Image {
    /// The contents of `__patchable_function_entries`. The tracer keeps them, 8 bytes a callsite.
    pub(crate) records: &'static mut [u64],
    pub(crate) ranges: TextRanges,
    pub(crate) names: &'static [u8],
    pub(crate) veneers: &'static [Veneer],
}

impl Image {
    /// An image described by hand.
    ///
    /// # Safety
    /// `records` are the addresses of the first NOPs of functions compiled with `-Zpatchable-function-entry=4,2`,
    /// nothing else uses them, and all of `ranges.text` is mapped, readable and executable.
    pub unsafe fn new(
        records: &'static mut [u64],
        ranges: TextRanges,
        names: &'static [u8],
    ) -> Self {
        Self {
            records,
            ranges,
            names,
            veneers: crate::arch::veneers(),
        }
    }

    /// The image as the linker's symbols describe it.
    ///
    /// # Errors
    /// [`Error::Records`] where the section is not made of aligned 8-byte words.
    pub(crate) fn of_this_kernel() -> Result<Self, Error> {
        crate::arch::image()
    }
}
