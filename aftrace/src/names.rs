//! Writes the name table that `aarch64_ftrace::names` reads (`docs/names-format.md`).

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Range;

use aarch64_ftrace::names::format::{
    self, FIRST_RULE, HEADER_SIZE, MARKER_EVERY, MAX_NAME, SEPARATOR, SHORT_CODES, field,
};

use crate::grammar::{self, Compressed};

/// One record of `__patchable_function_entries`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Address of the first NOP.
    pub address: u64,
    /// Paths of the functions that begin there; none where the ELF file has no symbol.
    pub names: Vec<String>,
    /// Bytes from the function's entry to its end, where code without a record stands behind it.
    pub end: Option<u32>,
}

/// Why names cannot be written.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The records are not in ascending order.
    #[error(
        "record {index} at {address:#x} lies below the one before it: sort the records by address"
    )]
    Unsorted {
        /// Rank of the record.
        index: usize,
        /// Its address.
        address: u64,
    },
    /// A name has no characters, or contains a zero byte.
    #[error("record {index} has a name that is empty or contains a zero byte: {name:?}")]
    BadName {
        /// Rank of the record.
        index: usize,
        /// The name.
        name: String,
    },
    /// A name, or one record's names together, exceed what the format holds.
    #[error(
        "the names of record {index} are too long ({len} bytes, {limit} at most): exclude that function from tracing"
    )]
    TooLong {
        /// Rank of the record.
        index: usize,
        /// Bytes.
        len: usize,
        /// Bytes that fit.
        limit: usize,
    },
    /// The build id has more than 20 bytes.
    #[error("build id of {len} bytes, 20 at most: link with --build-id=sha1")]
    BuildId {
        /// Its length.
        len: usize,
    },
    /// The table exceeds 4 GiB.
    #[error("name table of {len} bytes does not fit 32-bit offsets")]
    TooLarge {
        /// Its length.
        len: usize,
    },
}

/// Encodes a table for `records`, which are all records of the kernel, ascending.
///
/// The same input always gives the same bytes.
///
/// # Errors
/// [`EncodeError`]: the input exceeds the format.
pub fn encode(records: &[Record], build_id: &[u8]) -> Result<Vec<u8>, EncodeError> {
    check(records, build_id)?;
    let names = || records.iter().flat_map(|r| &r.names);
    let Compressed { texts, rules } = grammar::compress(names().map(|n| n.as_bytes()));
    let codes = Codes::new(&texts);

    let mut markers = Vec::new();
    let mut stream = Vec::new();
    let mut texts = texts.iter();
    for (index, record) in records.iter().enumerate() {
        if index % MARKER_EVERY == 0 {
            markers.extend(narrow(stream.len())?.to_le_bytes());
        }
        let mut entry = Vec::new();
        for (rank, text) in texts.by_ref().take(record.names.len()).enumerate() {
            if rank > 0 {
                entry.push(SEPARATOR);
            }
            codes.write(text, &mut entry);
        }
        write_length(entry.len(), index, &mut stream)?;
        stream.extend(entry);
    }

    let mut table = vec![0; HEADER_SIZE];
    let shorts_at = append(&mut table, &codes.table());
    let rules_at = append(
        &mut table,
        &rules
            .iter()
            .flat_map(|r| rule_bytes(*r))
            .collect::<Vec<_>>(),
    );
    let markers_at = append(&mut table, &markers);
    let stream_at = append(&mut table, &stream);
    let ends_at = append(&mut table, &ends(records)?);
    table.resize(table.len().next_multiple_of(8), 0);

    let total = narrow(table.len())?;
    let mut put = |at: Range<usize>, bytes: &[u8]| {
        table[at.start..at.start + bytes.len()].copy_from_slice(bytes)
    };
    put(field::MAGIC, &format::MAGIC);
    put(field::VERSION, &format::VERSION.to_le_bytes());
    put(field::HEADER_SIZE, &(HEADER_SIZE as u16).to_le_bytes());
    put(field::STATE, &format::STATE_EMBEDDED.to_le_bytes());
    put(field::TOTAL_SIZE, &total.to_le_bytes());
    put(field::COUNT, &narrow(records.len())?.to_le_bytes());
    let layout = format::layout_hash(records.iter().map(|r| r.address));
    put(field::LAYOUT_HASH, &layout.to_le_bytes());
    put(field::BUILD_ID_LEN, &narrow(build_id.len())?.to_le_bytes());
    put(field::BUILD_ID, build_id);
    put(field::NAMES, &narrow(names().count())?.to_le_bytes());
    put(field::RULES, &narrow(rules.len())?.to_le_bytes());
    put(field::SHORTS_AT, &narrow(shorts_at)?.to_le_bytes());
    put(field::RULES_AT, &narrow(rules_at)?.to_le_bytes());
    put(field::MARKERS_AT, &narrow(markers_at)?.to_le_bytes());
    put(field::STREAM_AT, &narrow(stream_at)?.to_le_bytes());
    put(field::STREAM_LEN, &narrow(stream.len())?.to_le_bytes());
    put(field::ENDS_AT, &narrow(ends_at)?.to_le_bytes());
    let checksum = format::checksum(&table);
    table[field::CHECKSUM].copy_from_slice(&checksum.to_le_bytes());
    Ok(table)
}

