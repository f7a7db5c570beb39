//! The names of callsites: a reader for the table that `aftrace embed` writes into the kernel after the link.
//!
//! A kernel reserves the space with [`reserve_names!`](crate::reserve_names). The table has one entry for each record of
//! `__patchable_function_entries`, in ascending order of address, so a record's rank is its index here. The names are
//! compressed by a grammar (`docs/names-format.md`) that is read in place, without allocation, from bytes that nobody has
//! to trust: each access is checked, and nothing here panics.
#![forbid(unsafe_code)]

use core::fmt;

mod ends;
mod error;
pub mod format;
mod name;

pub use error::NamesError;
pub use format::layout_hash;
pub use name::{Aliases, Bytes, Name};

use ends::Ends;
use format::{HEADER_SIZE, MARKER_EVERY, MAX_RULES, RULE_SIZE, SHORT_CODES, field};
use name::Grammar;

/// A name table whose header, checksum and entries are in order.
#[derive(Clone, Copy)]
pub struct Names<'a> {
    table: &'a [u8],
    grammar: Grammar<'a>,
    markers: &'a [u8],
    stream: &'a [u8],
    ends: Ends<'a>,
    count: usize,
}

impl<'a> Names<'a> {
    /// Reads the table at the start of `section`, the bytes of ELF section `ftrace_names`; what follows it is ignored.
    ///
    /// Costs a few instructions for each eight bytes of the table and for each record.
    ///
    /// # Errors
    /// * [`NoSection`](NamesError::NoSection): `section` is empty.
    /// * [`NotEmbedded`](NamesError::NotEmbedded): space is reserved, `aftrace embed` was not run.
    /// * [`Magic`](NamesError::Magic), [`Version`](NamesError::Version): not a table, or not one of this version.
    /// * [`Truncated`](NamesError::Truncated): `section` is shorter than the table.
    /// * [`Header`](NamesError::Header): a field that no writer writes.
    /// * [`Checksum`](NamesError::Checksum): damaged.
    /// * [`Ends`](NamesError::Ends): ends that are not in the order of their records, which no writer writes.
    /// * [`Entry`](NamesError::Entry): the stream and its markers do not fit, which no writer writes.
    ///
    /// # Context
    /// Any.
    pub fn parse(section: &'a [u8]) -> Result<Self, NamesError> {
        if section.is_empty() {
            return Err(NamesError::NoSection);
        }
        let Some(header) = section.first_chunk::<HEADER_SIZE>() else {
            return Err(NamesError::Truncated {
                expected: HEADER_SIZE,
                found: section.len(),
            });
        };
        if !header.starts_with(&format::MAGIC) {
            return Err(NamesError::Magic {
                found: number(header, field::MAGIC),
            });
        }
        let version = number(header, field::VERSION);
        if version != u64::from(format::VERSION) {
            let found = u16::try_from(version).unwrap_or(u16::MAX);
            return Err(NamesError::Version {
                found,
                expected: format::VERSION,
            });
        }
        exactly(header, field::HEADER_SIZE, HEADER_SIZE)?;
        if number(header, field::STATE) == u64::from(format::STATE_RESERVED) {
            return Err(NamesError::NotEmbedded {
                reserved: section.len(),
            });
        }
        exactly(header, field::STATE, format::STATE_EMBEDDED as usize)?;

        let total = at_most(header, field::TOTAL_SIZE, usize::MAX)?;
        if total < HEADER_SIZE || !total.is_multiple_of(8) {
            return Err(impossible(
                header,
                field::TOTAL_SIZE,
                total.next_multiple_of(8).max(HEADER_SIZE),
            ));
        }
        let Some(table) = section.get(..total) else {
            return Err(NamesError::Truncated {
                expected: total,
                found: section.len(),
            });
        };
        at_most(header, field::BUILD_ID_LEN, field::BUILD_ID.len())?;
        let rules = at_most(header, field::RULES, MAX_RULES)?;
        let stream_len = at_most(header, field::STREAM_LEN, total)?;
        // No entry takes less than one byte of the stream.
        let count = at_most(header, field::COUNT, stream_len)?;
        let part = |at: core::ops::Range<usize>, len: usize| {
            let start = at_most(header, at.clone(), total.saturating_sub(len))?;
            table
                .get(start..start + len)
                .ok_or(impossible(header, at, total.saturating_sub(len)))
        };
        let ends = Ends::part_size(part(field::ENDS_AT, Ends::COUNT_SIZE)?);
        let names = Self {
            table,
            grammar: Grammar {
                shorts: part(field::SHORTS_AT, usize::from(SHORT_CODES) * 2)?,
                rules: part(field::RULES_AT, rules * RULE_SIZE)?,
            },
            markers: part(field::MARKERS_AT, count.div_ceil(MARKER_EVERY) * 4)?,
            stream: part(field::STREAM_AT, stream_len)?,
            ends: Ends::new(part(field::ENDS_AT, ends)?),
            count,
        };
        let (found, expected) = (format::checksum(table), number(header, field::CHECKSUM));
        if found != expected {
            return Err(NamesError::Checksum { found, expected });
        }
        names.check_entries()?;
        Ok(names)
    }

