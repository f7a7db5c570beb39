//! The engine's lock: a spin lock that refuses the core that holds it, instead of waiting for ever.
//!
//! One word is both the lock and its owner. With two, an interrupt between the writes of the one and of the other would
//! find a lock that is held by nobody, and wait for the code that it interrupted.

use crate::error::Error;
use crate::platform::Platform;
use crate::sync::{AtomicUsize, Ordering, UnsafeCell};
use core::ops::{Deref, DerefMut};

/// Nobody holds the lock.
const FREE: usize = usize::MAX;

pub(crate) struct Lock<T> {
    /// The core that holds the lock, or [`FREE`].
    owner: AtomicUsize,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached through a `Guard` only, of which there is one at a time; it moves from core to core.
unsafe impl<T: Send> Sync for Lock<T> {}

pub(crate) struct Guard<'a, T> {
    lock: &'a Lock<T>,
    /// Not to be sent: a guard is given back by the core that took it.
    _core: core::marker::PhantomData<*mut T>,
}

impl<T> Lock<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self {
            owner: AtomicUsize::new(FREE),
            value: UnsafeCell::new(value),
        }
    }

    /// Waits for the lock.
    ///
    /// # Errors
    /// [`Error::Reentrant`] where this core holds it: it interrupted itself, or a task that was switched away. Also from
    /// inside a guarded tracer.
    pub(crate) fn lock(&self, platform: &dyn Platform) -> Result<Guard<'_, T>, Error> {
        if crate::arch::in_tracer() {
            // A set that this change gives back could be the one that is being walked.
            return Err(Error::Reentrant);
        }
        let me = platform.cpu_index();
        loop {
            let taken = self
                .owner
                .compare_exchange(FREE, me, Ordering::Acquire, Ordering::Relaxed);
            match taken {
                Ok(_) => {
                    return Ok(Guard {
                        lock: self,
                        _core: core::marker::PhantomData,
                    });
                }
                // Only this core writes its own number, so reading it back needs no order.
                Err(owner) if owner == me => return Err(Error::Reentrant),
                Err(_) => platform.relax(),
            }
        }
    }
}

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        self.lock.owner.store(FREE, Ordering::Release);
    }
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        let value = self.lock.value.get();
        // SAFETY: this guard is the only one, and its borrow keeps `deref_mut` away.
        unsafe { &*value }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        let value = self.lock.value.get();
        // SAFETY: this guard is the only one, and it is borrowed exclusively.
        unsafe { &mut *value }
    }
}
