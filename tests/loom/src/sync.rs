//! src/sync.rs with loom's primitives, which can be made in a `const fn` and tell loom about them when first used.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;
use std::sync::OnceLock;

pub(crate) use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

/// What a twin does without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Without {
    /// Acquire loads are relaxed.
    AcquireLoad,
    /// Exchanges are relaxed.
    AcquireExchange,
    /// Release stores are relaxed.
    ReleaseStore,
    /// There is no fence of this order.
    Fence(Ordering),
    /// An exchange is a load, a comparison and a store that somebody may come between.
    Exchange,
}

// All threads of a model are one thread of the system.
std::thread_local! {
    /// loom's stand-ins for words in memory, by address.
    static WATCHED: RefCell<HashMap<usize, Rc<loom::sync::atomic::AtomicU64>>> = RefCell::default();
    /// Memory of zeroes, and how many of its words are watched, from their first use on.
    static ZEROES: RefCell<(Range<usize>, usize)> = const { RefCell::new((0..0, 0)) };
    static BROKEN: Cell<Option<Without>> = const { Cell::new(None) };
}

/// From here on, in this test, the code is broken in this place.
pub(crate) fn do_without(what: Without) {
    BROKEN.set(Some(what));
}

fn is_without(what: Without) -> bool {
    BROKEN.get() == Some(what)
}

/// From here on, until the next call, loom orders the accesses to these words: begin each run of a model with it.
pub(crate) fn watch(words: impl IntoIterator<Item = (usize, u64)>) {
    let words = words
        .into_iter()
        .map(|(at, value)| (at, Rc::new(loom::sync::atomic::AtomicU64::new(value))));
    let words = words.collect();
    WATCHED.with(|watched| *watched.borrow_mut() = words);
    ZEROES.set((0..0, 0));
}

/// The same for the words of this memory that are used first, so many; they are zero.
pub(crate) fn watch_first(count: usize, at: Range<usize>) {
    watch([]);
    ZEROES.set((at, count));
}

pub(crate) fn fence(order: Ordering) {
    if !is_without(Without::Fence(order)) {
        loom::sync::atomic::fence(order);
    }
}

/// A word of memory, of the size that the layout has: loom's where it is watched, else nobody changes it meanwhile.
#[repr(transparent)]
#[derive(Debug)]
pub(crate) struct AtomicU64(std::sync::atomic::AtomicU64);

impl AtomicU64 {
    pub(crate) const fn new(value: u64) -> Self {
        Self(std::sync::atomic::AtomicU64::new(value))
    }

    fn watched(&self) -> Option<Rc<loom::sync::atomic::AtomicU64>> {
        let at = std::ptr::from_ref(self) as usize;
        let zero = || Rc::new(loom::sync::atomic::AtomicU64::new(0));
        WATCHED.with(|watched| {
            let mut watched = watched.borrow_mut();
            let is_next = |(zeroes, count): &(Range<usize>, usize)| {
                zeroes.contains(&at) && watched.len() < *count
            };
            if ZEROES.with_borrow(is_next) {
                watched.entry(at).or_insert_with(zero);
            }
            watched.get(&at).cloned()
        })
    }

    pub(crate) fn load(&self, mut order: Ordering) -> u64 {
        if order == Ordering::Acquire && is_without(Without::AcquireLoad) {
            order = Ordering::Relaxed;
        }
        match self.watched() {
            Some(word) => word.load(order),
            None => self.0.load(order),
        }
    }

    pub(crate) fn store(&self, value: u64, mut order: Ordering) {
        if order == Ordering::Release && is_without(Without::ReleaseStore) {
            order = Ordering::Relaxed;
        }
        match self.watched() {
            Some(word) => word.store(value, order),
            None => self.0.store(value, order),
        }
    }

    pub(crate) fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
        match self.watched() {
            Some(word) => word.fetch_add(value, order),
            None => self.0.fetch_add(value, order),
        }
    }

    pub(crate) fn compare_exchange(
        &self,
        old: u64,
        new: u64,
        mut success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        if is_without(Without::AcquireExchange) {
            success = Ordering::Relaxed;
        }
        if is_without(Without::Exchange) {
            let now = self.load(failure);
            if now != old {
                return Err(now);
            }
            self.store(new, Ordering::Relaxed);
            return Ok(old);
        }
        match self.watched() {
            Some(word) => word.compare_exchange(old, new, success, failure),
            None => self.0.compare_exchange(old, new, success, failure),
        }
    }
}

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
