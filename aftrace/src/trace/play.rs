//! The second pass over a trace: the events of all cores in the order of their time, a piece of each core held at a time.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use super::file::{Progress, Span};
use super::stream::u64_at;
use aarch64_ftrace::trace::{EVENT_BYTES, Event, Type};

const SLOT: usize = EVENT_BYTES as usize;
/// So many events of a core may stand before one that is older than they are.
const LATE_MAX: usize = 256;

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
    /// The time of `next`. DATA has none of its own: it belongs to the event before it.
    time: u64,
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
            time: 0,
        }
    }

    /// How many it has in all.
    pub(super) fn events(&self) -> u64 {
        self.spans.iter().map(|span| u64::from(span.events)).sum()
    }

    /// Whether something is missing between the event that was taken last and the next one, or the end.
    fn is_in_gap(&self) -> bool {
        self.next.map_or(self.missing, |next| next.missing) > 0
    }

    fn time_of_next(&self) -> Option<u64> {
        self.next.map(|_| self.time)
    }

    pub(super) fn advance(&mut self, file: &File) -> io::Result<()> {
        while self.from == self.until {
            if self.at == self.spans.len() {
                self.next = None;
                return Ok(());
            }
            self.fill(file)?;
        }
        let event = slot(&self.held, self.from / SLOT);
        self.next = Some(Item {
            core: self.core,
            event,
            missing: std::mem::take(&mut self.missing),
        });
        if event.kind() != Some(Type::Data) {
            self.time = event.time();
        }
        self.from += SLOT;
        Ok(())
    }

    /// As many events as there is room for, from as many spans as stand without a loss between them.
    fn fill(&mut self, file: &File) -> io::Result<()> {
        (self.from, self.until) = (0, 0);
        while let Some(span) = self.spans.get(self.at) {
            let free = self.held.len() - self.until;
            if self.taken == 0 {
                if self.until > 0 && (span.missing > 0 || free == 0) {
                    break;
                }
                self.missing = self.missing.saturating_add(span.missing);
            }
            let bytes = free.min((span.events - self.taken) as usize * SLOT);
            let offset = span.offset + u64::from(self.taken) * EVENT_BYTES;
            file.read_exact_at(&mut self.held[self.until..self.until + bytes], offset)?;
            self.until += bytes;
            self.taken += (bytes / SLOT) as u32;
            if self.taken < span.events {
                break;
            }
            self.at += 1;
            self.taken = 0;
        }
        in_order(&mut self.held[..self.until]);
        Ok(())
    }
}

fn slot(events: &[u8], index: usize) -> Event {
    let word = |at: usize| u64_at(events, at);
    Event([word(index * SLOT), word(index * SLOT + 8)])
}

/// Puts events in the order of their time. They are so already, but where a core was interrupted between reading the counter and
/// reserving the slot, or the other way round: then what the interrupt did stands on the wrong side. DATA stays behind its event.
fn in_order(events: &mut [u8]) {
    let is_data = |event: Event| event.kind() == Some(Type::Data);
    let mut latest = 0;
    for index in 0..events.len() / SLOT {
        let event = slot(events, index);
        let time = event.time();
        if is_data(event) {
            continue;
        }
        if time >= latest {
            latest = time;
            continue;
        }
        let floor = index.saturating_sub(LATE_MAX);
        let mut place = Some(index);
        for before in (floor..index).rev() {
            let earlier = slot(events, before);
            if is_data(earlier) {
                continue;
            }
            if earlier.time() <= time {
                break;
            }
            place = (before > floor || floor == 0).then_some(before);
        }
        // Too far back to be what an interrupt does.
        let Some(place) = place else { continue };
        let data = (index + 1..events.len() / SLOT)
            .take_while(|&next| is_data(slot(events, next)))
            .count();
        events[place * SLOT..(index + 1 + data) * SLOT].rotate_right((1 + data) * SLOT);
    }
}

