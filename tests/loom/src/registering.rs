//! src/registry.rs itself: cores register and unregister at once, under src/lock.rs or, to see that it matters, without.

use crate::lock::Lock;
use crate::ops::Ops;
use crate::platform::Platform;
use crate::registry::Registry;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::Ordering;
use loom::thread;

struct Core(usize);

impl Platform for Core {
    fn cpu_index(&self) -> usize {
        self.0
    }
}

/// Three ops; the first is registered. One core takes it away and adds the second, another adds the third.
fn changes(locked: bool) {
    loom::model(move || {
        let registry = Registry::new();
        let shared = Arc::new((Lock::new(()), UnsafeCell::new(registry)));
        let ops = [(); 3].map(|()| Ops::leaked());
        let on = move |shared: &(Lock<()>, UnsafeCell<Registry>),
                       core,
                       step: fn(&mut Registry, _),
                       ops| {
            let guard = locked.then(|| shared.0.lock(&Core(core)).ok().unwrap());
            // SAFETY: loom itself checks that nobody else is here.
            shared
                .1
                .with_mut(|registry| step(unsafe { &mut *registry }, ops));
            drop(guard);
        };
        on(&shared, 0, Registry::add, ops[0]);
        let other = shared.clone();
        let core = thread::spawn(move || on(&other, 1, Registry::add, ops[2]));
        on(&shared, 0, Registry::remove, ops[0]);
        on(&shared, 0, Registry::add, ops[1]);
        core.join().unwrap();
        // SAFETY: as above.
        shared.1.with(|registry| check(unsafe { &*registry }, ops));
    });
}

/// The first is gone, the others are there, newest first, with orders of their own.
fn check(registry: &Registry, ops: [&'static Ops; 3]) {
    let order = |ops: &Ops| ops.order.load(Ordering::Relaxed);
    let listed: Vec<_> = registry.iter().collect();
    assert_eq!(listed.len(), 2);
    assert!(order(listed[0]) > order(listed[1]) && order(listed[1]) > 0);
    assert_eq!(order(ops[0]), 0);
    let has = |ops: &Ops| registry.find(core::ptr::from_ref(ops) as u64).is_some();
    assert_eq!(ops.map(has), [false, true, true]);
    assert!(!registry.any_instances());
}

#[test]
fn what_two_cores_register_and_take_away_at_once_is_all_in_the_list() {
    changes(true);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn without_the_lock_the_list_is_torn() {
    changes(false);
}