    /// Every entry is there and begins where its marker says: whoever looks a name up by rank finds what whoever walks over all
    /// finds.
    fn check_entries(&self) -> Result<(), NamesError> {
        let mut entries = self.iter();
        for index in 0..self.count {
            let at = self.stream.len() - entries.stream.len();
            let marked = index % MARKER_EVERY > 0 || self.marker(index) == Some(at);
            if !marked || entries.codes().is_none() {
                return Err(NamesError::Entry { index });
            }
        }
        self.ends.check(self.count)
    }

    /// Where the entries of a record's block begin in the stream.
    fn marker(&self, index: usize) -> Option<usize> {
        let marker = self.markers.get(index / MARKER_EVERY * 4..)?;
        usize::try_from(u32::from_le_bytes(*marker.first_chunk()?)).ok()
    }

    /// Records of `__patchable_function_entries` when the table was made.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Names in all, aliases included.
    #[must_use]
    pub fn total_names(&self) -> usize {
        usize::try_from(number(self.table, field::NAMES)).unwrap_or(usize::MAX)
    }

    /// Bytes of the table.
    #[must_use]
    pub fn size(&self) -> usize {
        self.table.len()
    }

    /// [`layout_hash`] of the kernel that the table was made for.
    #[must_use]
    pub fn layout_hash(&self) -> u64 {
        number(self.table, field::LAYOUT_HASH)
    }

    /// The GNU build id of that kernel; empty when it had none.
    #[must_use]
    pub fn build_id(&self) -> &'a [u8] {
        let len = usize::try_from(number(self.table, field::BUILD_ID_LEN)).unwrap_or(0);
        self.table
            .get(field::BUILD_ID)
            .and_then(|id| id.get(..len))
            .unwrap_or_default()
    }

    /// Refuses the table of another build.
    ///
    /// `records` are the addresses in `__patchable_function_entries`, ascending, all of them.
    ///
    /// # Errors
    /// [`OtherKernel`](NamesError::OtherKernel): the records lie otherwise than the table's maker saw them.
    pub fn belongs_to(&self, records: impl Iterator<Item = u64>) -> Result<(), NamesError> {
        let (found, expected) = (layout_hash(records), self.layout_hash());
        if found == expected {
            Ok(())
        } else {
            Err(NamesError::OtherKernel { found, expected })
        }
    }

    /// The names of the record with this rank, or `None` from [`count`](Self::count) on.
    ///
    /// Steps over at most 63 entries; to visit many, use [`iter`](Self::iter).
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Aliases<'a>> {
        if index >= self.count {
            return None;
        }
        let mut entries = Iter {
            grammar: self.grammar,
            stream: self.stream.get(self.marker(index)?..).unwrap_or_default(),
            left: self.count - index / MARKER_EVERY * MARKER_EVERY,
        };
        entries.nth(index % MARKER_EVERY)
    }

    /// Bytes from the entry of a record's function to its end, where code without a record stands behind it.
    #[must_use]
    pub fn end(&self, index: usize) -> Option<usize> {
        self.ends.get(index)
    }

    /// The names of each record, in ascending order of the records' addresses. One pass over the table.
    #[must_use]
    pub fn iter(&self) -> Iter<'a> {
        Iter {
            grammar: self.grammar,
            stream: self.stream,
            left: self.count,
        }
    }
}

impl fmt::Debug for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names")
            .field("count", &self.count)
            .field("names", &self.total_names())
            .field("size", &self.size())
            .field("layout_hash", &format_args!("{:#018x}", self.layout_hash()))
            .finish_non_exhaustive()
    }
}

