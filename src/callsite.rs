//! The words of one callsite: where they stand, and what each state has in them.
//!
//! | offset from the record | compiled | disabled | enabled |
//! |---|---|---|---|
//! | +0, 8 bytes | NOP NOP | literal: NOP_OPS | literal: ops or set |
//! | +8 (entry) | \[BTI C\] | \[BTI C\] | \[BTI C\] |
//! | next | NOP | MOV X9, X30 | MOV X9, X30 |
//! | next | NOP | NOP | BL ftrace_caller |
#![forbid(unsafe_code)]

use crate::insn::{INSN_SIZE, Insn};
use crate::text::ReadText;
use crate::trace::LITERAL_BYTES;
use core::fmt;

/// NOPs before the entry, as `-Zpatchable-function-entry=4,2` makes them: they become the literal.
pub const PREFIX_NOPS: usize = 2;

/// From the record (the first NOP) to the function's entry, which is its symbol.
pub const ENTRY_OFFSET: usize = PREFIX_NOPS * INSN_SIZE;

/// Alignment that the literal needs to be swapped by one store.
pub const LITERAL_ALIGN: usize = align_of::<u64>();

/// The two prefix NOPs, read as one little-endian literal.
pub const COMPILED_LITERAL: u64 = (Insn::NOP.0 as u64) << 32 | Insn::NOP.0 as u64;

/// From LR in the trampoline, aligned down to [`LITERAL_ALIGN`], back to the literal: with and without BTI.
pub const LITERAL_FROM_LR: usize = ENTRY_OFFSET + 2 * INSN_SIZE;

/// The words of a callsite with a landing pad, in bytes.
pub(crate) const BYTES_MAX: usize = Layout::new(0, true).end();

/// Where the words of one callsite stand. Of a record at the top of the address space, which is no callsite, the addresses
/// wrap around.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    record: usize,
    /// Bytes of landing pad at the entry: a BTI or nothing.
    pad: usize,
}

impl Layout {
    /// The callsite whose record is `record`; `bti` where its entry is a landing pad.
    #[inline]
    pub const fn new(record: usize, bti: bool) -> Self {
        Self::with_pad(record, if bti { INSN_SIZE } else { 0 })
    }

    /// As [`Layout::new`], where the caller has the pad's size at hand: patching every callsite of a kernel looks here
    /// three times a callsite.
    #[inline(always)]
    pub(crate) const fn with_pad(record: usize, pad: usize) -> Self {
        Self { record, pad }
    }

    /// Address of the literal, which is the record's.
    #[inline]
    pub const fn literal(self) -> usize {
        self.record
    }

    /// Address of the function's entry, which is its symbol's.
    #[inline]
    pub const fn entry(self) -> usize {
        self.record.wrapping_add(ENTRY_OFFSET)
    }

    /// Whether the entry is a landing pad.
    #[inline]
    pub const fn bti(self) -> bool {
        self.pad != 0
    }

    /// Address of MOV X9, X30.
    #[inline]
    pub const fn mov(self) -> usize {
        self.entry().wrapping_add(self.pad)
    }

    /// Address of the word that is NOP while disabled and BL while enabled. A tracer's `ip`.
    #[inline]
    pub const fn branch(self) -> usize {
        self.mov().wrapping_add(INSN_SIZE)
    }

    /// First address after the callsite's words: LR in the trampoline.
    #[inline]
    pub const fn end(self) -> usize {
        self.branch().wrapping_add(INSN_SIZE)
    }
}

impl fmt::Debug for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Layout {{ record: {:#x}, bti: {} }}",
            self.record,
            self.bti()
        )
    }
}

/// Reads the compiled pattern at `record`: the layout, or `None` where the words are not what the compiler writes.
pub fn compiled(text: &impl ReadText, record: usize) -> Option<Layout> {
    let layout = Layout::new(
        record,
        text.insn(record.wrapping_add(ENTRY_OFFSET)).is_bti(),
    );
    let nops = text.literal(record) == COMPILED_LITERAL
        && text.insn(layout.mov()) == Insn::NOP
        && text.insn(layout.branch()) == Insn::NOP;
    nops.then_some(layout)
}

// The trampoline finds the literal from LR by aligning down: both forms must give the same distance.
const _: () = {
    assert!(LITERAL_FROM_LR as u64 == LITERAL_BYTES);
    let plain = Layout::new(0x1000, false);
    let bti = Layout::new(0x1000, true);
    assert!((plain.end() & !(LITERAL_ALIGN - 1)) - LITERAL_FROM_LR == plain.literal());
    assert!((bti.end() & !(LITERAL_ALIGN - 1)) - LITERAL_FROM_LR == bti.literal());
};
