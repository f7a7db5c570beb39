//! src/lock.rs itself: one core at a time, everything seen, and never a wait for oneself.

use crate::error::Error;
use crate::lock::Lock;
use crate::platform::Platform;
use crate::sync::this_is_an_interrupt;
use loom::sync::Arc;
use loom::thread;

struct Core(usize);

impl Platform for Core {
    fn cpu_index(&self) -> usize {
        self.0
    }
}

/// A lock that loom knows already before it is shared.
fn counter() -> Arc<Lock<u32>> {
    let lock = Arc::new(Lock::new(0));
    drop(lock.lock(&Core(9)).map(|value| *value));
    lock
}

#[test]
fn cores_take_turns_and_see_what_the_last_one_wrote() {
    loom::model(|| {
        let lock = counter();
        let other = lock.clone();
        let core = thread::spawn(move || *other.lock(&Core(1)).ok().unwrap() += 1);
        *lock.lock(&Core(0)).ok().unwrap() += 1;
        core.join().unwrap();
        assert_eq!(*lock.lock(&Core(0)).ok().unwrap(), 2);
    });
}

#[test]
fn a_core_that_holds_the_lock_is_refused_and_others_are_not() {
    loom::model(|| {
        let lock = counter();
        let other = lock.clone();
        let core = thread::spawn(move || other.lock(&Core(1)).map(drop));
        let held = lock.lock(&Core(0)).ok().unwrap();
        assert_eq!(lock.lock(&Core(0)).err(), Some(Error::Reentrant));
        drop(held);
        assert!(lock.lock(&Core(0)).is_ok());
        assert_eq!(core.join().unwrap(), Ok(()));
    });
}

/// At every step of taking the lock and giving it back.
#[test]
fn an_interrupt_on_the_core_that_holds_the_lock_never_waits() {
    loom::model(|| {
        let lock = counter();
        let other = lock.clone();
        let interrupt = thread::spawn(move || {
            this_is_an_interrupt();
            // Refused, or before or after the code that it interrupts.
            if let Ok(mut value) = other.lock(&Core(0)) {
                *value += 1;
            }
        });
        // As a thread the handler can also be interrupted by this code, which is then refused.
        if let Ok(mut value) = lock.lock(&Core(0)) {
            *value += 1;
        }
        interrupt.join().unwrap();
        let value = *lock.lock(&Core(0)).ok().unwrap();
        assert!(value == 1 || value == 2, "{value}");
    });
}
