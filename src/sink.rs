//! [`Sink`]: where a recording goes, and [`Stream`], which writes it there in frames (docs/trace-format.md, section 3).
#![forbid(unsafe_code)]

mod semihosting;

pub use semihosting::HostFile;

use crate::trace::{CobsEncoder, FrameKind, HEADER_BYTES, NO_CORE, frame_head};
use core::fmt;

/// Something that takes bytes: a file, a serial line, memory.
pub trait Sink {
    /// Takes all of `bytes`, or an error; waits where it must.
    ///
    /// # Errors
    /// [`SinkError`]. Some of the bytes may have been taken.
    fn write(&mut self, bytes: &[u8]) -> Result<(), SinkError>;

    /// A frame begins: who shares the line with others keeps them away until [`Sink::frame_ends`], which comes whatever
    /// happens in between.
    fn frame_begins(&mut self) {}

    /// See [`Sink::frame_begins`].
    fn frame_ends(&mut self) {}
}

impl<S: Sink + ?Sized> Sink for &mut S {
    fn write(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        (**self).write(bytes)
    }

    fn frame_begins(&mut self) {
        (**self).frame_begins();
    }

    fn frame_ends(&mut self) {
        (**self).frame_ends();
    }
}

/// Why a sink took no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SinkError {
    /// There is no room for so many bytes.
    Full {
        /// They did not fit.
        bytes: usize,
    },
    /// The device says no, with a code of its own.
    Device(i64),
    /// More bytes in one frame than a frame has.
    Frame,
}

impl fmt::Display for SinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Full { bytes } => write!(f, "the sink has no room for {bytes} more bytes"),
            Self::Device(code) => write!(f, "the sink's device answered {code}"),
            Self::Frame => write!(f, "the payload is too long for one frame"),
        }
    }
}

impl core::error::Error for SinkError {}

/// A sink into memory.
#[derive(Debug)]
pub struct MemorySink<'a> {
    memory: &'a mut [u8],
    len: usize,
}

impl<'a> MemorySink<'a> {
    /// Writes to `memory`, from its start.
    pub fn new(memory: &'a mut [u8]) -> Self {
        Self { memory, len: 0 }
    }

    /// What was written.
    pub fn written(&self) -> &[u8] {
        &self.memory[..self.len]
    }
}

impl Sink for MemorySink<'_> {
    /// All or nothing.
    fn write(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        let end = self.len.saturating_add(bytes.len());
        let room = self.memory.get_mut(self.len..end);
        room.ok_or(SinkError::Full { bytes: bytes.len() })?
            .copy_from_slice(bytes);
        self.len = end;
        Ok(())
    }
}

/// What stands before and behind the frames of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// Nothing: they follow one another.
    File,
    /// Zeroes, and COBS between them.
    Serial,
}

/// On a serial line the header is sent again after so many frames: who listens late understands all that follows.
const HEADER_EVERY: u32 = 64;
/// What stands before and behind a frame on a serial line.
const FRAME_BEGINS: [u8; 2] = [0, 1];
const FRAME_ENDS: [u8; 1] = [0];

/// Writes frames to a sink, and numbers them.
#[derive(Debug)]
pub struct Stream<S> {
    sink: S,
    line: Line,
    header: [u8; HEADER_BYTES],
    number: u32,
}

impl<S: Sink> Stream<S> {
    /// A stream of bytes that carries nothing else: a file, memory.
    pub fn file(sink: S) -> Self {
        Self::new(sink, Line::File)
    }

    /// A stream that shares its line with text. What the console prints between two frames arrives as text; nothing may
    /// print within one ([`Sink::write`] is called several times for each, between [`Sink::frame_begins`] and
    /// [`Sink::frame_ends`]).
    pub fn serial(sink: S) -> Self {
        Self::new(sink, Line::Serial)
    }

    fn new(sink: S, line: Line) -> Self {
        Self {
            sink,
            line,
            header: [0; HEADER_BYTES],
            number: 0,
        }
    }

    /// Sends the region's header, which every stream begins with.
    ///
    /// # Errors
    /// Those of the sink.
    pub fn header(&mut self, header: &[u8; HEADER_BYTES]) -> Result<(), SinkError> {
        self.header = *header;
        self.put(FrameKind::Header, NO_CORE, &[header])
    }

    /// Sends a frame, its payload in parts; [`NO_CORE`] where it is of no core.
    ///
    /// # Errors
    /// Those of the sink, and [`SinkError::Frame`].
    pub fn frame(
        &mut self,
        kind: FrameKind,
        core: u16,
        payload: &[&[u8]],
    ) -> Result<(), SinkError> {
        if self.line == Line::Serial && self.number.is_multiple_of(HEADER_EVERY) && self.number > 0
        {
            let header = self.header;
            self.put(FrameKind::Header, NO_CORE, &[&header])?;
        }
        self.put(kind, core, payload)
    }

    fn put(&mut self, kind: FrameKind, core: u16, payload: &[&[u8]]) -> Result<(), SinkError> {
        let head = frame_head(kind, core, self.number, payload).map_err(|_| SinkError::Frame)?;
        let parts = core::iter::once(&head[..]).chain(payload.iter().copied());
        self.number = self.number.wrapping_add(1);
        self.sink.frame_begins();
        let written = write_frame(&mut self.sink, self.line, parts);
        self.sink.frame_ends();
        written
    }

    /// How many frames were sent.
    pub fn frames(&self) -> u32 {
        self.number
    }

    /// The sink.
    pub fn into_inner(self) -> S {
        self.sink
    }
}

fn write_frame<'p, S: Sink>(
    sink: &mut S,
    line: Line,
    mut parts: impl Iterator<Item = &'p [u8]>,
) -> Result<(), SinkError> {
    match line {
        Line::File => parts.try_for_each(|part| sink.write(part)),
        Line::Serial => {
            sink.write(&FRAME_BEGINS)?;
            let mut cobs = CobsEncoder::new();
            for part in parts {
                cobs.put(part, |run| sink.write(run))?;
            }
            cobs.end(|run| sink.write(run))?;
            sink.write(&FRAME_ENDS)
        }
    }
}
