//! The callsite table: the linker's records, sorted and judged, in the section's own 8 bytes a callsite.
//!
//! ```text
//!  63   62 61 60 59   56 55 54   53      52          51       50       49      47                 0
//!  [BTI][zero]  [reason][ -- ][FOREIGN][QUARANTINED][SELECTED][MARKED][TOUCHED][offset from the text's start]
//! ```

use crate::callsite::{self, LITERAL_ALIGN, Layout};
use crate::text::ReadText;
use core::fmt;
use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering};

const OFFSET_BITS: u32 = 48;
const OFFSET_MASK: u64 = (1 << OFFSET_BITS) - 1;
/// The entry is a landing pad. The two bits below it are never used, so that the record shifted right by `PAD_SHIFT` is
/// the size of the pad.
const BTI: u64 = 1 << 63;
const PAD_SHIFT: u32 = 61;
const _: () = assert!((BTI >> PAD_SHIFT) as usize == crate::insn::INSN_SIZE);
/// The callsite has been enabled at least once (Linux: touched_functions).
pub(crate) const TOUCHED: u64 = 1 << 49;
/// The plan under way changes this callsite.
pub(crate) const MARKED: u64 = 1 << 50;
/// The filter under way takes this callsite.
pub(crate) const SELECTED: u64 = 1 << 51;
/// A change of this callsite could not be undone, or somebody else wrote to it; it is left alone from now on.
pub(crate) const QUARANTINED: u64 = 1 << 52;
/// Beside [`QUARANTINED`]: because somebody else wrote to it.
pub(crate) const FOREIGN: u64 = 1 << 53;
const REASON_SHIFT: u32 = 56;
const REASON_MASK: u64 = 0xf << REASON_SHIFT;
/// Records with any of these are no callsites, and never were.
pub(crate) const REJECTED: u64 = REASON_MASK;
/// Callsites with any of these are never changed.
pub(crate) const LEFT_ALONE: u64 = REJECTED | QUARANTINED;

/// Why a record is no callsite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The literal is not aligned to 8: it could not be swapped by one store.
    Misaligned,
    /// The record points outside the kernel's text.
    OutsideText,
    /// Another record has the same address.
    Duplicate,
    /// The words are not what the compiler writes.
    NotCompiledPattern,
    /// The function belongs to the tracer, or is marked notrace.
    OwnCode,
    /// A change of this callsite failed and could not be undone.
    Quarantined,
    /// This callsite had a word or a literal that somebody else wrote: another patcher, or memory corruption.
    Foreign,
}

impl Reason {
    const ALL: [Self; 5] = [
        Self::Misaligned,
        Self::OutsideText,
        Self::Duplicate,
        Self::NotCompiledPattern,
        Self::OwnCode,
    ];

    fn code(self) -> u64 {
        1 + Self::ALL.iter().position(|&each| each == self).unwrap_or(0) as u64
    }

    fn from_code(code: u64) -> Option<Self> {
        Self::ALL.get((code as usize).checked_sub(1)?).copied()
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Misaligned => "literal not aligned to 8",
            Self::OutsideText => "outside the text",
            Self::Duplicate => "duplicate record",
            Self::NotCompiledPattern => "not the compiled pattern",
            Self::OwnCode => "tracer's own or notrace",
            Self::Quarantined => "quarantined after a failed change",
            Self::Foreign => "quarantined: written by somebody else",
        })
    }
}

/// One record: a callsite, or a reject with its reason.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Record(pub(crate) u64);

impl Record {
    #[inline]
    pub(crate) fn has(self, flags: u64) -> bool {
        self.0 & flags != 0
    }

    #[inline(always)]
    pub(crate) fn load(word: &AtomicU64) -> Self {
        Self(word.load(Ordering::Relaxed))
    }

    /// Only under the engine's lock.
    #[inline(always)]
    pub(crate) fn store(self, word: &AtomicU64) {
        word.store(self.0, Ordering::Relaxed);
    }

    #[inline(always)]
    pub(crate) fn with(self, set: u64, clear: u64) -> Self {
        Self(self.0 & !clear | set)
    }

    pub(crate) fn reason(self) -> Option<Reason> {
        match Reason::from_code((self.0 & REASON_MASK) >> REASON_SHIFT) {
            None if self.has(FOREIGN) => Some(Reason::Foreign),
            None if self.has(QUARANTINED) => Some(Reason::Quarantined),
            reason => reason,
        }
    }
}

/// Where the kernel's text is, and which part of it is the tracer's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextRanges {
    /// All of the kernel's executable code.
    pub text: Range<usize>,
    /// What is never traced.
    pub notrace: Range<usize>,
}

/// Where the text of a table begins.
#[derive(Clone, Copy)]
pub(crate) struct Places {
    base: usize,
}

impl Places {
    #[inline(always)]
    pub(crate) fn layout(self, record: Record) -> Layout {
        // Offsets are signed: a reject may lie before the text.
        let unused = u64::BITS - OFFSET_BITS;
        let offset = (((record.0 << unused) as i64) >> unused) as usize;
        Layout::with_pad(
            self.base.wrapping_add(offset),
            (record.0 >> PAD_SHIFT) as usize,
        )
    }
}

/// The callsite table. Addresses never change after it is made; flags change under the engine's lock.
#[derive(Clone)]
pub(crate) struct Table {
    records: &'static [AtomicU64],
    base: usize,
    rejected: usize,
    /// From the first callsite that is not a reject to the last. The tracer's own code stands together at one end of most
    /// kernels, and there is no need to look at it in every batch.
    callsites: Range<usize>,
    /// The records that point into the text, whose offsets are exact and ascend. The others stand before and behind.
    in_text: Range<usize>,
}

