//! Callsites that are left alone from now on: somebody else wrote to them, or a change of them could not be undone.
#![forbid(unsafe_code)]

use super::Patcher;
use super::kinds::{Pick, Refusal};
use crate::callsite::Layout;
use crate::insn::Insn;
use crate::table::{FOREIGN, LEFT_ALONE, QUARANTINED, Record, SELECTED};
use crate::text::Text;
use core::ops::Range;

impl<T: Text> Patcher<'_, T> {
    /// Takes a callsite out of all that comes, because somebody else wrote to it.
    pub(crate) fn quarantine(&self, index: usize) {
        self.table.set_flags(index, QUARANTINED | FOREIGN, SELECTED);
    }

    /// Looks at all that a failed batch was to change, and quarantines what somebody else wrote to. Returns how many.
    #[cold]
    pub(super) fn quarantine_foreign(&mut self, range: Range<usize>, pick: Pick) -> usize {
        let mut foreign = 0;
        let table = self.table;
        for (index, record) in table.range(range).filter(|(_, record)| pick.takes(*record)) {
            if !record.has(QUARANTINED)
                && let Err(Refusal::Patch { why, .. }) = self.check(table.layout(record))
                && why.is_foreign()
            {
                self.quarantine(index);
                foreign += 1;
            }
        }
        foreign
    }

    /// How many callsites of the range are quarantined.
    #[cold]
    pub(crate) fn quarantined_in(&self, range: Range<usize>) -> u32 {
        let is_it = |(_, record): &(usize, Record)| record.has(QUARANTINED);
        self.table.range(range).filter(is_it).count() as u32
    }

    /// How many literals of the range name the ops, those of quarantined callsites included.
    #[cold]
    pub(crate) fn callers(&self, range: Range<usize>) -> u32 {
        let calls = |(_, record): &(usize, Record)| {
            !record.has(LEFT_ALONE & !QUARANTINED)
                && self.calls(self.table.layout(*record)) == Some(true)
        };
        self.table.range(range).filter(calls).count() as u32
    }

    /// Makes quarantined callsites let go of the ops, so that it may end: their literals are this tracer's own, whatever
    /// stands in their words. A BL that somebody puts back there finds `NOP_OPS`.
    #[cold]
    pub(crate) fn release(&mut self, range: Range<usize>) {
        let table = self.table;
        // What the literals name is initialised before.
        self.text.order_stores();
        for (_, record) in table.range(range) {
            let layout = table.layout(record);
            if !record.has(QUARANTINED)
                || self.calls(layout) != Some(true)
                || self.goes_straight(layout)
            {
                continue;
            }
            let literal = self.text.literal(layout.literal());
            if let Ok(to) = self.sets.toggle(self.registry, literal, self.ops)
                && self.text.write_literal(layout.literal(), to).is_ok()
            {
                self.sets.moved(literal, to);
            }
        }
        self.text.complete();
    }

    /// Whether the callsite's word goes to the ops without asking the literal.
    fn goes_straight(&self, layout: Layout) -> bool {
        let at = layout.branch();
        self.ops.head.straight
            && Insn::bl(at, self.ops.head.entry as usize) == Ok(self.text.insn(at))
    }
}
