//! A batch of everything: all callsites of a range make the same step, so none is marked and nothing is looked up.
#![forbid(unsafe_code)]

use super::Patcher;
use super::kinds::Failure;
use crate::callsite::Layout;
use crate::error::Why;
use crate::insn::Insn;
use crate::ops::NOP_OPS;
use crate::table::{LEFT_ALONE, Record};
use crate::text::Text;
use core::ops::Range;

impl<T: Text> Patcher<'_, T> {
    /// Where the BLs of all callsites of a range go; `None` where that differs, as it does where some need a veneer.
    fn common_target(&self, range: Range<usize>) -> Option<usize> {
        let ends = [range.start, range.end.checked_sub(1)?];
        let target = if self.ops.head.straight {
            self.ops.head.entry as usize
        } else {
            self.targets.trampoline
        };
        ends.iter()
            .all(|&index| {
                // The table is sorted: what both ends reach, all between them reach.
                let record = self.table.record(index);
                record.is_some_and(|record| {
                    Insn::bl(self.table.layout(record).branch(), target).is_ok()
                })
            })
            .then_some(target)
    }

    /// Whether every callsite of the range makes the same step: from no ops to this one, or (`enabled`) from this one
    /// alone to none. Checks what [`Patcher::check`] checks, and stops at the first that differs.
    pub(crate) fn all_alike(&self, range: Range<usize>, enabled: bool) -> Option<u32> {
        let from = if enabled {
            self.ops.target()
        } else {
            NOP_OPS.target()
        };
        self.common_target(range.clone())?;
        let (text, places) = (self.text, self.table.places());
        let mut count = 0;
        for record in self.table.words(range).iter().map(Record::load) {
            if !record.has(LEFT_ALONE) {
                let layout = places.layout(record);
                // The BL of an enabled callsite is compared when it is written.
                if text.literal(layout.literal()) != from
                    || (!enabled && text.insn(layout.branch()) != Insn::NOP)
                {
                    return None;
                }
                count += 1;
            }
        }
        Some(count)
    }

    // The two loops that a batch of everything runs stand alone: few values live, so that all of them stay in registers.

    #[inline(never)]
    pub(super) fn enable_every(
        &self,
        range: Range<usize>,
        clean: bool,
    ) -> Result<(), (usize, Failure)> {
        self.every(range, clean, |layout, target| {
            let found = self.text.literal(layout.literal());
            if found != NOP_OPS.target() {
                return Err(Failure {
                    at: layout.literal(),
                    why: Why::Literal { found },
                    stuck: false,
                });
            }
            self.enable(
                layout,
                self.ops.target(),
                Insn::bl_in_reach(layout.branch(), target),
            )
        })
    }

    #[inline(never)]
    pub(super) fn disable_every(
        &self,
        range: Range<usize>,
        clean: bool,
    ) -> Result<(), (usize, Failure)> {
        self.every(range, clean, |layout, target| {
            let found = self.text.literal(layout.literal());
            if found != self.ops.target() {
                return Err(Failure {
                    at: layout.literal(),
                    why: Why::Literal { found },
                    stuck: false,
                });
            }
            self.disable(layout, Insn::bl_in_reach(layout.branch(), target))
        })
    }

    #[inline(always)]
    fn every(
        &self,
        range: Range<usize>,
        clean: bool,
        step: impl Fn(Layout, usize) -> Result<(), Failure>,
    ) -> Result<(), (usize, Failure)> {
        // `all_alike` has asked the same before.
        let Some(target) = self.common_target(range.clone()) else {
            return Ok(());
        };
        let (records, places) = (self.table.words(range.clone()), self.table.places());
        let mut i = 0;
        while i < records.len() {
            let record = Record::load(&records[i]);
            if !record.has(LEFT_ALONE) {
                let layout = places.layout(record);
                if let Err(failure) = step(layout, target) {
                    return Err((range.start + i, failure));
                }
                if clean {
                    self.text.clean(layout.branch());
                }
            }
            i += 1;
        }
        Ok(())
    }
}
