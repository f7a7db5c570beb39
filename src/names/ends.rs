//! Where functions end that have code without a record behind them (docs/names-format.md, "Ends").
#![forbid(unsafe_code)]

use super::NamesError;
use super::format::END_SIZE;
use super::number;

/// The part of a table; for each of them the rank of a record, and bytes from its function's entry on.
#[derive(Clone, Copy)]
pub(super) struct Ends<'a>(&'a [[u8; END_SIZE]]);

impl<'a> Ends<'a> {
    /// What the count that stands before them takes.
    pub(super) const COUNT_SIZE: usize = 4;

    /// Bytes of the part that begins with this count.
    pub(super) fn part_size(count: &[u8]) -> usize {
        usize::try_from(number(count, 0..Self::COUNT_SIZE))
            .unwrap_or(usize::MAX)
            .saturating_mul(END_SIZE)
            .saturating_add(Self::COUNT_SIZE)
    }

    /// The part, its count included.
    pub(super) fn new(part: &'a [u8]) -> Self {
        let ends = part.get(Self::COUNT_SIZE..).unwrap_or_default();
        Self(ends.as_chunks().0)
    }

    /// Whoever looks one up finds it: they are in the order of their records, of which there are so many.
    pub(super) fn check(self, records: usize) -> Result<(), NamesError> {
        let ranks = || self.0.iter().map(rank);
        let ascend = ranks().zip(ranks().skip(1)).all(|(rank, next)| rank < next);
        match ranks().next_back() {
            Some(last) if !ascend || last >= records as u64 => Err(NamesError::Ends),
            _ => Ok(()),
        }
    }

    /// That of a record.
    pub(super) fn get(self, index: usize) -> Option<usize> {
        let found = self.0.binary_search_by_key(&(index as u64), rank).ok()?;
        usize::try_from(number(&self.0[found], 4..8)).ok()
    }
}

fn rank(end: &[u8; END_SIZE]) -> u64 {
    number(end, 0..4)
}
