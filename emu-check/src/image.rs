//! What the kernel's file says: text, callsites, the tracer's own range, its asm entries.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::ops::Range;

use object::elf::PF_X;
use object::read::elf::{ElfFile64, ProgramHeader as _};
use object::{Endianness, Object as _, ObjectSection as _, ObjectSymbol as _};

use crate::insn::{self, NOP};

const RECORDS: &str = "__patchable_function_entries";

/// One callsite: addresses as they are executed.
#[derive(Clone, Copy, Debug)]
pub struct Callsite {
    pub mov: u64,
    pub branch: u64,
}

impl Callsite {
    pub fn end(self) -> u64 {
        self.branch + 4
    }
}

/// What a patched word is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Literal(usize),
    Mov(usize),
    Branch(usize),
}

pub struct Image {
    pub path: String,
    pub text: Range<u64>,
    /// From an executable address to its physical one: add.
    pub to_physical: u64,
    /// The text as it was linked, word by word.
    pub words: Vec<u32>,
    /// The tracer's own code and what is marked notrace.
    pub own: Range<u64>,
    pub callsites: Vec<Callsite>,
    pub roles: HashMap<u64, Role>,
    /// Where a callsite's BL may go besides the tracer's own direct entry.
    pub trampolines: Vec<u64>,
    symbols: BTreeMap<u64, String>,
}

impl Image {
    /// Reads the file.
    pub fn read(path: &str) -> Result<Self, String> {
        let bytes = fs::read(path).map_err(|error| format!("{path}: {error}"))?;
        let elf = ElfFile64::<Endianness>::parse(&*bytes).map_err(|e| format!("{path}: {e}"))?;
        let endian = elf.endian();
        let header = elf
            .elf_program_headers()
            .iter()
            .find(|header| (header.p_flags(endian) & PF_X).0 != 0 && header.p_filesz(endian) > 0)
            .ok_or_else(|| format!("{path}: no executable segment"))?;
        let start = header.p_vaddr(endian);
        let offset = header.p_offset(endian) as usize;
        let size = header.p_filesz(endian);
        let words = bytes
            .get(offset..offset + size as usize)
            .ok_or_else(|| format!("{path}: executable segment outside the file"))?
            .as_chunks::<4>()
            .0
            .iter()
            .map(|word| u32::from_le_bytes(*word))
            .collect();
        let mut named = HashMap::new();
        let mut symbols = BTreeMap::new();
        for symbol in elf.symbols() {
            if let Ok(name) = symbol.name() {
                named.insert(name, symbol.address());
                let code = (start..start + size).contains(&symbol.address());
                // $x and $d are mapping symbols; __ names are the linker's, and share addresses with functions.
                if code && !name.is_empty() && !name.starts_with('$') && !name.starts_with("__") {
                    symbols.insert(symbol.address(), name.to_owned());
                }
            }
        }
        let find = |name: &str| {
            let found = named.get(name).copied();
            found.ok_or_else(|| format!("{path}: no symbol {name}: is the tracer linked in?"))
        };
        let mut image = Self {
            path: path.to_owned(),
            text: start..start + size,
            to_physical: header.p_paddr(endian).wrapping_sub(start),
            words,
            own: find("__ftrace_notrace_start")?..find("__ftrace_notrace_end")?,
            callsites: Vec::new(),
            roles: HashMap::new(),
            trampolines: vec![find("ftrace_caller")?, find("ftrace_caller_far")?],
            symbols,
        };
        let section = elf
            .section_by_name(RECORDS)
            .ok_or_else(|| format!("{path}: no section {RECORDS}"))?;
        let records = section.data().map_err(|e| format!("{path}: {e}"))?;
        for record in records.as_chunks::<8>().0 {
            image.add(u64::from_le_bytes(*record));
        }
        if image.callsites.is_empty() {
            return Err(format!("{path}: no callsites"));
        }
        Ok(image)
    }

    /// Takes one record, unless the tracer leaves such a record alone.
    fn add(&mut self, literal: u64) {
        if !literal.is_multiple_of(8) || self.own.contains(&literal) {
            return;
        }
        let entry = literal + 8;
        let pad = if self.word(entry).is_some_and(insn::is_bti) {
            4
        } else {
            0
        };
        let site = Callsite {
            mov: entry + pad,
            branch: entry + pad + 4,
        };
        let compiled = [literal, literal + 4, site.mov, site.branch];
        if compiled.iter().all(|&at| self.word(at) == Some(NOP)) {
            let index = self.callsites.len();
            self.roles.insert(literal, Role::Literal(index));
            self.roles.insert(literal + 4, Role::Literal(index));
            self.roles.insert(site.mov, Role::Mov(index));
            self.roles.insert(site.branch, Role::Branch(index));
            self.callsites.push(site);
        }
    }

    /// The linked word at an executable address.
    pub fn word(&self, at: u64) -> Option<u32> {
        let index = at.checked_sub(self.text.start)? / 4;
        self.words.get(index as usize).copied()
    }

    /// The executable address of a physical one in the text.
    pub fn executable(&self, physical: u64) -> Option<u64> {
        let at = physical.wrapping_sub(self.to_physical);
        self.text.contains(&at).then_some(at)
    }

    /// The symbol that covers an address.
    pub fn symbol(&self, at: u64) -> Option<&str> {
        let (_, name) = self.symbols.range(..=at).next_back()?;
        Some(name)
    }

    /// The name of an asm entry that begins here.
    pub fn entry(&self, at: u64) -> Option<&str> {
        let name = self.symbols.get(&at)?;
        name.starts_with("ftrace_entry_").then_some(name)
    }

    /// Whether the address is in one of the library's .S files: their names are not mangled.
    pub fn in_asm(&self, at: u64) -> bool {
        self.own.contains(&at)
            && self
                .symbol(at)
                .is_some_and(|name| name.starts_with("ftrace_"))
    }
}
