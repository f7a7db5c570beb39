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
    /// Ends before what is unfinished.
    finished_only: bool,
}

impl Reader {
    pub(super) fn new(ring: &'static Control) -> Self {
        Self {
            ring,
            next: ring.oldest(),
            end: ring.end(),
            finished_only: false,
        }
    }

    /// Only the newest `count` of them.
    #[must_use]
    pub fn last(mut self, count: u64) -> Self {
        let from = self.end.saturating_sub(count.saturating_mul(EVENT_BYTES));
        self.next = self.next.max(from);
        self
    }

    /// Ends before an event whose writer has not stored it yet, in place of [`Item::Unfinished`]; after [`Reader::go_on`] it is looked
    /// at again. So nothing is passed over by who reads close behind the writers. A writer that never comes back is waited for until
    /// its slot is overwritten: in a ring that stops when full, for ever.
    #[must_use]
    pub fn finished_only(mut self) -> Self {
        self.finished_only = true;
        self
    }

    /// Which item is next, and how many events of the recording were overwritten before it.
    pub(super) fn before(&self) -> Before {
        Before {
            first: self.next / EVENT_BYTES,
            lost: self.next.saturating_sub(self.ring.start()) / EVENT_BYTES,
        }
    }

    /// Reads on: what was written since is read next; after [`Recorder::reset`](super::Recorder::reset) what the new recording
    /// has, with nothing said of what was forgotten. A reader stays with its ring: who takes a snapshot makes a new one.
    pub fn go_on(&mut self) {
        self.next = self.next.max(self.ring.start());
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
            Err(Unreadable::Unfinished) if self.finished_only => None,
            Err(Unreadable::Unfinished) => {
                self.next += EVENT_BYTES;
                Some(Item::Unfinished { number })
            }
            Err(Unreadable::Overwritten) => {
                let oldest = self.ring.oldest();
                // After a reset not all positions up to the oldest were events.
                let next = if self.next < self.ring.start() {
                    self.end
                } else {
                    oldest
                };
                let lost = (next - self.next) / EVENT_BYTES;
                self.next = next;
                Some(Item::Overwritten(lost))
            }
        }
    }
}