/// Which calls have an ENTRY, as far as their number says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entries {
    /// None: short calls are left out.
    None,
    /// Some may have none, as where short calls are left out of a part; so of few calls, too.
    Some,
    /// All of which the trace has not lost them.
    All,
}

/// The events of a trace in the order of their time.
pub struct Events<'t> {
    file: &'t File,
    /// In the order of their cores.
    cursors: Vec<Cursor<'t>>,
    /// Of the cursors that have an event its time, where they are many.
    order: Option<BTreeSet<(u64, usize)>>,
    progress: &'t Progress,
    /// Events given, and in all.
    given: u64,
    events: u64,
    /// Cursors that are where something is missing.
    in_gaps: usize,
    /// Which calls have an ENTRY in the trace.
    pub(super) entries: Entries,
}

/// Of so many events the progress is told once.
const TOLD: u64 = 1 << 16;

/// Of so many cores each is looked at for the next event, which is quicker than to keep their order. A file may name 65,536.
const CORES_FEW: usize = 64;

impl<'t> Events<'t> {
    pub(super) fn new(
        file: &'t File,
        cursors: Vec<Cursor<'t>>,
        progress: &'t Progress,
        events: u64,
        entries: Entries,
    ) -> Self {
        let order = (cursors.len() > CORES_FEW).then(|| {
            let all = cursors.iter().enumerate();
            all.filter_map(|(index, cursor)| Some((cursor.time_of_next()?, index)))
                .collect()
        });
        let in_gaps = cursors.iter().filter(|cursor| cursor.is_in_gap()).count();
        Self {
            file,
            cursors,
            order,
            progress,
            given: 0,
            events,
            in_gaps,
            entries,
        }
    }

    /// Whether it is not known what another core than this one does now, between two events of which the first was taken.
    #[must_use]
    pub fn is_gap_elsewhere(&self, core: u16) -> bool {
        let own = self
            .of_core(core)
            .is_some_and(|index| self.cursors[index].is_in_gap());
        self.in_gaps > usize::from(own)
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
        let first = match &self.order {
            Some(order) => order.first().map(|(_, index)| *index),
            None => self.earliest(),
        };
        match first {
            Some(index) => self.take(index),
            None => {
                let all = self.events * EVENT_BYTES;
                (self.progress)(all, all);
                Ok(None)
            }
        }
    }

    fn earliest(&self) -> Option<usize> {
        let mut first: Option<(u64, usize)> = None;
        for (index, cursor) in self.cursors.iter().enumerate() {
            if cursor.next.is_some() && first.is_none_or(|(earliest, _)| cursor.time < earliest) {
                first = Some((cursor.time, index));
            }
        }
        first.map(|(_, index)| index)
    }

    fn take(&mut self, index: usize) -> io::Result<Option<Item>> {
        if self.given.is_multiple_of(TOLD) {
            (self.progress)(self.given * EVENT_BYTES, self.events * EVENT_BYTES);
        }
        self.given += 1;
        let cursor = &mut self.cursors[index];
        let before = cursor.time_of_next();
        let item = cursor.next;
        self.in_gaps -= usize::from(cursor.is_in_gap());
        let advanced = cursor.advance(self.file);
        self.in_gaps += usize::from(cursor.is_in_gap());
        advanced?;
        if let Some(order) = &mut self.order {
            before.map(|time| order.remove(&(time, index)));
            cursor
                .time_of_next()
                .map(|time| order.insert((time, index)));
        }
        Ok(item)
    }

    fn of_core(&self, core: u16) -> Option<usize> {
        self.cursors.binary_search_by_key(&core, |c| c.core).ok()
    }

    /// What follows on this core.
    #[must_use]
    pub fn peek(&self, core: u16) -> Option<Item> {
        self.cursors[self.of_core(core)?].next
    }

    /// Takes what follows on this core.
    ///
    /// # Errors
    /// The system cannot read the file any more.
    pub fn next_of(&mut self, core: u16) -> io::Result<Option<Item>> {
        match self.of_core(core) {
            Some(index) => self.take(index),
            None => Ok(None),
        }
    }
}
