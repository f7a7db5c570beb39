//! The audit: every callsite is looked at and proved to be in a state that the tracer makes.
#![forbid(unsafe_code)]

use super::{Engine, Work};
use crate::callsite::Layout;
use crate::error::Why;
use crate::insn::Insn;
use crate::ops::NOP_OPS;
use crate::set::Members;
use crate::table::{QUARANTINED, REJECTED};
use crate::text::ReadText;
use core::fmt;

/// What [`crate::Ftrace::audit`] saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Callsites that were looked at, quarantined ones included.
    pub callsites: usize,
    /// Of them: legal, and calling a tracer.
    pub enabled: usize,
    /// Of them: in no state that the tracer makes. Each was reported.
    pub illegal: usize,
    /// Of them: quarantined, legal or not.
    pub quarantined: usize,
}

/// A callsite in a state that the tracer does not make.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Finding {
    /// The callsite's number, as [`crate::Callsite::index`].
    pub index: usize,
    /// Address of the word or literal.
    pub at: usize,
    /// What is wrong with it: [`Why::Insn`], [`Why::Literal`], or [`Why::Range`] where no branch could stand.
    pub why: Why,
    /// Whether the callsite is quarantined already.
    pub quarantined: bool,
}

impl fmt::Debug for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Finding {{ index: {}, at: {:#x}, why: {:?}, quarantined: {} }}",
            self.index, self.at, self.why, self.quarantined
        )
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "callsite {} at {:#x}: {}", self.index, self.at, self.why)
    }
}

/// The literal that was looked up last, and where a straight ops' BL goes: most callsites share a few.
#[derive(Clone, Copy)]
struct Known {
    literal: u64,
    straight: Option<usize>,
}

impl Engine {
    /// Looks at every callsite; `each` gets those that are in no legal state. Reads only.
    pub(crate) fn audit<T: ReadText>(
        &self,
        work: &Work<'_, T>,
        mut each: impl FnMut(Finding),
    ) -> Audit {
        let mut audit = Audit::default();
        let mut known = Known {
            literal: NOP_OPS.target(),
            straight: None,
        };
        for (index, record) in work.table.range(0..work.table.len()) {
            if record.has(REJECTED) {
                continue;
            }
            audit.callsites += 1;
            let quarantined = record.has(QUARANTINED);
            audit.quarantined += usize::from(quarantined);
            match self.prove(work, work.table.layout(record), &mut known) {
                Ok(enabled) => audit.enabled += usize::from(enabled),
                Err((at, why)) => {
                    audit.illegal += 1;
                    each(Finding {
                        index,
                        at,
                        why,
                        quarantined,
                    });
                }
            }
        }
        audit
    }

    /// Whether the callsite is enabled; or which of its words is wrong. The literal is looked at first: what it names says
    /// what the words must be.
    #[inline]
    fn prove<T: ReadText>(
        &self,
        work: &Work<'_, T>,
        layout: Layout,
        known: &mut Known,
    ) -> Result<bool, (usize, Why)> {
        let at = layout.literal();
        let literal = work.text.literal(at);
        let enabled = literal != NOP_OPS.target();
        if enabled && literal != known.literal {
            let found = literal;
            *known = self.look_up(literal).ok_or((at, Why::Literal { found }))?;
        }
        if layout.bti() {
            let found = work.text.insn(layout.entry());
            if !found.is_bti() {
                return Err(unexpected(layout.entry(), Insn::BTI_C, found));
            }
        }
        let found = work.text.insn(layout.mov());
        if found != Insn::MOV_X9_X30 {
            return Err(unexpected(layout.mov(), Insn::MOV_X9_X30, found));
        }
        let at = layout.branch();
        let expected = if enabled {
            let straight = known.straight.and_then(|to| Insn::bl(at, to).ok());
            straight
                .map_or_else(|| work.targets.branch(at), Ok)
                .map_err(|error| (at, error.into()))?
        } else {
            Insn::NOP
        };
        let found = work.text.insn(at);
        if found == expected {
            Ok(enabled)
        } else {
            Err(unexpected(at, expected, found))
        }
    }

    fn look_up(&self, literal: u64) -> Option<Known> {
        let straight = match self.sets.members(&self.registry, literal)? {
            Members::One(ops) if ops.head.straight => Some(ops.head.entry as usize),
            _ => None,
        };
        Some(Known { literal, straight })
    }
}

fn unexpected(at: usize, expected: Insn, found: Insn) -> (usize, Why) {
    (at, Why::Insn { expected, found })
}
