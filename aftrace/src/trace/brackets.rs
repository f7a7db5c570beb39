//! A trace as brackets: calls of a task begin and end in pairs, in the order of time, whatever the rings have lost. That is what
//! other programs' formats are made of.
//!
//! A call whose ENTRY is lost begins when its EXIT says: long before that EXIT is reached. So the trace is gone through twice: first
//! to learn of such calls, then to show all; once more in between, where such a call began while its core recorded. Where that is
//! because the kernel does not say which task it goes on to, calls may end in another order than brackets: those are left out.

use std::io;

use rustc_hash::FxHashMap;

use super::calls::{Call, Step, Task};
use super::file::Trace;
use super::filter::Filter;
use super::play::Item;
use super::symbols::Symbols;

mod lost;

use lost::{Fate, Lost, is_gap, lost};

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

/// Which values the calls of a trace come with, for formats that say so once for all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Values {
    /// The fewest and the most arguments of a call; of one whose ENTRY is lost there are none.
    pub arguments: Option<(usize, usize)>,
    /// Returns that were recorded.
    pub returns: u64,
    /// Those of them with a result.
    pub results: u64,
}

impl Values {
    fn call(&mut self, arguments: usize) {
        let (fewest, most) = self.arguments.unwrap_or((arguments, arguments));
        self.arguments = Some((fewest.min(arguments), most.max(arguments)));
    }

    /// The most arguments of a call.
    #[must_use]
    pub fn most(&self) -> usize {
        self.arguments.map_or(0, |(_, most)| most)
    }
}

/// What is left when all was shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rest {
    /// Calls that have not ended, of each task from the outside in.
    pub open: Vec<Call>,
    /// Calls that could not be shown: deeper than [`DEPTH_MAX`], in too badly damaged a part, or ended in
    /// another order than brackets, as where a kernel does not say which task runs.
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
    play_knowing(trace, symbols, filter, |_| show)
}

/// As [`play`], where what is shown first depends on which values the calls come with.
///
/// # Errors
/// Those of the file and of what `begin` gives.
pub fn play_knowing<F: FnMut(Mark) -> io::Result<()>>(
    trace: &Trace,
    symbols: &Symbols,
    filter: &Filter,
    begin: impl FnOnce(Values) -> F,
) -> io::Result<Rest> {
    let decided = filter.decide(trace, symbols)?;
    let mut lost = lost(trace, symbols, filter, &decided)?;
    lost.settle(|step| filter.play_decided(trace, symbols, &decided, step))?;
    let mut player = Player::new(begin(lost.values), &lost);
    filter.play_decided(trace, symbols, &decided, |step| player.step(step))?;
    Ok(player.rest())
}

/// A call that is open.
struct Open {
    /// As it is recorded, and as it was shown.
    recorded: Call,
    shown: Call,
    /// The number of its step, or its place among those whose ENTRY is lost.
    by: Result<u64, usize>,
}

struct Player<'l, F> {
    show: F,
    lost: &'l Lost,
    clock: Clock,
    steps: u64,
    /// Of the calls whose ENTRY is lost, those that have begun.
    begun: usize,
    /// Gaps of each core that were reached, and those that were shown.
    gaps: FxHashMap<u16, (usize, usize)>,
    open: FxHashMap<Task, Vec<Open>>,
    fates: Vec<(usize, Fate)>,
    left_out: u64,
}

impl<'l, F: FnMut(Mark) -> io::Result<()>> Player<'l, F> {
    fn new(show: F, lost: &'l Lost) -> Self {
        Self {
            show,
            lost,
            clock: Clock::default(),
            steps: 0,
            begun: 0,
            gaps: FxHashMap::default(),
            open: FxHashMap::default(),
            fates: Vec::new(),
            left_out: 0,
        }
    }

    fn step(&mut self, step: Step) -> io::Result<()> {
        self.steps += 1;
        if let Some((core, time)) = step.place() {
            if let Some(time) = time {
                self.unseen(time)?;
            }
            let (reached, _) = self.gaps.entry(core).or_default();
            if is_gap(*reached == 0, &step) {
                *reached += 1;
                let reached = *reached;
                self.gap(core, reached, time.unwrap_or(0))?;
            }
        }
        match step {
            Step::Enter(call) => self.begin(call, Ok(self.steps)),
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

    /// The calls whose ENTRY is lost that begin before this step; what is missing of their cores comes before them.
    fn unseen(&mut self, now: u64) -> io::Result<()> {
        let lost = self.lost;
        while let Some(unseen) = lost.calls.get(self.begun)
            && (unseen.call.time, unseen.behind) < (now, self.steps)
        {
            let index = self.begun;
            self.begun += 1;
            if let Some(gap) = unseen.gap {
                self.gap(unseen.call.core, gap + 1, unseen.call.time)?;
            }
            if !unseen.crosses {
                self.begin(unseen.call, Err(index))?;
            }
        }
        Ok(())
    }

    /// Shows so many gaps of the core, but those that were shown; the time is that of its first event, where it has none yet.
    fn gap(&mut self, core: u16, until: usize, time: u64) -> io::Result<()> {
        let (_, shown) = self.gaps.entry(core).or_default();
        let from = std::mem::replace(shown, until.max(*shown));
        let lost = self.lost;
        for gap in lost
            .gaps
            .get(&core)
            .into_iter()
            .flatten()
            .take(until)
            .skip(from)
        {
            if gap.events > 0 {
                let at = self.clock.cores.get(&core).copied().unwrap_or(time);
                let at = self.clock.of_core(core, at);
                (self.show)(Mark::Missing(core, at, gap.events))?;
            }
        }
        Ok(())
    }

    fn begin(&mut self, call: Call, by: Result<u64, usize>) -> io::Result<()> {
        let open = self.open.entry(call.task).or_default();
        if open.len() >= DEPTH_MAX {
            return Ok(());
        }
        let shown = Call {
            time: self.clock.at(call.core, call.task, call.time),
            depth: open.len() as u32,
            ..call
        };
        open.push(Open {
            recorded: call,
            shown,
            by,
        });
        (self.show)(Mark::Begin(shown))
    }

    fn end(
        &mut self,
        call: Call,
        (core, time, result): (u16, u64, Option<u64>),
        returned: bool,
    ) -> io::Result<()> {
        let open = self.open.entry(call.task).or_default();
        let found = open.iter().rposition(|Open { recorded, .. }| {
            recorded.time == call.time && recorded.callsite == call.callsite
        });
        let Some(found) = found else {
            self.left_out += 1;
            return Ok(());
        };
        let time = self.clock.at(core, call.task, time);
        let outer = open[found].by;
        for Open { shown, by, .. } in open.drain(found..).rev() {
            let is_last = shown.depth as usize == found;
            match (outer, by) {
                (_, Err(index)) if !is_last => self.fates.push((index, Fate::Crosses)),
                (Err(index), Ok(step)) => self.fates.push((index, Fate::Behind(step))),
                _ => {}
            }
            let returned = returned && is_last;
            (self.show)(Mark::End(End {
                call: shown,
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
            open: calls.map(|open| open.shown).collect(),
            left_out: self.left_out,
        }
    }
}