/// How many functions have an end, and for each the rank of its record and the end.
fn ends(records: &[Record]) -> Result<Vec<u8>, EncodeError> {
    let ends = records.iter().enumerate();
    let ends: Vec<(usize, u32)> = ends
        .filter_map(|(rank, record)| Some((rank, record.end?)))
        .collect();
    let mut part = narrow(ends.len())?.to_le_bytes().to_vec();
    for (rank, end) in ends {
        part.extend(narrow(rank)?.to_le_bytes());
        part.extend(end.to_le_bytes());
    }
    Ok(part)
}

fn check(records: &[Record], build_id: &[u8]) -> Result<(), EncodeError> {
    if build_id.len() > field::BUILD_ID.len() {
        return Err(EncodeError::BuildId {
            len: build_id.len(),
        });
    }
    let mut last = 0;
    for (index, record) in records.iter().enumerate() {
        if record.address < last {
            return Err(EncodeError::Unsorted {
                index,
                address: record.address,
            });
        }
        last = record.address;
        for name in &record.names {
            if name.is_empty() || name.contains('\0') {
                return Err(EncodeError::BadName {
                    index,
                    name: name.clone(),
                });
            }
            // The reader ends a name when it has given that many bytes.
            let limit = usize::from(MAX_NAME);
            if name.len() > limit {
                return Err(EncodeError::TooLong {
                    index,
                    len: name.len(),
                    limit,
                });
            }
        }
    }
    Ok(())
}

fn narrow(len: usize) -> Result<u32, EncodeError> {
    u32::try_from(len).map_err(|_| EncodeError::TooLarge { len })
}

/// Appends at the next multiple of four and returns where that is.
fn append(table: &mut Vec<u8>, part: &[u8]) -> usize {
    table.resize(table.len().next_multiple_of(4), 0);
    let at = table.len();
    table.extend(part);
    at
}

fn rule_bytes((left, right): (u16, u16)) -> [u8; 3] {
    let [left_low, left_high] = left.to_le_bytes();
    let [right_low, right_high] = right.to_le_bytes();
    [left_low, left_high | right_high << 4, right_low]
}

/// Seven bits a byte, lowest first, the top bit says that another follows; at most three bytes.
fn write_length(len: usize, index: usize, stream: &mut Vec<u8>) -> Result<(), EncodeError> {
    let limit = (1 << 21) - 1;
    if len > limit {
        return Err(EncodeError::TooLong { index, len, limit });
    }
    let mut rest = len;
    loop {
        let low = (rest & 0x7F) as u8;
        rest >>= 7;
        if rest == 0 {
            stream.push(low);
            return Ok(());
        }
        stream.push(low | 0x80);
    }
}

/// The codes of symbols: one byte for the 239 most frequent ones, two for the others.
struct Codes {
    short: BTreeMap<u16, u8>,
}

impl Codes {
    fn new(texts: &[Vec<u16>]) -> Self {
        let mut frequency = BTreeMap::<u16, usize>::new();
        for symbol in texts.iter().flatten() {
            *frequency.entry(*symbol).or_default() += 1;
        }
        let mut order: Vec<_> = frequency
            .into_iter()
            .map(|(symbol, n)| (Reverse(n), symbol))
            .collect();
        order.sort_unstable();
        let short = order
            .iter()
            .map(|(_, symbol)| *symbol)
            .zip(SEPARATOR + 1..SHORT_CODES)
            .collect();
        Self { short }
    }

    fn write(&self, text: &[u16], out: &mut Vec<u8>) {
        for symbol in text {
            match self.short.get(symbol) {
                Some(code) => out.push(*code),
                None => {
                    let [low, high] = symbol.to_le_bytes();
                    out.extend([SHORT_CODES + high, low]);
                }
            }
        }
    }

    /// The symbol of each short code, as the reader looks it up. Unused codes stand for the byte zero.
    fn table(&self) -> Vec<u8> {
        let mut table = vec![0; usize::from(SHORT_CODES) * 2];
        for (symbol, code) in &self.short {
            table[usize::from(*code) * 2..][..2].copy_from_slice(&symbol.to_le_bytes());
        }
        table
    }
}

// The two-byte form has room for four more bits than the short codes leave: sixteen blocks of 256 symbols.
const _: () = assert!(SHORT_CODES as usize + format::MAX_SYMBOLS / 256 == 256 && FIRST_RULE == 256);
