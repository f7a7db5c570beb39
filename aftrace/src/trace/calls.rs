//! From events to calls: ENTRY and EXIT pair up like brackets within one task, whatever the rings have lost of them.

use std::collections::BTreeMap;
use std::io;

use rustc_hash::FxHashMap;

use super::play::{Events, Item};
use super::values::{Arguments, take_result};
use aarch64_ftrace::trace::Type;

mod stack;

use stack::Stack;

/// Who runs. Cores that never said which task they run, or that idle (task 0), are a task of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Task {
    /// What this core does of its own.
    Core(u16),
    /// The task with this id.
    Id(u32),
}

/// A function was entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// On this core.
    pub core: u16,
    /// By this task.
    pub task: Task,
    /// Calls of the task that it stands in.
    pub depth: u32,
    /// Ticks.
    pub time: u64,
    /// Low 32 bits of the address behind the callsite's BL.
    pub callsite: u32,
    /// Low 32 bits of the address that it returns to.
    pub parent: u32,
    /// What it was given, where that is recorded.
    pub arguments: Arguments,
}

/// A function returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Return {
    /// Where it was entered; `None` where that is lost (then `call` is made from the EXIT alone).
    pub call: Call,
    /// Whether its ENTRY was seen.
    pub entered: bool,
    /// Whether it was not, although nothing is missing since then: where short calls are left out, no call has an ENTRY.
    pub left_out: bool,
    /// The core on which it returned.
    pub core: u16,
    /// Ticks at which it returned.
    pub time: u64,
    /// Ticks from entry to return.
    pub duration: u64,
    /// Of those, the ticks outside the traced functions that it called; without its ENTRY, of what was seen of it.
    pub own: u64,
    /// What it returned, where that is recorded.
    pub result: Option<u64>,
}

/// What happens in a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// FUNCTION: a call of which the end is not recorded.
    Function(Call),
    /// ENTRY.
    Enter(Call),
    /// EXIT.
    Leave(Return),
    /// An ENTRY whose EXIT was lost: a function around it goes on or returns at this time.
    Abandoned(Call, u64),
    /// This many events of the core are missing here, before the event of this time.
    Missing(u16, u64, u64),
    /// From this time on, the core runs this task.
    Switch(u16, u64, Task),
    /// Any other event: STACK, TRIGGER, DATA, or a reserved type.
    Other(Item),
}

impl Step {
    /// The core and the time at which it stands in the trace.
    #[must_use]
    pub fn place(&self) -> Option<(u16, Option<u64>)> {
        match self {
            Self::Enter(call) | Self::Function(call) => Some((call.core, Some(call.time))),
            Self::Leave(leave) => Some((leave.core, Some(leave.time))),
            Self::Switch(core, time, _) => Some((*core, Some(*time))),
            Self::Missing(core, _, before) => Some((*core, Some(*before))),
            Self::Other(item) => Some((item.core, None)),
            // It stands before the step that it is known by.
            Self::Abandoned(..) => None,
        }
    }
}

/// Turns events into steps.
pub struct Calls<'t> {
    events: Events<'t>,
    stacks: FxHashMap<Task, Stack>,
    running: FxHashMap<u16, Task>,
    /// Whether there are tasks, which may run on any core.
    any_task: bool,
    /// Losses that may be of every stack. Each learns of them when it is looked at: there may be as many losses as stacks.
    losses: u64,
    /// Open calls of all stacks, and what they keep of those that returned.
    open: usize,
    returned: usize,
    /// Events that are missing of a core, where DATA follows: what it belongs to is among them, and it has no time of its own.
    missing: FxHashMap<u16, u64>,
    /// Decided before the next event is looked at.
    pending: std::collections::VecDeque<Step>,
}

/// Open calls that a hostile file can make a reader keep, for each task. Those that are deeper are calls without an end, which
/// nobody keeps. No recorder goes as deep.
const DEEPEST: usize = 1 << 16;
/// The same for all tasks together.
const OPEN_MAX: usize = 1 << 20;
/// What is kept of calls that returned, for all tasks together. Beyond it each level keeps one sum.
const RETURNED_MAX: usize = 1 << 20;
/// Tasks that have a stack at the same time.
const TASKS_MAX: usize = 1 << 16;

impl<'t> Calls<'t> {
    /// The steps of these events.
    #[must_use]
    pub fn new(events: Events<'t>) -> Self {
        Self {
            events,
            stacks: FxHashMap::default(),
            running: FxHashMap::default(),
            any_task: false,
            losses: 0,
            open: 0,
            returned: 0,
            missing: FxHashMap::default(),
            pending: std::collections::VecDeque::new(),
        }
    }

