//! A ring's control block: its fields, what they must be, and which positions they speak of.
#![forbid(unsafe_code)]

use super::region::RegionError;
use super::{
    CONTROL_BYTES, EVENT_BYTES, FrameCounts, NO_CORE, RING_BYTES_MAX, RING_BYTES_MIN, crc32_of,
};

/// Offsets in a control block.
mod at {
    pub(super) const HEAD: usize = 0;
    pub(super) const MASK: usize = 8;
    pub(super) const SHIFT: usize = 24;
    pub(super) const LIMIT: usize = 32;
    pub(super) const START: usize = 40;
    pub(super) const DATA: usize = 48;
    pub(super) const CORE: usize = 56;
    pub(super) const ROLE: usize = 60;
    pub(super) const REFUSED: usize = 64;
    pub(super) const END: usize = 72;
    pub(super) const CRC: usize = 124;
}

/// The greatest role that a ring can have.
const ROLE_LAST: u32 = 2;

/// A control block as it was read. What is said of its positions holds once [`Control::check`] has found nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Control {
    /// Position behind the last slot reserved.
    pub head: u64,
    /// Bytes of the ring - 1.
    pub mask: u64,
    /// log2 of the ring's bytes.
    pub shift: u64,
    /// Positions from here on are not written.
    pub limit: u64,
    /// Position at which the recording began.
    pub start: u64,
    /// Offset of the data from the region's start.
    pub data: u64,
    /// The core whose events it holds.
    pub core: u32,
    /// 0 written to, 1 snapshot, 2 spare.
    pub role: u32,
    /// Events that were not written because recording was off.
    pub refused: u64,
    /// Where the recording ended; 0 while it goes on.
    pub end: u64,
    /// Whether the CRC is that of the fields.
    pub whole: bool,
}

impl Control {
    /// The fields, whatever they say.
    pub fn read(block: &[u8; CONTROL_BYTES]) -> Self {
        let half = |at: usize| {
            u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]])
        };
        let word = |at: usize| u64::from(half(at)) | u64::from(half(at + 4)) << 32;
        Self {
            head: word(at::HEAD),
            mask: word(at::MASK),
            shift: word(at::SHIFT),
            limit: word(at::LIMIT),
            start: word(at::START),
            data: word(at::DATA),
            core: half(at::CORE),
            role: half(at::ROLE),
            refused: word(at::REFUSED),
            end: word(at::END),
            whole: control_crc(block) == half(at::CRC),
        }
    }

    /// Checks all that can be checked without the ring; `ring` is its number, for the error.
    ///
    /// # Errors
    /// [`RegionError::Crc`] and [`RegionError::Field`], the first that is found.
    pub fn check(&self, ring: u32, region_bytes: u64) -> Result<(), RegionError> {
        if !self.whole {
            return Err(RegionError::Crc { ring });
        }
        let bytes = self.mask.wrapping_add(1);
        let is_ring = bytes.is_power_of_two() && (RING_BYTES_MIN..=RING_BYTES_MAX).contains(&bytes);
        let lies = self.data.checked_add(bytes);
        let whole = |position: u64| position.is_multiple_of(EVENT_BYTES);
        let stop = self.start.checked_add(bytes);
        let fields = [
            (at::MASK, self.mask, is_ring),
            (
                at::SHIFT,
                self.shift,
                self.shift == u64::from(bytes.trailing_zeros()),
            ),
            (
                at::DATA,
                self.data,
                lies.is_some_and(|end| end <= region_bytes),
            ),
            (
                at::START,
                self.start,
                whole(self.start) && self.start >= bytes,
            ),
            (
                at::HEAD,
                self.head,
                whole(self.head) && self.head >= self.start,
            ),
            (
                at::END,
                self.end,
                self.end == 0 || whole(self.end) && (self.start..=self.head).contains(&self.end),
            ),
            (
                at::LIMIT,
                self.limit,
                self.limit == u64::MAX || Some(self.limit) == stop,
            ),
            (at::CORE, self.core.into(), self.core < u32::from(NO_CORE)),
            (at::ROLE, self.role.into(), self.role <= ROLE_LAST),
        ];
        match fields.into_iter().find(|(_, _, good)| !good) {
            None => Ok(()),
            Some((offset, value, _)) => Err(RegionError::Field {
                ring,
                offset,
                value,
            }),
        }
    }

    /// Bytes of the ring.
    pub const fn bytes(&self) -> u64 {
        self.mask.wrapping_add(1)
    }

    /// Where the recording has ended, or is.
    const fn reached(&self) -> u64 {
        match self.end {
            0 => self.head,
            end => end,
        }
    }

    /// Position behind the last slot of the recording.
    pub fn stop(&self) -> u64 {
        self.reached().min(self.limit)
    }

    /// The oldest position that is still there. Who reserves after the end writes over it too.
    pub fn oldest(&self) -> u64 {
        let last = self.head.min(self.limit);
        let oldest = last.saturating_sub(self.bytes());
        oldest.min(self.stop()).max(self.start)
    }

    /// What became of its events, but for those that are unfinished: only their slots tell.
    pub fn counts(&self) -> FrameCounts {
        FrameCounts {
            written: (self.stop() - self.start) / EVENT_BYTES,
            overwritten: (self.oldest() - self.start) / EVENT_BYTES,
            dropped: (self.reached() - self.stop()) / EVENT_BYTES,
            unfinished: 0,
            refused: self.refused,
        }
    }
}

/// The CRC that the bytes of a control block must have: of the fields that do not change while recording.
///
/// # Panics
/// On fewer bytes than [`CONTROL_BYTES`].
pub fn control_crc(control: &[u8]) -> u32 {
    crc32_of([&control[at::MASK..at::LIMIT], &control[at::DATA..at::ROLE]])
}
