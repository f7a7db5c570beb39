//! What the first pass over a trace learns: where something is missing, and which calls have lost their ENTRY.

use std::io;

use rustc_hash::FxHashMap;

use super::super::calls::{Call, Step};
use super::super::file::Trace;
use super::super::filter::{Decided, Filter};
use super::super::symbols::Symbols;
use super::{Clock, Player, Values};

/// Calls with a lost ENTRY that are put where they began; more are left out. Only damage makes so many.
const UNSEEN_MAX: usize = 1 << 20;

/// Where something is missing of a core: before its first event, and at each loss.
#[derive(Debug)]
pub(super) struct Gap {
    /// The latest time before it, and the number of steps that stand before it.
    after: u64,
    before: u64,
    /// The first time behind it.
    until: Option<u64>,
    /// Events that are missing in it.
    pub(super) events: u64,
}

/// A call whose ENTRY is lost.
#[derive(Debug)]
pub(super) struct Unseen {
    pub(super) call: Call,
    /// The gap of its core that took the ENTRY; none where that core recorded all the time: a task that came from another core, or
    /// a kernel that does not say which task it goes on to.
    pub(super) gap: Option<usize>,
    /// It stands behind so many steps, where times do not tell.
    pub(super) behind: u64,
    /// It ends within a call that it does not begin in.
    pub(super) crosses: bool,
}

/// What the first pass learns.
#[derive(Debug, Default)]
pub(super) struct Lost {
    pub(super) gaps: FxHashMap<u16, Vec<Gap>>,
    /// In the order in which they begin, outer ones first.
    pub(super) calls: Vec<Unseen>,
    pub(super) values: Values,
}

impl Lost {
    /// Where calls begin that no gap took, another pass tells which of them are brackets.
    pub(super) fn settle(
        &mut self,
        mut pass: impl FnMut(&mut dyn FnMut(Step) -> io::Result<()>) -> io::Result<()>,
    ) -> io::Result<()> {
        if self.calls.iter().all(|unseen| unseen.gap.is_some()) {
            return Ok(());
        }
        let mut player = Player::new(|_| Ok(()), self);
        pass(&mut |step| player.step(step))?;
        for (index, fate) in player.fates {
            match fate {
                Fate::Crosses => self.calls[index].crosses = true,
                Fate::Behind(steps) => {
                    let behind = &mut self.calls[index].behind;
                    *behind = steps.max(*behind);
                }
            }
        }
        self.sort();
        Ok(())
    }

    /// Stable: of those that begin at the same time the one that returns last comes first.
    fn sort(&mut self) {
        self.calls
            .sort_by_key(|unseen| (unseen.call.time, unseen.behind));
    }
}

/// What is found of a call whose ENTRY is lost when it ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fate {
    Crosses,
    /// A call that is open at its end began in the same tick: it stands behind so many steps.
    Behind(u64),
}

pub(super) fn lost(
    trace: &Trace,
    symbols: &Symbols,
    filter: &Filter,
    decided: &Decided,
) -> io::Result<Lost> {
    let mut lost = Lost::default();
    let mut clock = Clock::default();
    let mut steps = 0;
    // The number of the latest step of each core.
    let mut latest = FxHashMap::<u16, u64>::default();
    filter.play_decided(trace, symbols, decided, |step| {
        steps += 1;
        let Some((core, time)) = step.place() else {
            return Ok(());
        };
        match step {
            Step::Enter(call) => lost.values.call(call.arguments.as_slice().len()),
            Step::Leave(leave) => {
                lost.values.returns += 1;
                lost.values.results += u64::from(leave.result.is_some());
                if !leave.entered {
                    lost.values.call(0);
                }
            }
            _ => {}
        }
        let gaps = lost.gaps.entry(core).or_default();
        if is_gap(gaps.is_empty(), &step) {
            let events = match step {
                Step::Missing(_, events, _) => events,
                _ => 0,
            };
            gaps.push(Gap {
                after: clock.cores.get(&core).copied().unwrap_or(0),
                before: latest.get(&core).copied().unwrap_or(0),
                until: None,
                events,
            });
        }
        latest.insert(core, steps);
        if let (Some(time), Some(gap)) = (time, gaps.last_mut()) {
            gap.until.get_or_insert(time);
            clock.of_core(core, time);
        }
        if let Step::Leave(leave) = step
            && !leave.entered
            && lost.calls.len() < UNSEEN_MAX
        {
            let start = leave.call.time;
            let gap = gaps
                .partition_point(|gap| gap.after <= start)
                .checked_sub(1);
            let gap = gap.filter(|&gap| gaps[gap].until.is_none_or(|until| start <= until));
            lost.calls.push(Unseen {
                call: leave.call,
                gap,
                behind: gap.map_or(0, |gap| gaps[gap].before),
                crosses: false,
            });
        }
        Ok(())
    })?;
    lost.calls.reverse();
    lost.sort();
    Ok(lost)
}

/// Whether this step stands behind a gap: the first one of a core, and each loss after that.
pub(super) const fn is_gap(first: bool, step: &Step) -> bool {
    first || matches!(step, Step::Missing(..))
}
