//! Tasks as other programs know them: by a number that fits a signed 32-bit integer and is not zero, and a name.

use rustc_hash::FxHashMap;

use crate::trace::calls::Task;
use crate::trace::file::Trace;

/// What a core does of its own is a thread with this number and the core's added. (Linux's 0 for all of them mixes up the cores in
/// programs that pair entry and exit by thread.)
pub const OF_CORES: u32 = 1_000_000;
/// Tasks whose ids would be taken for something else, in the order in which they are met.
pub const OTHERS: u32 = 2_000_000;

/// Numbers for tasks.
pub struct Threads<'t> {
    trace: &'t Trace,
    others: FxHashMap<u32, u32>,
}

impl<'t> Threads<'t> {
    /// For the tasks of this trace.
    #[must_use]
    pub fn new(trace: &'t Trace) -> Self {
        Self {
            trace,
            others: FxHashMap::default(),
        }
    }

    /// The task's number: its id, if that is below [`OF_CORES`].
    pub fn number(&mut self, task: Task) -> u32 {
        match task {
            Task::Core(core) => OF_CORES + u32::from(core),
            Task::Id(id) if id < OF_CORES => id,
            Task::Id(id) => {
                let next = OTHERS + self.others.len() as u32;
                *self.others.entry(id).or_insert(next)
            }
        }
    }

    /// The task's name.
    #[must_use]
    pub fn name(&self, task: Task) -> String {
        match task {
            Task::Core(core) => format!("core-{core}"),
            Task::Id(id) => match self.trace.tasks.get(&id) {
                Some(name) => name.clone(),
                None => format!("task-{id}"),
            },
        }
    }
}
