//! What the tracer writes and the shell reads: a ring without locks, because a tracer runs wherever a traced function is
//! called, with any lock held and in any interrupt.
//!
//! A writer takes a place by one compare-and-swap and then publishes it by its number; an interrupt in between takes the next
//! one. One reader. When the ring is full, events are dropped and counted.

use core::array;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

const PLACES: usize = 1024;

/// A call of a traced function.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// When, in ticks of CNTVCT_EL0.
    pub time: u64,
    /// The callsite's BL.
    pub ip: usize,
    /// Where the function will return to.
    pub parent_ip: usize,
    /// The task.
    pub task: usize,
    /// Whether interrupts were masked.
    pub masked: bool,
}

impl Event {
    /// Whether it is the same call as `other`, from the same place.
    pub fn is_again(&self, other: &Self) -> bool {
        (self.ip, self.parent_ip, self.task) == (other.ip, other.parent_ip, other.task)
    }
}

/// A place: its event, field by field, and the number of the event that is in it, plus one.
struct Place {
    published: AtomicUsize,
    time: AtomicU64,
    ip: AtomicUsize,
    parent_ip: AtomicUsize,
    /// Task, and the mask in the lowest bit.
    context: AtomicUsize,
}

impl Place {
    const fn new() -> Self {
        Self {
            published: AtomicUsize::new(0),
            time: AtomicU64::new(0),
            ip: AtomicUsize::new(0),
            parent_ip: AtomicUsize::new(0),
            context: AtomicUsize::new(0),
        }
    }
}

/// The ring.
pub struct Ring {
    places: [Place; PLACES],
    /// Number of the next event to be written, and of the next to be read.
    next: AtomicUsize,
    read: AtomicUsize,
    lost: AtomicUsize,
}

impl Ring {
    /// An empty ring.
    pub const fn new() -> Self {
        Self {
            places: [const { Place::new() }; PLACES],
            next: AtomicUsize::new(0),
            read: AtomicUsize::new(0),
            lost: AtomicUsize::new(0),
        }
    }

    /// Adds an event, or counts it as lost.
    pub fn push(&self, event: Event) {
        let mut number = self.next.load(Ordering::Relaxed);
        loop {
            if number.wrapping_sub(self.read.load(Ordering::Acquire)) >= PLACES {
                self.lost.fetch_add(1, Ordering::Relaxed);
                return;
            }
            let taken = self.next.compare_exchange_weak(
                number,
                number.wrapping_add(1),
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
            match taken {
                Ok(_) => break,
                Err(now) => number = now,
            }
        }
        let place = &self.places[number % PLACES];
        place.time.store(event.time, Ordering::Relaxed);
        place.ip.store(event.ip, Ordering::Relaxed);
        place.parent_ip.store(event.parent_ip, Ordering::Relaxed);
        let context = event.task << 1 | usize::from(event.masked);
        place.context.store(context, Ordering::Relaxed);
        place
            .published
            .store(number.wrapping_add(1), Ordering::Release);
    }

    /// Takes the oldest event; `None` when there is none, or when its writer has been interrupted before it was done.
    /// One reader at a time.
    pub fn pop(&self) -> Option<Event> {
        let number = self.read.load(Ordering::Relaxed);
        let place = &self.places[number % PLACES];
        if place.published.load(Ordering::Acquire) != number.wrapping_add(1) {
            return None;
        }
        let context = place.context.load(Ordering::Relaxed);
        let event = Event {
            time: place.time.load(Ordering::Relaxed),
            ip: place.ip.load(Ordering::Relaxed),
            parent_ip: place.parent_ip.load(Ordering::Relaxed),
            task: context >> 1,
            masked: context & 1 == 1,
        };
        self.read.store(number.wrapping_add(1), Ordering::Release);
        Some(event)
    }

    /// Drops all that the reader has not taken.
    pub fn forget(&self) {
        while self.pop().is_some() {}
        self.lost.store(0, Ordering::Relaxed);
    }

    /// Whether the reader has all that was written.
    pub fn is_empty(&self) -> bool {
        self.next.load(Ordering::Relaxed) == self.read.load(Ordering::Relaxed)
    }

    /// How many events were lost since the last question.
    pub fn take_lost(&self) -> usize {
        self.lost.swap(0, Ordering::Relaxed)
    }
}

/// How often each traced function was called: a table without locks, addressed by the callsite.
pub struct Hits {
    ips: [AtomicUsize; Self::SLOTS],
    counts: [AtomicU64; Self::SLOTS],
}

impl Hits {
    const SLOTS: usize = 8192;

    /// No hits.
    pub const fn new() -> Self {
        Self {
            ips: [const { AtomicUsize::new(0) }; Self::SLOTS],
            counts: [const { AtomicU64::new(0) }; Self::SLOTS],
        }
    }

    /// Counts a call. A table that is full of other callsites counts no new one.
    pub fn add(&self, ip: usize) {
        // Callsites are 8 bytes apart at least; neighbours go to neighbouring slots.
        let first = ip / size_of::<u64>();
        for step in 0..Self::SLOTS {
            let slot = (first + step) % Self::SLOTS;
            let there = match self.ips[slot].compare_exchange(
                0,
                ip,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => ip,
                Err(there) => there,
            };
            if there == ip {
                self.counts[slot].fetch_add(1, Ordering::Relaxed);
                return;
            }
        }
    }

    /// Forgets all. Not while a tracer runs: its call may be counted under another's name.
    pub fn clear(&self) {
        for count in &self.counts {
            count.store(0, Ordering::Relaxed);
        }
        for ip in &self.ips {
            ip.store(0, Ordering::Relaxed);
        }
    }

    /// Callsites with their calls, the `N` with the most, most first.
    pub fn top<const N: usize>(&self) -> [(usize, u64); N] {
        let mut top: [(usize, u64); N] = array::from_fn(|_| (0, 0));
        for (ip, count) in self.ips.iter().zip(&self.counts) {
            let count = count.load(Ordering::Relaxed);
            let place = top.partition_point(|&(_, more)| more >= count);
            if count > 0 && place < N {
                top[place..].rotate_right(1);
                top[place] = (ip.load(Ordering::Relaxed), count);
            }
        }
        top
    }

    /// All calls, and callsites that have any.
    pub fn total(&self) -> (u64, usize) {
        let counts = self
            .counts
            .iter()
            .map(|count| count.load(Ordering::Relaxed));
        counts.fold((0, 0), |(calls, callsites), count| {
            (calls + count, callsites + usize::from(count > 0))
        })
    }
}