impl Table {
    /// Sorts records by address. They usually are: the linker keeps them in the order of their functions.
    pub(crate) fn sort(records: &mut [u64]) {
        if !records.is_sorted() {
            records.sort_unstable();
        }
    }

    /// Sorts the records and judges each. Reads the text, writes nothing but the records.
    pub(crate) fn build(
        records: &'static mut [u64],
        ranges: &TextRanges,
        text: &impl ReadText,
    ) -> Self {
        Self::sort(records);
        let base = ranges.text.start;
        let mut before = None;
        let mut rejected = 0;
        let (mut callsites, mut in_text) = (0..0, 0..0);
        for (index, word) in records.iter_mut().enumerate() {
            let at = *word as usize;
            let offset = (at.wrapping_sub(base) as u64) & OFFSET_MASK;
            let judged = if before == Some(at) {
                Err(Reason::Duplicate)
            } else {
                judge(at, ranges, text)
            };
            before = Some(at);
            if ranges.text.contains(&at) {
                in_text = cover(&in_text, index);
            }
            *word = match judged {
                Ok(bti) => {
                    callsites = cover(&callsites, index);
                    offset | if bti { BTI } else { 0 }
                }
                Err(reason) => {
                    rejected += 1;
                    offset | (reason.code() << REASON_SHIFT)
                }
            };
        }
        let records: &'static [u64] = records;
        // SAFETY: AtomicU64 has the size and alignment of u64, and nobody else has the records: they came by `&mut`.
        let records = unsafe { &*(core::ptr::from_ref(records) as *const [AtomicU64]) };
        Self {
            records,
            base,
            rejected,
            callsites,
            in_text,
        }
    }

    /// How many records there are, rejects included.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// From the first callsite to behind the last. There may be rejects between.
    #[inline]
    pub(crate) fn callsites(&self) -> Range<usize> {
        self.callsites.clone()
    }

    /// How much memory they take.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(self.records)
    }

    /// How many of them are rejects.
    pub(crate) fn rejected(&self) -> usize {
        self.rejected
    }

    #[inline]
    pub(crate) fn record(&self, index: usize) -> Option<Record> {
        self.records.get(index).map(Record::load)
    }

    /// All of a range of records, in order. Out-of-range ends are cut.
    #[inline]
    pub(crate) fn range(
        &self,
        range: Range<usize>,
    ) -> impl DoubleEndedIterator<Item = (usize, Record)> + '_ {
        let end = range.end.min(self.len());
        let start = range.start.min(end);
        let words = &self.records[start..end];
        words
            .iter()
            .enumerate()
            .map(move |(i, word)| (start + i, Record::load(word)))
    }

    #[inline]
    pub(crate) fn layout(&self, record: Record) -> Layout {
        self.places().layout(record)
    }

    /// How records become addresses: a value of its own, so that a loop over all callsites can keep it in a register.
    #[inline(always)]
    pub(crate) fn places(&self) -> Places {
        Places { base: self.base }
    }

    /// Only under the engine's lock.
    #[inline]
    pub(crate) fn set_flags(&self, index: usize, set: u64, clear: u64) {
        if let Some(word) = self.records.get(index) {
            word.store(
                word.load(Ordering::Relaxed) & !clear | set,
                Ordering::Relaxed,
            );
        }
    }

    /// The words of a range of records, which must be one of this table.
    #[inline(always)]
    pub(crate) fn words(&self, range: Range<usize>) -> &'static [AtomicU64] {
        self.records.get(range).unwrap_or_default()
    }

    /// The record whose callsite has `address` among its words, or the last one before it.
    pub(crate) fn at_or_before(&self, address: usize) -> Option<usize> {
        let after = self.words(self.in_text.clone()).partition_point(|word| {
            let record = Record::load(word);
            self.layout(record).literal() <= address
        });
        Some(self.in_text.start + after.checked_sub(1)?)
    }

    /// The callsite that has `address` among its words, also where it is quarantined.
    pub(crate) fn find(&self, address: usize) -> Option<usize> {
        let index = self.at_or_before(address)?;
        // Rejects may overlap a callsite: duplicates, and records that point into its words.
        let (index, record) = self
            .range(self.in_text.start..index + 1)
            .rev()
            .find(|(_, record)| !record.has(REJECTED))?;
        (address <= self.layout(record).end()).then_some(index)
    }
}

/// The smallest range that has all of `range` and `index`.
pub(crate) fn cover(range: &Range<usize>, index: usize) -> Range<usize> {
    if range.is_empty() {
        index..index + 1
    } else {
        range.start.min(index)..range.end.max(index + 1)
    }
}

/// Whether a record is a callsite, with (`true`) or without a BTI.
fn judge(at: usize, ranges: &TextRanges, text: &impl ReadText) -> Result<bool, Reason> {
    // The room, not the end: behind a text at the top of the address space there are no addresses.
    if !ranges.text.contains(&at) || ranges.text.end - at < callsite::BYTES_MAX {
        return Err(Reason::OutsideText);
    }
    if ranges.notrace.contains(&at) {
        return Err(Reason::OwnCode);
    }
    if !at.is_multiple_of(LITERAL_ALIGN) {
        return Err(Reason::Misaligned);
    }
    match callsite::compiled(text, at) {
        Some(layout) => Ok(layout != Layout::new(at, false)),
        None => Err(Reason::NotCompiledPattern),
    }
}
