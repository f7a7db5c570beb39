//! Applies a filter to steps.

use std::collections::VecDeque;

use aarch64_ftrace::glob;
use aarch64_ftrace::trace::Type;
use rustc_hash::FxHashMap;

use super::super::calls::{Call, Step, Task};
use super::super::play::Item;
use super::super::symbols::Symbols;
use super::{Decided, Filter, Pass};

#[derive(Debug)]
struct Level {
    /// Levels below the outermost selected call.
    inside: Option<u32>,
    hidden: bool,
    shown: bool,
    /// Not known yet to be long enough: the call, and which ENTRY it is.
    held: Option<(Call, u64)>,
}

/// The open calls of a task.
#[derive(Debug, Default)]
struct Stack {
    levels: Vec<Level>,
    /// None of so many outermost ones is held: who is further in began later.
    released: usize,
}

impl Stack {
    fn pop(&mut self) -> Option<Level> {
        let level = self.levels.pop();
        self.released = self.released.min(self.levels.len());
        level
    }
}

/// Steps go in, those that the filter lets through come out.
pub(super) struct Selection<'a> {
    filter: &'a Filter,
    symbols: &'a Symbols,
    matches: FxHashMap<(u32, u8), bool>,
    tasks: FxHashMap<Task, Stack>,
    /// What each core runs, where only some tasks are looked at.
    running: FxHashMap<u16, Task>,
    pub(super) out: VecDeque<Step>,
    /// The latest time of each core, where times are chosen.
    latest: FxHashMap<u16, u64>,
    /// Whether the last event of each core that is no call was in the time: DATA behind it has no time of its own.
    is_timely: FxHashMap<u16, bool>,
    /// ENTRY events so far.
    entries: u64,
    /// Those that are long enough, where that is to be found out.
    pub(super) long: Option<Decided>,
    /// The same, where that is known before.
    decided: Option<&'a Decided>,
}

impl<'a> Selection<'a> {
    pub(super) fn new(filter: &'a Filter, symbols: &'a Symbols, pass: Pass<'a>) -> Self {
        Self {
            filter,
            symbols,
            matches: FxHashMap::default(),
            tasks: FxHashMap::default(),
            running: FxHashMap::default(),
            out: VecDeque::new(),
            latest: FxHashMap::default(),
            is_timely: FxHashMap::default(),
            entries: 0,
            long: matches!(pass, Pass::Decides).then(Decided::default),
            decided: match pass {
                Pass::Decided(decided) => Some(decided),
                Pass::Once | Pass::Decides => None,
            },
        }
    }

    /// Whether a step is of a task that is looked at. What comes from and goes to one is.
    pub(super) fn is_of_task(&mut self, step: &Step) -> bool {
        if self.filter.tasks.is_none() {
            return true;
        }
        let running = |core| *self.running.get(&core).unwrap_or(&Task::Core(core));
        match *step {
            Step::Enter(call) | Step::Function(call) | Step::Abandoned(call, _) => {
                self.filter.is_wanted(call.task)
            }
            Step::Leave(leave) => self.filter.is_wanted(leave.call.task),
            Step::Switch(core, _, next) => {
                let last = running(core);
                self.running.insert(core, next);
                self.filter.is_wanted(last) || self.filter.is_wanted(next)
            }
            Step::Other(item) => self.filter.is_wanted(running(item.core)),
            Step::Missing(..) => true,
        }
    }

    fn is_in(&mut self, low: u32, which: u8) -> bool {
        let (filter, symbols) = (self.filter, self.symbols);
        *self.matches.entry((low, which)).or_insert_with(|| {
            let (globs, name) = match which {
                0 => (&filter.functions, symbols.name(low)),
                1 => (&filter.hidden, symbols.name(low)),
                2 => (&filter.skipped, symbols.name(low)),
                _ => (&filter.callers, symbols.caller(low)),
            };
            globs.iter().any(|glob| glob::matches(glob, name.bytes()))
        })
    }

