//! Reading a ring while it is written to.
#![forbid(unsafe_code)]

use crate::ring::{Control, Unreadable};
use crate::trace::{EVENT_BYTES, Event};

/// What [`Reader`] finds next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    /// An event, whole.
    Event {
        /// Its number in the ring.
        number: u64,
        /// The event.
        event: Event,
    },
    /// Events that writers overwrote before they were read.
    Overwritten(u64),
    /// An event whose writer has reserved its slot and not stored it yet.
    Unfinished {
        /// Its number in the ring.
        number: u64,
    },
}

/// Where a core's items begin.
#[derive(Clone, Copy)]
pub(super) struct Before {
    /// The number of the first item.
    pub(super) first: u64,
    /// Events of the recording that were overwritten before it.
    pub(super) lost: u64,
}

/// The events of one core, oldest first, up to those that were there when the reader was made or last told to
/// [`Reader::go_on`].
pub struct Reader {
    ring: &'static Control,
    next: u64,
    end: u64,
}

impl Reader {
    pub(super) fn new(ring: &'static Control) -> Self {
        Self {
            ring,
            next: ring.oldest(),
            end: ring.end(),
        }
    }

    /// Only the newest `count` of them.
    #[must_use]
    pub fn last(mut self, count: u64) -> Self {
        let from = self.end.saturating_sub(count.saturating_mul(EVENT_BYTES));
        self.next = self.next.max(from);
        self
    }

    /// Which item is next, and how many events of the recording were overwritten before it.
    pub(super) fn before(&self) -> Before {
        Before {
            first: self.next / EVENT_BYTES,
            lost: self.next.saturating_sub(self.ring.start()) / EVENT_BYTES,
        }
    }

    /// Reads on: what was written since is read next.
    pub fn go_on(&mut self) {
        self.end = self.ring.end();
    }
}

impl Iterator for Reader {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        if self.next >= self.end {
            return None;
        }
        let number = self.next / EVENT_BYTES;
        match self.ring.read(self.next) {
            Ok(event) => {
                self.next += EVENT_BYTES;
                Some(Item::Event { number, event })
            }
            Err(Unreadable::Unfinished) => {
                self.next += EVENT_BYTES;
                Some(Item::Unfinished { number })
            }
            Err(Unreadable::Overwritten) => {
                let oldest = self.ring.oldest();
                let lost = (oldest - self.next) / EVENT_BYTES;
                self.next = oldest;
                self.end = self.end.max(oldest);
                Some(Item::Overwritten(lost))
            }
        }
    }
}
