//! The end of a batch: undoing it where a callsite could not be changed, and making the new words visible to every core.
#![forbid(unsafe_code)]

use super::Patcher;
use super::kinds::{Done, Pick};
use crate::table::{FOREIGN, LEFT_ALONE, MARKED, QUARANTINED, REJECTED, Record, TOUCHED};
use crate::text::Text;
use core::ops::Range;
use core::sync::atomic::AtomicU64;

impl<T: Text> Patcher<'_, T> {
    #[cold]
    pub(super) fn undo(&mut self, range: Range<usize>, pick: Pick, clean: bool) -> (usize, usize) {
        let (mut undone, mut stuck) = (0, 0);
        let table = self.table;
        for (index, record) in table
            .range(range)
            .rev()
            .filter(|(_, record)| pick.takes(*record))
        {
            let layout = table.layout(record);
            match self.change(layout, &mut Done::default()) {
                Ok(()) => undone += 1,
                Err(failure) => {
                    let foreign = if failure.why.is_foreign() { FOREIGN } else { 0 };
                    table.set_flags(index, QUARANTINED | foreign, 0);
                    stuck += 1;
                }
            }
            if clean {
                self.text.clean(layout.branch());
            }
        }
        (undone, stuck)
    }

    /// Completes the maintenance of a batch and makes every core see it. Clears the marks and sets `flags` instead.
    pub(super) fn publish(&self, range: Range<usize>, pick: Pick, words: bool, flags: u64) {
        let invalidate = words && self.text.cache_type().needs_invalidate;
        // The cleaning (and the literals) must be complete before any instruction cache fetches anew.
        self.text.complete();
        let records = self.table.words(range);
        // One loop for each case, so that none asks again which it is.
        match pick {
            Pick::Marked => self.invalidate(records, invalidate, |record| {
                (record.has(MARKED)).then_some(record.with(flags, MARKED))
            }),
            // All have been enabled before, so their flags stand.
            Pick::Every { on: 0, .. } if flags == TOUCHED && invalidate => {
                let (text, places) = (self.text, self.table.places());
                for word in records {
                    let record = Record::load(word);
                    if !record.has(LEFT_ALONE) {
                        text.invalidate(places.layout(record).branch());
                    }
                }
            }
            Pick::Every { .. } if flags == TOUCHED => {
                self.invalidate(records, invalidate, |record| {
                    (!record.has(LEFT_ALONE)).then_some(record.with(TOUCHED, 0))
                });
            }
            // A callsite that got stuck a moment ago is left alone from now on, but its word may have changed.
            Pick::Every { .. } => self.invalidate(records, invalidate, |record| {
                (!record.has(REJECTED)).then_some(record)
            }),
        }
        if words {
            self.text.complete();
            self.text.synchronise();
            self.text.sync_cores();
        }
    }

    #[inline(always)]
    fn invalidate(
        &self,
        records: &[AtomicU64],
        invalidate: bool,
        update: impl Fn(Record) -> Option<Record>,
    ) {
        let (text, places) = (self.text, self.table.places());
        for word in records {
            let record = Record::load(word);
            if let Some(updated) = update(record) {
                if invalidate {
                    text.invalidate(places.layout(record).branch());
                }
                updated.store(word);
            }
        }
    }
}
