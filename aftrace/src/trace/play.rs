//! The second pass over a trace: the events of all cores in the order of their time, a piece of each core held at a time.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use super::file::Span;
use super::stream::u64_at;
use aarch64_ftrace::trace::{EVENT_BYTES, Event};

const SLOT: usize = EVENT_BYTES as usize;

/// An event as the file has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// The core that wrote it.
    pub core: u16,
    /// The event.
    pub event: Event,
    /// Events that are missing directly before it.
    pub missing: u64,
}

pub(super) struct Cursor<'t> {
    core: u16,
    spans: &'t [Span],
    /// The span that `held` is of, and how many of its events were read.
    at: usize,
    taken: u32,
    held: Vec<u8>,
    from: usize,
    until: usize,
    missing: u64,
    next: Option<Item>,
}

impl<'t> Cursor<'t> {
    /// Before the first event; holds so many bytes.
    pub(super) fn new(core: u16, spans: &'t [Span], held: usize) -> Self {
        Self {
            core,
            spans,
            at: 0,
            taken: 0,
            held: vec![0; held],
            from: 0,
            until: 0,
            missing: 0,
            next: None,
        }
    }

    pub(super) fn advance(&mut self, file: &File) -> io::Result<()> {
        while self.from == self.until {
            let Some(span) = self.spans.get(self.at) else {
                self.next = None;
                return Ok(());
            };
            if self.taken == 0 {
                self.missing = self.missing.saturating_add(span.missing);
            }
            let left = (span.events - self.taken) as usize * SLOT;
            self.from = 0;
            self.until = left.min(self.held.len());
            let offset = span.offset + u64::from(self.taken) * EVENT_BYTES;
            file.read_exact_at(&mut self.held[..self.until], offset)?;
            self.taken += (self.until / SLOT) as u32;
            if self.taken == span.events {
                self.at += 1;
                self.taken = 0;
            }
        }
        let word = |at: usize| u64_at(&self.held, at);
        self.next = Some(Item {
            core: self.core,
            event: Event([word(self.from), word(self.from + 8)]),
            missing: std::mem::take(&mut self.missing),
        });
        self.from += SLOT;
        Ok(())
    }
}

/// The events of a trace in the order of their time.
pub struct Events<'t> {
    file: &'t File,
    cursors: Vec<Cursor<'t>>,
}

impl<'t> Events<'t> {
    pub(super) const fn new(file: &'t File, cursors: Vec<Cursor<'t>>) -> Self {
        Self { file, cursors }
    }

    /// The next one.
    ///
    /// # Errors
    /// The system cannot read the file any more.
    #[allow(
        clippy::should_implement_trait,
        reason = "errors stand outside, so that `?` works"
    )]
    pub fn next(&mut self) -> io::Result<Option<Item>> {
        let time = |cursor: &Cursor<'_>| cursor.next.map(|item| item.event.time());
        let mut first: Option<(u64, usize)> = None;
        for (index, cursor) in self.cursors.iter().enumerate() {
            if let Some(time) = time(cursor)
                && first.is_none_or(|(earliest, _)| time < earliest)
            {
                first = Some((time, index));
            }
        }
        let Some((_, index)) = first else {
            return Ok(None);
        };
        let cursor = &mut self.cursors[index];
        let item = cursor.next;
        cursor.advance(self.file)?;
        Ok(item)
    }

    /// What follows on this core.
    #[must_use]
    pub fn peek(&self, core: u16) -> Option<Item> {
        self.cursors.iter().find(|c| c.core == core)?.next
    }

    /// Takes what follows on this core.
    ///
    /// # Errors
    /// The system cannot read the file any more.
    pub fn next_of(&mut self, core: u16) -> io::Result<Option<Item>> {
        let Some(cursor) = self.cursors.iter_mut().find(|c| c.core == core) else {
            return Ok(None);
        };
        let item = cursor.next;
        cursor.advance(self.file)?;
        Ok(item)
    }
}
