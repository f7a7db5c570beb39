//! The region's header: 256 bytes that say where everything is.
#![forbid(unsafe_code)]

use super::{
    CONTROL_BYTES, HEADER_BYTES, REGION_ALIGN, TASK_ENTRY_BYTES, TASK_NAMES_MAX, TEXT_BYTES_MAX,
    crc32,
};
use core::fmt;

/// Room for the build id.
pub const BUILD_ID_BYTES: usize = 32;

const MAGIC: &[u8; 16] = b"AFTRACE-REGION\r\n";
const BYTE_ORDER: u32 = 0x0a0b_0c0d;
const MAJOR: u16 = 1;
/// From this minor version on there may be a table of the tasks' names. A region without one is written as 1.0.
const MINOR_OF_TASK_NAMES: u16 = 1;
/// Most control blocks that a reader believes in: two for each core that a frame can number.
const RINGS_MAX: u32 = 1 << 17;

/// In [`Header::flags`]: the region survives a warm reset.
pub const FLAG_SURVIVES: u64 = 1 << 0;

/// Offsets, as docs/trace-format.md has them.
mod at {
    pub(super) const BYTE_ORDER: usize = 16;
    pub(super) const MAJOR: usize = 20;
    pub(super) const MINOR: usize = 22;
    pub(super) const HEADER: usize = 24;
    pub(super) const CPUS: usize = 28;
    pub(super) const REGION: usize = 32;
    pub(super) const FREQUENCY: usize = 40;
    pub(super) const TEXT_START: usize = 48;
    pub(super) const TEXT_BYTES: usize = 56;
    pub(super) const LINK_START: usize = 64;
    pub(super) const RETURN_START: usize = 72;
    pub(super) const RETURN_BYTES: usize = 80;
    pub(super) const CONTROLS: usize = 88;
    pub(super) const STRIDE: usize = 92;
    pub(super) const RINGS: usize = 96;
    pub(super) const BUILD_ID_LEN: usize = 100;
    pub(super) const BUILD_ID: usize = 104;
    pub(super) const MADE: usize = 136;
    pub(super) const BOOTS: usize = 144;
    pub(super) const FLAGS: usize = 152;
    pub(super) const TASK_NAMES: usize = 160;
    pub(super) const TASK_NAME_COUNT: usize = 164;
    pub(super) const TASK_NAME_STRIDE: usize = 168;
    pub(super) const CRC: usize = 252;
}

/// What a region says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Cores.
    pub cpus: u32,
    /// Bytes of the region.
    pub region_bytes: u64,
    /// Ticks a second.
    pub frequency: u64,
    /// Where the text runs.
    pub text_start: u64,
    /// Its bytes.
    pub text_bytes: u64,
    /// Where it was linked to run.
    pub link_start: u64,
    /// The return handlers of the function graph.
    pub return_start: u64,
    /// Their bytes.
    pub return_bytes: u64,
    /// Offset of the first control block.
    pub controls: u32,
    /// Control blocks.
    pub rings: u32,
    /// The build id, zero behind its end.
    pub build_id: [u8; BUILD_ID_BYTES],
    /// Its length.
    pub build_id_len: u32,
    /// Ticks when the region was made.
    pub made: u64,
    /// Boots that have used it.
    pub boots: u64,
    /// [`FLAG_SURVIVES`].
    pub flags: u64,
    /// Offset of the table of the tasks' names.
    pub task_names: u32,
    /// Its entries; 0 where there is no table.
    pub task_name_count: u32,
    /// Bytes from one of them to the next.
    pub task_name_stride: u32,
}

/// Why bytes are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeaderError {
    /// Not the magic: nothing of ours is here.
    Magic,
    /// Written with another byte order than the format's.
    ByteOrder(u32),
    /// A version that this reader does not know.
    Version {
        /// Major.
        major: u16,
        /// Minor.
        minor: u16,
    },
    /// The CRC is another: damaged, or half written.
    Crc {
        /// In the header.
        stored: u32,
        /// Of its bytes.
        computed: u32,
    },
    /// A field with a value that cannot be, by its offset.
    Field {
        /// Offset in the header.
        offset: usize,
        /// Value.
        value: u64,
    },
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Magic => write!(f, "no region header here"),
            Self::ByteOrder(found) => write!(f, "byte order {found:#010x}, not {BYTE_ORDER:#010x}"),
            Self::Version { major, minor } => {
                write!(f, "version {major}.{minor}; this reader knows {MAJOR}.x")
            }
            Self::Crc { stored, computed } => {
                write!(
                    f,
                    "the header's CRC is {stored:#010x}, its bytes have {computed:#010x}"
                )
            }
            Self::Field { offset, value } => {
                write!(
                    f,
                    "the header has {value:#x} at offset {offset}, which cannot be"
                )
            }
        }
    }
}

