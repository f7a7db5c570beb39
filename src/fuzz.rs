//! Fuzz harness of the parsers that are not public: the records section, filters, and the prologues of functions. `cargo test` calls it, and so does fuzz/.
//!
//! Each function panics where a promise is broken, and says whether anything was accepted.

use crate::filter::{Filter, MAX_PATTERNS, What};
use crate::glob;
use crate::insn::Insn;
use crate::prologue::Frame;
use crate::table::{Table, TextRanges};
use crate::text::ReadText;
use std::boxed::Box;
use std::string::String;
use std::vec::Vec;

/// Most records of one input.
const RECORDS_MAX: usize = 64;
/// Bytes that say where the text begins, how many records there are, and what is notrace.
const TABLE_HEADER: usize = 16;

/// A text that panics when it is read outside.
struct Bounded<'a> {
    start: usize,
    bytes: &'a [u8],
}

impl Bounded<'_> {
    fn read<const N: usize>(&self, at: usize) -> [u8; N] {
        let found = at
            .checked_sub(self.start)
            .and_then(|offset| self.bytes.get(offset..)?.first_chunk());
        *found.unwrap_or_else(|| panic!("read of {N} bytes at {at:#x}, outside the text"))
    }
}

impl ReadText for Bounded<'_> {
    fn insn(&self, at: usize) -> Insn {
        Insn(u32::from_le_bytes(self.read(at)))
    }

    fn literal(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.read(at))
    }
}

/// The records section: 8 bytes where the text begins, 2 how many records, 2 and 2 the offsets of notrace, 2 unused; the
/// records; the text.
pub fn table(data: &[u8]) -> bool {
    let Some((header, rest)) = data.split_first_chunk::<TABLE_HEADER>() else {
        return false;
    };
    let start = u64::from_le_bytes(*header.first_chunk().expect("16 bytes")) as usize & !7;
    let half = |at: usize| usize::from(u16::from_le_bytes([header[at], header[at + 1]]));
    let (words, _) = rest.as_chunks::<8>();
    let count = half(8).min(words.len()).min(RECORDS_MAX);
    let records: Vec<u64> = words[..count]
        .iter()
        .map(|w| u64::from_le_bytes(*w))
        .collect();
    let text = &rest[count * 8..];
    // A kernel's text ends below the last address.
    let start = start.min(usize::MAX - 7 - text.len().next_multiple_of(8)) & !7;
    let ranges = TextRanges {
        text: start..start + text.len(),
        notrace: start.saturating_add(half(10))..start.saturating_add(half(12)),
    };
    let mut sorted = records.clone();
    sorted.sort_unstable();
    let bounded = Bounded { start, bytes: text };
    let records = Box::into_raw(records.into_boxed_slice());
    // SAFETY: a box that nobody else has, and that is given back only when the table is gone.
    let table = Table::build(unsafe { &mut *records }, &ranges, &bounded);
    assert_eq!(table.len(), count, "a record was lost");
    let mut rejected = 0;
    for ((index, record), at) in table.range(0..usize::MAX).zip(sorted) {
        let (at, layout) = (at as usize, table.layout(record));
        match record.reason() {
            Some(_) => rejected += 1,
            None => {
                assert_eq!(layout.literal(), at, "the address of a callsite");
                assert!(layout.end() <= ranges.text.end, "a callsite ends outside");
                assert!(!ranges.notrace.contains(&at), "a callsite in notrace");
                assert!(table.callsites().contains(&index));
                assert!(
                    table.find(at).is_some(),
                    "a callsite is not found at {at:#x}"
                );
            }
        }
        for near in [at.wrapping_sub(1), at, at.wrapping_add(16)] {
            if let Some(found) = table.find(near) {
                assert!(table.record(found).is_some_and(|r| r.reason().is_none()));
            }
        }
    }
    assert_eq!(rejected, table.rejected());
    // SAFETY: the box from above; only the table borrowed it, and that is not used any more.
    drop(unsafe { Box::from_raw(records) });
    rejected < count
}

