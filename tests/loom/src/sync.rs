//! src/sync.rs with loom's primitives, which can be made in a `const fn` and tell loom about them when first used.

use std::cell::Cell;
use std::sync::OnceLock;

pub(crate) use std::sync::atomic::Ordering;

pub(crate) struct AtomicUsize {
    first: usize,
    inner: OnceLock<loom::sync::atomic::AtomicUsize>,
}

impl AtomicUsize {
    pub(crate) const fn new(first: usize) -> Self {
        Self {
            first,
            inner: OnceLock::new(),
        }
    }

    fn inner(&self) -> &loom::sync::atomic::AtomicUsize {
        self.inner
            .get_or_init(|| loom::sync::atomic::AtomicUsize::new(self.first))
    }

    pub(crate) fn compare_exchange(
        &self,
        old: usize,
        new: usize,
        success: Ordering,
        failure: Ordering,
    ) -> Result<usize, usize> {
        self.inner().compare_exchange(old, new, success, failure)
    }

    pub(crate) fn store(&self, value: usize, order: Ordering) {
        self.inner().store(value, order);
    }
}

pub(crate) struct UnsafeCell<T> {
    value: std::cell::UnsafeCell<T>,
    /// Loom's, which reports two accesses that no order separates.
    watch: OnceLock<loom::cell::UnsafeCell<()>>,
}

impl<T> UnsafeCell<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self {
            value: std::cell::UnsafeCell::new(value),
            watch: OnceLock::new(),
        }
    }

    pub(crate) fn get(&self) -> *mut T {
        let watch = self.watch.get_or_init(|| loom::cell::UnsafeCell::new(()));
        // Every use counts as a write.
        watch.with_mut(|_| ());
        self.value.get()
    }
}

loom::thread_local! {
    static IN_INTERRUPT: Cell<bool> = Cell::new(false);
}

/// From now on this thread stands for an interrupt handler: it must never wait.
pub(crate) fn this_is_an_interrupt() {
    IN_INTERRUPT.with(|flag| flag.set(true));
}

pub(crate) fn spin_loop() {
    assert!(
        !IN_INTERRUPT.with(Cell::get),
        "the handler waits for the code that it interrupts"
    );
    loom::thread::yield_now();
}
