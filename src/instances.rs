//! Per-callsite blocks: an ops whose callsites each point to a block of their own, with the entry in its first word and
//! the callsite's counters behind it, so that the asm reaches them without looking anything up.
//!
//! ```text
//!   Count:   lines of 64 bytes, one for each core:   entry hits  entry hits  entry hits  entry hits    four callsites
//!   Profile: lines of 64 bytes, one for each core:   entry hits total self longest squares squares handler
//!                                                     literals point into the first core's line; the others' first words
//!                                                     are not used
//!   Cover:   lines of 64 bytes, one for all cores:   entry entry entry entry entry entry entry entry     eight callsites;
//!                                                     the entry itself is what a call changes
//! ```
//!
//! No two cores write to one line.
#![forbid(unsafe_code)]

use crate::ops::EntryFn;
use crate::table::Table;
use core::sync::atomic::{AtomicU64, Ordering};

const LINE_WORDS: usize = 8;

/// Bytes of one core's line.
pub(crate) const LINE: usize = size_of::<CounterLine>();

/// Memory for counters: 64 bytes. [`crate::Ftrace::count_lines`] and [`crate::Ftrace::profile_lines`] say how many.
#[repr(C, align(64))]
#[derive(Debug)]
pub struct CounterLine([AtomicU64; LINE_WORDS]);

impl CounterLine {
    /// A line of zeroes.
    pub const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; LINE_WORDS])
    }
}

impl Default for CounterLine {
    fn default() -> Self {
        Self::new()
    }
}

/// Words of a block, from its start.
pub(crate) mod word {
    pub(crate) const HITS: usize = 1;
    pub(crate) const TOTAL: usize = 2;
    pub(crate) const OWN: usize = 3;
    pub(crate) const LONGEST: usize = 4;
    pub(crate) const SQUARES: usize = 5;
    /// The return handler.
    pub(crate) const HANDLER: usize = 7;
}

/// The blocks of one ops.
#[derive(Debug)]
pub(crate) struct Instances {
    /// Callsites that share one line of each core.
    per_line: usize,
    placed: spin::Once<Placed>,
}

/// Blocks in memory, for all callsites of a table.
struct Placed {
    lines: &'static [CounterLine],
    cores: usize,
    first: usize,
    table: &'static Table,
}

impl core::fmt::Debug for Placed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} lines, {} cores", self.lines.len(), self.cores)
    }
}

impl Instances {
    pub(crate) const fn new(per_line: usize) -> Self {
        Self {
            per_line,
            placed: spin::Once::new(),
        }
    }

    /// How many lines this many callsites need.
    pub(crate) const fn lines(&self, callsites: usize, cores: usize) -> usize {
        callsites.div_ceil(self.per_line) * cores
    }

    /// Takes the memory, and writes `entry` (and `handler`, where blocks have one) into every block. `false`, and nothing
    /// taken, where it is too small or the blocks stand already.
    pub(crate) fn place(
        &self,
        table: &'static Table,
        memory: &'static mut [CounterLine],
        cores: usize,
        entry: EntryFn,
        handler: usize,
    ) -> bool {
        let callsites = table.callsites();
        if cores == 0
            || memory.len() < self.lines(callsites.len(), cores)
            || self.placed.is_completed()
        {
            return false;
        }
        for (i, word) in memory.iter().flat_map(|line| &line.0).enumerate() {
            let value = match i % self.block_words() {
                0 => entry as usize,
                word::HANDLER => handler,
                _ => 0,
            };
            word.store(value as u64, Ordering::Relaxed);
        }
        let placed = Placed {
            lines: memory,
            cores,
            first: callsites.start,
            table,
        };
        self.placed.call_once(|| placed);
        true
    }

    pub(crate) fn is_placed(&self) -> bool {
        self.placed.is_completed()
    }

    fn block_words(&self) -> usize {
        LINE_WORDS / self.per_line
    }

    /// The literal of the callsite with this record.
    pub(crate) fn literal(&self, record: usize) -> Option<u64> {
        self.word(record, 0, 0)
            .map(|word| core::ptr::from_ref(word) as u64)
    }

    /// Whether a literal is one of these blocks'.
    pub(crate) fn has(&self, literal: u64) -> bool {
        let Some(placed) = self.placed.get() else {
            return false;
        };
        let offset = literal.wrapping_sub(placed.lines.as_ptr() as u64) as usize;
        let (line, byte) = (offset / LINE, offset % LINE);
        line < placed.lines.len() && line % placed.cores == 0 && byte % (LINE / self.per_line) == 0
    }

    /// The block of the callsite that has `ip` among its words, for a call from a set.
    pub(crate) fn block_at(&self, ip: usize) -> Option<usize> {
        self.placed.get()?.table.find(ip)
    }

    /// A word of a core's block.
    pub(crate) fn word(
        &self,
        record: usize,
        core: usize,
        word: usize,
    ) -> Option<&'static AtomicU64> {
        let placed = self.placed.get()?;
        let i = record.checked_sub(placed.first)?;
        if core >= placed.cores {
            return None;
        }
        let line = placed.lines.get(i / self.per_line * placed.cores + core)?;
        line.0.get(i % self.per_line * self.block_words() + word)
    }

    /// For how many cores there are counters.
    pub(crate) fn cores(&self) -> usize {
        self.placed.get().map_or(0, |placed| placed.cores)
    }

    /// Makes every block begin with `entry` again.
    pub(crate) fn set_entries(&self, entry: EntryFn) {
        let lines = self.placed.get().map_or(&[][..], |placed| placed.lines);
        let words = lines.iter().flat_map(|line| &line.0);
        for word in words.step_by(self.block_words()) {
            word.store(entry as usize as u64, Ordering::Relaxed);
        }
    }

    /// Sets all counters to zero.
    pub(crate) fn clear(&self) {
        let Some(placed) = self.placed.get() else {
            return;
        };
        for line in placed.lines {
            for (i, word) in line.0.iter().enumerate() {
                if !matches!(i % self.block_words(), 0 | word::HANDLER) {
                    word.store(0, Ordering::Relaxed);
                }
            }
        }
    }
}

/// Byte offsets for the asm.
#[cfg_attr(not(target_arch = "aarch64"), allow(dead_code))]
pub(crate) mod offset {
    use super::word;
    const WORD: usize = size_of::<u64>();
    pub(crate) const HITS: usize = word::HITS * WORD;
    pub(crate) const TOTAL: usize = word::TOTAL * WORD;
    pub(crate) const OWN: usize = word::OWN * WORD;
    pub(crate) const LONGEST: usize = word::LONGEST * WORD;
    pub(crate) const SQUARES: usize = word::SQUARES * WORD;
    pub(crate) const HANDLER: usize = word::HANDLER * WORD;
}
