//! A region as bytes: what a debugger copied, or what a warm reset left. Everything in it is checked before it is believed.
#![forbid(unsafe_code)]

use super::{
    CONTROL_BYTES, EVENT_BYTES, Event, FrameCounts, HEADER_BYTES, Header, HeaderError,
    LAP_LOW_BITS, RING_BYTES_MAX, RING_BYTES_MIN, Type, crc32_of,
};
use core::fmt;

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

/// Why bytes are no region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegionError {
    /// Its header.
    Header(HeaderError),
    /// Fewer bytes than the header says.
    Short {
        /// It says.
        needed: u64,
        /// There are.
        given: u64,
    },
    /// The fixed fields of a control block are not what they were made as.
    Crc {
        /// Which control block.
        ring: u32,
    },
    /// A field of a control block with a value that cannot be.
    Field {
        /// Which control block.
        ring: u32,
        /// Offset in it.
        offset: usize,
        /// Value.
        value: u64,
    },
}

impl fmt::Display for RegionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Header(error) => write!(f, "{error}"),
            Self::Short { needed, given } => {
                write!(f, "the region has {needed} bytes, {given} are here")
            }
            Self::Crc { ring } => write!(f, "the control block of ring {ring} is damaged"),
            Self::Field {
                ring,
                offset,
                value,
            } => {
                write!(
                    f,
                    "ring {ring} has {value:#x} at offset {offset}, which cannot be"
                )
            }
        }
    }
}

impl core::error::Error for RegionError {}

/// A region whose header and control blocks have been checked.
#[derive(Clone, Copy, Debug)]
pub struct Region<'a> {
    header: Header,
    bytes: &'a [u8],
}

impl<'a> Region<'a> {
    /// Checks the header, and each control block: its CRC, and that its ring lies within the bytes.
    ///
    /// # Errors
    /// [`RegionError`], the first that is found.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, RegionError> {
        let given = bytes.len() as u64;
        let short = RegionError::Short {
            needed: HEADER_BYTES as u64,
            given,
        };
        let head = bytes.first_chunk::<HEADER_BYTES>().ok_or(short)?;
        let header = Header::from_bytes(head).map_err(RegionError::Header)?;
        let needed = header.region_bytes;
        let Some(bytes) = usize::try_from(needed)
            .ok()
            .and_then(|needed| bytes.get(..needed))
        else {
            return Err(RegionError::Short { needed, given });
        };
        let region = Self { header, bytes };
        (0..header.rings).try_for_each(|ring| region.check(ring))?;
        Ok(region)
    }

    /// What the region says of itself.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Its rings, in the order of their control blocks.
    pub fn rings(self) -> impl Iterator<Item = Ring<'a>> {
        (0..self.header.rings).map(move |ring| self.ring(ring))
    }

    fn control(&self, ring: u32) -> &'a [u8] {
        // `Header::from_bytes` has seen that all of them lie within the region.
        let from = self.header.controls as usize + ring as usize * CONTROL_BYTES;
        &self.bytes[from..from + CONTROL_BYTES]
    }

    fn check(&self, ring: u32) -> Result<(), RegionError> {
        let control = self.control(ring);
        let word = |offset| u64_at(control, offset);
        let field = |ok: bool, offset: usize| match ok {
            true => Ok(()),
            false => Err(RegionError::Field {
                ring,
                offset,
                value: word(offset),
            }),
        };
        if control_crc(control) != u32_at(control, at::CRC) {
            return Err(RegionError::Crc { ring });
        }
        let bytes = word(at::MASK).wrapping_add(1);
        field(
            bytes.is_power_of_two() && (RING_BYTES_MIN..=RING_BYTES_MAX).contains(&bytes),
            at::MASK,
        )?;
        field(
            word(at::SHIFT) == u64::from(bytes.trailing_zeros()),
            at::SHIFT,
        )?;
        let end = word(at::DATA).checked_add(bytes);
        field(
            end.is_some_and(|end| end <= self.bytes.len() as u64),
            at::DATA,
        )?;
        let whole = |position: u64| position.is_multiple_of(EVENT_BYTES);
        field(
            whole(word(at::START)) && word(at::START) >= bytes,
            at::START,
        )?;
        field(
            whole(word(at::HEAD)) && word(at::HEAD) >= word(at::START),
            at::HEAD,
        )?;
        let end = word(at::END);
        field(
            end == 0 || whole(end) && (word(at::START)..=word(at::HEAD)).contains(&end),
            at::END,
        )?;
        let limit = word(at::LIMIT);
        let stop = word(at::START).checked_add(bytes);
        field(limit == u64::MAX || Some(limit) == stop, at::LIMIT)
    }

    fn ring(&self, ring: u32) -> Ring<'a> {
        let control = self.control(ring);
        let word = |offset| u64_at(control, offset);
        let (from, bytes) = (word(at::DATA) as usize, word(at::MASK) as usize + 1);
        Ring {
            core: u32_at(control, at::CORE),
            role: u32_at(control, at::ROLE),
            data: &self.bytes[from..from + bytes],
            head: word(at::HEAD),
            start: word(at::START),
            limit: word(at::LIMIT),
            end: word(at::END),
            text_start: self.header.text_start,
            text_bytes: self.header.text_bytes,
            refused: word(at::REFUSED),
        }
    }
}

