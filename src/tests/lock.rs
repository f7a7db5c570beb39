//! The engine's lock: the core that holds it is refused, every other core waits.

use crate::error::{AliasError, Error};
use crate::lock::Lock;
use crate::platform::Platform;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::thread;

/// A kernel that only knows which core this is.
struct Core(usize);

// SAFETY: it offers no alias, so nothing is ever written through it, and it runs no core.
unsafe impl Platform for Core {
    fn patch_begin(&self) -> Result<isize, AliasError> {
        Err(AliasError("there is no text"))
    }
    fn sync_cores(&self) {}
    fn cpu_index(&self) -> usize {
        self.0
    }
}

#[test]
fn the_core_that_holds_the_lock_is_refused() {
    let lock = Lock::new(1);
    for core in [0, 3] {
        let held = lock.lock(&Core(core)).map(|guard| *guard);
        assert_eq!(held, Ok(1));
        let guard = lock.lock(&Core(core)).expect("free again");
        for _ in 0..2 {
            let again = lock.lock(&Core(core)).map(|guard| *guard);
            assert_eq!(again, Err(Error::Reentrant));
        }
        drop(guard);
    }
}

#[test]
fn another_core_waits() {
    let lock = Lock::new(0);
    let got = AtomicBool::new(false);
    thread::scope(|scope| {
        let mut guard = lock.lock(&Core(0)).expect("free");
        let waiter = scope.spawn(|| {
            let value = lock.lock(&Core(1)).map(|guard| *guard);
            got.store(true, Ordering::SeqCst);
            value
        });
        thread::sleep(Duration::from_millis(50));
        assert!(!got.load(Ordering::SeqCst), "two cores have the lock");
        // While another core waits, this one is still refused.
        assert_eq!(
            lock.lock(&Core(0)).map(|guard| *guard),
            Err(Error::Reentrant)
        );
        *guard = 7;
        drop(guard);
        assert_eq!(waiter.join().expect("does not panic"), Ok(7));
    });
}

#[test]
fn cores_exclude_each_other() {
    const EACH: usize = 2000;
    let lock = Lock::new(0);
    thread::scope(|scope| {
        for core in 0..4 {
            let lock = &lock;
            scope.spawn(move || {
                for _ in 0..EACH {
                    let mut guard = lock.lock(&Core(core)).expect("this core is not inside");
                    let before = *guard;
                    thread::yield_now();
                    *guard = before + 1;
                }
            });
        }
    });
    assert_eq!(lock.lock(&Core(9)).map(|guard| *guard), Ok(4 * EACH));
}
