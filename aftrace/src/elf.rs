//! What a linked kernel says about its callsites: the records, the functions, the space for names.

mod boot;
mod records;

use std::collections::BTreeMap;
use std::ops::Range;

use object::elf::{PF_W, PT_LOAD, SHF_ALLOC};
use object::read::elf::{ElfFile64, FileHeader as _, ProgramHeader as _, SectionHeader as _};
use object::{Endianness, Object, ObjectKind, ObjectSection, ObjectSymbol, SymbolKind};

use crate::demangle;
use crate::names::Record;

/// From a record, the address of the first NOP, to the function's entry: two NOPs stand before it.
pub const PREFIX_BYTES: u64 = 8;

/// Less than this between a function and the next record is no code: functions are aligned to so much.
const PADDING_BYTES: u64 = 8;

const RECORDS: &str = "__patchable_function_entries";
const NAMES: &str = "ftrace_names";
/// Names of all records together: each has a copy of those at its address.
const NAMES_MAX: usize = 1 << 20;

/// Why a file is not a kernel whose callsites can be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ElfError {
    /// Not ELF, or damaged.
    #[error("not a readable 64-bit ELF file: {0}: give the kernel that the linker wrote")]
    Object(#[from] object::Error),
    /// ELF for another machine.
    #[error("ELF machine {machine}, AArch64 is {expected}: give the kernel, not a program of the host", expected = object::elf::EM_AARCH64.0)]
    NotAarch64 {
        /// `e_machine`.
        machine: u16,
    },
    /// An object file or archive member: addresses are not known yet.
    #[error("not linked yet: give the linked kernel")]
    NotLinked,
    /// The kernel has no records.
    #[error(
        "no {RECORDS}: build with -Zpatchable-function-entry=4,2 (Rust) or -fpatchable-function-entry=4,2 (C), and put \
         KEEP(*({RECORDS})) into the linker script"
    )]
    NoRecords,
    /// The records are no whole number of addresses, or lie outside the file.
    #[error(
        "{RECORDS} at {address:#x}, {size} bytes: not a whole number of 8-byte addresses in one section of the file"
    )]
    BadRecords {
        /// Where they begin.
        address: u64,
        /// How long they are.
        size: u64,
    },
    /// A record is zero and no relocation of a known kind fills it.
    #[error(
        "the record at {address:#x} is zero and no R_AARCH64_RELATIVE fills it: link with -static or -static-pie"
    )]
    EmptyRecord {
        /// Address of the record itself, not of a function.
        address: u64,
    },
    /// Records of one address, over and over, each with all names of that address.
    #[error(
        "{records} records have {names} names, more than {NAMES_MAX}: damaged? Give the kernel as the linker wrote it"
    )]
    TooManyNames {
        /// All of them.
        records: usize,
        /// Of all together.
        names: usize,
    },
    /// There are no function symbols.
    #[error("no function symbols: the file is stripped; embed names before stripping it")]
    NoSymbols,
}

/// A function symbol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// As the compiler mangled it.
    pub symbol: String,
    /// As a person filters by it.
    pub path: String,
    /// Bytes; 0 where the symbol does not say.
    pub size: u64,
}

/// A record and the functions that begin there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callsite {
    /// Address of the first NOP.
    pub record: u64,
    /// All symbols at the entry, ordered by path, then by symbol. Several where identical functions were merged.
    pub functions: Vec<Function>,
}

impl Callsite {
    /// Address of the function.
    #[must_use]
    pub fn entry(&self) -> u64 {
        self.record.wrapping_add(PREFIX_BYTES)
    }

    /// Bytes from the entry to the end of the longest, where more than the padding lies between it and `next`.
    fn end_before(&self, next: u64) -> Option<u32> {
        let size = self.functions.iter().map(|f| f.size).max()?;
        let end = self.entry().checked_add(size)?;
        let gap = next.checked_sub(end)?;
        let is_known = size > 0 && gap >= PADDING_BYTES;
        is_known.then(|| u32::try_from(size).ok())?
    }

    /// The paths, each once.
    #[must_use]
    pub fn paths(&self) -> Vec<String> {
        let mut paths: Vec<_> = self.functions.iter().map(|f| f.path.clone()).collect();
        paths.dedup();
        paths
    }
}

