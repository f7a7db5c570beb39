//! The list of registered ops, threaded through the ops themselves: no memory of its own, no limit.

use crate::ops::Ops;
use core::sync::atomic::Ordering;

/// All registered ops, newest first.
pub(crate) struct Registry {
    head: Option<&'static Ops>,
    last_order: u32,
    any_instances: bool,
}

impl Registry {
    pub(crate) const fn new() -> Self {
        Self {
            head: None,
            last_order: 0,
            any_instances: false,
        }
    }

    /// Adds an ops that is not registered.
    pub(crate) fn add(&mut self, ops: &'static Ops) {
        // Orders are never used twice within the 2^32 registrations that an order can count; past that only the order
        // in which tracers of one callsite run is affected.
        self.last_order = self.last_order.checked_add(1).unwrap_or(1);
        ops.order.store(self.last_order, Ordering::Relaxed);
        let next = self.head.map_or(core::ptr::null_mut(), |head| {
            core::ptr::from_ref(head).cast_mut()
        });
        ops.next.store(next, Ordering::Relaxed);
        self.head = Some(ops);
        self.any_instances |= ops.head.kind.has_instances();
    }

    /// Whether an ops whose callsites have literals of their own has ever been registered.
    pub(crate) fn any_instances(&self) -> bool {
        self.any_instances
    }

    /// Takes an ops out.
    pub(crate) fn remove(&mut self, ops: &'static Ops) {
        let after = ops.next.load(Ordering::Relaxed);
        let before = self
            .iter()
            .find(|each| core::ptr::eq(each.next.load(Ordering::Relaxed), ops));
        match before {
            Some(before) => before.next.store(after, Ordering::Relaxed),
            None => self.head = next(ops),
        }
        ops.next.store(core::ptr::null_mut(), Ordering::Relaxed);
        ops.order.store(0, Ordering::Relaxed);
    }

    /// The registered ops, newest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &'static Ops> + use<> {
        core::iter::successors(self.head, |ops| next(ops))
    }

    /// The registered ops that a literal calls alone.
    pub(crate) fn find(&self, target: u64) -> Option<&'static Ops> {
        self.iter().find(|ops| ops.is_called_by(target))
    }
}

fn next(ops: &Ops) -> Option<&'static Ops> {
    let next = ops.next.load(Ordering::Relaxed);
    // SAFETY: only `add` stores here, and what it stores came from a `&'static Ops`.
    unsafe { next.as_ref() }
}
