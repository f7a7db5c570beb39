//! Which cores and which tasks are recorded. What is left out goes where everything goes while recording is off: it is counted,
//! and a traced call pays no test for it.
#![forbid(unsafe_code)]

use super::switch::tell;
use super::tasks::{TASKS_MAX, TooMany};
use super::{RecordError, Recorder};
use crate::areas;
use crate::cpu::CpuArea;
use crate::trace::Type;
use crate::{arch, cpu::Task};

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
        let added = self.tasks.add(Task::new(id));
        self.point_all();
        added.map_err(|TooMany| RecordError::TooManyTasks { most: TASKS_MAX })
    }

    /// Takes a task from those that are recorded; when the last one is taken away, all tasks are recorded: that one all the time, the
    /// others on each core from its next switch on, and at the latest when this returns. Whether it was one.
    ///
    /// # Context
    /// As [`Recorder::add_task`].
    pub fn remove_task(&'static self, id: u32) -> bool {
        let was_one = self.forget_task(id);
        self.point_all();
        was_one
    }

    /// As [`Recorder::remove_task`], but no area is looked at yet.
    pub(crate) fn forget_task(&self, id: u32) -> bool {
        self.tasks.remove(Task::new(id))
    }

    /// This core runs the task `id` from here on: a TASK event in its ring, also as the last one before a task that is not
    /// recorded. Where nothing is recorded, the task that runs when recording begins is said then; of tasks that have areas of their own
    /// the next switch says it.
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
        // This says it.
        area.set_untold(false);
        area.set_task(Task::new(id));
        // Whoever adds a task looks at the areas afterwards, so one of the two sees the other. Whoever has just removed the last one
        // may not have come to this area yet, which the task before had left unrecorded.
        if !self.tasks.is_empty() || !area.is_recorded() {
            self.point(area);
        }
        let now = if area.is_recorded() {
            areas::ring(area)
        } else {
            before
        };
        now.write(Type::Task, arch::ticks(), 0, id);
        if area.is_off(now) {
            area.set_untold(true);
            // Whoever has switched on meanwhile may have looked before.
            if area.is_recorded() {
                tell(area, areas::ring(area));
            }
        }
    }
}
