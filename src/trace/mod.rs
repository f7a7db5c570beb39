//! The trace format as docs/trace-format.md has it: events, the region's header, control blocks. Shared by the recorders,
//! which write it, and the host, which reads it. Pure bits: no memory is touched here.
#![forbid(unsafe_code)]

mod cobs;
mod control;
mod crc;
mod frame;
mod header;
mod region;
mod sums;
mod task_names;

pub use cobs::{CobsEncoder, cobs_decode};
pub use control::{Control, control_crc};
pub use crc::{crc32, crc32_of};
pub use frame::{
    EVENTS_HEAD_BYTES, EndReason, FRAME_HEAD_BYTES, Frame, FrameCounts, FrameError, FrameKind,
    NO_CORE, PAYLOAD_BYTES_MAX, counts_payload, end_payload, events_head, frame_head,
};
pub use header::{BUILD_ID_BYTES, FLAG_SURVIVES, Header, HeaderError};
pub use region::{Region, RegionError, Ring};
pub use sums::{
    COVERAGE_ENTRY_BYTES, PROFILE_ENTRY_BYTES, ProfileEntry, coverage_entries, profile_entries,
};
pub use task_names::{TASK_ENTRY_BYTES, TASK_NAME_BYTES, TASK_NAMES_MAX, TaskEntry, TaskName};

/// Bytes of one event: two 64-bit words.
pub const EVENT_BYTES: u64 = 16;
/// Least bytes of a ring.
pub const RING_BYTES_MIN: u64 = 4096;
/// Most bytes of a ring: so that a position never wraps within a machine's life.
pub const RING_BYTES_MAX: u64 = 1 << 40;
/// Alignment of a region, and of each ring in it.
pub const REGION_ALIGN: usize = 4096;
/// Bytes of the region's header.
pub const HEADER_BYTES: usize = 256;
/// Bytes of a ring's control block.
pub const CONTROL_BYTES: usize = 128;
/// Text that events can tell apart: callsites are 32 bits of an address.
pub const TEXT_BYTES_MAX: u64 = 1 << 32;

/// From a callsite's literal, which stands in the text, to the address of an event, in bytes: no event has a lower one.
pub const LITERAL_BYTES: u64 = 16;

/// Bits of an event's time.
pub const TIME_BITS: u32 = 56;
/// Where the type stands in word 0, and its width.
pub const TYPE_SHIFT: u32 = TIME_BITS;
/// Width of the type.
pub const TYPE_BITS: u32 = 4;
/// Where the lap stands in word 0.
pub const LAP_SHIFT: u32 = TYPE_SHIFT + TYPE_BITS;
/// Width of the lap in word 0.
pub const LAP_BITS: u32 = u64::BITS - LAP_SHIFT;
/// Width of the lap in word 1, in place of the callsite's lowest bits.
pub const LAP_LOW_BITS: u32 = 3;
/// Where the upper half of word 1 begins.
pub const UPPER_SHIFT: u32 = 32;

/// What an event has of the counter.
pub(crate) const TIME_MASK: u64 = (1 << TIME_BITS) - 1;
const LAP_MASK: u64 = (1 << LAP_BITS) - 1;
const LAP_LOW_MASK: u64 = (1 << LAP_LOW_BITS) - 1;

/// What an event says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Type {
    /// A function was called; the upper half is its parent.
    Function = 0,
    /// A function was entered; the upper half is its parent.
    Entry = 1,
    /// A function returned; the upper half is its duration.
    Exit = 2,
    /// Belongs to the event before it.
    Data = 3,
    /// The core runs another task; the upper half is its id.
    Task = 4,
    /// A stack trace; the upper half counts its DATA slots.
    Stack = 5,
    /// A trigger fired; the upper half is its action.
    Trigger = 6,
}

impl Type {
    const ALL: [Self; 7] = [
        Self::Function,
        Self::Entry,
        Self::Exit,
        Self::Data,
        Self::Task,
        Self::Stack,
        Self::Trigger,
    ];

    /// The type with this number; `None` for the reserved ones.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }
}

/// What the trigger does whose action a TRIGGER event has in its upper half.
pub fn trigger_name(action: u32) -> &'static str {
    const NAMES: [&str; 6] = ["off", "on", "snapshot", "dump", "stack", "halt"];
    let index = (action as usize).wrapping_sub(1);
    NAMES.get(index).copied().unwrap_or("unknown")
}

/// One event: its two words, as they stand in the ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Event(pub [u64; 2]);

impl Event {
    /// An event in its slot: `position` is the slot's, `shift` the ring's, `callsite` the address after the callsite's BL.
    #[inline]
    pub const fn new(
        kind: Type,
        time: u64,
        callsite: u64,
        upper: u32,
        position: u64,
        shift: u32,
    ) -> Self {
        let lap = position >> shift;
        let low = callsite as u32 as u64 & !LAP_LOW_MASK;
        Self([
            time & TIME_MASK | (kind as u64) << TYPE_SHIFT | lap << LAP_SHIFT,
            (upper as u64) << UPPER_SHIFT | low | lap & LAP_LOW_MASK,
        ])
    }

