//! Which cores and tasks are recorded; what is left out is counted.
#![forbid(unsafe_code)]

use super::recorder::Kernel;
use crate::record::{Item, RecordError};
use crate::ring::Mode;
use crate::trace::Type;
use std::vec::Vec;

impl Kernel {
    /// Written, and refused.
    fn kept(&self, core: usize) -> (u64, u64) {
        let counts = self.counts(core);
        (counts.written, counts.refused)
    }

    /// The upper halves of a core's events: tasks' ids (TASK), and numbers.
    fn events(&self, core: usize) -> Vec<(bool, u32)> {
        let events = self.recorder.read(core).expect("a core");
        let event = |item| match item {
            Item::Event { event, .. } => (event.kind() == Some(Type::Task), event.upper()),
            other => panic!("{other:?}"),
        };
        events.map(event).collect()
    }
}

#[test]
fn a_core_that_is_left_out_records_nothing_whatever_else_happens() {
    let kernel = Kernel::new(Mode::Overwrite, true);
    let recorder = kernel.recorder;
    assert!(kernel.write(1, 1));
    recorder.record_core(1, false).expect("a core");
    // The core's own area and that of its task.
    assert!(kernel.write(1, 2) && kernel.write(3, 3) && kernel.write(0, 4));
    assert_eq!((kernel.kept(1), kernel.kept(0)), ((1, 2), (1, 0)));
    recorder.switch(false).expect("memory");
    recorder.switch(true).expect("memory");
    recorder.adopt(&kernel.areas[3], 1);
    drop(recorder.snapshot().expect("spare rings"));
    assert!(kernel.write(1, 5) && kernel.write(3, 6));
    assert_eq!(kernel.kept(1), (0, 4));
    // A task that goes to another core is recorded there.
    recorder.adopt(&kernel.areas[3], 2);
    assert!(kernel.write(3, 7));
    assert_eq!(kernel.kept(2).0, 1);
    recorder.record_core(1, true).expect("a core");
    assert!(kernel.write(1, 8));
    assert_eq!(kernel.kept(1).0, 1);
    let refused = RecordError::NoSuchCore { core: 3, cores: 3 };
    assert_eq!(recorder.record_core(3, false), Err(refused));
}

#[test]
fn tasks_that_are_added_alone_are_recorded() {
    let kernel = Kernel::new(Mode::Overwrite, false);
    let (recorder, area) = (kernel.recorder, &kernel.areas[0]);
    assert!(kernel.write(0, 1));
    recorder.task_runs(area, 5);
    recorder.add_task(0).expect("room");
    // Neither the task that runs here nor a core of which nobody knows the task.
    assert!(kernel.write(0, 2) && kernel.write(1, 3));
    assert_eq!((kernel.kept(0), kernel.kept(1)), ((2, 1), (0, 1)));
    recorder.task_runs(area, 0);
    assert!(kernel.write(0, 4));
    recorder.task_runs(area, 6);
    assert!(kernel.write(0, 5));
    recorder.add_task(6).expect("room");
    assert!(kernel.write(0, 6));
    recorder.task_runs(area, 0);
    assert!(recorder.remove_task(0) && !recorder.remove_task(0));
    assert!(kernel.write(0, 7));
    assert!(recorder.remove_task(6));
    assert!(kernel.write(0, 8) && kernel.write(1, 9));
    let expected = [
        (false, 1),
        (true, 5),
        (true, 0),
        (false, 4),
        // The last of a task that is recorded says that it has gone.
        (true, 6),
        (false, 6),
        (true, 0),
        (false, 8),
    ];
    assert_eq!(kernel.events(0), expected);
    assert_eq!((kernel.kept(0).1, kernel.kept(1)), (3, (1, 1)));
}

/// What runs when recording begins again is not taken for what ran when it ended.
#[test]
fn a_task_that_came_while_nothing_was_recorded_is_told_before_its_first_call() {
    let kernel = Kernel::new(Mode::Overwrite, false);
    let (recorder, area) = (kernel.recorder, &kernel.areas[0]);
    recorder.task_runs(area, 1);
    assert!(kernel.write(0, 10));
    let again = |off: &dyn Fn(), on: &dyn Fn(), task: u32| {
        off();
        for id in [9, task] {
            recorder.task_runs(area, id);
            assert!(kernel.write(0, 0));
        }
        on();
        assert!(kernel.write(0, 10 * task));
        // It has been told, and stays so while it runs.
        recorder.switch(false).expect("memory");
        recorder.switch(true).expect("memory");
        assert!(kernel.write(0, 10 * task + 1));
    };
    let switch = |on| recorder.switch(on).expect("memory");
    again(&|| switch(false), &|| switch(true), 2);
    let record = |on| recorder.record_core(0, on).expect("a core");
    again(&|| record(false), &|| record(true), 3);
    let pause = recorder.pause();
    recorder.task_runs(area, 4);
    drop(pause);
    assert!(kernel.write(0, 40));
    let expected = [
        (true, 1),
        (false, 10),
        (true, 2),
        (false, 20),
        (false, 21),
        (true, 3),
        (false, 30),
        (false, 31),
        (true, 4),
        (false, 40),
    ];
    assert_eq!(kernel.events(0), expected);
}

/// Nobody else knows which of them runs.
#[test]
fn of_tasks_with_areas_of_their_own_none_is_told() {
    let kernel = Kernel::new(Mode::Overwrite, false);
    let recorder = kernel.recorder;
    recorder.task_runs(&kernel.areas[1], 1);
    recorder.switch(false).expect("memory");
    recorder.task_runs(&kernel.areas[3], 2);
    recorder.task_runs(&kernel.areas[1], 1);
    recorder.switch(true).expect("memory");
    assert!(kernel.write(1, 10));
    recorder.task_runs(&kernel.areas[3], 2);
    assert_eq!(kernel.events(1), [(true, 1), (false, 10), (true, 2)]);
}

/// The last task is removed, and begins to run where another was left out, before any area is looked at.
#[test]
fn a_task_that_is_removed_last_is_recorded_all_the_time() {
    let kernel = Kernel::new(Mode::Overwrite, false);
    let (recorder, area) = (kernel.recorder, &kernel.areas[0]);
    recorder.add_task(7).expect("room");
    recorder.task_runs(area, 8);
    assert!(kernel.write(0, 1));
    assert!(recorder.forget_task(7));
    recorder.task_runs(area, 7);
    assert!(kernel.write(0, 2));
    assert_eq!(kernel.events(0), [(true, 7), (false, 2)]);
    // That task 8 began to run, and its call.
    assert_eq!(kernel.kept(0), (2, 2));
}

#[test]
fn a_filter_that_is_full_takes_no_more_and_stays_as_it_is() {
    let kernel = Kernel::new(Mode::Overwrite, false);
    let (recorder, area) = (kernel.recorder, &kernel.areas[0]);
    (0..16).for_each(|id| recorder.add_task(id).expect("room"));
    recorder.add_task(7).expect("it is there already");
    let refused = RecordError::TooManyTasks { most: 16 };
    assert_eq!(recorder.add_task(16), Err(refused));
    for id in 0..18 {
        recorder.task_runs(area, id);
        let before = kernel.kept(0).0;
        assert!(kernel.write(0, 1));
        assert_eq!(kernel.kept(0).0 - before, u64::from(id < 16), "task {id}");
    }
    assert!(recorder.remove_task(7));
    recorder.add_task(16).expect("room again");
}
