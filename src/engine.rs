//! The engine: what registering, changing and taking away an ops does to the text. Runs on any host against a fake.
#![forbid(unsafe_code)]

use crate::callsite::COMPILED_LITERAL;
use crate::error::{Error, PatchError, Why};
use crate::filter::{Filter, MAX_PATTERNS};
use crate::insn::Insn;
use crate::names::{Names, NamesError};
use crate::ops::{NOP_OPS, Ops};
use crate::patch::{Done, Patcher, Refusal};
use crate::plan::{self, Selection};
use crate::registry::Registry;
use crate::set::{Members, Sets};
use crate::table::{LEFT_ALONE, MARKED, Record, Table};
use crate::text::Text;
use core::fmt;
use core::ops::Range;
use core::sync::atomic::Ordering;

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
    /// The tracer's own function is among the callsites that the filter takes; it was left out.
    pub own_tracer: bool,
    hits: [u32; MAX_PATTERNS],
}

impl Applied {
    /// How many callsites each of the filter's patterns matches, in their order, those of notrace last.
    pub fn hits(&self) -> &[u32] {
        &self.hits
    }
}

impl fmt::Display for Applied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} functions: {} switched on, {} off, {} shared",
            self.matched, self.enabled, self.disabled, self.swapped
        )
    }
}

/// What the engine keeps between calls. Changes under one lock.
pub(crate) struct Engine {
    pub(crate) registry: Registry,
    pub(crate) sets: Sets,
    /// Some callsite could not be changed back: from now on, callers are counted one by one.
    quarantined: bool,
}

/// All that one call works on.
pub(crate) struct Work<'a, T> {
    pub(crate) text: &'a T,
    pub(crate) table: &'a Table,
    pub(crate) names: &'a Result<Names<'static>, NamesError>,
    pub(crate) trampoline: usize,
}

impl Engine {
    pub(crate) const fn new() -> Self {
        Self {
            registry: Registry::new(),
            sets: Sets::new(),
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

    pub(crate) fn unregister<T: Text>(
        &mut self,
        work: &Work<'_, T>,
        ops: &'static Ops,
    ) -> Result<Applied, Error> {
        if !ops.is_registered() {
            return Err(Error::NotRegistered);
        }
        let applied = self.change(work, ops, &Selection::NONE, used_by(ops))?;
        if ops.callsites() > 0 {
            let callsites = ops.callsites();
            return Err(Error::Quarantined { callsites });
        }
        self.registry.remove(ops);
        Ok(applied)
    }

    /// The ops that the callsite calls, in order; `None` where its literal is not one of ours.
    pub(crate) fn members<T: Text>(&self, work: &Work<'_, T>, record: Record) -> Option<Members> {
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
        let mut patcher = Patcher {
            text: work.text,
            table: work.table,
            sets: &mut self.sets,
            registry: &self.registry,
            trampoline: work.trampoline,
            ops,
        };
        let marks =
            plan::mark(&mut patcher, selection, range).map_err(|refusal| match refusal {
                Refusal::Patch { at, why } => Error::Patch(PatchError {
                    at,
                    why,
                    undone: 0,
                    stuck: 0,
                }),
                Refusal::SetMemory { bytes, .. } => Error::SetMemory { bytes },
            })?;
        let touched = marks.range.clone();
        let result = if touched.is_empty() {
            Ok(Done::default())
        } else {
            patcher.apply(touched.clone(), marks.pick)
        };
        // What is stuck keeps its new ops, or its old: the ops' range and count must cover it.
        self.quarantined |= result.is_err_and(|error| error.stuck > 0);
        let range = used_and_touched(ops, touched);
        let matched = marks.matched;
        let callers = if self.quarantined {
            patcher.callers(range.clone())
        } else if result.is_ok() {
            matched
        } else {
            ops.callsites.load(Ordering::Relaxed)
        };
        ops.callsites.store(callers, Ordering::Relaxed);
        ops.first.store(range.start as u32, Ordering::Relaxed);
        ops.end.store(range.end as u32, Ordering::Relaxed);
        let done = result?;
        Ok(Applied {
            matched: matched as usize,
            enabled: done.on as usize,
            disabled: done.off as usize,
            swapped: done.swapped as usize,
            own_tracer: marks.own_tracer,
            hits: selection.hits,
        })
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

/// Takes every callsite from the compiled to the disabled state: literal to NOP_OPS, first NOP to MOV X9, X30.
///
/// Only before other cores run traced code, or with them stopped: NOP to MOV is not among the changes that the
/// architecture allows while a core executes the word.
///
/// # Errors
/// A write that failed. All callsites are then as compiled.
pub(crate) fn first_patch<T: Text>(text: &T, table: &Table) -> Result<(), PatchError> {
    let clean = text.cache_type().needs_clean;
    for (index, record) in table.range(0..table.len()) {
        if record.has(LEFT_ALONE) {
            continue;
        }
        let layout = table.layout(record);
        let written = text
            .write_literal(layout.literal(), NOP_OPS.target())
            .map_err(|_| (layout.literal(), Ok(())))
            .and_then(|()| {
                text.write_insn(layout.mov(), Insn::MOV_X9_X30)
                    .map_err(|_| {
                        (
                            layout.mov(),
                            text.write_literal(layout.literal(), COMPILED_LITERAL),
                        )
                    })
            });
        if let Err((at, restored)) = written {
            let (undone, stuck) = as_compiled(text, table, 0..index);
            make_visible(text, table, 0..index);
            let stuck = stuck + usize::from(restored.is_err());
            return Err(PatchError {
                at,
                why: Why::Fault,
                undone,
                stuck,
            });
        }
        if clean {
            text.clean(layout.mov());
        }
    }
    make_visible(text, table, 0..table.len());
    Ok(())
}

fn as_compiled(text: &impl Text, table: &Table, range: Range<usize>) -> (usize, usize) {
    let (mut undone, mut stuck) = (0, 0);
    for (_, record) in table
        .range(range)
        .rev()
        .filter(|(_, record)| !record.has(LEFT_ALONE))
    {
        let layout = table.layout(record);
        let word = text.write_insn(layout.mov(), Insn::NOP);
        text.clean(layout.mov());
        match word.and(text.write_literal(layout.literal(), COMPILED_LITERAL)) {
            Ok(()) => undone += 1,
            Err(_) => stuck += 1,
        }
    }
    (undone, stuck)
}

fn make_visible(text: &impl Text, table: &Table, range: Range<usize>) {
    text.complete();
    if text.cache_type().needs_invalidate {
        for (_, record) in table
            .range(range)
            .filter(|(_, record)| !record.has(LEFT_ALONE | MARKED))
        {
            text.invalidate(table.layout(record).mov());
        }
    }
    text.complete();
    text.synchronise();
    text.sync_cores();
}
