//! A region as bytes: what a debugger copied, or what a warm reset left. Everything in it is checked before it is believed.
#![forbid(unsafe_code)]

use super::control::Control;
use super::{
    CONTROL_BYTES, EVENT_BYTES, Event, FrameCounts, HEADER_BYTES, Header, HeaderError, TaskEntry,
};
use core::fmt;

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
            Self::Crc { ring } => write!(
                f,
                "the control block of ring {ring} is damaged: its CRC does not fit"
            ),
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

    /// The entries of its table of the tasks' names; none where it has no table. Of two names of one task the last counts.
    pub fn task_names(self) -> impl Iterator<Item = TaskEntry> + use<'a> {
        // `Header::from_bytes` has seen that all of them lie within the region.
        let (from, count) = (self.header.task_names, self.header.task_name_count);
        let table = self.bytes.get(from as usize..).unwrap_or_default();
        let stride = self.header.task_name_stride.max(1) as usize;
        let entries = table.chunks(stride).take(count as usize);
        entries.filter_map(|entry| Some(TaskEntry::from_bytes(entry.first_chunk()?)))
    }

    fn control(&self, ring: u32) -> Control {
        // `Header::from_bytes` has seen that all of them lie within the region.
        let from = self.header.controls as usize + ring as usize * CONTROL_BYTES;
        let mut block = [0; CONTROL_BYTES];
        block.copy_from_slice(&self.bytes[from..from + CONTROL_BYTES]);
        Control::read(&block)
    }

    fn check(&self, ring: u32) -> Result<(), RegionError> {
        self.control(ring).check(ring, self.bytes.len() as u64)
    }

    fn ring(&self, ring: u32) -> Ring<'a> {
        let control = self.control(ring);
        let (from, bytes) = (control.data as usize, control.bytes() as usize);
        Ring {
            core: control.core,
            role: control.role,
            data: &self.bytes[from..from + bytes],
            control,
            text_start: self.header.text_start,
            text_bytes: self.header.text_bytes,
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
    control: Control,
    text_start: u64,
    text_bytes: u64,
}

impl<'a> Ring<'a> {
    /// The number of the oldest event that is still there.
    pub(crate) fn oldest(&self) -> u64 {
        self.control.oldest() / EVENT_BYTES
    }

    /// How many slots it holds, whole or not.
    pub(crate) fn held(&self) -> u64 {
        self.control.stop() / EVENT_BYTES - self.oldest()
    }

    /// Its events, oldest first, each with its number; `None` for a slot whose event was never finished, or cannot be.
    pub fn events(self) -> impl Iterator<Item = (u64, Option<Event>)> + use<'a> {
        let bytes = self.data.len() as u64;
        let shift = bytes.trailing_zeros();
        let (oldest, stop) = (self.control.oldest(), self.control.stop());
        (oldest / EVENT_BYTES..stop / EVENT_BYTES).map(move |number| {
            let position = number * EVENT_BYTES;
            let slot = self.data[(position & (bytes - 1)) as usize..].first_chunk();
            let event = slot.map(|slot| Event::from_bytes(*slot));
            let is_one = |event: &Event| {
                event.is_of(position, shift) && event.may_be_of(self.text_start, self.text_bytes)
            };
            (number, event.filter(is_one))
        })
    }

    /// What became of its events; those that are unfinished, by looking at each.
    pub fn counts(self) -> FrameCounts {
        FrameCounts {
            unfinished: self.events().filter(|(_, event)| event.is_none()).count() as u64,
            ..self.control.counts()
        }
    }
}
