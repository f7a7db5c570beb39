//! The set of tasks that alone are recorded. Who changes it and who looks may interrupt each other anywhere: nobody waits, and one
//! compare-and-exchange of one word takes a task in or out.
#![forbid(unsafe_code)]

use crate::cpu::Task;
use core::sync::atomic::{AtomicU64, Ordering};

/// Most tasks of a filter.
pub(super) const TASKS_MAX: usize = 16;

/// Twice as many, so that whoever adds one finds a place also while others do, or add the same.
const PLACES: usize = 2 * TASKS_MAX;
const MEMBERS: u64 = (1 << PLACES) - 1;

/// There is no room for another task.
pub(super) struct TooMany;

/// The tasks that alone are recorded; none of them: all tasks are.
pub(super) struct Tasks {
    /// As [`Task`] has them; [`Task::NONE`] in a free place. What stands in a member's place does not change.
    places: [AtomicU64; PLACES],
    /// Which places are members', a bit each; above them the number of changes.
    state: AtomicU64,
}

impl Tasks {
    pub(super) const fn new() -> Self {
        Self {
            places: [const { AtomicU64::new(Task::NONE.0) }; PLACES],
            state: AtomicU64::new(0),
        }
    }

    /// Sequentially consistent, as all here: whoever adds a task looks at the cores' tasks afterwards, and the other way round.
    fn state(&self) -> u64 {
        self.state.load(Ordering::SeqCst)
    }

    /// Makes these places the members', if nothing has changed since `state`.
    fn change(&self, state: u64, members: u64) -> bool {
        let changes = (state >> PLACES).wrapping_add(1);
        let next = changes << PLACES | members;
        self.state
            .compare_exchange(state, next, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
    }

    /// The bit of the task's place among the members of `state`. Means something only if the state is still the same afterwards.
    fn find(&self, state: u64, task: Task) -> Option<u64> {
        let bits = (0..PLACES).map(|place| 1 << place);
        let mut members = self.places.iter().zip(bits);
        members
            .find(|(place, bit)| state & bit != 0 && place.load(Ordering::SeqCst) == task.0)
            .map(|(_, bit)| bit)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.state() & MEMBERS == 0
    }

    pub(super) fn wants(&self, task: Task) -> bool {
        loop {
            let state = self.state();
            let wants = state & MEMBERS == 0 || self.find(state, task).is_some();
            if self.state() == state {
                return wants;
            }
        }
    }

    pub(super) fn add(&self, task: Task) -> Result<(), TooMany> {
        let claim = |place: &AtomicU64| {
            place
                .compare_exchange(Task::NONE.0, task.0, Ordering::SeqCst, Ordering::SeqCst)
                .is_ok()
        };
        let mut places = self.places.iter().enumerate();
        let (at, place) = places.find(|(_, place)| claim(place)).ok_or(TooMany)?;
        let added = loop {
            let state = self.state();
            let members = state & MEMBERS;
            let given_up = match self.find(state, task) {
                Some(_) => Some(Ok(())),
                None if members.count_ones() as usize == TASKS_MAX => Some(Err(TooMany)),
                None => None,
            };
            match given_up {
                None if self.change(state, members | 1 << at) => return Ok(()),
                Some(given_up) if self.state() == state => break given_up,
                _ => {}
            }
        };
        // Nobody else has seen it there: it was no member's.
        place.store(Task::NONE.0, Ordering::SeqCst);
        added
    }

    /// Whether it was one of them.
    pub(super) fn remove(&self, task: Task) -> bool {
        loop {
            let state = self.state();
            match self.find(state, task) {
                Some(bit) if self.change(state, state & MEMBERS & !bit) => {
                    // Free only now that it is no member's.
                    self.places[bit.trailing_zeros() as usize]
                        .store(Task::NONE.0, Ordering::SeqCst);
                    return true;
                }
                None if self.state() == state => return false,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::AtomicBool;
    use std::sync::{Barrier, Mutex};
    use std::{thread, vec};

    const ROUNDS: u32 = 20_000;

    /// Only this task comes and goes, so it is wanted all the time: with the others, or alone.
    #[test]
    fn while_the_last_task_goes_it_is_wanted() {
        let (tasks, task, done) = (Tasks::new(), Task::new(7), AtomicBool::new(false));
        thread::scope(|scope| {
            let observer = scope.spawn(|| {
                let mut looks = 0_u64;
                while !done.load(Ordering::Acquire) || looks == 0 {
                    assert!(tasks.wants(task), "after {looks} looks");
                    looks += 1;
                }
            });
            for _ in 0..ROUNDS * 10 {
                assert!(tasks.add(task).is_ok());
                assert!(tasks.remove(task));
            }
            done.store(true, Ordering::Release);
            observer.join().expect("no look found it left out");
        });
        assert!(tasks.is_empty() && tasks.wants(Task::NONE));
    }

    /// One task is added before the other is removed, so no third is wanted at any time.
    #[test]
    fn while_one_task_is_exchanged_for_another_no_third_is_wanted() {
        let (tasks, done) = (Tasks::new(), AtomicBool::new(false));
        let [first, second, third] = [1, 2, 3].map(Task::new);
        assert!(tasks.add(first).is_ok());
        thread::scope(|scope| {
            let observer = scope.spawn(|| {
                while !done.load(Ordering::Acquire) {
                    assert!(!tasks.wants(third) && !tasks.wants(Task::NONE));
                }
            });
            for _ in 0..ROUNDS * 10 {
                assert!(tasks.add(second).is_ok() && tasks.remove(first));
                assert!(tasks.add(first).is_ok() && tasks.remove(second));
            }
            done.store(true, Ordering::Release);
            observer.join().expect("no look found it");
        });
    }

    #[test]
    fn one_task_added_by_several_takes_one_place() {
        const ADDERS: usize = 4;
        let (tasks, task, barrier) = (Tasks::new(), Task::new(0), Barrier::new(ADDERS));
        // Said when all threads have ended: one that ends before leaves the others at the barrier.
        let wrong = Mutex::new(vec![]);
        let check = |is_right: bool, what| {
            if !is_right {
                wrong.lock().expect("nobody panics").push(what);
            }
        };
        // With the places of all others taken, too.
        for id in 1..TASKS_MAX as u32 {
            assert!(tasks.add(Task::new(id)).is_ok());
        }
        thread::scope(|scope| {
            for _ in 0..ADDERS {
                scope.spawn(|| {
                    for _ in 0..ROUNDS / 10 {
                        barrier.wait();
                        check(tasks.add(task).is_ok(), "there is room for it");
                        if barrier.wait().is_leader() {
                            let taken = tasks.places.iter();
                            let taken =
                                taken.filter(|place| place.load(Ordering::SeqCst) == task.0);
                            check(taken.count() == 1, "it has one place");
                            check(tasks.add(Task::new(99)).is_err(), "one too many");
                            let removed = tasks.remove(task) && !tasks.remove(task);
                            check(removed, "it is there once");
                        }
                        barrier.wait();
                    }
                });
            }
        });
        let wrong = wrong.into_inner().expect("nobody panics");
        assert!(wrong.is_empty(), "{} times: {}", wrong.len(), wrong[0]);
    }
}
