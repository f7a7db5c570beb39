//! A batch of everything: all callsites of a range make the same step, so none is marked and nothing is looked up.
#![forbid(unsafe_code)]

use super::Patcher;
use super::kinds::{Done, Failure, Refusal};
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
        let words = self.table.words(range);
        // Those that are left alone are counted, because they are few: an instruction less for all others.
        let mut left_alone = 0;
        for record in words.iter().map(Record::load) {
            if record.has(LEFT_ALONE) {
                left_alone += 1;
                continue;
            }
            let layout = places.layout(record);
            // The BL of an enabled callsite is compared when it is written.
            if text.literal(layout.literal()) != from
                || (!enabled && text.insn(layout.branch()) != Insn::NOP)
            {
                return None;
            }
        }
        Some(words.len() as u32 - left_alone)
    }

    // The two loops that a batch of everything runs stand alone: few values live, so that all of them stay in registers. The text
    // comes as an argument of its own, which no store changes: where its alias is, is read once and not for each store.

    #[inline(never)]
    pub(super) fn enable_every(
        &self,
        text: &T,
        range: Range<usize>,
        clean: bool,
    ) -> Result<Done, Failure> {
        let (from, to) = (NOP_OPS.target(), self.ops.target());
        let on = self.every(text, range, clean, from, |layout, target| {
            let branch = Insn::bl_in_reach(layout.branch(), target);
            Self::enable(text, layout, to, branch)
        })?;
        Ok(Done {
            on,
            ..Done::default()
        })
    }

    #[inline(never)]
    pub(super) fn disable_every(
        &self,
        text: &T,
        range: Range<usize>,
        clean: bool,
    ) -> Result<Done, Failure> {
        let from = self.ops.target();
        let off = self.every(text, range, clean, from, |layout, target| {
            let branch = Insn::bl_in_reach(layout.branch(), target);
            Self::disable(text, layout, from, branch)
        })?;
        Ok(Done {
            off,
            ..Done::default()
        })
    }

    /// Makes the same step everywhere, where the literal is still `from`. Returns how many callsites made it.
    #[inline(always)]
    fn every(
        &self,
        text: &T,
        range: Range<usize>,
        clean: bool,
        from: u64,
        step: impl Fn(Layout, usize) -> Result<(), Failure>,
    ) -> Result<u32, Failure> {
        // `all_alike` has asked the same before.
        let Some(target) = self.common_target(range.clone()) else {
            return Ok(0);
        };
        let (words, places) = (self.table.words(range), self.table.places());
        // As in `all_alike`: those that are left alone are counted, because they are few.
        let (mut i, mut left_alone) = (0, 0);
        while i < words.len() {
            let record = Record::load(&words[i]);
            i += 1;
            if record.has(LEFT_ALONE) {
                left_alone += 1;
                continue;
            }
            let layout = places.layout(record);
            let at = layout.literal();
            let found = text.literal(at);
            if found != from {
                return Err(Refusal::of(at, Why::Literal { found }).into());
            }
            step(layout, target)?;
            if clean {
                text.clean(layout.branch());
            }
        }
        Ok(words.len() as u32 - left_alone)
    }
}