    /// What a call made in the innermost open one is.
    fn level(&mut self, call: &Call) -> Level {
        let (above, above_hidden) = match self.tasks.entry(call.task).or_default().levels.last() {
            Some(level) => (level.inside, level.hidden),
            None => (None, false),
        };
        let hidden =
            above_hidden || (!self.filter.hidden.is_empty() && self.is_in(call.callsite, 1));
        let skipped = !self.filter.skipped.is_empty() && self.is_in(call.callsite, 2);
        let inside = match above {
            Some(levels) => Some(levels + 1),
            None => (self.filter.functions.is_empty() || self.is_in(call.callsite, 0)).then_some(0),
        };
        let caller = self.filter.callers.is_empty() || self.is_in(call.parent, 3);
        let deep = inside.is_some_and(|levels| levels < self.filter.depth);
        Level {
            inside,
            hidden,
            shown: deep
                && !hidden
                && !skipped
                && caller
                && self.filter.time.contains(&call.time)
                && self.filter.has_core(call.core),
            held: None,
        }
    }

    pub(super) fn push(&mut self, step: Step) {
        let before = self.pass(&step);
        match step {
            Step::Enter(call) => {
                let mut level = self.level(&call);
                let entry = self.entries;
                self.entries += 1;
                match self.decided {
                    Some(decided) if self.filter.minimum > 0 => level.shown &= decided.has(entry),
                    None if self.filter.minimum > 0 && level.shown => {
                        level.held = Some((call, entry))
                    }
                    _ => {}
                }
                if level.shown && level.held.is_none() {
                    self.out.push_back(step);
                }
                self.release(call.task, call.time);
                let stack = self.tasks.entry(call.task).or_default();
                stack.levels.push(level);
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
                let Some(level) = level.filter(|level| level.shown) else {
                    return;
                };
                // It has both brackets or none.
                if let Some((call, entry)) = level.held {
                    if leave.duration < self.filter.minimum {
                        return;
                    }
                    if let Some(long) = &mut self.long {
                        long.add(entry);
                    }
                    self.out.push_back(Step::Enter(call));
                }
                self.out.push_back(step);
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
            Step::Switch(core, time, _) => {
                if self.filter.time.contains(&time) && self.filter.has_core(core) {
                    self.out.push_back(step);
                }
            }
            Step::Missing(core, _, time) => {
                let Filter { time: wanted, .. } = self.filter;
                if before <= *wanted.end() && *wanted.start() <= time && self.filter.has_core(core)
                {
                    self.out.push_back(step);
                }
            }
            Step::Other(Item { core, event, .. }) => {
                let is_timely = self.is_timely.entry(core).or_insert(true);
                if event.kind() != Some(Type::Data) {
                    *is_timely = self.filter.time.contains(&event.time());
                }
                if *is_timely && self.filter.has_core(core) {
                    self.out.push_back(step);
                }
            }
        }
    }

    /// The time of the core's step before this one.
    fn pass(&mut self, step: &Step) -> u64 {
        match step.place() {
            Some((core, Some(time))) if !self.filter.is_ever() => {
                self.latest.insert(core, time).unwrap_or(0)
            }
            _ => 0,
        }
    }

    /// Whether a call that is open was shown.
    pub(super) fn shows(&self, call: &Call) -> bool {
        let stack = self.tasks.get(&call.task);
        let level = stack.and_then(|stack| stack.levels.get(call.depth as usize));
        level.is_some_and(|level| level.shown && level.held.is_none())
    }

    /// Calls that have been open for long enough by this time, from the outside in.
    fn release(&mut self, task: Task, now: u64) {
        if self.filter.minimum == 0 {
            return;
        }
        let stack = self.tasks.entry(task).or_default();
        for level in &mut stack.levels[stack.released..] {
            if let Some((call, entry)) = level.held {
                if now.saturating_sub(call.time) < self.filter.minimum {
                    break;
                }
                level.held = None;
                if let Some(long) = &mut self.long {
                    long.add(entry);
                }
                self.out.push_back(Step::Enter(call));
            }
            stack.released += 1;
        }
    }
}
