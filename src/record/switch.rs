//! Where a core's events go: to its ring, or nowhere. One store for each area decides it, and a traced call pays no test.
#![forbid(unsafe_code)]

use super::{RecordError, Recorder};
use crate::arch;
use crate::areas;
use crate::cpu::CpuArea;
use crate::ring::Control;
use crate::trace::Type;
use core::sync::atomic::Ordering;

impl Recorder {
    /// Switches recording on or off, on all cores: one store for each core, no text is touched. Events that arrive while
    /// it is off are counted ([`Counts::refused`](crate::Counts::refused)) and not kept.
    ///
    /// # Errors
    /// [`RecordError::NotInstalled`].
    ///
    /// # Context
    /// Any, also a tracer. Calls under way on other cores finish with the ring they began with.
    pub fn switch(&'static self, on: bool) -> Result<(), RecordError> {
        self.installed()?;
        self.set_on(on);
        Ok(())
    }

    /// Whether recording is on.
    pub fn is_on(&self) -> bool {
        self.on.load(Ordering::Acquire)
    }

    pub(super) fn set_on(&'static self, on: bool) {
        self.on.store(on, Ordering::SeqCst);
        self.point_all();
    }

    /// Keeps recording off, on all cores, until what this gives is dropped. Who switches it on or off meanwhile decides what holds then.
    pub(crate) fn pause(&'static self) -> Pause {
        self.pauses.fetch_add(1, Ordering::SeqCst);
        self.point_all();
        Pause(self)
    }

    pub(super) fn point_all(&'static self) {
        areas::all().for_each(|area| self.point(area));
    }

    /// A core that has come online after [`Recorder::install`] records from now on.
    ///
    /// # Context
    /// On that core, after [`Ftrace::cpu_online`](crate::Ftrace::cpu_online).
    pub fn cpu_online(&'static self) {
        if let Some(area) = arch::cpu_area() {
            self.point(area);
        }
    }

    /// An area that is no core's but a task's (see [`CpuArea`]) records on `core` from now on. Call it when the task is made, and
    /// when it goes to another core.
    ///
    /// # Context
    /// Any, also before [`Recorder::install`].
    pub fn adopt(&'static self, area: &'static CpuArea, core: usize) {
        area.list(core as u32);
        self.point(area);
    }

    /// Sends what the core of this area records to where it belongs.
    pub(super) fn point(&'static self, area: &'static CpuArea) {
        settle(
            || self.wanted(area),
            |ring| {
                if let Some(ring) = ring {
                    tell(area, ring);
                }
                area.set_ring(*ring);
            },
            |a, b| a.map(core::ptr::from_ref) == b.map(core::ptr::from_ref),
        );
    }

    /// The ring that the area's events belong into; `None` while nothing is recorded there.
    fn wanted(&'static self, area: &CpuArea) -> Option<&'static Control> {
        let region = &self.installed.get()?.region;
        let wanted = self.on.load(Ordering::SeqCst)
            && self.pauses.load(Ordering::SeqCst) == 0
            && region.is_wanted(area.core())
            && self.tasks.wants(area.task());
        region.written(area.core()).filter(|_| wanted)
    }
}

/// Says in the ring which task the area's core runs, where that has not been said because nothing was recorded then. Of areas that share a
/// core nobody but their core knows which of their tasks runs.
pub(super) fn tell(area: &'static CpuArea, ring: &Control) {
    if !areas::is_only(area) || !area.take_untold() {
        return;
    }
    loop {
        let task = area.task();
        ring.write(Type::Task, arch::ticks(), 0, task.id());
        // Whoever runs since then has said so, perhaps before this.
        if area.task() == task {
            return;
        }
    }
}

/// See [`Recorder::pause`].
pub(crate) struct Pause(&'static Recorder);

impl Drop for Pause {
    fn drop(&mut self) {
        self.0.pauses.fetch_sub(1, Ordering::SeqCst);
        self.0.point_all();
    }
}

/// Stores what is wanted, and looks again: where somebody else has switched meanwhile, or taken a snapshot, what is in force is what
/// was done last.
fn settle<T>(wanted: impl Fn() -> T, store: impl Fn(&T), same: impl Fn(&T, &T) -> bool) {
    loop {
        let now = wanted();
        store(&now);
        if same(&now, &wanted()) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::settle;
    use std::cell::{Cell, RefCell};
    use std::vec;

    /// Whoever switches between the look and the store is not undone by a store that is late.
    #[test]
    fn who_stores_late_stores_again() {
        let (looks, stored) = (Cell::new(0), RefCell::new(vec![]));
        let wanted = || {
            looks.set(looks.get() + 1);
            // The first look is the only one before somebody switches; he does so again before the fifth.
            match looks.get() {
                1 => 'a',
                2..5 => 'b',
                _ => 'c',
            }
        };
        settle(wanted, |what| stored.borrow_mut().push(*what), char::eq);
        assert_eq!(*stored.borrow(), ['a', 'b']);
        settle(wanted, |what| stored.borrow_mut().push(*what), char::eq);
        assert_eq!(*stored.borrow(), ['a', 'b', 'c']);
    }
}
