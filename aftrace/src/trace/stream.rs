//! Reads a file of frames (docs/trace-format.md, section 3) as it comes: bounded memory, every damage named, nothing after it lost.

use std::io::{self, Read};

use aarch64_ftrace::trace::{FRAME_HEAD_BYTES, PAYLOAD_BYTES_MAX};

const MAGIC: &[u8; 4] = b"AFT\xf1";
const FRAME_MAX: usize = FRAME_HEAD_BYTES + PAYLOAD_BYTES_MAX as usize;
/// Twice the largest frame, so that moving the rest to the front costs little.
const BUFFER: usize = 2 * FRAME_MAX;
/// What may be hashed for frames that turn out to be none: at once, and for each byte that is passed. Damage takes one byte for
/// each, the damaged frame once. Who writes magics everywhere, each with the largest length, must not get that for each of them;
/// a frame that stands behind so many may be passed over with them.
const VAIN_MAX: usize = 16 * FRAME_MAX;
const VAIN_BY_BYTE: usize = 16;

/// A frame whose CRC is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The number of its kind; readers skip those that they do not know.
    pub kind: u8,
    /// The core, 0xffff where none is meant.
    pub core: u16,
    /// Its number in its stream.
    pub number: u32,
    /// Where it begins in the file.
    pub offset: u64,
    /// What it carries.
    pub payload: &'a [u8],
}

/// Bytes that are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Where they begin in the file.
    pub offset: u64,
    /// How many they are.
    pub bytes: u64,
}

/// What a file consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A frame.
    Frame(Frame<'a>),
    /// What was passed over to find the next frame, or the file's end.
    Damage(Damage),
}

/// Reads pieces. Holds two frames of the largest kind, whatever the file says of itself.
pub struct Reader<R> {
    source: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Of `start` in the file.
    offset: u64,
    exhausted: bool,
    /// What may still be hashed in vain.
    trust: usize,
    work: u64,
}

impl<R: Read> Reader<R> {
    /// A reader of what `source` gives.
    pub fn new(source: R) -> Self {
        Self {
            source,
            buffer: vec![0; BUFFER],
            start: 0,
            end: 0,
            offset: 0,
            exhausted: false,
            trust: VAIN_MAX,
            work: 0,
        }
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// Those of the source.
    #[allow(
        clippy::should_implement_trait,
        reason = "the piece borrows from the reader"
    )]
    pub fn next(&mut self) -> io::Result<Option<Piece<'_>>> {
        let offset = self.offset;
        let frame = loop {
            if let Some(bytes) = self.frame_here()? {
                break Some(bytes);
            }
            if self.start == self.end {
                break None;
            }
            self.skip_to_magic();
        };
        let bytes = self.offset - offset;
        if bytes > 0 {
            return Ok(Some(Piece::Damage(Damage { offset, bytes })));
        }
        let Some(length) = frame else {
            return Ok(None);
        };
        self.pass(length);
        let frame = &self.buffer[self.start - length..self.start];
        Ok(Some(Piece::Frame(Frame {
            kind: frame[4],
            core: u16::from_le_bytes([frame[6], frame[7]]),
            number: u32_at(frame, 12),
            offset,
            payload: &frame[FRAME_HEAD_BYTES..],
        })))
    }

    /// The length of the frame that begins at `start`, if one does.
    fn frame_here(&mut self) -> io::Result<Option<usize>> {
        if !self.fill(FRAME_HEAD_BYTES)? {
            return Ok(None);
        }
        let head = &self.buffer[self.start..self.start + FRAME_HEAD_BYTES];
        let payload = u32_at(head, 8);
        if &head[..4] != MAGIC || payload > PAYLOAD_BYTES_MAX {
            return Ok(None);
        }
        let length = FRAME_HEAD_BYTES + payload as usize;
        if self.trust < length || !self.fill(length)? {
            return Ok(None);
        }
        let frame = &self.buffer[self.start..self.start + length];
        let mut crc = crc32fast::Hasher::new();
        crc.update(&frame[..16]);
        crc.update(&frame[FRAME_HEAD_BYTES..]);
        let right = crc.finalize() == u32_at(frame, 16);
        if !right {
            self.trust -= length;
            self.work += length as u64;
        }
        Ok(right.then_some(length))
    }

    /// Whether there are this many bytes from `start` on.
    fn fill(&mut self, needed: usize) -> io::Result<bool> {
        if self.start + needed > self.buffer.len() && !self.exhausted {
            self.buffer.copy_within(self.start..self.end, 0);
            self.work += (self.end - self.start) as u64;
            self.end -= self.start;
            self.start = 0;
        }
        while self.end - self.start < needed && !self.exhausted {
            match self.source.read(&mut self.buffer[self.end..]) {
                Ok(0) => self.exhausted = true,
                Ok(bytes) => self.end += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.end - self.start >= needed)
    }

    /// At least one byte on, to what may be a frame.
    fn skip_to_magic(&mut self) {
        let rest = &self.buffer[self.start + 1..self.end];
        let found = rest.windows(MAGIC.len()).position(|window| window == MAGIC);
        // Without one, its first bytes may still be the last of the buffer.
        let kept = if self.exhausted { 0 } else { MAGIC.len() - 1 };
        let skipped = 1 + found.unwrap_or(rest.len().saturating_sub(kept));
        self.pass(skipped);
    }

    fn pass(&mut self, bytes: usize) {
        self.start += bytes;
        self.offset += bytes as u64;
        self.trust = (self.trust + VAIN_BY_BYTE * bytes).min(VAIN_MAX);
    }

    /// Bytes that were hashed for what is no frame, or moved: in proportion to what was read, whatever that says of itself.
    pub const fn work(&self) -> u64 {
        self.work
    }
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
