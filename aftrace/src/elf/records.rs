//! The records of the callsites, as they are in the file or as its relocations say.

use std::collections::BTreeMap;
use std::ops::Range;

use object::elf::R_AARCH64_RELATIVE;
use object::read::elf::{Rela as _, SectionHeader as _};

use super::{ElfError, Kernel, RECORDS};

impl Kernel<'_> {
    pub(super) fn read_records(&self) -> Result<Vec<u64>, ElfError> {
        let bounds = self.bounds(RECORDS).ok_or(ElfError::NoRecords)?;
        let bad = ElfError::BadRecords {
            address: bounds.start,
            size: bounds.end - bounds.start,
        };
        let Some(file) = self.file_range(&bounds) else {
            return Err(bad);
        };
        let (words, rest) = self.data[file].as_chunks::<8>();
        if !rest.is_empty() {
            return Err(bad);
        }
        let relocated = self.relative_relocations(&bounds)?;
        let mut records = Vec::with_capacity(words.len());
        // The words first: the address behind the last one may not exist.
        for (word, at) in words.iter().zip((bounds.start..).step_by(8)) {
            let stored = match self.is_little_endian() {
                true => u64::from_le_bytes(*word),
                false => u64::from_be_bytes(*word),
            };
            match relocated.get(&at).copied().unwrap_or(stored) {
                0 => return Err(ElfError::EmptyRecord { address: at }),
                record => records.push(record),
            }
        }
        records.sort_unstable();
        Ok(records)
    }

    /// What the kernel's own start-up code adds its load address to, in a position-independent kernel. (RELR relocations
    /// need nothing here: their addend is in the section.)
    fn relative_relocations(&self, within: &Range<u64>) -> Result<BTreeMap<u64, u64>, ElfError> {
        let endian = self.file.endian();
        let mut found = BTreeMap::new();
        for section in self.file.elf_section_table().iter() {
            let Some((relocations, _)) = section.rela(endian, self.data)? else {
                continue;
            };
            for relocation in relocations {
                let at = relocation.r_offset(endian);
                if within.contains(&at) && relocation.r_type(endian, false) == R_AARCH64_RELATIVE {
                    found.insert(at, relocation.r_addend(endian).cast_unsigned());
                }
            }
        }
        Ok(found)
    }
}
