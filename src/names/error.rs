//! Why a name table cannot be used.
#![forbid(unsafe_code)]

use core::fmt;

/// Why the names of this kernel's functions are not to be had.
///
/// Offsets are bytes from the start of section `ftrace_names`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NamesError {
    /// The section is empty: the kernel reserves no space.
    NoSection,
    /// Space is reserved, but no table was written into it.
    NotEmbedded {
        /// Bytes reserved.
        reserved: usize,
    },
    /// The section ends before the table does.
    Truncated {
        /// Bytes the table needs.
        expected: usize,
        /// Bytes that are there.
        found: usize,
    },
    /// The section begins with something else.
    Magic {
        /// The first eight bytes, read little endian.
        found: u64,
    },
    /// The table has a version that this crate does not read.
    Version {
        /// Its version.
        found: u16,
        /// The version this crate reads.
        expected: u16,
    },
    /// A field of the header is impossible.
    Header {
        /// Offset of the field.
        offset: usize,
        /// Its value.
        found: u64,
        /// The value it must have, or the largest it may have.
        expected: u64,
    },
    /// The table was damaged after it was written.
    Checksum {
        /// The sum of the bytes that are there.
        found: u64,
        /// The sum that the header states.
        expected: u64,
    },
    /// The entry of this record is cut off, or begins elsewhere than its marker says.
    Entry {
        /// Rank of the record.
        index: usize,
    },
    /// The ends are not in the order of their records, or of records that there are not.
    Ends,
    /// The table names the callsites of another build.
    OtherKernel {
        /// Layout hash of the running kernel.
        found: u64,
        /// Layout hash that the table states.
        expected: u64,
    },
}

impl fmt::Display for NamesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NoSection => f.write_str(
                "section ftrace_names is empty: put `reserve_names!(64 * 1024);` into the kernel and \
                 `KEEP(*(ftrace_names))` into its linker script, then run `aftrace embed`",
            ),
            Self::NotEmbedded { reserved } => write!(
                f,
                "section ftrace_names has {reserved} bytes reserved but no names yet: run `aftrace embed KERNEL` after the link"
            ),
            Self::Truncated { expected, found } => write!(
                f,
                "section ftrace_names ends after {found} bytes, the table needs {expected}: load the whole section, or embed again"
            ),
            Self::Magic { found } => write!(
                f,
                "section ftrace_names begins with {found:#018x}, not with `AFTNAMES`: something else lies there, see the linker script"
            ),
            Self::Version { found, expected } => write!(
                f,
                "name table of version {found}, this kernel reads {expected}: embed with the aftrace of this crate's version"
            ),
            Self::Header { offset, found, expected } => write!(
                f,
                "name table: field at offset {offset} is {found:#x}, at most (or exactly) {expected:#x} is possible: embed again"
            ),
            Self::Checksum { found, expected } => write!(
                f,
                "name table: checksum {found:#018x}, the header says {expected:#018x}: it was damaged, embed again"
            ),
            Self::Entry { index } => write!(
                f,
                "name table: the entry of record {index} is cut off, or not where its marker says: embed again"
            ),
            Self::Ends => f.write_str("name table: the ends are not in the order of their records: embed again"),
            Self::OtherKernel { found, expected } => write!(
                f,
                "name table of another build: its layout hash is {expected:#018x}, this kernel's is {found:#018x}: \
                 run `aftrace embed` on this kernel"
            ),
        }
    }
}

impl core::error::Error for NamesError {}
