//! The calls of one task that are open, and what returned within them.

use super::super::play::Entries;
use super::{Call, Return, Step};

#[derive(Clone, Copy, Debug)]
pub(super) struct Open {
    pub(super) call: Call,
    /// Where among the returned ones those begin that it called.
    from: usize,
    /// Losses of its stack before it was entered. Since a later one its EXIT may be lost, too.
    losses: u64,
}

/// Calls one behind the other within one that has not returned, or outside of all. Which one that is shows late where its ENTRY is not
/// in the trace: by its EXIT, which says when it began.
#[derive(Clone, Copy, Debug)]
struct Returned {
    start: u64,
    end: u64,
    ticks: u64,
    /// Where all were entered: the losses before the last one returned. Without a further loss, what follows has the same caller, if no
    /// ENTRY is left out.
    entered: Option<u64>,
}

#[derive(Debug, Default)]
pub(super) struct Stack {
    pub(super) open: Vec<Open>,
    returned: Vec<Returned>,
    /// Calls without an ENTRY are those that have lost it.
    all_entered: bool,
    /// Since when nothing of this task was lost.
    since: Option<u64>,
    losses: u64,
    /// Of the losses of all stacks, those that it knows of.
    known: u64,
}

/// What is kept of those that returned within one call. Of more, the older half is told apart no longer.
const RETURNED_MAX: usize = 1 << 16;

impl Stack {
    pub(super) fn new(entries: Entries) -> Self {
        Self {
            // Without an ENTRY in all the trace, none is missing at its beginning.
            since: (entries == Entries::None).then_some(0),
            all_entered: entries == Entries::All,
            ..Self::default()
        }
    }

    pub(super) fn returned(&self) -> usize {
        self.returned.len()
    }

    pub(super) fn lose(&mut self) {
        self.since = None;
        self.losses += 1;
    }

    /// Of losses that may be of every stack.
    pub(super) fn learn(&mut self, losses: u64) {
        if self.known < losses {
            self.known = losses;
            self.lose();
        }
    }

    /// An event of this time is of this task.
    pub(super) fn see(&mut self, time: u64) {
        self.since.get_or_insert(time);
    }

    pub(super) fn enter(&mut self, call: Call) {
        self.open.push(Open {
            call,
            from: self.returned.len(),
            losses: self.losses,
        });
    }

    /// `exit` has the EXIT's core, time and callsite. Without `room`, nothing more is kept of what returned.
    pub(super) fn leave(
        &mut self,
        exit: Call,
        duration: u32,
        room: bool,
        mut say: impl FnMut(Step),
    ) {
        let is_whole = |open: &Open| exit.time.wrapping_sub(open.call.time) as u32 == duration;
        // The EXIT says when its call began: one of the same function that began at another time has no ENTRY, and lies inside.
        let same = |open: &Open| open.call.callsite == exit.callsite && is_whole(open);
        let Some(found) = self.open.iter().rposition(same) else {
            self.leave_unseen(exit, duration, room, say);
            return;
        };
        while self.open.len() > found + 1 {
            if let Some(open) = self.open.pop() {
                say(Step::Abandoned(open.call, exit.time));
            }
        }
        let Some(open) = self.open.pop() else { return };
        // The EXIT has the lower 32 bits; the ENTRY has all.
        let duration = exit.time.saturating_sub(open.call.time);
        let callees = self.returned.drain(open.from..).map(|callee| callee.ticks);
        let inner = callees.fold(0, u64::saturating_add);
        let entered = Returned {
            start: open.call.time,
            end: exit.time,
            ticks: duration,
            entered: Some(self.losses),
        };
        self.keep(entered, Some(open.losses), room);
        say(Step::Leave(Return {
            call: open.call,
            entered: true,
            left_out: false,
            core: exit.core,
            time: exit.time,
            duration,
            own: duration.saturating_sub(inner),
            result: None,
        }));
    }

    /// The ENTRY is lost, or left out. What returned since then at this level was called by it.
    fn leave_unseen(&mut self, exit: Call, duration: u32, room: bool, mut say: impl FnMut(Step)) {
        // What is open lies outside, if it is older; else it is inside, and its EXIT was lost.
        let start = exit.time.saturating_sub(u64::from(duration));
        while let Some(open) = self.open.pop_if(|open| open.call.time > start) {
            say(Step::Abandoned(open.call, exit.time));
        }
        let since = *self.since.get_or_insert(exit.time);
        let seen = exit.time.saturating_sub(since.max(start));
        let (from, mut inner) = (self.level(), 0_u64);
        while self.returned.len() > from
            && let Some(callee) = self.returned.pop_if(|callee| callee.start >= start)
        {
            let seen = callee.end.saturating_sub(since);
            inner = inner.saturating_add(callee.ticks.min(seen));
        }
        let unseen = Returned {
            start,
            end: exit.time,
            ticks: u64::from(duration),
            entered: None,
        };
        self.keep(unseen, None, room);
        say(Step::Leave(Return {
            call: Call {
                depth: self.open.len() as u32,
                time: start,
                parent: 0,
                ..exit
            },
            entered: false,
            left_out: start >= since,
            core: exit.core,
            time: exit.time,
            duration: u64::from(duration),
            own: seen.saturating_sub(inner),
            result: None,
        }));
    }

    /// Where those begin that returned within the innermost open call.
    fn level(&self) -> usize {
        self.open.last().map_or(0, |open| open.from)
    }

    /// `before`: the losses before it was entered.
    fn keep(&mut self, call: Returned, before: Option<u64>, room: bool) {
        let from = self.level();
        let level = &mut self.returned[from..];
        if let Some(last) = level.last_mut()
            && (!room || (self.all_entered && before.is_some() && last.entered == before))
        {
            last.end = call.end;
            last.ticks = last.ticks.saturating_add(call.ticks);
            last.entered = call.entered;
            return;
        }
        if level.len() >= RETURNED_MAX {
            let half = level.len() / 2;
            let older = level[1..half].iter().map(|call| call.ticks);
            level[0].ticks = older.fold(level[0].ticks, u64::saturating_add);
            level[0].end = level[half - 1].end;
            level[0].entered = None;
            self.returned.drain(from + 1..from + half);
        }
        self.returned.push(call);
    }
}