/// The space for names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Space {
    /// Address in the kernel.
    pub address: u64,
    /// Bytes in the file.
    pub file: Range<usize>,
}

/// The text of a kernel's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text<'a> {
    /// All of it.
    pub bytes: &'a [u8],
    /// The physical address that it is loaded to.
    pub load_address: u64,
}

/// Which of a segment's two addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addresses {
    /// Where its code sees it, `p_vaddr`.
    Virtual,
    /// Where it is loaded, `p_paddr`.
    Physical,
}

/// A linked kernel.
pub struct Kernel<'a> {
    file: ElfFile64<'a, Endianness>,
    data: &'a [u8],
    callsites: Vec<Callsite>,
}

impl<'a> Kernel<'a> {
    /// Reads the callsites of the ELF file with these bytes.
    ///
    /// # Errors
    /// [`ElfError`]: not a linked AArch64 kernel with records and symbols.
    pub fn parse(data: &'a [u8]) -> Result<Self, ElfError> {
        let file = ElfFile64::<Endianness>::parse(data)?;
        let machine = file.elf_header().e_machine(file.endian());
        if machine != object::elf::EM_AARCH64 {
            return Err(ElfError::NotAarch64 { machine: machine.0 });
        }
        if file.kind() == ObjectKind::Relocatable {
            return Err(ElfError::NotLinked);
        }
        let mut kernel = Self {
            file,
            data,
            callsites: Vec::new(),
        };
        let records = kernel.read_records()?;
        let functions = kernel.read_functions()?;
        let of = |record: &u64| functions.get(&record.wrapping_add(PREFIX_BYTES));
        let names = records.iter().filter_map(of).map(Vec::len);
        let names = names.fold(0, usize::saturating_add);
        if names > NAMES_MAX {
            let records = records.len();
            return Err(ElfError::TooManyNames { records, names });
        }
        kernel.callsites = records
            .into_iter()
            .map(|record| Callsite {
                record,
                functions: of(&record).cloned().unwrap_or_default(),
            })
            .collect();
        Ok(kernel)
    }

    /// One for each record, in ascending order of address: the order of the run time's table.
    #[must_use]
    pub fn callsites(&self) -> &[Callsite] {
        &self.callsites
    }

