//! The kernel's lock: a spin lock that is held with interrupts masked, so that no task is preempted with it in hand and no
//! interrupt handler finds it taken on its own core.

use core::ops::{Deref, DerefMut};
use spin::{Mutex, MutexGuard};
use virt::irq;

/// A value that one context at a time may use.
pub struct Lock<T>(Mutex<T>);

/// The right to use the value; interrupts stay masked until it is dropped.
pub struct Guard<'a, T> {
    value: Option<MutexGuard<'a, T>>,
    mask: irq::Mask,
}

impl<T> Lock<T> {
    /// A free lock.
    pub const fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    /// Waits for the lock.
    pub fn lock(&self) -> Guard<'_, T> {
        let mask = irq::save();
        Guard {
            value: Some(self.0.lock()),
            mask,
        }
    }
}

const HELD: &str = "the guard holds its value until it is dropped";

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_ref().expect(HELD)
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_mut().expect(HELD)
    }
}

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        // Free before interrupts come in: they may want it.
        self.value = None;
        irq::restore(self.mask);
    }
}
