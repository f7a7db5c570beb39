//! The engine's lock: a spin lock that refuses the core that holds it, instead of waiting for ever.

use crate::error::Error;
use crate::platform::Platform;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicUsize, Ordering};

/// Nobody holds the lock.
const FREE: usize = usize::MAX;

pub(crate) struct Lock<T> {
    inner: spin::Mutex<T>,
    owner: AtomicUsize,
}

pub(crate) struct Guard<'a, T> {
    inner: spin::MutexGuard<'a, T>,
    owner: &'a AtomicUsize,
}

impl<T> Lock<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self {
            inner: spin::Mutex::new(value),
            owner: AtomicUsize::new(FREE),
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
            if let Some(inner) = self.inner.try_lock() {
                self.owner.store(me, Ordering::Relaxed);
                return Ok(Guard {
                    inner,
                    owner: &self.owner,
                });
            }
            // Only this core writes its own number, so reading it back needs no order.
            if self.owner.load(Ordering::Relaxed) == me {
                return Err(Error::Reentrant);
            }
            core::hint::spin_loop();
        }
    }
}

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        self.owner.store(FREE, Ordering::Relaxed);
    }
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}