/// Inputs of [`table`]: three callsites, one of them with a landing pad, one in notrace; at several addresses.
pub fn table_seeds() -> Vec<Vec<u8>> {
    let starts = [0x4020_0000_u64, 0xFFFF_0000_4020_0000, 0, u64::MAX - 0x1000];
    let seed = |start: u64| {
        let mut seed = start.to_le_bytes().to_vec();
        // Three records, notrace 96..128.
        seed.extend([3, 0, 96, 0, 128, 0, 0, 0]);
        assert_eq!(seed.len(), TABLE_HEADER);
        for offset in [0, 32, 96] {
            seed.extend((start + offset).to_le_bytes());
        }
        let mut text = std::vec![0; 160];
        for at in [0, 32, 96] {
            // 8 bytes of NOPs before the function, two behind its entry.
            for word in 0..4 {
                text[at + 4 * word..][..4].copy_from_slice(&Insn::NOP.0.to_le_bytes());
            }
        }
        // The second begins with BTI C.
        text[40..44].copy_from_slice(&Insn::BTI_C.0.to_le_bytes());
        text[48..52].copy_from_slice(&Insn::NOP.0.to_le_bytes());
        seed.extend(text);
        seed
    };
    starts.map(seed).to_vec()
}

/// Inputs of [`filter`].
pub fn filter_seeds() -> Vec<Vec<u8>> {
    [
        "sched::*\n!*::drop\n<[T]>::len\n[a-z]?[!x]*\\*\n\n#7\n0x40200000",
        "*\n\n!",
        "<alloc::vec::Vec<*>>::push::<[u8]>\n\u{e4}\u{20ac}[\u{e4}-\u{fc}]*",
        "#18446744073709551615\n0xffffffffffffffff\nfn() -> u8\n\\[x]",
    ]
    .map(|seed| seed.as_bytes().to_vec())
    .to_vec()
}

/// A filter: patterns a line each, those of notrace behind an empty line; each glob is matched against each line.
pub fn filter(data: &[u8]) -> bool {
    let text = String::from_utf8_lossy(data);
    let (taken, away) = text.split_once("\n\n").unwrap_or((&text, ""));
    let taken: Vec<&str> = taken.split('\n').collect();
    let away: Vec<&str> = away.split('\n').filter(|line| !line.is_empty()).collect();
    let filter = Filter::new(&taken).notrace(&away);
    let Ok(patterns) = filter.parse() else {
        return false;
    };
    let all = patterns.as_slice();
    assert!(all.len() <= MAX_PATTERNS && all.len() == taken.len() + away.len());
    assert!(
        all.iter()
            .enumerate()
            .all(|(i, p)| !patterns.is_notrace(i) || !p.takes)
    );
    for pattern in all {
        if let What::Glob(pattern) = pattern.what {
            assert_eq!(
                glob::validate(pattern),
                Ok(()),
                "accepted by the filter alone"
            );
            for line in taken.iter().chain(&away) {
                glob::matches(pattern, line.bytes());
            }
        }
    }
    true
}

/// Inputs of [`prologue`]: a frame record alone, one within a frame, and a frame that a loop touches page by page.
pub fn prologue_seeds() -> Vec<Vec<u8>> {
    let prologues: [&[u32]; 4] = [
        // stp x29, x30, [sp, #-16]!; mov x29, sp; ret
        &[0xa9bf_7bfd, 0x9100_03fd, 0xd65f_03c0],
        // sub sp, sp, #64; stp x29, x30, [sp, #48]; add x29, sp, #48
        &[0xd101_03ff, 0xa903_7bfd, 0x9100_c3fd],
        // stp, mov; sub x9, sp, #16, lsl #12; then sub sp, sp, #1, lsl #12; cmp sp, x9; b.ne to the sub
        &[
            0xa9bf_7bfd,
            0x9100_03fd,
            0xd140_43e9,
            0xd140_07ff,
            0xeb29_63ff,
            0x54ff_ffc1,
        ],
        // The same with the record made within the loop.
        &[0xd140_43e9, 0xd140_07ff, 0x9100_03fd, 0x54ff_ffc1],
    ];
    let bytes = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect();
    prologues.map(bytes).to_vec()
}

/// Instruction words as a function's first: a frame is no larger than they can make it, and what stands behind a RET says
/// nothing of it.
pub fn prologue(data: &[u8]) -> bool {
    // SUB SP, SP, #imm12, LSL #12, as often as is looked.
    const MOST: u64 = 64 * (0xfff << 12);
    const RET: Insn = Insn(0xd65f_03c0);
    let words = data.as_chunks::<4>().0.iter();
    let insns = words.map(|word| Insn(u32::from_le_bytes(*word)));
    let frame = Frame::read(insns.clone());
    let ends = insns.clone().take_while(|insn| *insn != RET);
    assert_eq!(Frame::read(ends.chain([RET]).chain(insns)), frame);
    let Some(Frame { up, down }) = frame else {
        return false;
    };
    let whole = up.checked_add(down.unwrap_or(0));
    assert!(whole.is_some_and(|bytes| bytes <= MOST), "{frame:?}");
    true
}