    /// The callsites as the name table wants them.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        let last = self.symbol("__ftrace_text_end").unwrap_or(u64::MAX);
        let nexts = self.callsites.iter().skip(1).map(|c| c.record);
        self.callsites
            .iter()
            .zip(nexts.chain([last]))
            .map(|(c, next)| Record {
                address: c.record,
                names: c.paths(),
                end: c.end_before(next),
            })
            .collect()
    }

    /// The GNU build id, or nothing.
    #[must_use]
    pub fn build_id(&self) -> &'a [u8] {
        self.file.build_id().ok().flatten().unwrap_or_default()
    }

    /// Address of the symbol with this name.
    #[must_use]
    pub fn symbol(&self, name: &str) -> Option<u64> {
        self.file
            .symbols()
            .find(|s| s.name() == Ok(name) && s.is_definition())
            .map(|s| s.address())
    }

    /// How far the kernel runs from where it was linked, when its text (symbol `__ftrace_text_start`) runs at this address: what
    /// to add, wrapping, to an address of this file to have the running kernel's, and to take off for the way back.
    #[must_use]
    pub fn slide(&self, running_text: u64) -> Option<u64> {
        let linked = self.symbol("__ftrace_text_start")?;
        Some(running_text.wrapping_sub(linked))
    }

    /// The kernel's text, from symbol `__ftrace_text_start` to `__ftrace_text_end`, as the file has it.
    #[must_use]
    pub fn text(&self) -> Option<Text<'a>> {
        let range = self.symbol("__ftrace_text_start")?..self.symbol("__ftrace_text_end")?;
        if range.is_empty() {
            return None;
        }
        let endian = self.file.endian();
        let load_address = self.file.elf_program_headers().iter().find_map(|segment| {
            let from = range.start.checked_sub(segment.p_vaddr(endian))?;
            (from < segment.p_filesz(endian)).then(|| segment.p_paddr(endian).wrapping_add(from))
        })?;
        let bytes = self.data.get(self.file_range(&range)?)?;
        Some(Text {
            bytes,
            load_address,
        })
    }

    /// Where section `ftrace_names` lies: by its symbols, so that it may be part of another section, or by its name.
    #[must_use]
    pub fn names_space(&self) -> Option<Space> {
        let range = self.bounds(NAMES)?;
        let file = self.file_range(&range)?;
        (!file.is_empty()).then_some(Space {
            address: range.start,
            file,
        })
    }

    /// The memory of its segments that it may write to.
    #[must_use]
    pub fn writable(&self, addresses: Addresses) -> Vec<Range<u64>> {
        let endian = self.file.endian();
        let segments = self.file.elf_program_headers().iter();
        segments
            .filter(|segment| {
                segment.p_type(endian) == PT_LOAD && segment.p_flags(endian).contains(PF_W)
            })
            .map(|segment| {
                let start = match addresses {
                    Addresses::Virtual => segment.p_vaddr(endian),
                    Addresses::Physical => segment.p_paddr(endian),
                };
                start..start.saturating_add(segment.p_memsz(endian))
            })
            .collect()
    }

    /// What [`reserve_boot_config!`](aarch64_ftrace::reserve_boot_config) has reserved; `None` also where that is not once.
    #[must_use]
    pub fn boot_space(&self) -> Option<Range<usize>> {
        boot::space(self)
    }

    pub(crate) fn section_data(&self, name: &str) -> &'a [u8] {
        self.file
            .section_by_name(name)
            .and_then(|s| s.data().ok())
            .unwrap_or_default()
    }

    pub(crate) fn is_little_endian(&self) -> bool {
        self.file.is_little_endian()
    }

    /// All functions with a symbol, traced or not: address, bytes (0 where the symbol does not say), path.
    #[must_use]
    pub fn functions(&self) -> Vec<(u64, u32, String)> {
        self.file
            .symbols()
            .filter(|s| s.kind() == SymbolKind::Text && s.is_definition())
            .filter_map(|s| {
                let name = s.name().ok().filter(|name| !name.is_empty())?;
                let bytes = u32::try_from(s.size()).unwrap_or(u32::MAX);
                Some((s.address(), bytes, demangle::path(name)))
            })
            .collect()
    }

    fn bounds(&self, name: &str) -> Option<Range<u64>> {
        let symbols = self
            .symbol(&format!("__start_{name}"))
            .zip(self.symbol(&format!("__stop_{name}")));
        if let Some((start, stop)) = symbols {
            return (start < stop).then_some(start..stop);
        }
        let section = self.file.section_by_name(name)?;
        Some(section.address()..section.address().checked_add(section.size())?)
    }

    /// The bytes of the file that are loaded to these addresses.
    fn file_range(&self, range: &Range<u64>) -> Option<Range<usize>> {
        let section = self.file.sections().find(|s| {
            let loaded = s
                .elf_section_header()
                .sh_flags(self.file.endian())
                .contains(SHF_ALLOC);
            let end = s.address().saturating_add(s.size());
            loaded && s.address() <= range.start && range.end <= end && s.size() > 0
        })?;
        let (offset, size) = section.file_range()?;
        let start = offset.checked_add(range.start - section.address())?;
        let end = start.checked_add(range.end - range.start)?;
        let file = usize::try_from(start).ok()?..usize::try_from(end).ok()?;
        (end <= offset.checked_add(size)? && file.end <= self.data.len()).then_some(file)
    }

    fn read_functions(&self) -> Result<BTreeMap<u64, Vec<Function>>, ElfError> {
        let mut functions = BTreeMap::<u64, Vec<Function>>::new();
        for symbol in self.file.symbols() {
            if symbol.kind() != SymbolKind::Text || !symbol.is_definition() {
                continue;
            }
            let symbol_name = symbol.name()?;
            if symbol_name.is_empty() {
                continue;
            }
            let function = Function {
                symbol: symbol_name.to_owned(),
                path: demangle::path(symbol_name),
                size: symbol.size(),
            };
            functions
                .entry(symbol.address())
                .or_default()
                .push(function);
        }
        if functions.is_empty() {
            return Err(ElfError::NoSymbols);
        }
        for aliases in functions.values_mut() {
            aliases.sort_by(|a, b| (&a.path, &a.symbol, b.size).cmp(&(&b.path, &b.symbol, a.size)));
            // Of one symbol that is there twice, the longer.
            aliases.dedup_by(|a, b| a.symbol == b.symbol);
        }
        Ok(functions)
    }
}
