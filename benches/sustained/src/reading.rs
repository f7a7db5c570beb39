//! The core that reads while the others write.

use crate::{EVENTS, RECORDER, sure, writing};
use aarch64_ftrace::record::{Item, Reader};
use aarch64_ftrace::{Counts, Mode};

/// What was read of one core, in events.
pub struct Seen {
    reader: Option<Reader>,
    /// Of this recording, of whatever kind.
    of_this: u64,
    whole: u64,
    lost: u64,
}

impl Seen {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self {
            reader: None,
            of_this: 0,
            whole: 0,
            lost: 0,
        }
    }

    /// Reads what is there. Where a full ring stops, and all of it is read, the writer is asked for room.
    pub fn read(&mut self, core: usize, mode: Mode) {
        if writing::is_drained(core) {
            return;
        }
        let reader = self
            .reader
            .get_or_insert_with(|| sure(RECORDER.read(core)).finished_only());
        reader.go_on();
        for item in reader {
            let events = match item {
                Item::Event { .. } => {
                    self.whole += 1;
                    1
                }
                Item::Overwritten(events) => {
                    self.lost += events;
                    events
                }
                Item::Unfinished { .. } => panic!("only finished ones were asked for"),
            };
            self.of_this += events;
        }
        if mode == Mode::StopWhenFull && self.of_this == EVENTS {
            self.reader = None;
            self.of_this = 0;
            writing::drained(core);
        }
    }

    /// # Panics
    /// Where an event is not accounted for.
    pub fn assert_all(&self, counts: Counts, calls: u64, mode: Mode) {
        assert_eq!(counts.written + counts.dropped, calls, "{counts:?}");
        assert_eq!(self.whole + self.lost, counts.written);
        match mode {
            Mode::Overwrite => assert_eq!(counts.dropped, 0),
            Mode::StopWhenFull => assert_eq!((counts.overwritten, self.lost), (0, 0)),
        }
    }

    /// Events that were read whole.
    pub const fn whole(&self) -> u64 {
        self.whole
    }

    /// Events that were overwritten before they were read.
    pub const fn lost(&self) -> u64 {
        self.lost
    }
}