    /// The next step.
    ///
    /// # Errors
    /// The system cannot read the file any more.
    #[allow(
        clippy::should_implement_trait,
        reason = "errors stand outside, so that `?` works"
    )]
    pub fn next(&mut self) -> io::Result<Option<Step>> {
        if self.pending.is_empty() {
            match self.events.next()? {
                Some(item) => self.take(item)?,
                // Nothing but DATA is behind them.
                None => {
                    let rest = self.missing.drain();
                    let rest = rest.map(|(core, missing)| Step::Missing(core, missing, 0));
                    self.pending.extend(rest);
                }
            }
        }
        Ok(self.pending.pop_front())
    }

    /// If the call returns with the next event of its core: takes that event, so that both can be shown as one.
    ///
    /// # Errors
    /// The system cannot read the file any more.
    pub fn leaf(&mut self, call: &Call) -> io::Result<Option<Return>> {
        let is_its = self.pending.is_empty()
            && self.events.peek(call.core).is_some_and(|next| {
                let (event, missing) = (next.event, next.missing);
                missing == 0
                    && event.kind() == Some(Type::Exit)
                    && event.callsite_low() == call.callsite
            });
        if !is_its
            || self
                .stacks
                .get(&call.task)
                .and_then(|s| s.open.last())
                .map(|o| o.call)
                != Some(*call)
        {
            return Ok(None);
        }
        if let Some(item) = self.events.next_of(call.core)? {
            self.take(item)?;
        }
        match self.pending.front() {
            Some(Step::Leave(leave)) if leave.call == *call => {
                let leave = *leave;
                self.pending.pop_front();
                Ok(Some(leave))
            }
            _ => Ok(None),
        }
    }

    /// The calls that have not returned, of each task from the outside in.
    #[must_use]
    pub fn unfinished(&self) -> Vec<Call> {
        let by_task: BTreeMap<_, _> = self.stacks.iter().collect();
        by_task
            .values()
            .flat_map(|stack| stack.open.iter().map(|open| open.call))
            .collect()
    }

    fn take(&mut self, item: Item) -> io::Result<()> {
        let Item {
            core,
            event,
            missing,
        } = item;
        let time = event.time();
        let (mut arguments, mut result) = (Arguments::default(), None);
        match event.kind() {
            Some(Type::Entry) => arguments = Arguments::take(&mut self.events, core)?,
            Some(Type::Exit) => result = take_result(&mut self.events, core)?,
            _ => {}
        }
        let task = *self.running.entry(core).or_insert(Task::Core(core));
        if missing > 0 {
            self.lose(task);
        }
        match event.kind() {
            Some(Type::Data) if missing > 0 => {
                let held = self.missing.entry(core).or_default();
                *held = held.saturating_add(missing);
            }
            Some(Type::Data) => {}
            _ => {
                let before = self.missing.remove(&core).unwrap_or(0);
                let missing = missing.saturating_add(before);
                if missing > 0 {
                    self.pending.push_back(Step::Missing(core, missing, time));
                }
            }
        }
        if self.stacks.len() >= TASKS_MAX && !self.stacks.contains_key(&task) {
            self.forget(time);
        }
        let entries = self.events.entries;
        let new = || Stack::new(entries);
        let stack = self.stacks.entry(task).or_insert_with(new);
        stack.learn(self.losses);
        let (open, returned) = (stack.open.len(), stack.returned());
        let call = Call {
            core,
            task,
            depth: stack.open.len() as u32,
            time,
            callsite: event.callsite_low(),
            parent: event.upper(),
            arguments,
        };
        match event.kind() {
            Some(Type::Function) => self.pending.push_back(Step::Function(call)),
            Some(Type::Entry) => {
                stack.see(time);
                let kept = open < DEEPEST && self.open < OPEN_MAX;
                if kept {
                    stack.enter(call);
                    self.open += 1;
                }
                self.pending.push_back(match kept {
                    true => Step::Enter(call),
                    false => Step::Function(call),
                });
            }
            Some(Type::Exit) => {
                let steps = &mut self.pending;
                let room = self.returned < RETURNED_MAX;
                stack.leave(call, event.upper(), room, |step| {
                    steps.push_back(match step {
                        Step::Leave(leave) => Step::Leave(Return { result, ..leave }),
                        step => step,
                    });
                });
                self.open -= open - stack.open.len();
                self.returned = self.returned + stack.returned() - returned;
            }
            Some(Type::Task) => {
                let next = match event.upper() {
                    0 => Task::Core(core),
                    id => Task::Id(id),
                };
                let is_task = matches!(next, Task::Id(_));
                // What it did in between, on a core of which that part is missing, nobody knows.
                let unknown = is_task && self.events.is_gap_elsewhere(core);
                let stack = self.stacks.get_mut(&next).filter(|_| unknown);
                stack.into_iter().for_each(Stack::lose);
                self.running.insert(core, next);
                self.any_task |= is_task;
                self.pending.push_back(Step::Switch(core, time, next));
            }
            _ => self.pending.push_back(Step::Other(item)),
        }
        Ok(())
    }

    /// What the core ran may have returned and called anything; so may every task.
    fn lose(&mut self, task: Task) {
        match task {
            Task::Core(_) if !self.any_task => {
                if let Some(stack) = self.stacks.get_mut(&task) {
                    stack.lose();
                }
            }
            _ => self.losses += 1,
        }
    }

    /// Gives up stacks that are empty; all of them, where that is not enough to go on for long.
    fn forget(&mut self, time: u64) {
        self.stacks.retain(|_, stack| !stack.open.is_empty());
        if self.stacks.len() <= TASKS_MAX / 2 {
            self.returned = self.stacks.values().map(Stack::returned).sum();
            return;
        }
        for (_, stack) in self.stacks.drain() {
            let open = stack.open.into_iter().rev();
            self.pending
                .extend(open.map(|open| Step::Abandoned(open.call, time)));
        }
        (self.open, self.returned) = (0, 0);
    }
}