impl core::error::Error for HeaderError {}

impl Header {
    /// Its bytes.
    pub fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(0, MAGIC);
        put(at::BYTE_ORDER, &BYTE_ORDER.to_le_bytes());
        put(at::MAJOR, &MAJOR.to_le_bytes());
        let has_names = self.task_name_count > 0;
        let minor = if has_names { MINOR_OF_TASK_NAMES } else { 0 };
        put(at::MINOR, &minor.to_le_bytes());
        put(at::HEADER, &(HEADER_BYTES as u32).to_le_bytes());
        put(at::CPUS, &self.cpus.to_le_bytes());
        put(at::REGION, &self.region_bytes.to_le_bytes());
        put(at::FREQUENCY, &self.frequency.to_le_bytes());
        put(at::TEXT_START, &self.text_start.to_le_bytes());
        put(at::TEXT_BYTES, &self.text_bytes.to_le_bytes());
        put(at::LINK_START, &self.link_start.to_le_bytes());
        put(at::RETURN_START, &self.return_start.to_le_bytes());
        put(at::RETURN_BYTES, &self.return_bytes.to_le_bytes());
        put(at::CONTROLS, &self.controls.to_le_bytes());
        put(at::STRIDE, &(CONTROL_BYTES as u32).to_le_bytes());
        put(at::RINGS, &self.rings.to_le_bytes());
        put(at::BUILD_ID_LEN, &self.build_id_len.to_le_bytes());
        put(at::BUILD_ID, &self.build_id);
        put(at::MADE, &self.made.to_le_bytes());
        put(at::BOOTS, &self.boots.to_le_bytes());
        put(at::FLAGS, &self.flags.to_le_bytes());
        if has_names {
            put(at::TASK_NAMES, &self.task_names.to_le_bytes());
            put(at::TASK_NAME_COUNT, &self.task_name_count.to_le_bytes());
            put(at::TASK_NAME_STRIDE, &self.task_name_stride.to_le_bytes());
        }
        let crc = crc32(&bytes[..at::CRC]);
        bytes[at::CRC..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a header and checks all that can be checked without the rest of the region.
    ///
    /// # Errors
    /// [`HeaderError`], in the order of its variants.
    pub fn from_bytes(bytes: &[u8; HEADER_BYTES]) -> Result<Self, HeaderError> {
        if &bytes[..MAGIC.len()] != MAGIC {
            return Err(HeaderError::Magic);
        }
        let order = u32_at(bytes, at::BYTE_ORDER);
        if order != BYTE_ORDER {
            return Err(HeaderError::ByteOrder(order));
        }
        let (major, minor) = (u16_at(bytes, at::MAJOR), u16_at(bytes, at::MINOR));
        if major != MAJOR {
            return Err(HeaderError::Version { major, minor });
        }
        let (stored, computed) = (u32_at(bytes, at::CRC), crc32(&bytes[..at::CRC]));
        if stored != computed {
            return Err(HeaderError::Crc { stored, computed });
        }
        // In what is older, or has no entry, these bytes mean nothing.
        let has_names = minor >= MINOR_OF_TASK_NAMES && u32_at(bytes, at::TASK_NAME_COUNT) > 0;
        let of_names = |at: usize| if has_names { u32_at(bytes, at) } else { 0 };
        let mut build_id = [0; BUILD_ID_BYTES];
        build_id.copy_from_slice(&bytes[at::BUILD_ID..at::BUILD_ID + BUILD_ID_BYTES]);
        let header = Self {
            cpus: u32_at(bytes, at::CPUS),
            region_bytes: u64_at(bytes, at::REGION),
            frequency: u64_at(bytes, at::FREQUENCY),
            text_start: u64_at(bytes, at::TEXT_START),
            text_bytes: u64_at(bytes, at::TEXT_BYTES),
            link_start: u64_at(bytes, at::LINK_START),
            return_start: u64_at(bytes, at::RETURN_START),
            return_bytes: u64_at(bytes, at::RETURN_BYTES),
            controls: u32_at(bytes, at::CONTROLS),
            rings: u32_at(bytes, at::RINGS),
            build_id,
            build_id_len: u32_at(bytes, at::BUILD_ID_LEN),
            made: u64_at(bytes, at::MADE),
            boots: u64_at(bytes, at::BOOTS),
            flags: u64_at(bytes, at::FLAGS),
            task_names: of_names(at::TASK_NAMES),
            task_name_count: of_names(at::TASK_NAME_COUNT),
            task_name_stride: of_names(at::TASK_NAME_STRIDE),
        };
        header.plausible(u32_at(bytes, at::HEADER), u32_at(bytes, at::STRIDE))?;
        Ok(header)
    }

    fn plausible(&self, header: u32, stride: u32) -> Result<(), HeaderError> {
        let field = |ok: bool, offset: usize, value: u64| match ok {
            true => Ok(()),
            false => Err(HeaderError::Field { offset, value }),
        };
        let blocks = u64::from(self.rings) * CONTROL_BYTES as u64;
        field(header as usize == HEADER_BYTES, at::HEADER, header.into())?;
        field(stride as usize == CONTROL_BYTES, at::STRIDE, stride.into())?;
        field(
            (1..=RINGS_MAX).contains(&self.rings),
            at::RINGS,
            self.rings.into(),
        )?;
        field(
            (1..=self.rings).contains(&self.cpus),
            at::CPUS,
            self.cpus.into(),
        )?;
        field(
            self.controls as usize >= HEADER_BYTES
                && (self.controls as usize).is_multiple_of(CONTROL_BYTES)
                && u64::from(self.controls) + blocks <= self.region_bytes,
            at::CONTROLS,
            self.controls.into(),
        )?;
        field(
            self.region_bytes.is_multiple_of(REGION_ALIGN as u64),
            at::REGION,
            self.region_bytes,
        )?;
        field(self.frequency > 0, at::FREQUENCY, self.frequency)?;
        field(
            (1..=TEXT_BYTES_MAX).contains(&self.text_bytes),
            at::TEXT_BYTES,
            self.text_bytes,
        )?;
        field(
            self.build_id_len as usize <= BUILD_ID_BYTES,
            at::BUILD_ID_LEN,
            self.build_id_len.into(),
        )?;
        self.plausible_names()
    }

    /// Without a table nothing is said of it.
    fn plausible_names(&self) -> Result<(), HeaderError> {
        let (from, count) = (u64::from(self.task_names), self.task_name_count);
        let stride = self.task_name_stride;
        let bytes = u64::from(count) * u64::from(stride);
        let lies = from >= HEADER_BYTES as u64 && from + bytes <= self.region_bytes;
        let aligned = |value: u32| (value as usize).is_multiple_of(TASK_ENTRY_BYTES);
        let fields = [
            (at::TASK_NAME_COUNT, count, count <= TASK_NAMES_MAX),
            (at::TASK_NAME_STRIDE, stride, stride > 0 && aligned(stride)),
            (
                at::TASK_NAMES,
                self.task_names,
                aligned(self.task_names) && lies,
            ),
        ];
        match fields.into_iter().find(|(.., good)| !good) {
            Some((offset, value, _)) if count > 0 => Err(HeaderError::Field {
                offset,
                value: value.into(),
            }),
            _ => Ok(()),
        }
    }

    /// The bytes of the build id.
    pub fn build_id(&self) -> &[u8] {
        &self.build_id[..(self.build_id_len as usize).min(BUILD_ID_BYTES)]
    }

    /// The address in the text whose low 32 bits are `low`.
    pub fn text_address(&self, low: u32) -> u64 {
        // Wraps only for a `low` outside the text, or a header that was made up.
        self.text_start
            .wrapping_add(u64::from(low.wrapping_sub(self.text_start as u32)))
    }
}

fn u16_at(bytes: &[u8; HEADER_BYTES], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8; HEADER_BYTES], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8; HEADER_BYTES], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
