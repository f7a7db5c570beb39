//! The bytes of the name table, version 2: what the reader here and the writer in `aftrace` share.
//!
//! `docs/names-format.md` describes them to the byte. Offsets are from the start of the table; all is little endian.
#![forbid(unsafe_code)]

use core::ops::Range;

/// First eight bytes of each table, reserved or embedded.
pub const MAGIC: [u8; 8] = *b"AFTNAMES";
/// The version this crate reads and `aftrace` writes.
pub const VERSION: u16 = 2;
/// Length of the header in bytes; the first byte after it belongs to the payload.
pub const HEADER_SIZE: usize = 96;

/// `state`: space only, as the `reserve_names!` macro leaves it.
pub const STATE_RESERVED: u32 = 0;
/// `state`: `aftrace embed` has written a table.
pub const STATE_EMBEDDED: u32 = 1;

/// Where the header's fields lie.
pub mod field {
    use super::Range;

    /// [`super::MAGIC`].
    pub const MAGIC: Range<usize> = 0..8;
    /// u16, [`super::VERSION`].
    pub const VERSION: Range<usize> = 8..10;
    /// u16, [`super::HEADER_SIZE`].
    pub const HEADER_SIZE: Range<usize> = 10..12;
    /// u32, [`super::STATE_RESERVED`] or [`super::STATE_EMBEDDED`].
    pub const STATE: Range<usize> = 12..16;
    /// u32, bytes of the table, header included; a multiple of eight.
    pub const TOTAL_SIZE: Range<usize> = 16..20;
    /// u32, records of `__patchable_function_entries`.
    pub const COUNT: Range<usize> = 20..24;
    /// u64, [`super::layout_hash`] of the records.
    pub const LAYOUT_HASH: Range<usize> = 24..32;
    /// u64, [`super::checksum`] of the table.
    pub const CHECKSUM: Range<usize> = 32..40;
    /// u32, bytes of the GNU build id, at most 20; 0 when the kernel has none.
    pub const BUILD_ID_LEN: Range<usize> = 40..44;
    /// The build id, zeros behind it.
    pub const BUILD_ID: Range<usize> = 44..64;
    /// u32, names in all, aliases included.
    pub const NAMES: Range<usize> = 64..68;
    /// u32, rules of the grammar.
    pub const RULES: Range<usize> = 68..72;
    /// u32, offset of the short codes.
    pub const SHORTS_AT: Range<usize> = 72..76;
    /// u32, offset of the rules.
    pub const RULES_AT: Range<usize> = 76..80;
    /// u32, offset of the markers.
    pub const MARKERS_AT: Range<usize> = 80..84;
    /// u32, offset of the stream.
    pub const STREAM_AT: Range<usize> = 84..88;
    /// u32, bytes of the stream.
    pub const STREAM_LEN: Range<usize> = 88..92;
    /// u32, offset of the ends.
    pub const ENDS_AT: Range<usize> = 92..96;
}

/// A code byte below this stands alone; from here on it takes the next byte with it: `(byte - 240) << 8 | next` is the symbol.
pub const SHORT_CODES: u8 = 240;
/// Symbols below this are the bytes themselves; symbol `256 + i` is rule `i`.
pub const FIRST_RULE: u16 = 256;
/// Symbols have twelve bits.
pub const MAX_SYMBOLS: usize = 4096;
/// Rules that fit.
pub const MAX_RULES: usize = MAX_SYMBOLS - FIRST_RULE as usize;
/// Bytes of one rule: two symbols of twelve bits.
pub const RULE_SIZE: usize = 3;
/// Bytes of one end: the rank of a record, and from its function's entry to the end.
pub const END_SIZE: usize = 8;
/// The code byte between two aliases of one record.
pub const SEPARATOR: u8 = 0;
/// One marker for this many records.
pub const MARKER_EVERY: usize = 64;
/// Symbols that wait while one rule is expanded, at most. A writer makes no rule that needs more.
pub const STACK: usize = 16;
/// Bytes of one expanded name, at most.
pub const MAX_NAME: u16 = u16::MAX;

const MULTIPLIER: u64 = 0x517C_C1B7_2722_0A95;

/// One step of both hashes. For a given `hash` it maps each word to another value, and the reverse, so no change of one
/// word goes unseen.
#[inline]
const fn mix(hash: u64, word: u64) -> u64 {
    (hash.rotate_left(5) ^ word).wrapping_mul(MULTIPLIER)
}

/// Identifies a kernel by where its callsites lie relative to each other, wherever it is loaded.
///
/// `records` are the addresses in `__patchable_function_entries`, ascending: all of them, also those that the run time
/// rejects. The hash takes each record's distance from the first one, then their number.
pub fn layout_hash(records: impl Iterator<Item = u64>) -> u64 {
    let mut lowest = None;
    let mut count = 0_u64;
    let mut hash = 0;
    for record in records {
        hash = mix(hash, record.wrapping_sub(*lowest.get_or_insert(record)));
        count += 1;
    }
    mix(hash, count)
}

/// The table's checksum: over its 64-bit words, without the word at [`field::CHECKSUM`]. Bytes behind the last whole word
/// do not count; a table is a multiple of eight long.
#[must_use]
pub fn checksum(table: &[u8]) -> u64 {
    let (words, _) = table.as_chunks::<8>();
    let own = field::CHECKSUM.start / 8;
    let (before, rest) = words.split_at(own.min(words.len()));
    let after = rest.get(1..).unwrap_or_default();
    let fold = |hash, words: &[[u8; 8]]| {
        words
            .iter()
            .fold(hash, |h, word| mix(h, u64::from_le_bytes(*word)))
    };
    fold(fold(0, before), after)
}
