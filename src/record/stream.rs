//! Sending what is recorded to a sink.
#![forbid(unsafe_code)]

use super::reader::Before;
use super::task_names::send_task_names;
use super::{Item, Reader, RecordError, Recorder};
use crate::arch;
use crate::ring::{Control, Counts};
use crate::sink::{Sink, SinkError, Stream};
use crate::trace::{
    EVENT_BYTES, EndReason, Event, FrameCounts, FrameKind, NO_CORE, counts_payload, end_payload,
    events_head,
};
use core::fmt;

/// Events of one frame: so many as a kernel's stack has room for.
const BATCH: usize = 32;

/// Why a recording was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// There is none.
    Record(RecordError),
    /// The sink's.
    Sink(SinkError),
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record(error) => error.fmt(f),
            Self::Sink(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for SendError {}

impl From<RecordError> for SendError {
    fn from(error: RecordError) -> Self {
        Self::Record(error)
    }
}

impl From<SinkError> for SendError {
    fn from(error: SinkError) -> Self {
        Self::Sink(error)
    }
}

impl Recorder {
    /// Sends all that the rings hold now, of every core in its turn: header, names of tasks, events, counts, end. Writers go on meanwhile, and
    /// what they overwrite before it is sent is counted in the stream.
    ///
    /// # Errors
    /// [`SendError`]. What was sent until then is a stream without an end.
    ///
    /// # Context
    /// Where the sink may be written to. Takes no lock and no memory but 1200 bytes of stack.
    pub fn send<S: Sink>(
        &'static self,
        stream: &mut Stream<S>,
        reason: EndReason,
    ) -> Result<(), SendError> {
        self.send_rings(stream, reason, |core| {
            // Also keeps what was refused until now with the ring.
            self.counts(core)?;
            self.ring(core)
        })
    }

    /// Sends the rings that `ring` names, of every core in its turn.
    pub(super) fn send_rings<S: Sink>(
        &'static self,
        stream: &mut Stream<S>,
        reason: EndReason,
        ring: impl Fn(usize) -> Result<&'static Control, RecordError>,
    ) -> Result<(), SendError> {
        let header = self.header()?;
        stream.header(&header.to_bytes())?;
        send_task_names(stream, self.installed()?.region.task_names().iter())?;
        for core in 0..header.cpus {
            let ring = ring(core as usize)?;
            let reader = Reader::new(ring);
            send_core(stream, core, reader.before(), reader, || ring.counts())?;
        }
        end(stream, reason)
    }
}

/// The last frame.
pub(super) fn end<S: Sink>(stream: &mut Stream<S>, reason: EndReason) -> Result<(), SendError> {
    let end = end_payload(arch::ticks(), reason);
    Ok(stream.frame(FrameKind::End, NO_CORE, &[&end])?)
}

/// Sends the events of one core, and then what became of the others. `before` says what was lost before the first item.
pub(super) fn send_core<S: Sink>(
    stream: &mut Stream<S>,
    core: u32,
    before: Before,
    items: impl Iterator<Item = Item>,
    counts: impl FnOnce() -> Counts,
) -> Result<(), SinkError> {
    // There are no more cores than a frame can number.
    let number = u16::try_from(core).unwrap_or(NO_CORE);
    let mut batch = Batch::new(before);
    let mut unfinished = 0;
    for item in items {
        let lost = match item {
            Item::Event { event, .. } => {
                if batch.len == BATCH {
                    batch.send(stream, number)?;
                }
                batch.push(event);
                continue;
            }
            Item::Overwritten(lost) => lost,
            Item::Unfinished { .. } => {
                unfinished += 1;
                1
            }
        };
        batch.send(stream, number)?;
        batch.lose(lost);
    }
    batch.end(stream, number)?;
    let counts = counts();
    let payload = counts_payload(FrameCounts {
        written: counts.written,
        overwritten: counts.overwritten,
        dropped: counts.dropped,
        unfinished,
        refused: counts.refused,
    });
    stream.frame(FrameKind::Counts, number, &[&payload])
}

/// Events that follow one another, until a frame is full of them.
struct Batch {
    events: [u8; BATCH * EVENT_BYTES as usize],
    len: usize,
    /// The number of the first event.
    first: u64,
    /// Events lost directly before the first.
    lost: u64,
}

impl Batch {
    fn new(before: Before) -> Self {
        Self {
            events: [0; BATCH * EVENT_BYTES as usize],
            len: 0,
            first: before.first,
            lost: before.lost,
        }
    }

    fn push(&mut self, event: Event) {
        let from = self.len * EVENT_BYTES as usize;
        if let Some(slot) = self.events[from..].first_chunk_mut() {
            *slot = event.without_lap().to_bytes();
            self.len += 1;
        }
    }

    /// Passes over events, when those before them have been sent.
    fn lose(&mut self, lost: u64) {
        self.first += lost;
        self.lost += lost;
    }

    /// Sends the events, if there are any. Losses wait for the event behind them.
    fn send<S: Sink>(&mut self, stream: &mut Stream<S>, core: u16) -> Result<(), SinkError> {
        if self.len == 0 {
            return Ok(());
        }
        self.send_all(stream, core)
    }

    /// The last of a core: also losses behind the last event, in a frame without events.
    fn end<S: Sink>(mut self, stream: &mut Stream<S>, core: u16) -> Result<(), SinkError> {
        if self.len == 0 && self.lost == 0 {
            return Ok(());
        }
        self.send_all(stream, core)
    }

    fn send_all<S: Sink>(&mut self, stream: &mut Stream<S>, core: u16) -> Result<(), SinkError> {
        let head = events_head(self.first, core::mem::take(&mut self.lost));
        let len = core::mem::take(&mut self.len);
        self.first += len as u64;
        stream.frame(
            FrameKind::Events,
            core,
            &[&head, &self.events[..len * EVENT_BYTES as usize]],
        )
    }
}
