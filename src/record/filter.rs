//! Which cores and which tasks are recorded. What is left out goes where everything goes while recording is off: it is counted,
//! and a traced call pays no test for it.
#![forbid(unsafe_code)]

use super::{RecordError, Recorder};
use crate::areas;
use crate::cpu::CpuArea;
use crate::trace::Type;
use crate::{arch, cpu::Task};
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Most tasks of a filter.
pub(super) const TASKS_MAX: usize = 16;

/// The tasks that alone are recorded; none of them: all tasks are.
pub(super) struct Tasks {
    /// As [`Task`] has them; 0 in an empty place.
    tasks: [AtomicU64; TASKS_MAX],
    count: AtomicUsize,
}

impl Tasks {
    pub(super) const fn new() -> Self {
        Self {
            tasks: [const { AtomicU64::new(0) }; TASKS_MAX],
            count: AtomicUsize::new(0),
        }
    }

    fn is_empty(&self) -> bool {
        self.count.load(Ordering::SeqCst) == 0
    }

    fn has(&self, task: Task) -> bool {
        let mut tasks = self.tasks.iter();
        tasks.any(|each| each.load(Ordering::SeqCst) == task.0)
    }

    /// Exchanges one entry for another; whether there was one.
    fn exchange(&self, from: Task, to: Task) -> bool {
        let (from, to) = (from.0, to.0);
        let exchange = |place: &AtomicU64| {
            place
                .compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst)
                .is_ok()
        };
        self.tasks.iter().any(exchange)
    }

    pub(super) fn wants(&self, task: Task) -> bool {
        self.is_empty() || task != Task::NONE && self.has(task)
    }
}

impl Recorder {
    /// Records on this core, or leaves it out. All cores are recorded at first.
    ///
    /// # Errors
    /// [`RecordError::NotInstalled`], [`RecordError::NoSuchCore`].
    ///
    /// # Context
    /// Any, also a tracer.
    pub fn record_core(&'static self, core: usize, record: bool) -> Result<(), RecordError> {
        self.ring(core)?;
        self.installed()?.region.set_wanted(core, record);
        areas::all()
            .filter(|area| area.core() == core)
            .for_each(|area| self.point(area));
        Ok(())
    }

    /// Records this task; from the first on that is added, no others, and nothing before a core's first
    /// [`Recorder::task_switch`]. What interrupts a task is recorded with it.
    ///
    /// # Errors
    /// [`RecordError::TooManyTasks`].
    ///
    /// # Context
    /// Any, also a tracer. Holds at once, also for tasks that run.
    pub fn add_task(&'static self, id: u32) -> Result<(), RecordError> {
        let task = Task::new(id);
        if !self.tasks.has(task) {
            if !self.tasks.exchange(Task::NONE, task) {
                return Err(RecordError::TooManyTasks { most: TASKS_MAX });
            }
            self.tasks.count.fetch_add(1, Ordering::SeqCst);
        }
        self.point_all();
        Ok(())
    }

    /// Takes a task from those that are recorded; when the last one is taken away, all tasks are recorded. Whether it was one.
    ///
    /// # Context
    /// As [`Recorder::add_task`].
    pub fn remove_task(&'static self, id: u32) -> bool {
        let mut was_one = false;
        // More than once where it was added by several at the same time.
        while self.tasks.exchange(Task::new(id), Task::NONE) {
            self.tasks.count.fetch_sub(1, Ordering::SeqCst);
            was_one = true;
        }
        self.point_all();
        was_one
    }

    /// This core runs the task `id` from here on: a TASK event in its ring, also as the last one before a task that is not
    /// recorded.
    ///
    /// # Context
    /// The kernel's context switch, interrupts masked, after [`Ftrace::cpu_online`](crate::Ftrace::cpu_online) where tasks
    /// have areas of their own. Takes no lock.
    pub fn task_switch(&'static self, id: u32) {
        if let Some(area) = arch::cpu_area() {
            self.task_runs(area, id);
        }
    }

    pub(crate) fn task_runs(&'static self, area: &'static CpuArea, id: u32) {
        let before = areas::ring(area);
        area.set_task(Task::new(id));
        // Whoever adds a task looks at the areas afterwards, so one of the two sees the other.
        if !self.tasks.is_empty() {
            self.point(area);
        }
        let now = if area.is_recorded() {
            areas::ring(area)
        } else {
            before
        };
        now.write(Type::Task, arch::ticks(), 0, id);
    }
}
