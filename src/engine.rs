//! The engine: what registering, changing and taking away an ops does to the text. Runs on any host against a fake.
#![forbid(unsafe_code)]

use crate::error::{Error, PatchError};
use crate::filter::{Filter, MAX_PATTERNS};
use crate::instances::Instances;
use crate::names::{Names, NamesError};
use crate::ops::Ops;
use crate::patch::{Done, Patcher, Refusal};
use crate::plan::{self, Selection};
use crate::registry::Registry;
use crate::set::{Members, Sets};
use crate::table::{LEFT_ALONE, REJECTED, Record, Table};
use crate::text::{ReadText, Text};
use crate::veneer::Targets;
use core::fmt;
use core::ops::Range;
use core::sync::atomic::Ordering;

mod audit;
mod image;

pub use audit::{Audit, Finding};
pub use image::Shutdown;
pub(crate) use image::first_patch;

/// What [`crate::Ftrace::register`], `set_filter` or `unregister` did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Callsites that the filter takes.
    pub matched: usize,
    /// Callsites that were switched on: NOP to BL.
    pub enabled: usize,
    /// Callsites that were switched off: BL to NOP.
    pub disabled: usize,
    /// Callsites that had, or still have, other ops: another set.
    pub swapped: usize,
    /// Callsites that the filter would take and that are quarantined: they were left out, and
    /// [`crate::Ftrace::rejects`] lists them.
    pub quarantined: usize,
    /// The tracer's own function is among the callsites that the filter takes; it was left out.
    pub own_tracer: bool,
    hits: [u32; MAX_PATTERNS],
    patterns: usize,
}

impl Applied {
    /// What an ops that was taken away already does.
    #[cfg(feature = "alloc")]
    pub(crate) const NOTHING: Self = Self {
        matched: 0,
        enabled: 0,
        disabled: 0,
        swapped: 0,
        quarantined: 0,
        own_tracer: false,
        hits: [0; MAX_PATTERNS],
        patterns: 0,
    };

    /// How many callsites each of the filter's patterns matches, in their order, those of notrace last. Quarantined ones
    /// count.
    pub fn hits(&self) -> &[u32] {
        self.hits.get(..self.patterns).unwrap_or(&self.hits)
    }
}

impl fmt::Display for Applied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} function{}: {} switched on, {} off, {} shared",
            self.matched,
            if self.matched == 1 { "" } else { "s" },
            self.enabled,
            self.disabled,
            self.swapped
        )?;
        if self.quarantined > 0 {
            write!(f, ", {} quarantined and left out", self.quarantined)?;
        }
        Ok(())
    }
}

/// What the engine keeps between calls. Changes under one lock.
pub(crate) struct Engine {
    pub(crate) registry: Registry,
    pub(crate) sets: Sets,
    /// From init to shutdown.
    pub(crate) active: bool,
    /// Some callsite is quarantined: from now on, callers are counted one by one.
    quarantined: bool,
}

/// All that one call works on.
pub(crate) struct Work<'a, T> {
    pub(crate) text: &'a T,
    pub(crate) table: &'a Table,
    pub(crate) names: &'a Result<Names<'static>, NamesError>,
    pub(crate) targets: Targets,
}

impl Engine {
    pub(crate) const fn new() -> Self {
        Self {
            registry: Registry::new(),
            sets: Sets::new(),
            active: false,
            quarantined: false,
        }
    }

    pub(crate) fn register<T: Text>(
        &mut self,
        work: &Work<'_, T>,
        ops: &'static Ops,
        filter: &Filter<'_>,
    ) -> Result<Applied, Error> {
        if ops.is_registered() {
            return Err(Error::AlreadyRegistered);
        }
        if ops.head.kind.has_instances() && !ops.instances().is_some_and(Instances::is_placed) {
            return Err(Error::CounterMemory { lines: 0 });
        }
        let selection = Selection::resolve(work.table, work.names, filter)?;
        self.registry.add(ops);
        self.sets.forget_last();
        let applied = self.change(work, ops, &selection, selection.range.clone());
        if applied.is_err() && ops.callsites() == 0 {
            self.registry.remove(ops);
        }
        applied
    }

    pub(crate) fn set_filter<T: Text>(
        &mut self,
        work: &Work<'_, T>,
        ops: &'static Ops,
        filter: &Filter<'_>,
    ) -> Result<Applied, Error> {
        if !ops.is_registered() {
            return Err(Error::NotRegistered);
        }
        let selection = Selection::resolve(work.table, work.names, filter)?;
        let now = used_by(ops);
        let both = if now.is_empty() {
            selection.range.clone()
        } else if selection.range.is_empty() {
            now
        } else {
            now.start.min(selection.range.start)..now.end.max(selection.range.end)
        };
        self.change(work, ops, &selection, both)
    }

