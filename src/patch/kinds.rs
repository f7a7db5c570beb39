//! What the patcher is asked, and what it answers: which records, how many changed, why one could not.
#![forbid(unsafe_code)]

use crate::error::Why;
use crate::table::{LEFT_ALONE, MARKED, Record};

/// Why a plan cannot be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Patch {
        at: usize,
        why: Why,
        /// How many callsites of the plan were quarantined on the way.
        foreign: usize,
    },
    SetMemory {
        at: usize,
        literal: u64,
        bytes: usize,
    },
}

impl Refusal {
    pub(super) const fn of(at: usize, why: Why) -> Self {
        Self::Patch {
            at,
            why,
            foreign: 0,
        }
    }

    /// Whether somebody else wrote to the callsite.
    pub(crate) const fn is_foreign(self) -> bool {
        matches!(self, Self::Patch { why, .. } if why.is_foreign())
    }

    /// The same, after this many callsites were quarantined.
    pub(crate) const fn after(self, foreign: usize) -> Self {
        match self {
            Self::Patch { at, why, .. } => Self::Patch { at, why, foreign },
            memory @ Self::SetMemory { .. } => memory,
        }
    }
}

/// How many callsites a batch switched on, switched off, and gave another literal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) on: u32,
    pub(crate) off: u32,
    pub(crate) swapped: u32,
}

/// Which records of a range a batch changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pick {
    /// Those that the plan marked.
    Marked,
    /// All that are not left alone: the plan found that they all make the same step, and marked none.
    Every {
        /// How many are to be enabled; or else
        on: u32,
        /// how many are to be disabled.
        off: u32,
    },
}

impl Pick {
    pub(super) fn takes(self, record: Record) -> bool {
        match self {
            Self::Marked => record.has(MARKED),
            Self::Every { .. } => !record.has(LEFT_ALONE),
        }
    }
}

/// A callsite that could not be changed: where, why, and whether it could not even be left as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) at: usize,
    pub(super) why: Why,
    pub(super) stuck: bool,
}

impl Failure {
    #[inline]
    pub(super) const fn fault(at: usize, stuck: bool) -> Self {
        let why = Why::Fault;
        Self { at, why, stuck }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let (at, why) = match refusal {
            Refusal::Patch { at, why, .. } => (at, why),
            // The plan made every set; a callsite that asks for another one has changed since.
            Refusal::SetMemory { at, literal, .. } => (at, Why::Literal { found: literal }),
        };
        Self {
            at,
            why,
            stuck: false,
        }
    }
}
