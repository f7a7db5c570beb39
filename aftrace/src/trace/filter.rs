//! Which calls are looked at, and the loop that goes through a trace.

use std::io;
use std::ops::RangeInclusive;

use super::calls::{Call, Calls, Return, Step, Task};
use super::file::Trace;
use super::symbols::Symbols;

mod selection;

use selection::Selection;

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
    /// Only calls that began in these ticks, and what else happened in them.
    pub time: RangeInclusive<u64>,
    /// Only calls that began on these cores, and what else happened there.
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

/// The first tick of which so many nanoseconds, or more, are shown.
#[must_use]
pub fn first_tick(nanoseconds: u64, frequency: u64) -> u64 {
    ticks(nanoseconds.into(), frequency)
}

/// The last tick of which so many nanoseconds, or fewer, are shown.
#[must_use]
pub fn last_tick(nanoseconds: u64, frequency: u64) -> u64 {
    match nanoseconds {
        u64::MAX => u64::MAX,
        // The first that is later, but one.
        _ => ticks(u128::from(nanoseconds) + 1, frequency).saturating_sub(1),
    }
}

/// Rounded up: what is shown is rounded down ([`Symbols::nanoseconds`]).
fn ticks(nanoseconds: u128, frequency: u64) -> u64 {
    const SECOND: u128 = 1_000_000_000;
    let ticks = nanoseconds * u128::from(frequency.max(1));
    u64::try_from(ticks.div_ceil(SECOND)).unwrap_or(u64::MAX)
}

/// What a reader of calls is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// A call from its ENTRY to its EXIT, if nothing is shown in between.
    Leaf(Return),
    /// Anything else. The depths are those in the whole trace.
    Step(Step),
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

impl Filter {
    fn is_all(&self) -> bool {
        self.functions.is_empty()
            && self.hidden.is_empty()
            && self.skipped.is_empty()
            && self.tasks.is_none()
            && self.callers.is_empty()
            && self.depth == u32::MAX
            && self.minimum == 0
            && self.is_ever()
            && self.cores.is_none()
    }

    fn is_ever(&self) -> bool {
        self.time == (0..=u64::MAX)
    }

    fn has_core(&self, core: u16) -> bool {
        let cores = self.cores.as_ref();
        cores.is_none_or(|cores| cores.contains(&core))
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
        let mut calls = Calls::new(trace.play()?);
        let mut selection = Selection::new(self, symbols, pass);
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
