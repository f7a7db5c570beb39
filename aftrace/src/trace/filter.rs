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
    /// Not the functions that one of these globs matches; what they call all the same.
    pub skipped: Vec<String>,
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
    /// Only what these tasks do.
    pub tasks: Option<Vec<Task>>,
}

impl Default for Filter {
    fn default() -> Self {
        Self {
            functions: Vec::new(),
            hidden: Vec::new(),
            skipped: Vec::new(),
            callers: Vec::new(),
            depth: u32::MAX,
            minimum: 0,
            time: 0..=u64::MAX,
            cores: None,
            tasks: None,
        }
    }
}

/// What a reader of calls is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// A call from its ENTRY to its EXIT, if nothing is shown in between.
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

/// Which calls of a trace are long enough, by the number of their ENTRY: a bit for each.
#[derive(Clone, Debug, Default)]
pub struct Decided(Vec<u64>);

impl Decided {
    fn add(&mut self, entry: u64) {
        let word = (entry / 64) as usize;
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (entry % 64);
    }

    fn has(&self, entry: u64) -> bool {
        let word = self.0.get((entry / 64) as usize);
        word.is_some_and(|word| word >> (entry % 64) & 1 == 1)
    }
}

/// What a pass over a trace is for, where calls are to have a minimum: it is not known of one that begins.
#[derive(Clone, Copy)]
enum Pass<'a> {
    /// Each call is shown when it is known to be long enough.
    Once,
    /// To find out.
    Decides,
    /// Each call is shown where it begins.
    Decided(&'a Decided),
}

/// Applies a filter to steps.
struct Selection<'a> {
    filter: &'a Filter,
    symbols: &'a Symbols,
    matches: FxHashMap<(u32, u8), bool>,
    tasks: FxHashMap<Task, Stack>,
    /// What each core runs, where only some tasks are looked at.
    running: FxHashMap<u16, Task>,
    out: VecDeque<Step>,
    /// ENTRY events so far.
    entries: u64,
    /// Those that are long enough, where that is to be found out.
    long: Option<Decided>,
    /// The same, where that is known before.
    decided: Option<&'a Decided>,
}

impl Filter {
    fn is_all(&self) -> bool {
        self.functions.is_empty()
            && self.hidden.is_empty()
            && self.skipped.is_empty()
            && self.tasks.is_none()
            && self.callers.is_empty()
            && self.depth == u32::MAX
            && self.minimum == 0
            && self.time == (0..=u64::MAX)
    }

    pub(super) fn is_wanted(&self, task: Task) -> bool {
        let tasks = self.tasks.as_ref();
        tasks.is_none_or(|tasks| tasks.contains(&task))
    }

    /// Goes through the trace and shows what the filter lets through, calls without shown callees as one. Returns those of them that had
    /// not returned at the end, of each task from the outside in. With `fold` false no call is a leaf, and all cores are in the order of their time; but with a minimum, a call
    /// is shown when it is known to be long enough.
    ///
    /// # Errors
    /// Those of the file and of `show`.
    pub fn play(
        &self,
        trace: &Trace,
        symbols: &Symbols,
        fold: bool,
        show: impl FnMut(Shown) -> io::Result<()>,
    ) -> io::Result<Vec<Call>> {
        Ok(self.run(trace, symbols, fold, Pass::Once, show)?.0)
    }

    /// Which calls are long enough, for [`Self::play_decided`].
    ///
    /// # Errors
    /// Those of the file.
    pub fn decide(&self, trace: &Trace, symbols: &Symbols) -> io::Result<Decided> {
        match self.minimum {
            0 => Ok(Decided::default()),
            _ => Ok(self
                .run(trace, symbols, false, Pass::Decides, |_| Ok(()))?
                .1),
        }
    }

    /// As [`Self::play`] without `fold`, each call where it begins.
    ///
    /// # Errors
    /// Those of the file and of `show`.
    pub fn play_decided(
        &self,
        trace: &Trace,
        symbols: &Symbols,
        decided: &Decided,
        mut show: impl FnMut(Step) -> io::Result<()>,
    ) -> io::Result<()> {
        let show = |shown| match shown {
            Shown::Step(step) => show(step),
            Shown::Leaf(_) => Ok(()),
        };
        self.run(trace, symbols, false, Pass::Decided(decided), show)?;
        Ok(())
    }

    fn run(
        &self,
        trace: &Trace,
        symbols: &Symbols,
        fold: bool,
        pass: Pass<'_>,
        mut show: impl FnMut(Shown) -> io::Result<()>,
    ) -> io::Result<(Vec<Call>, Decided)> {
        let mut calls = Calls::new(trace.play(self.cores.as_deref())?);
        let mut selection = Selection {
            filter: self,
            symbols,
            matches: FxHashMap::default(),
            tasks: FxHashMap::default(),
            running: FxHashMap::default(),
            out: VecDeque::new(),
            entries: 0,
            long: matches!(pass, Pass::Decides).then(Decided::default),
            decided: match pass {
                Pass::Decided(decided) => Some(decided),
                Pass::Once | Pass::Decides => None,
            },
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
            if !selection.is_of_task(&step) {
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
                    // Whether something is shown within it, the next step says that is.
                    (Step::Enter(_), None) if fold => {
                        selection.out.push_front(step);
                        break;
                    }
                    _ => show(Shown::Step(step))?,
                }
            }
        }
        selection
            .out
            .drain(..)
            .try_for_each(|step| show(Shown::Step(step)))?;
        let mut unfinished = calls.unfinished();
        if !all {
            unfinished.retain(|call| selection.shows(call));
        }
        Ok((unfinished, selection.long.unwrap_or_default()))
    }
}

impl Selection<'_> {
    /// Whether a step is of a task that is looked at. What comes from and goes to one is.
    fn is_of_task(&mut self, step: &Step) -> bool {
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
            shown: deep && !hidden && !skipped && caller && self.filter.time.contains(&call.time),
            held: None,
        }
    }

    fn push(&mut self, step: Step) {
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
            Step::Switch(_, time, _) => {
                if self.filter.time.contains(&time) {
                    self.out.push_back(step);
                }
            }
            Step::Missing(..) | Step::Other(_) => self.out.push_back(step),
        }
    }

    /// Whether a call that is open was shown.
    fn shows(&self, call: &Call) -> bool {
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
