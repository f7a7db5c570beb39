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
//!
//! A literal publishes what it points to: one DMB ISHST before a batch orders the initialisation of its ops and sets
//! before all its literals. The BL's own DMB does not do that for a core that executes a BL already (another set, or a
//! BL that it fetched long ago). Each of these orders has its litmus test in tests/litmus.
#![forbid(unsafe_code)]

use crate::callsite::Layout;
use crate::error::{PatchError, Why};
use crate::insn::Insn;
use crate::ops::{NOP_OPS, Ops};
use crate::registry::Registry;
use crate::set::{Sets, ToggleError};
use crate::table::{MARKED, QUARANTINED, TOUCHED, Table};
use crate::text::Text;
use crate::veneer::Targets;
use core::ops::Range;

mod every;
mod finish;
mod kinds;
mod quarantine;

use kinds::Failure;
pub(crate) use kinds::{Done, Pick, Refusal};

/// All that a change needs.
pub(crate) struct Patcher<'a, T> {
    pub(crate) text: &'a T,
    pub(crate) table: &'a Table,
    pub(crate) sets: &'a mut Sets,
    pub(crate) registry: &'a Registry,
    /// What the BLs reach.
    pub(crate) targets: Targets,
    /// Whether some callsite is quarantined.
    pub(crate) quarantined: bool,
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

    /// What the callsite's literal holds for a target: the callsite's own block, where that is an ops with such.
    #[inline]
    fn literal(&self, target: u64, layout: Layout) -> u64 {
        let ops = if target == self.ops.target() {
            Some(self.ops)
        } else if self.registry.any_instances() {
            self.registry.find(target)
        } else {
            None
        };
        let block = ops
            .and_then(Ops::instances)
            .and_then(|instances| instances.literal(self.table.find(layout.entry())?));
        block.unwrap_or(target)
    }

    /// Works out what the callsite's literal becomes, and checks that its word is what its state says. Writes nothing.
    ///
    /// # Errors
    /// What keeps the callsite from being changed.
    pub(crate) fn check(&mut self, layout: Layout) -> Result<(u64, u64), Refusal> {
        let at = layout.literal();
        let from = self.text.literal(at);
        let to = self
            .sets
            .toggle(self.registry, from, self.ops)
            .map(|to| self.literal(to, layout))
            .map_err(|error| match error {
                ToggleError::Unknown => Refusal::of(at, Why::Literal { found: from }),
                ToggleError::Direct => Refusal::of(at, Why::Direct),
                ToggleError::Memory(bytes) => Refusal::SetMemory {
                    at,
                    literal: from,
                    bytes,
                },
            })?;
        let branch = self.branch(layout)?;
        Self::expect(
            self.text,
            layout,
            if from == NOP_OPS.target() {
                Insn::NOP
            } else {
                branch
            },
        )?;
        Ok((from, to))
    }

    #[inline(always)]
    fn expect(text: &T, layout: Layout, expected: Insn) -> Result<(), Refusal> {
        let at = layout.branch();
        let found = text.insn(at);
        if found == expected {
            Ok(())
        } else {
            Err(Refusal::of(at, Why::Insn { expected, found }))
        }
    }

    /// The BL that the callsite has while it is enabled with this ops.
    fn branch(&self, layout: Layout) -> Result<Insn, Refusal> {
        let at = layout.branch();
        if self.ops.head.straight {
            // Too far for a BL: the trampoline serves a direct ops just as well.
            if let Ok(insn) = Insn::bl(at, self.ops.head.entry as usize) {
                return Ok(insn);
            }
        }
        self.targets
            .branch(at)
            .map_err(|error| Refusal::of(at, error.into()))
    }

    /// Changes every callsite of the range that is picked, makes the new words visible to every core, and clears marks.
    ///
    /// # Errors
    /// The first callsite that could not be changed; all others are then as they were.
    pub(crate) fn apply(&mut self, range: Range<usize>, pick: Pick) -> Result<Done, PatchError> {
        let clean = self.text.cache_type().needs_clean;
        // The ops was initialised by its owner, the sets by the plan: before any literal points to them.
        self.text.order_stores();
        let result = match pick {
            Pick::Every { off: 0, .. } => self
                .enable_every(self.text, range.clone(), clean)
                .map_err(|failure| self.located(failure, &range)),
            Pick::Every { .. } => self
                .disable_every(self.text, range.clone(), clean)
                .map_err(|failure| self.located(failure, &range)),
            Pick::Marked => self.change_marked(range.clone(), clean),
        };
        match result {
            Ok(done) => {
                self.publish(range, pick, done.on + done.off > 0, TOUCHED);
                Ok(done)
            }
            Err((index, Failure { at, why, stuck })) => {
                // Its word may have been written, and written back.
                if clean && let Some(record) = self.table.record(index) {
                    self.text.clean(self.table.layout(record).branch());
                }
                let (undone, more) = self.undo(range.start..index, pick, clean);
                if stuck {
                    self.table.set_flags(index, QUARANTINED, 0);
                }
                let foreign = if why.is_foreign() {
                    self.quarantine_foreign(range.clone(), pick)
                } else {
                    0
                };
                self.publish(range, pick, true, 0);
                Err(PatchError {
                    at,
                    why,
                    undone,
                    stuck: more + usize::from(stuck),
                    foreign,
                })
            }
        }
    }

    /// With the number of the callsite that failed, which a loop over all of them does not carry along.
    #[cold]
    fn located(&self, failure: Failure, range: &Range<usize>) -> (usize, Failure) {
        let index = self.table.find(failure.at);
        // It is a callsite of this range: it was about to be changed.
        (index.unwrap_or(range.start), failure)
    }

    fn change_marked(
        &mut self,
        range: Range<usize>,
        clean: bool,
    ) -> Result<Done, (usize, Failure)> {
        let mut done = Done::default();
        for (index, record) in self.table.range(range) {
            if record.has(MARKED) {
                let layout = self.table.layout(record);
                let swapped = done.swapped;
                self.change(layout, &mut done)
                    .map_err(|failure| (index, failure))?;
                if clean && done.swapped == swapped {
                    self.text.clean(layout.branch());
                }
            }
        }
        Ok(done)
    }

    /// Literal, then BL: whoever sees the BL sees the literal.
    #[inline(always)]
    fn enable(text: &T, layout: Layout, to: u64, branch: Insn) -> Result<(), Failure> {
        Self::expect(text, layout, Insn::NOP)?;
        let (literal, at) = (layout.literal(), layout.branch());
        text.write_literal(literal, to)
            .map_err(|_| Failure::fault(literal, false))?;
        text.order_stores();
        text.write_insn(at, branch).map_err(|_| {
            let stuck = Self::take_literal_back(text, literal, NOP_OPS.target());
            Failure::fault(at, stuck)
        })
    }

    /// NOP, then literal: whoever still runs the BL finds the ops or NOP_OPS, also where the NOP has not arrived. Both are looked at
    /// together, which is an instruction less than each alone.
    #[inline(always)]
    fn disable(text: &T, layout: Layout, from: u64, branch: Insn) -> Result<(), Failure> {
        Self::expect(text, layout, branch)?;
        let (literal, at, nop) = (layout.literal(), layout.branch(), NOP_OPS.target());
        text.store_insn(at, Insn::NOP)
            .map_err(|_| Failure::fault(at, false))?;
        text.order_stores();
        text.store_literal(literal, nop).map_err(|_| {
            let stuck = Self::take_word_back(text, at, branch);
            Failure::fault(literal, stuck)
        })?;
        let (word, value) = (text.insn(at), text.literal(literal));
        if (word == Insn::NOP) & (value == nop) {
            Ok(())
        } else {
            Err(Self::not_disabled(text, literal, at, from, branch))
        }
    }

    // Apart, so that a loop over all callsites keeps nothing in registers for them.

    #[cold]
    #[inline(never)]
    fn take_literal_back(text: &T, literal: usize, to: u64) -> bool {
        text.write_literal(literal, to).is_err()
    }

    #[cold]
    #[inline(never)]
    fn take_word_back(text: &T, at: usize, to: Insn) -> bool {
        text.write_insn(at, to).is_err()
    }

    /// NOP, literal or both have not arrived: takes back what has.
    #[cold]
    #[inline(never)]
    fn not_disabled(text: &T, literal: usize, at: usize, from: u64, branch: Insn) -> Failure {
        if text.insn(at) == Insn::NOP {
            return Failure::fault(literal, Self::take_word_back(text, at, branch));
        }
        let is_lost = text.literal(literal) == from;
        let stuck = !is_lost && Self::take_literal_back(text, literal, from);
        Failure::fault(at, stuck)
    }

    /// One callsite, whatever its state: enable, disable, or another set.
    #[inline(never)]
    fn change(&mut self, layout: Layout, done: &mut Done) -> Result<(), Failure> {
        let (from, to) = self.check(layout)?;
        let nop = NOP_OPS.target();
        if from == nop {
            done.on += 1;
            return Self::enable(self.text, layout, to, self.branch(layout)?);
        }
        if to == nop {
            done.off += 1;
            return Self::disable(self.text, layout, from, self.branch(layout)?);
        }
        done.swapped += 1;
        let at = layout.literal();
        self.text
            .write_literal(at, to)
            .map_err(|_| Failure::fault(at, false))?;
        self.sets.moved(from, to);
        Ok(())
    }
}
