//! A trace as brackets: calls of a task begin and end in pairs, in the order of time, whatever the rings have lost. That is what
//! other programs' formats are made of.
//!
//! A call whose ENTRY is lost begins in the gap that took it, when its EXIT says: long before that EXIT is reached. So the trace is
//! gone through twice: first to learn of such calls, then to show all.

use std::io;

use rustc_hash::FxHashMap;

use super::calls::{Call, Step, Task};
use super::file::Trace;
use super::filter::{Decided, Filter};
use super::play::Item;
use super::symbols::Symbols;

/// Calls with a lost ENTRY that are put where they began; more are left out. Only damage makes so many.
const UNSEEN_MAX: usize = 1 << 20;
/// Calls that are open at the same time in one task; deeper ones are left out.
pub const DEPTH_MAX: usize = 1 << 16;

/// What happens in a trace. Times are ticks, and never go back within a core or a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A call begins. Its depth counts the open calls of its task that were shown.
    Begin(Call),
    /// The innermost open call of its task ends.
    End(End),
    /// A call of which the end is not recorded.
    Function(Call),
    /// From this time on, the core runs this task.
    Switch(u16, u64, Task),
    /// So many events of the core are missing at this time.
    Missing(u16, u64, u64),
    /// Any other event, and a time for those that have none.
    Other(Item, u64),
}

/// The end of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// As it began.
    pub call: Call,
    /// The core on which it returned.
    pub core: u16,
    /// Ticks at which it returned.
    pub time: u64,
    /// Whether its return was recorded; if not, a function around it returned or went on at this time.
    pub returned: bool,
    /// What it returned, where that was recorded.
    pub result: Option<u64>,
}

impl Mark {
    /// How many events a format leaves out that has calls and their times and nothing else.
    #[must_use]
    pub const fn besides(&self) -> u64 {
        match self {
            Self::Begin(call) => call.arguments.as_slice().len() as u64,
            Self::End(end) => end.result.is_some() as u64,
            Self::Other(..) => 1,
            Self::Function(_) | Self::Switch(..) | Self::Missing(..) => 0,
        }
    }
}

/// What is left when all was shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rest {
    /// Calls that have not ended, of each task from the outside in.
    pub open: Vec<Call>,
    /// Calls that could not be shown: deeper than [`DEPTH_MAX`], or in too badly damaged a part.
    pub left_out: u64,
}

/// The latest time of each core and task.
#[derive(Debug, Default)]
struct Clock {
    cores: FxHashMap<u16, u64>,
    tasks: FxHashMap<Task, u64>,
}

impl Clock {
    fn latest(&self, core: u16, task: Task) -> u64 {
        let core = self.cores.get(&core).copied().unwrap_or(0);
        core.max(self.tasks.get(&task).copied().unwrap_or(0))
    }

    /// The time, or the latest one where that is later.
    fn at(&mut self, core: u16, task: Task, time: u64) -> u64 {
        let time = time.max(self.latest(core, task));
        self.cores.insert(core, time);
        self.tasks.insert(task, time);
        time
    }

    fn of_core(&mut self, core: u16, time: u64) -> u64 {
        let latest = self.cores.entry(core).or_default();
        *latest = time.max(*latest);
        *latest
    }
}

/// Where something is missing of a core: before its first event, and at each loss.
#[derive(Debug)]
struct Gap {
    /// The latest time before it.
    after: u64,
    /// Calls that began in it, the innermost first: they are all open at its end, and return in this order.
    calls: Vec<Call>,
}

/// The gaps of each core, and those that were reached.
type Gaps = FxHashMap<u16, (Vec<Gap>, usize)>;

/// Goes through what the filter lets through of the trace.
///
/// # Errors
/// Those of the file and of `show`.
pub fn play(
    trace: &Trace,
    symbols: &Symbols,
    filter: &Filter,
    show: impl FnMut(Mark) -> io::Result<()>,
) -> io::Result<Rest> {
    let decided = filter.decide(trace, symbols)?;
    let mut player = Player {
        show,
        gaps: gaps(trace, symbols, filter, &decided)?,
        clock: Clock::default(),
        open: FxHashMap::default(),
        left_out: 0,
    };
    filter.play_decided(trace, symbols, &decided, |step| player.step(step))?;
    Ok(player.rest())
}

fn gaps(trace: &Trace, symbols: &Symbols, filter: &Filter, decided: &Decided) -> io::Result<Gaps> {
    let mut gaps = Gaps::default();
    let mut clock = Clock::default();
    let mut unseen = 0;
    filter.play_decided(trace, symbols, decided, |step| {
        let Some((core, time)) = place(&step) else {
            return Ok(());
        };
        let (of_core, _) = gaps.entry(core).or_default();
        let known = clock.cores.get(&core).copied();
        if is_gap(of_core.is_empty(), known, &step) {
            of_core.push(Gap {
                after: known.unwrap_or(0),
                calls: Vec::new(),
            });
        }
        if let Some(time) = time {
            clock.of_core(core, time);
        }
        if let Step::Leave(leave) = step
            && !leave.entered
            && unseen < UNSEEN_MAX
        {
            unseen += 1;
            let started = of_core.partition_point(|gap| gap.after <= leave.call.time);
            of_core[started.saturating_sub(1)].calls.push(leave.call);
        }
        Ok(())
    })?;
    Ok(gaps)
}