/// One ring of a region.
#[derive(Clone, Copy, Debug)]
pub struct Ring<'a> {
    /// The core whose events it holds.
    pub core: u32,
    /// 0 written to, 1 snapshot, 2 spare.
    pub role: u32,
    data: &'a [u8],
    head: u64,
    start: u64,
    limit: u64,
    /// 0 while the recording goes on.
    end: u64,
    refused: u64,
    text_start: u64,
    text_bytes: u64,
}

impl<'a> Ring<'a> {
    /// Where the recording has ended, or is.
    fn reached(&self) -> u64 {
        match self.end {
            0 => self.head,
            end => end,
        }
    }

    /// Behind the last slot of the recording.
    fn end(&self) -> u64 {
        self.reached().min(self.limit)
    }

    /// The oldest position that is still there. Who reserves after the end writes over it too.
    fn oldest(&self) -> u64 {
        let last = self.head.min(self.limit);
        let oldest = last.saturating_sub(self.data.len() as u64);
        oldest.min(self.end()).max(self.start)
    }

    /// Whether an event can be of this region's text: its callsite lies in it. Types that are not known may be a newer
    /// minor version's.
    fn is_possible(&self, event: Event) -> bool {
        const LOW: u64 = (1 << LAP_LOW_BITS) - 1;
        let start = self.text_start & !LOW;
        let end = self.text_start.saturating_add(self.text_bytes);
        let offset = event.callsite_low().wrapping_sub(start as u32);
        match event.kind() {
            Some(Type::Data | Type::Task) => event.callsite_low() == 0,
            Some(_) => u64::from(offset) < end - start,
            None => true,
        }
    }

    /// Its events, oldest first, each with its number; `None` for a slot whose event was never finished, or cannot be.
    pub fn events(self) -> impl Iterator<Item = (u64, Option<Event>)> + use<'a> {
        let bytes = self.data.len() as u64;
        let oldest = self.oldest();
        let shift = bytes.trailing_zeros();
        (oldest / EVENT_BYTES..self.end() / EVENT_BYTES).map(move |number| {
            let position = number * EVENT_BYTES;
            let slot = self.data[(position & (bytes - 1)) as usize..].first_chunk();
            let event = slot.map(|slot| Event::from_bytes(*slot));
            let is_one = |event: &Event| event.is_of(position, shift) && self.is_possible(*event);
            (number, event.filter(is_one))
        })
    }

    /// What became of its events; those that are unfinished, by looking at each.
    pub fn counts(self) -> FrameCounts {
        FrameCounts {
            written: (self.end() - self.start) / EVENT_BYTES,
            overwritten: (self.oldest() - self.start) / EVENT_BYTES,
            dropped: (self.reached() - self.end()) / EVENT_BYTES,
            unfinished: self.events().filter(|(_, event)| event.is_none()).count() as u64,
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

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
