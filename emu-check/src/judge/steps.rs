//! The steps that a written word goes through on the core that wrote it, by what that core does:
//!
//! ```text
//! Stored -- DC CVAU of its line --> Cleaned -- DSB --> Unified -- IC IVAU of its line --> Invalidated -- DSB --> Done
//! ```

use super::Judge;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Stored,
    Cleaned,
    Unified,
    Invalidated,
    Done(u64),
}

impl Step {
    pub(super) fn missing(self) -> &'static str {
        match self {
            Self::Stored => "DC CVAU of its line after the store",
            Self::Cleaned => "DSB after DC CVAU",
            Self::Unified => "IC IVAU of its line after DC CVAU and DSB",
            Self::Invalidated => "DSB after IC IVAU",
            Self::Done(_) => "nothing",
        }
    }
}

pub(super) struct Written {
    pub(super) core: usize,
    pub(super) step: Step,
    /// Its line was invalidated while the cleaning was not waited for.
    pub(super) hasty: bool,
    pub(super) exchangeable: bool,
}

impl Written {
    pub(super) fn missing(&self) -> &'static str {
        if self.hasty {
            "DSB between DC CVAU and IC IVAU"
        } else {
            self.step.missing()
        }
    }
}

/// CTR_EL0's part.
#[derive(Clone, Copy)]
pub struct Cache {
    pub data_line: u64,
    pub code_line: u64,
    pub needs_clean: bool,
    pub needs_invalidate: bool,
}

impl Cache {
    pub fn from_ctr(ctr: u64) -> Self {
        Self {
            data_line: 4 << (ctr >> 16 & 0xf),
            code_line: 4 << (ctr & 0xf),
            needs_clean: ctr >> 28 & 1 == 0,
            needs_invalidate: ctr >> 29 & 1 == 0,
        }
    }
}

impl Judge {
    pub fn clean(&mut self, core: usize, at: u64) {
        self.event(core);
        let size = self.cache.map_or(64, |cache| cache.data_line);
        self.advance(core, Some((at, size)), |word| {
            (word.step == Step::Stored).then_some(Step::Cleaned)
        });
    }

    pub fn invalidate(&mut self, core: usize, at: Option<u64>) {
        self.event(core);
        let size = self.cache.map_or(64, |cache| cache.code_line);
        self.advance(core, at.map(|at| (at, size)), |word| {
            word.hasty |= word.step == Step::Cleaned;
            word.hasty &= word.step != Step::Unified;
            (word.step == Step::Unified).then_some(Step::Invalidated)
        });
    }

    pub fn complete(&mut self, core: usize) {
        let now = self.event(core);
        self.cores[core].ordered = now;
        let needs_invalidate = self.cache.is_none_or(|cache| cache.needs_invalidate);
        self.advance(core, None, |word| match word.step {
            Step::Cleaned if needs_invalidate => Some(Step::Unified),
            Step::Cleaned | Step::Invalidated => Some(Step::Done(now)),
            _ => None,
        });
    }

    fn advance(
        &mut self,
        core: usize,
        line: Option<(u64, u64)>,
        next: impl Fn(&mut Written) -> Option<Step>,
    ) {
        let range = line.map_or(0..u64::MAX, |(at, size)| {
            let start = at & !(size - 1);
            start..start + size
        });
        for (_, word) in self.pending.range_mut(range) {
            if word.core == core
                && let Some(step) = next(word)
            {
                word.step = step;
            }
        }
    }

    pub fn order(&mut self, core: usize) {
        self.cores[core].ordered = self.event(core);
    }

    pub fn synchronise(&mut self, core: usize) {
        self.cores[core].synchronised = self.event(core);
    }
}
