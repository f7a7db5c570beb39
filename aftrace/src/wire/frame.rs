//! Frames: what a stream consists of (docs/trace-format.md, section 3).
#![forbid(unsafe_code)]

use super::crc32_of;
use core::fmt;

/// Bytes of a frame before its payload.
pub const FRAME_HEAD_BYTES: usize = 24;
/// Most bytes of a payload.
pub const PAYLOAD_BYTES_MAX: u32 = 1 << 20;
/// The core of a frame that is of none.
pub const NO_CORE: u16 = 0xffff;
/// Bytes of an EVENTS payload before its events.
pub const EVENTS_HEAD_BYTES: usize = 16;

const MAGIC: [u8; 4] = *b"AFT\xf1";

/// Offsets in a frame's head.
mod at {
    pub(super) const KIND: usize = 4;
    pub(super) const CORE: usize = 6;
    pub(super) const BYTES: usize = 8;
    pub(super) const NUMBER: usize = 12;
    pub(super) const CRC: usize = 16;
}

/// What a frame carries. Readers skip other numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FrameKind {
    /// The region's header.
    Header = 1,
    /// Events of one core.
    Events = 2,
    /// What became of one core's events.
    Counts = 3,
    /// Names of tasks.
    Tasks = 4,
    /// Names of functions, by the host.
    Symbols = 5,
    /// A profile of one core.
    Profile = 6,
    /// The functions that were called.
    Coverage = 7,
    /// Nothing follows.
    End = 8,
    /// Bytes of the console, by the host.
    Console = 9,
}

impl FrameKind {
    const ALL: [Self; 9] = [
        Self::Header,
        Self::Events,
        Self::Counts,
        Self::Tasks,
        Self::Symbols,
        Self::Profile,
        Self::Coverage,
        Self::End,
        Self::Console,
    ];

    /// The kind with this number; `None` for one that this version does not know.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|&kind| kind as u8 == code)
    }
}

/// A frame that was read: its head is right, and its CRC that of its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The number of its kind: [`FrameKind::from_code`].
    pub kind: u8,
    /// The core, or [`NO_CORE`].
    pub core: u16,
    /// Its number in the stream.
    pub number: u32,
    /// What it carries.
    pub payload: &'a [u8],
}

/// Why bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameError {
    /// Not the magic.
    Magic,
    /// The frame ends behind the bytes that there are.
    Short {
        /// Bytes that the frame has, as far as is known.
        needed: usize,
    },
    /// More bytes of payload than a frame has.
    Length(u32),
    /// The CRC is another: damaged.
    Crc {
        /// In the frame.
        stored: u32,
        /// Of its bytes.
        computed: u32,
    },
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Magic => write!(f, "no frame begins here"),
            Self::Short { needed } => {
                write!(f, "the frame has {needed} bytes, and they are not all here")
            }
            Self::Length(bytes) => write!(
                f,
                "a payload of {bytes} bytes; the most is {PAYLOAD_BYTES_MAX}"
            ),
            Self::Crc { stored, computed } => {
                write!(
                    f,
                    "the frame's CRC is {stored:#010x}, its bytes have {computed:#010x}"
                )
            }
        }
    }
}

impl core::error::Error for FrameError {}

/// The 24 bytes before a payload, which may be given in parts.
///
/// # Errors
/// [`FrameError::Length`].
pub fn frame_head(
    kind: FrameKind,
    core: u16,
    number: u32,
    payload: &[&[u8]],
) -> Result<[u8; FRAME_HEAD_BYTES], FrameError> {
    let bytes = payload
        .iter()
        .fold(0, |sum: usize, part| sum.saturating_add(part.len()));
    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
    if bytes > PAYLOAD_BYTES_MAX {
        return Err(FrameError::Length(bytes));
    }
    let mut head = [0; FRAME_HEAD_BYTES];
    let mut put = |at: usize, value: &[u8]| head[at..at + value.len()].copy_from_slice(value);
    put(0, &MAGIC);
    put(at::KIND, &[kind as u8]);
    put(at::CORE, &core.to_le_bytes());
    put(at::BYTES, &bytes.to_le_bytes());
    put(at::NUMBER, &number.to_le_bytes());
    let crc = crc32_of(core::iter::once(&head[..at::CRC]).chain(payload.iter().copied()));
    head[at::CRC..at::CRC + size_of::<u32>()].copy_from_slice(&crc.to_le_bytes());
    Ok(head)
}

impl<'a> Frame<'a> {
    /// Reads the frame that begins with the first byte; also says how many bytes it has.
    ///
    /// # Errors
    /// [`FrameError`]: the caller looks for the next magic ([`Frame::find`]), or for more bytes.
    pub fn parse(bytes: &'a [u8]) -> Result<(Self, usize), FrameError> {
        let magic = bytes.len().min(MAGIC.len());
        if bytes[..magic] != MAGIC[..magic] {
            return Err(FrameError::Magic);
        }
        let Some((head, rest)) = bytes.split_at_checked(FRAME_HEAD_BYTES) else {
            return Err(FrameError::Short {
                needed: FRAME_HEAD_BYTES,
            });
        };
        let length = u32_at(head, at::BYTES);
        if length > PAYLOAD_BYTES_MAX {
            return Err(FrameError::Length(length));
        }
        let needed = FRAME_HEAD_BYTES + length as usize;
        let Some(payload) = rest.get(..length as usize) else {
            return Err(FrameError::Short { needed });
        };
        let (stored, computed) = (u32_at(head, at::CRC), crc32_of([&head[..at::CRC], payload]));
        if stored != computed {
            return Err(FrameError::Crc { stored, computed });
        }
        let frame = Self {
            kind: head[at::KIND],
            core: u16::from_le_bytes([head[at::CORE], head[at::CORE + 1]]),
            number: u32_at(head, at::NUMBER),
            payload,
        };
        Ok((frame, needed))
    }

    /// Where the next magic begins in `bytes`.
    pub fn find(bytes: &[u8]) -> Option<usize> {
        bytes
            .windows(MAGIC.len())
            .position(|window| window == MAGIC)
    }
}

/// The head of an EVENTS payload: the number of its first event, and how many were lost directly before it.
pub fn events_head(first: u64, lost: u64) -> [u8; EVENTS_HEAD_BYTES] {
    words([first, lost])
}

/// The payload of an END.
pub fn end_payload(ticks: u64, reason: EndReason) -> [u8; 16] {
    words([ticks, reason as u64])
}

/// The payload of a COUNTS.
pub fn counts_payload(counts: FrameCounts) -> [u8; 40] {
    words([
        counts.written,
        counts.overwritten,
        counts.dropped,
        counts.unfinished,
        counts.refused,
    ])
}

/// Why a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum EndReason {
    /// Somebody asked for it.
    Asked = 1,
    /// The kernel panicked.
    Panic = 2,
    /// A trigger.
    Trigger = 3,
    /// Found after a warm reset.
    WarmReset = 4,
}

/// What became of one core's events, in events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameCounts {
    /// Written since the recording began.
    pub written: u64,
    /// Of those, written over by later ones.
    pub overwritten: u64,
    /// Not written because the ring was full.
    pub dropped: u64,
    /// Given up: reserved, and not stored while the reader looked.
    pub unfinished: u64,
    /// Not written because recording was off.
    pub refused: u64,
}

fn words<const N: usize, const BYTES: usize>(words: [u64; N]) -> [u8; BYTES] {
    const { assert!(BYTES == N * size_of::<u64>()) };
    let mut bytes = [0; BYTES];
    for (to, word) in bytes.chunks_exact_mut(size_of::<u64>()).zip(words) {
        to.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
