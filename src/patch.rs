//! The patcher: one callsite's change, a batch of them, and its undoing.
//!
//! A change adds one ops to a callsite or takes it away, so it is its own inverse: undoing a batch is doing it again.
//!
//! ```text
//!   enable:  literal := ops      DMB ISHST   word := BL     DC CVAU      then for the batch: DSB ISH
//!   disable: word := NOP         DMB ISHST   literal := NOP_OPS          IC IVAU each word
//!   join or leave others: literal := set                                 DSB ISH   ISB   every other core likewise
//! ```
//!
//! NOP and BL may be exchanged while other cores execute them (Arm ARM DDI 0487, "Concurrent modification and execution
//! of instructions"). A core that sees the BL sees the literal: it was stored before, in order. A core that is between
//! BL and the load of the literal when the callsite is disabled finds the old ops or NOP_OPS; both are live.

use crate::callsite::Layout;
use crate::error::{PatchError, Why};
use crate::insn::Insn;
use crate::ops::{NOP_OPS, Ops};
use crate::registry::Registry;
use crate::set::{Sets, ToggleError};
use crate::table::{MARKED, QUARANTINED, TOUCHED, Table};
use crate::text::Text;
use core::ops::Range;

/// What one callsite's change reads and writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    literal: (u64, u64),
    /// Old and new word, where it changes.
    word: Option<(Insn, Insn)>,
}

/// Why a plan cannot be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Patch { at: usize, why: Why },
    SetMemory(usize),
}

/// How many callsites a batch switched on, switched off, and gave another literal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) on: u32,
    pub(crate) off: u32,
    pub(crate) swapped: u32,
}

/// All that a change needs.
pub(crate) struct Patcher<'a, T> {
    pub(crate) text: &'a T,
    pub(crate) table: &'a Table,
    pub(crate) sets: &'a mut Sets,
    pub(crate) registry: &'a Registry,
    /// Address that the BLs reach.
    pub(crate) trampoline: usize,
    pub(crate) ops: &'static Ops,
}