    /// Whether this is what was written to the slot of `position`: both laps fit.
    #[inline]
    pub const fn is_of(self, position: u64, shift: u32) -> bool {
        let lap = position >> shift;
        self.0[0] >> LAP_SHIFT == lap & LAP_MASK && self.0[1] & LAP_LOW_MASK == lap & LAP_LOW_MASK
    }

    /// Whether it can be of a text: its callsite lies there, with its literal. Types that are not known may be a newer minor version's.
    pub fn may_be_of(self, text_start: u64, text_bytes: u64) -> bool {
        let start = text_start & !LAP_LOW_MASK;
        let end = text_start.saturating_add(text_bytes);
        let offset = self.callsite_low().wrapping_sub(start as u32);
        match self.kind() {
            Some(Type::Data | Type::Task) => self.callsite_low() == 0,
            Some(_) => (LITERAL_BYTES..end - start).contains(&u64::from(offset)),
            None => true,
        }
    }

    /// The number of its type.
    #[inline]
    pub const fn code(self) -> u8 {
        (self.0[0] >> TYPE_SHIFT) as u8 & ((1 << TYPE_BITS) - 1)
    }

    /// Its type; `None` for the reserved ones.
    pub fn kind(self) -> Option<Type> {
        Type::from_code(self.code())
    }

    /// Its time, in ticks.
    #[inline]
    pub const fn time(self) -> u64 {
        self.0[0] & TIME_MASK
    }

    /// The low 32 bits of the address after the callsite's BL, the lowest three zero.
    #[inline]
    pub const fn callsite_low(self) -> u32 {
        (self.0[1] & !LAP_LOW_MASK) as u32
    }

    /// The upper half of word 1: parent, duration, id or count, by type.
    #[inline]
    pub const fn upper(self) -> u32 {
        (self.0[1] >> UPPER_SHIFT) as u32
    }

    /// The event without its laps, which say nothing outside its ring: for comparing and for streams.
    #[inline]
    pub const fn without_lap(self) -> Self {
        Self([
            self.0[0] & !(LAP_MASK << LAP_SHIFT),
            self.0[1] & !LAP_LOW_MASK,
        ])
    }

    /// Its 16 bytes.
    pub fn to_bytes(self) -> [u8; EVENT_BYTES as usize] {
        let mut bytes = [0; EVENT_BYTES as usize];
        let (first, second) = bytes.split_at_mut(size_of::<u64>());
        first.copy_from_slice(&self.0[0].to_le_bytes());
        second.copy_from_slice(&self.0[1].to_le_bytes());
        bytes
    }

    /// The event of 16 bytes.
    pub fn from_bytes(bytes: [u8; EVENT_BYTES as usize]) -> Self {
        let word = |at: usize| {
            let mut word = [0; size_of::<u64>()];
            word.copy_from_slice(&bytes[at..at + size_of::<u64>()]);
            u64::from_le_bytes(word)
        };
        Self([word(0), word(size_of::<u64>())])
    }

    /// What a DATA slot holds; `None` for another type.
    pub fn data(self) -> Option<Data> {
        (self.kind() == Some(Type::Data)).then(|| Data {
            kind: (self.0[0] >> DATA_KIND_SHIFT) as u16,
            index: (self.0[0] >> DATA_INDEX_SHIFT) as u8,
            value: self.0[0] << UPPER_SHIFT | self.0[1] >> UPPER_SHIFT,
        })
    }
}

/// Where a DATA slot's index and kind stand in word 0.
pub const DATA_INDEX_SHIFT: u32 = 32;
/// See [`DATA_INDEX_SHIFT`].
pub const DATA_KIND_SHIFT: u32 = 40;

/// The kind of a DATA slot that holds an argument: its index is that of the register.
pub const DATA_ARGUMENT: u16 = 0;
/// The kind of a DATA slot that holds what a function returned in x0.
pub const DATA_RESULT: u16 = 1;
/// The kind of a DATA slot that holds a return address of a stack trace.
pub const DATA_RETURN_ADDRESS: u16 = 2;

/// The value of a DATA slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Data {
    /// 0 argument, 1 return value, 2 return address, 3 frame data.
    pub kind: u16,
    /// Which of its kind.
    pub index: u8,
    /// The value.
    pub value: u64,
}

impl Data {
    /// Its slot.
    pub const fn event(self, position: u64, shift: u32) -> Event {
        let time = self.value >> UPPER_SHIFT
            | (self.index as u64) << DATA_INDEX_SHIFT
            | (self.kind as u64) << DATA_KIND_SHIFT;
        Event::new(Type::Data, time, 0, self.value as u32, position, shift)
    }
}