    /// Takes the ops from those of its callsites that `wanted` does not name, by their records.
    pub(crate) fn keep<T: Text>(
        &mut self,
        work: &Work<'_, T>,
        ops: &'static Ops,
        wanted: impl Fn(usize) -> bool,
    ) -> Result<Applied, Error> {
        if !ops.is_registered() {
            return Err(Error::NotRegistered);
        }
        let used = used_by(ops);
        let mut selection = Selection::NONE;
        for (index, record) in work.table.range(used.clone()) {
            let mut called = self.members(work, record).into_iter().flatten();
            if !record.has(LEFT_ALONE)
                && wanted(index)
                && called.any(|called| core::ptr::eq(called, ops))
            {
                selection.take(work.table, index);
            }
        }
        self.change(work, ops, &selection, used)
    }

    pub(crate) fn unregister<T: Text>(
        &mut self,
        work: &Work<'_, T>,
        ops: &'static Ops,
    ) -> Result<Applied, Error> {
        if !ops.is_registered() {
            return Err(Error::NotRegistered);
        }
        let used = used_by(ops);
        let applied = self.change(work, ops, &Selection::NONE, used.clone())?;
        if ops.callsites() > 0 {
            let mut patcher = self.patcher(work, ops);
            patcher.release(used.clone());
            ops.callsites
                .store(patcher.callers(used), Ordering::Relaxed);
        }
        if ops.callsites() > 0 {
            let callsites = ops.callsites();
            return Err(Error::Quarantined { callsites });
        }
        self.registry.remove(ops);
        Ok(applied)
    }

    /// The ops that the callsite calls, in order; `None` where its literal is not one of ours. What a rejected record points
    /// to may be anything and anywhere.
    pub(crate) fn members<T: ReadText>(
        &self,
        work: &Work<'_, T>,
        record: Record,
    ) -> Option<Members> {
        if record.has(REJECTED) {
            return None;
        }
        let literal = work.text.literal(work.table.layout(record).literal());
        self.sets.members(&self.registry, literal)
    }

    fn change<T: Text>(
        &mut self,
        work: &Work<'_, T>,
        ops: &'static Ops,
        selection: &Selection,
        range: Range<usize>,
    ) -> Result<Applied, Error> {
        let mut patcher = self.patcher(work, ops);
        let marks = match plan::mark(&mut patcher, selection, range) {
            Ok(marks) => marks,
            Err(Refusal::Patch { at, why, foreign }) => {
                self.quarantined |= foreign > 0;
                return Err(Error::Patch(PatchError::refused(at, why, foreign)));
            }
            Err(Refusal::SetMemory { bytes, .. }) => return Err(Error::SetMemory { bytes }),
        };
        let touched = marks.range.clone();
        let result = if touched.is_empty() {
            Ok(Done::default())
        } else {
            patcher.apply(touched.clone(), marks.pick)
        };
        // What is stuck keeps its new ops, or its old: the ops' range and count must cover it.
        patcher.quarantined |= result.is_err_and(|error| error.stuck + error.foreign > 0);
        let range = used_and_touched(ops, touched);
        let matched = marks.matched;
        let quarantined = patcher.quarantined;
        let callers = if quarantined {
            patcher.callers(range.clone())
        } else if result.is_ok() {
            matched
        } else {
            ops.callsites.load(Ordering::Relaxed)
        };
        ops.callsites.store(callers, Ordering::Relaxed);
        ops.first.store(range.start as u32, Ordering::Relaxed);
        ops.end.store(range.end as u32, Ordering::Relaxed);
        self.quarantined = quarantined;
        let done = result?;
        Ok(Applied {
            matched: matched as usize,
            enabled: done.on as usize,
            disabled: done.off as usize,
            swapped: done.swapped as usize,
            quarantined: marks.quarantined as usize,
            own_tracer: marks.own_tracer,
            hits: selection.hits,
            patterns: selection.patterns,
        })
    }

    fn patcher<'a, T: Text>(&'a mut self, work: &Work<'a, T>, ops: &'static Ops) -> Patcher<'a, T> {
        Patcher {
            text: work.text,
            table: work.table,
            sets: &mut self.sets,
            registry: &self.registry,
            targets: work.targets,
            quarantined: self.quarantined,
            ops,
        }
    }
}

/// The records that called the ops before a change, or may since.
fn used_and_touched(ops: &Ops, touched: Range<usize>) -> Range<usize> {
    if ops.callsites.load(Ordering::Relaxed) == 0 {
        return touched;
    }
    let now = used_by(ops);
    match touched.is_empty() {
        true => now,
        false => now.start.min(touched.start)..now.end.max(touched.end),
    }
}

/// The records among which are all that call the ops.
fn used_by(ops: &Ops) -> Range<usize> {
    ops.first.load(Ordering::Relaxed) as usize..ops.end.load(Ordering::Relaxed) as usize
}