impl<'a> IntoIterator for &Names<'a> {
    type Item = Aliases<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// The entries of a table from some record on: exactly as many as the table counts.
#[derive(Clone)]
pub struct Iter<'a> {
    grammar: Grammar<'a>,
    stream: &'a [u8],
    left: usize,
}

impl<'a> Iter<'a> {
    /// Takes the next entry's codes off the stream: a length of seven bits a byte, lowest first, then the codes.
    fn codes(&mut self) -> Option<&'a [u8]> {
        let mut len = 0;
        for shift in [0, 7, 14] {
            let (&byte, rest) = self.stream.split_first()?;
            self.stream = rest;
            len |= usize::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                break;
            }
        }
        let (codes, rest) = self.stream.split_at_checked(len)?;
        self.stream = rest;
        Some(codes)
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = Aliases<'a>;

    fn next(&mut self) -> Option<Aliases<'a>> {
        self.left = self.left.checked_sub(1)?;
        let codes = self.codes();
        if codes.is_none() {
            self.stream = &[];
        }
        Some(Aliases::new(self.grammar, codes.unwrap_or_default()))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Iter<'_> {}
impl core::iter::FusedIterator for Iter<'_> {}

/// The number at `at`, zero-extended; zero where there are no such bytes.
fn number(bytes: &[u8], at: core::ops::Range<usize>) -> u64 {
    let field = bytes.get(at).unwrap_or_default();
    field
        .iter()
        .rev()
        .fold(0, |value, byte| value << 8 | u64::from(*byte))
}

fn impossible(header: &[u8], at: core::ops::Range<usize>, expected: usize) -> NamesError {
    NamesError::Header {
        offset: at.start,
        found: number(header, at),
        expected: expected as u64,
    }
}

fn at_most(header: &[u8], at: core::ops::Range<usize>, limit: usize) -> Result<usize, NamesError> {
    match usize::try_from(number(header, at.clone())) {
        Ok(value) if value <= limit => Ok(value),
        _ => Err(impossible(header, at, limit)),
    }
}

fn exactly(header: &[u8], at: core::ops::Range<usize>, value: usize) -> Result<(), NamesError> {
    if number(header, at.clone()) == value as u64 {
        Ok(())
    } else {
        Err(impossible(header, at, value))
    }
}

/// The space that [`reserve_names!`](crate::reserve_names) puts into section `ftrace_names`.
#[doc(hidden)]
#[repr(C, align(8))]
pub struct Reserved<const BYTES: usize>([u8; BYTES]);

impl<const BYTES: usize> Reserved<BYTES> {
    #[doc(hidden)]
    #[must_use]
    pub const fn new() -> Self {
        assert!(
            BYTES >= HEADER_SIZE && BYTES.is_multiple_of(8),
            "reserve_names!: a multiple of 8 bytes, at least 96"
        );
        let mut bytes = [0; BYTES];
        copy(&mut bytes, field::MAGIC.start, &format::MAGIC);
        copy(
            &mut bytes,
            field::VERSION.start,
            &format::VERSION.to_le_bytes(),
        );
        copy(
            &mut bytes,
            field::HEADER_SIZE.start,
            &(HEADER_SIZE as u16).to_le_bytes(),
        );
        copy(
            &mut bytes,
            field::STATE.start,
            &format::STATE_RESERVED.to_le_bytes(),
        );
        Self(bytes)
    }

    /// What lies there at compile time.
    #[doc(hidden)]
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; BYTES] {
        &self.0
    }
}

const fn copy(to: &mut [u8], at: usize, from: &[u8]) {
    let mut i = 0;
    while i < from.len() {
        to[at + i] = from[i];
        i += 1;
    }
}

/// Reserves this many bytes (a multiple of 8, at least 96) for the names of the kernel's functions.
///
/// Use it once, at module level. The space lies in ELF section `ftrace_names`; `aftrace embed` fills it after the link and
/// says how much a kernel needs when it is too little. As a rule of thumb, 24 bytes a function.
///
/// ```
/// aarch64_ftrace::reserve_names!(64 * 1024);
/// ```
#[macro_export]
macro_rules! reserve_names {
    ($bytes:expr) => {
        const _: () = {
            #[used]
            #[unsafe(link_section = "ftrace_names")]
            static RESERVED: $crate::names::Reserved<{ $bytes }> = $crate::names::Reserved::new();
        };
    };
}