impl<T: Text> Patcher<'_, T> {
    /// Whether the callsite calls the ops now; `None` where its literal is not one that the engine wrote.
    #[inline]
    pub(crate) fn calls(&self, layout: Layout) -> Option<bool> {
        let literal = self.text.literal(layout.literal());
        if literal == NOP_OPS.target() {
            Some(false)
        } else if literal == self.ops.target() {
            Some(true)
        } else {
            let mut members = self.sets.members(self.registry, literal)?;
            Some(members.any(|member| core::ptr::eq(member, self.ops)))
        }
    }

    /// Reads the callsite, compares it with what its state says, and works out the change. Writes nothing.
    #[inline]
    pub(crate) fn prepare(&mut self, layout: Layout) -> Result<Change, Refusal> {
        let at = layout.literal();
        let from = self.text.literal(at);
        let to = self
            .sets
            .toggle(self.registry, from, self.ops)
            .map_err(|error| match error {
                ToggleError::Unknown => Refusal::Patch {
                    at,
                    why: Why::Literal { found: from },
                },
                ToggleError::Direct => Refusal::Patch {
                    at,
                    why: Why::Direct,
                },
                ToggleError::Memory(bytes) => Refusal::SetMemory(bytes),
            })?;
        let nop = NOP_OPS.target();
        let branch = self.branch(layout)?;
        let word = if from == nop {
            Some((Insn::NOP, branch))
        } else if to == nop {
            Some((branch, Insn::NOP))
        } else {
            None
        };
        let (at, expected) = (layout.branch(), word.map_or(branch, |(old, _)| old));
        let found = self.text.insn(at);
        if found != expected {
            return Err(Refusal::Patch {
                at,
                why: Why::Insn { expected, found },
            });
        }
        Ok(Change {
            literal: (from, to),
            word,
        })
    }

    /// The BL that the callsite has while it is enabled with this ops.
    #[inline]
    fn branch(&self, layout: Layout) -> Result<Insn, Refusal> {
        let at = layout.branch();
        if self.ops.head.straight {
            // Too far for a BL: the trampoline serves a direct ops just as well.
            if let Ok(insn) = Insn::bl(at, self.ops.head.entry as usize) {
                return Ok(insn);
            }
        }
        Insn::bl(at, self.trampoline).map_err(|error| Refusal::Patch {
            at,
            why: error.into(),
        })
    }

    /// Writes a change, in the order that its direction asks for. On an error the callsite is as it was, or, where even
    /// that failed, `Err(.., true)`.
    #[inline]
    fn commit(&mut self, layout: Layout, change: Change) -> Result<(), (usize, bool)> {
        let (old, new) = change.literal;
        let literal = layout.literal();
        match change.word {
            None => {
                self.text
                    .write_literal(literal, new)
                    .map_err(|_| (literal, false))?;
                self.sets.moved(old, new);
            }
            Some((old_word, word)) => {
                let at = layout.branch();
                if word != Insn::NOP {
                    self.text
                        .write_literal(literal, new)
                        .map_err(|_| (literal, false))?;
                    self.text.order_stores();
                    if self.text.write_insn(at, word).is_err() {
                        return Err((at, self.text.write_literal(literal, old).is_err()));
                    }
                } else {
                    self.text.write_insn(at, word).map_err(|_| (at, false))?;
                    self.text.order_stores();
                    if self.text.write_literal(literal, new).is_err() {
                        return Err((literal, self.text.write_insn(at, old_word).is_err()));
                    }
                }
            }
        }
        Ok(())
    }

    /// Changes every marked callsite of the range, makes the new words visible to every core, and clears the marks.
    ///
    /// # Errors
    /// The first callsite that could not be changed; all others are then as they were.
    pub(crate) fn apply(&mut self, range: Range<usize>) -> Result<Done, PatchError> {
        let clean = self.text.cache_type().needs_clean;
        let table = self.table;
        let mut done = Done::default();
        let mut failed = None;
        for (index, record) in table.range(range.clone()) {
            if !record.has(MARKED) {
                continue;
            }
            let layout = table.layout(record);
            match self.change(layout, clean) {
                Ok(Some(Insn::NOP)) => done.off += 1,
                Ok(Some(_)) => done.on += 1,
                Ok(None) => done.swapped += 1,
                Err((at, why, stuck)) => {
                    failed = Some((index, at, why, stuck));
                    break;
                }
            }
        }
        match failed {
            None => {
                self.publish(range, done.on + done.off > 0, TOUCHED);
                Ok(done)
            }
            Some((index, at, why, stuck)) => {
                let (undone, more) = self.undo(range.start..index, clean);
                if stuck {
                    table.set_flags(index, QUARANTINED, 0);
                }
                self.publish(range, true, 0);
                Err(PatchError {
                    at,
                    why,
                    undone,
                    stuck: more + usize::from(stuck),
                })
            }
        }
    }

    /// One callsite: the new word, if it got one.
    #[inline]
    fn change(&mut self, layout: Layout, clean: bool) -> Result<Option<Insn>, (usize, Why, bool)> {
        let change = self.prepare(layout).map_err(|refusal| match refusal {
            Refusal::Patch { at, why } => (at, why, false),
            // The sets were made when the plan was; a callsite that asks for another one has changed since.
            Refusal::SetMemory(_) => {
                let at = layout.literal();
                (
                    at,
                    Why::Literal {
                        found: self.text.literal(at),
                    },
                    false,
                )
            }
        })?;
        self.commit(layout, change)
            .map_err(|(at, stuck)| (at, Why::Fault, stuck))?;
        let word = change.word.map(|(_, word)| word);
        if clean && word.is_some() {
            self.text.clean(layout.branch());
        }
        Ok(word)
    }

    #[cold]
    fn undo(&mut self, range: Range<usize>, clean: bool) -> (usize, usize) {
        let (mut undone, mut stuck) = (0, 0);
        let table = self.table;
        for (index, record) in table.range(range).rev() {
            if !record.has(MARKED) {
                continue;
            }
            if self.change(table.layout(record), clean).is_ok() {
                undone += 1;
            } else {
                table.set_flags(index, QUARANTINED, 0);
                stuck += 1;
            }
        }
        (undone, stuck)
    }

    /// Completes the maintenance of a batch and makes every core see it. Clears the marks and sets `flags` instead.
    fn publish(&mut self, range: Range<usize>, words: bool, flags: u64) {
        let invalidate = words && self.text.cache_type().needs_invalidate;
        // The cleaning (and the literals) must be complete before any instruction cache fetches anew.
        self.text.complete();
        for (index, record) in self.table.range(range) {
            if !record.has(MARKED) {
                continue;
            }
            if invalidate {
                self.text.invalidate(self.table.layout(record).branch());
            }
            self.table.set_flags(index, flags, MARKED);
        }
        if words {
            self.text.complete();
            self.text.synchronise();
            self.text.sync_cores();
        }
    }
}