/// Whether this step stands behind a gap: the first one of a core, and each loss after that. `known` is the core's latest time.
const fn is_gap(first: bool, known: Option<u64>, step: &Step) -> bool {
    first || known.is_some() && matches!(step, Step::Missing(..))
}

/// The core and the time at which a step stands in the trace.
fn place(step: &Step) -> Option<(u16, Option<u64>)> {
    match step {
        Step::Enter(call) | Step::Function(call) => Some((call.core, Some(call.time))),
        Step::Leave(leave) => Some((leave.core, Some(leave.time))),
        Step::Switch(core, time, _) => Some((*core, Some(*time))),
        Step::Missing(core, _, before) => Some((*core, Some(*before))),
        Step::Other(item) => Some((item.core, None)),
        // It stands before the step that it is known by.
        Step::Abandoned(..) => None,
    }
}

struct Player<F> {
    show: F,
    gaps: Gaps,
    clock: Clock,
    /// Calls as they are recorded, and as they were shown.
    open: FxHashMap<Task, Vec<(Call, Call)>>,
    left_out: u64,
}

impl<F: FnMut(Mark) -> io::Result<()>> Player<F> {
    fn step(&mut self, step: Step) -> io::Result<()> {
        if let Some((core, _)) = place(&step) {
            self.gap(core, step)?;
        }
        match step {
            Step::Enter(call) => self.begin(call),
            Step::Leave(leave) => {
                let end = (leave.core, leave.time, leave.result);
                self.end(leave.call, end, true)
            }
            Step::Abandoned(call, time) => self.end(call, (call.core, time, None), false),
            Step::Function(call) => {
                let time = self.clock.at(call.core, call.task, call.time);
                let depth = self.open.get(&call.task).map_or(0, Vec::len) as u32;
                (self.show)(Mark::Function(Call {
                    time,
                    depth,
                    ..call
                }))
            }
            Step::Switch(core, time, task) => {
                let time = self.clock.of_core(core, time);
                (self.show)(Mark::Switch(core, time, task))
            }
            Step::Other(item) => {
                let time = self.clock.of_core(item.core, 0);
                (self.show)(Mark::Other(item, time))
            }
            Step::Missing(..) => Ok(()),
        }
    }

    /// Where this step is behind a gap: shows the gap and the calls that began in it.
    fn gap(&mut self, core: u16, step: Step) -> io::Result<()> {
        let known = self.clock.cores.get(&core).copied();
        let Some((gaps, reached)) = self.gaps.get_mut(&core) else {
            return Ok(());
        };
        let calls = match gaps.get_mut(*reached) {
            Some(gap) if is_gap(*reached == 0, known, &step) => {
                *reached += 1;
                std::mem::take(&mut gap.calls)
            }
            _ => Vec::new(),
        };
        if let Step::Missing(_, events, before) = step {
            let begun = calls.last().map(|call| call.time.min(before));
            let at = known.or(begun).unwrap_or(before);
            let at = self.clock.of_core(core, at);
            (self.show)(Mark::Missing(core, at, events))?;
        }
        calls
            .into_iter()
            .rev()
            .try_for_each(|call| self.begin(call))
    }

    fn begin(&mut self, call: Call) -> io::Result<()> {
        let open = self.open.entry(call.task).or_default();
        if open.len() >= DEPTH_MAX {
            return Ok(());
        }
        let shown = Call {
            time: self.clock.at(call.core, call.task, call.time),
            depth: open.len() as u32,
            ..call
        };
        open.push((call, shown));
        (self.show)(Mark::Begin(shown))
    }

    fn end(
        &mut self,
        call: Call,
        (core, time, result): (u16, u64, Option<u64>),
        returned: bool,
    ) -> io::Result<()> {
        let open = self.open.entry(call.task).or_default();
        let found = open
            .iter()
            .rposition(|(each, _)| each.time == call.time && each.callsite == call.callsite);
        let Some(found) = found else {
            self.left_out += 1;
            return Ok(());
        };
        let time = self.clock.at(core, call.task, time);
        for (_, call) in open.drain(found..).rev() {
            let returned = returned && call.depth as usize == found;
            (self.show)(Mark::End(End {
                call,
                core,
                time,
                returned,
                result: result.filter(|_| returned),
            }))?;
        }
        Ok(())
    }

    fn rest(self) -> Rest {
        let mut open: Vec<_> = self.open.into_iter().collect();
        open.sort_unstable_by_key(|(task, _)| *task);
        let calls = open.into_iter().flat_map(|(_, calls)| calls);
        Rest {
            open: calls.map(|(_, shown)| shown).collect(),
            left_out: self.left_out,
        }
    }
}
