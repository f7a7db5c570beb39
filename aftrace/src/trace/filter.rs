//! Which calls are looked at, and the loop that goes through a trace.

use std::collections::VecDeque;
use std::io;
use std::ops::RangeInclusive;

use aarch64_ftrace::glob;
use rustc_hash::FxHashMap;

use super::calls::{Call, Calls, Return, Step, Task};
use super::file::Trace;
use super::symbols::Symbols;

/// What to look at. The default is all.
#[derive(Clone, Debug)]
pub struct Filter {
    /// Only calls of functions that one of these globs matches, and what they call. None: all.
    pub functions: Vec<String>,
    /// Not the functions that one of these globs matches, nor what they call.
    pub hidden: Vec<String>,
    /// Only calls by functions that one of these globs matches. None: all.
    pub callers: Vec<String>,
    /// Only this many levels.
    pub depth: u32,
    /// Only calls that took at least this many ticks. Calls that have not returned by the end count as long as they were seen.
    pub minimum: u64,
    /// Only what happened in these ticks.
    pub time: RangeInclusive<u64>,
    /// Only these cores.
    pub cores: Option<Vec<u16>>,
}

impl Default for Filter {
    fn default() -> Self {
        Self {
            functions: Vec::new(),
            hidden: Vec::new(),
            callers: Vec::new(),
            depth: u32::MAX,
            minimum: 0,
            time: 0..=u64::MAX,
            cores: None,
        }
    }
}

/// What a reader of calls is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// A call within which nothing is shown, from its ENTRY to its EXIT.
    Leaf(Return),
    /// Anything else. The depths are those in the whole trace.
    Step(Step),
}

#[derive(Debug)]
struct Level {
    /// Levels below the outermost selected call.
    inside: Option<u32>,
    hidden: bool,
    shown: bool,
    /// Not known yet to be long enough.
    held: Option<Call>,
}

/// Applies a filter to steps.
struct Selection<'a> {
    filter: &'a Filter,
    symbols: &'a Symbols,
    matches: FxHashMap<(u32, u8), bool>,
    tasks: FxHashMap<Task, Vec<Level>>,
    out: VecDeque<Step>,
}

impl Filter {
    fn is_all(&self) -> bool {
        self.functions.is_empty()
            && self.hidden.is_empty()
            && self.callers.is_empty()
            && self.depth == u32::MAX
            && self.minimum == 0
            && self.time == (0..=u64::MAX)
    }

    /// Goes through the trace and shows what the filter lets through, calls without shown callees as one. Returns the calls that had not
    /// returned at the end. With `fold` false no call is a leaf, and all cores are in the order of their time.
    ///
    /// # Errors
    /// Those of the file and of `show`.
    pub fn play(
        &self,
        trace: &Trace,
        symbols: &Symbols,
        fold: bool,
        mut show: impl FnMut(Shown) -> io::Result<()>,
    ) -> io::Result<Vec<Call>> {
        let mut calls = Calls::new(trace.play(self.cores.as_deref())?);
        let mut selection = Selection {
            filter: self,
            symbols,
            matches: FxHashMap::default(),
            tasks: FxHashMap::default(),
            out: VecDeque::new(),
        };
        let all = self.is_all();
        while let Some(step) = calls.next()? {
            let leaf = match step {
                Step::Enter(call) if fold => calls.leaf(&call)?,
                _ => None,
            };
            if all {
                show(leaf.map_or(Shown::Step(step), Shown::Leaf))?;
                continue;
            }
            selection.push(step);
            if let Some(leave) = leaf {
                selection.push(Step::Leave(leave));
            }
            while let Some(step) = selection.out.pop_front() {
                match (step, selection.out.front()) {
                    (Step::Enter(call), Some(Step::Leave(leave))) if fold && leave.call == call => {
                        show(Shown::Leaf(*leave))?;
                        selection.out.pop_front();
                    }
                    _ => show(Shown::Step(step))?,
                }
            }
        }
        Ok(calls.unfinished())
    }
}

impl Selection<'_> {
    fn is_in(&mut self, low: u32, which: u8) -> bool {
        let (filter, symbols) = (self.filter, self.symbols);
        *self.matches.entry((low, which)).or_insert_with(|| {
            let (globs, name) = match which {
                0 => (&filter.functions, symbols.name(low)),
                1 => (&filter.hidden, symbols.name(low)),
                _ => (&filter.callers, symbols.caller(low)),
            };
            globs.iter().any(|glob| glob::matches(glob, name.bytes()))
        })
    }

    /// What a call made in the innermost open one is.
    fn level(&mut self, call: &Call) -> Level {
        let (above, above_hidden) = match self.tasks.entry(call.task).or_default().last() {
            Some(level) => (level.inside, level.hidden),
            None => (None, false),
        };
        let hidden =
            above_hidden || (!self.filter.hidden.is_empty() && self.is_in(call.callsite, 1));
        let inside = match above {
            Some(levels) => Some(levels + 1),
            None => (self.filter.functions.is_empty() || self.is_in(call.callsite, 0)).then_some(0),
        };
        let caller = self.filter.callers.is_empty() || self.is_in(call.parent, 2);
        let deep = inside.is_some_and(|levels| levels < self.filter.depth);
        Level {
            inside,
            hidden,
            shown: deep && !hidden && caller && self.filter.time.contains(&call.time),
            held: None,
        }
    }

    fn push(&mut self, step: Step) {
        match step {
            Step::Enter(call) => {
                let mut level = self.level(&call);
                if level.shown && self.filter.minimum > 0 {
                    level.held = Some(call);
                } else if level.shown {
                    self.out.push_back(step);
                }
                self.release(call.task, call.time);
                self.tasks.entry(call.task).or_default().push(level);
            }
            Step::Function(call) => {
                let level = self.level(&call);
                if level.shown && self.filter.minimum == 0 {
                    self.out.push_back(step);
                }
            }
            Step::Leave(leave) if leave.entered => {
                self.release(leave.call.task, leave.time);
                let level = self.tasks.entry(leave.call.task).or_default().pop();
                if level.is_some_and(|level| level.shown) && leave.duration >= self.filter.minimum {
                    self.out.push_back(step);
                }
            }
            Step::Leave(leave) => {
                let level = self.level(&leave.call);
                if level.shown && leave.duration >= self.filter.minimum {
                    self.out.push_back(step);
                }
            }
            Step::Abandoned(call, _) => {
                let level = self.tasks.entry(call.task).or_default().pop();
                if level.is_some_and(|level| level.shown && level.held.is_none()) {
                    self.out.push_back(step);
                }
            }
            Step::Switch(_, time, _) => {
                if self.filter.time.contains(&time) {
                    self.out.push_back(step);
                }
            }
            Step::Missing(..) | Step::Other(_) => self.out.push_back(step),
        }
    }

    /// Calls that have been open for long enough by this time, from the outside in.
    fn release(&mut self, task: Task, now: u64) {
        if self.filter.minimum == 0 {
            return;
        }
        for level in self.tasks.entry(task).or_default() {
            if let Some(call) = level.held
                && now.saturating_sub(call.time) >= self.filter.minimum
            {
                level.held = None;
                self.out.push_back(Step::Enter(call));
            }
        }
    }
}
