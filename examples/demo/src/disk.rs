//! A disk in memory, and a volume of checksummed files on it.

use crate::checksum::{Adler32, Checksum, Crc32, Fnv1a, crc32};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

/// Bytes of a sector.
pub const SECTOR_BYTES: usize = 512;

/// What went wrong on a disk or a volume.
#[derive(Debug, PartialEq, Eq)]
pub enum DiskError {
    /// There is no such sector.
    OutOfRange {
        /// The sector asked for.
        sector: usize,
        /// How many there are.
        count: usize,
    },
    /// There are fewer free sectors than a file needs.
    Full {
        /// Sectors needed.
        needed: usize,
        /// Sectors free.
        free: usize,
    },
    /// No file has this name.
    NotFound(String),
    /// A file's bytes are not those that were written.
    Corrupt {
        /// The file.
        name: String,
        /// The checksum of what was written.
        expected: u32,
        /// The checksum of what is there.
        found: u32,
    },
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::OutOfRange { sector, count } => write!(f, "sector {sector} of {count}"),
            Self::Full { needed, free } => write!(f, "{needed} sectors needed, {free} free"),
            Self::NotFound(name) => write!(f, "no file {name:?}"),
            Self::Corrupt {
                name,
                expected,
                found,
            } => write!(
                f,
                "{name:?} is corrupt: checksum {found:#010x}, written {expected:#010x}"
            ),
        }
    }
}

/// What has sectors.
pub trait BlockDevice {
    /// How many sectors it has.
    fn sectors(&self) -> usize;
    /// Copies a sector out.
    fn read(&self, sector: usize, into: &mut [u8; SECTOR_BYTES]) -> Result<(), DiskError>;
    /// Copies a sector in.
    fn write(&mut self, sector: usize, from: &[u8; SECTOR_BYTES]) -> Result<(), DiskError>;
}

/// A disk in memory.
pub struct MemoryDisk {
    sectors: Vec<[u8; SECTOR_BYTES]>,
}

impl MemoryDisk {
    /// A disk of zeros.
    pub fn new(sectors: usize) -> Self {
        Self {
            sectors: vec![[0; SECTOR_BYTES]; sectors],
        }
    }
}

impl BlockDevice for MemoryDisk {
    fn sectors(&self) -> usize {
        self.sectors.len()
    }

    fn read(&self, sector: usize, into: &mut [u8; SECTOR_BYTES]) -> Result<(), DiskError> {
        let count = self.sectors.len();
        let from = self
            .sectors
            .get(sector)
            .ok_or(DiskError::OutOfRange { sector, count })?;
        into.copy_from_slice(from);
        Ok(())
    }

    fn write(&mut self, sector: usize, from: &[u8; SECTOR_BYTES]) -> Result<(), DiskError> {
        let count = self.sectors.len();
        let into = self
            .sectors
            .get_mut(sector)
            .ok_or(DiskError::OutOfRange { sector, count })?;
        into.copy_from_slice(from);
        Ok(())
    }
}

struct File {
    sectors: Vec<usize>,
    bytes: usize,
    checksum: u32,
}

/// Files by name on a device.
pub struct Volume {
    device: Box<dyn BlockDevice + Send>,
    files: BTreeMap<String, File>,
    free: Vec<usize>,
}

impl Volume {
    /// An empty volume that takes all of `device`.
    pub fn format(device: Box<dyn BlockDevice + Send>) -> Self {
        let free = (0..device.sectors()).rev().collect();
        Self {
            device,
            files: BTreeMap::new(),
            free,
        }
    }

    /// Names and lengths.
    pub fn list(&self) -> impl Iterator<Item = (&str, usize)> {
        self.files
            .iter()
            .map(|(name, file)| (name.as_str(), file.bytes))
    }

    /// Sectors that no file has.
    pub fn free(&self) -> usize {
        self.free.len()
    }

    /// Writes a file, in place of one of the same name.
    ///
    /// # Errors
    ///
    /// [`DiskError::Full`]; the old file is gone then too.
    pub fn write(&mut self, name: &str, contents: &[u8]) -> Result<(), DiskError> {
        if self.files.contains_key(name) {
            self.delete(name)?;
        }
        let sectors = self.allocate(contents.len().div_ceil(SECTOR_BYTES))?;
        for (sector, part) in sectors.iter().zip(contents.chunks(SECTOR_BYTES)) {
            let mut buffer = [0; SECTOR_BYTES];
            buffer[..part.len()].copy_from_slice(part);
            self.device.write(*sector, &buffer)?;
        }
        let file = File {
            sectors,
            bytes: contents.len(),
            checksum: crc32(contents),
        };
        self.files.insert(String::from(name), file);
        Ok(())
    }

    /// Reads a file and checks it.
    ///
    /// # Errors
    ///
    /// [`DiskError::NotFound`], [`DiskError::Corrupt`].
    pub fn read(&self, name: &str) -> Result<Vec<u8>, DiskError> {
        let file = self
            .files
            .get(name)
            .ok_or_else(|| DiskError::NotFound(String::from(name)))?;
        let mut contents = Vec::with_capacity(file.sectors.len() * SECTOR_BYTES);
        let mut buffer = [0; SECTOR_BYTES];
        for sector in &file.sectors {
            self.device.read(*sector, &mut buffer)?;
            contents.extend_from_slice(&buffer);
        }
        contents.truncate(file.bytes);
        let found = crc32(&contents);
        if found == file.checksum {
            return Ok(contents);
        }
        Err(DiskError::Corrupt {
            name: String::from(name),
            expected: file.checksum,
            found,
        })
    }

    /// Deletes a file.
    ///
    /// # Errors
    ///
    /// [`DiskError::NotFound`].
    pub fn delete(&mut self, name: &str) -> Result<(), DiskError> {
        let file = self
            .files
            .remove(name)
            .ok_or_else(|| DiskError::NotFound(String::from(name)))?;
        self.free.extend(file.sectors.iter().rev());
        Ok(())
    }

    /// Reads every file; returns how many are whole.
    ///
    /// # Errors
    ///
    /// Those of [`Volume::read`], for the first file that is not.
    pub fn scrub(&self) -> Result<usize, DiskError> {
        for name in self.files.keys() {
            self.read(name)?;
        }
        Ok(self.files.len())
    }

    /// The whole device under three checksums, by name.
    ///
    /// # Errors
    ///
    /// Those of the device.
    pub fn digest(&self) -> Result<Vec<(&'static str, u64)>, DiskError> {
        let mut sums: [Box<dyn Checksum>; 3] = [
            Box::new(Crc32::new()),
            Box::new(Adler32::new()),
            Box::new(Fnv1a::new()),
        ];
        let mut buffer = [0; SECTOR_BYTES];
        for sector in 0..self.device.sectors() {
            self.device.read(sector, &mut buffer)?;
            for sum in &mut sums {
                sum.update(&buffer);
            }
        }
        Ok(sums.iter().map(|sum| (sum.name(), sum.value())).collect())
    }

    fn allocate(&mut self, needed: usize) -> Result<Vec<usize>, DiskError> {
        let free = self.free.len();
        if needed > free {
            return Err(DiskError::Full { needed, free });
        }
        Ok(self.free.split_off(free - needed))
    }
}
