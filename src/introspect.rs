//! What a kernel's shell shows: callsites with names and states, rejects, symbols. Linux's available_filter_functions,
//! enabled_functions and touched_functions.
#![forbid(unsafe_code)]

use crate::arch;
use crate::callsite::Layout;
use crate::insn::Insn;
use crate::names::{Aliases, Name, Names};
use crate::table::{LEFT_ALONE, Reason, Record, TOUCHED};
use crate::tracer::Known;
use core::fmt;

/// One function that can be traced.
#[derive(Clone, Copy)]
pub struct Callsite {
    index: usize,
    record: Record,
    known: &'static Known,
}

impl Callsite {
    /// The number that a filter takes as `#number`.
    pub fn index(&self) -> usize {
        self.index
    }

    /// The function's address.
    pub fn entry(&self) -> usize {
        self.layout().entry()
    }

    /// Where the callsite's words stand.
    pub fn layout(&self) -> Layout {
        self.known.table.layout(self.record)
    }

    /// Whether the function calls a tracer now.
    pub fn is_enabled(&self) -> bool {
        arch::read_insn(self.layout().branch()) != Insn::NOP
    }

    /// Whether it has ever done so.
    pub fn is_touched(&self) -> bool {
        self.record.has(TOUCHED)
    }

    /// All names of the function: more than one where the compiler merged functions with the same body.
    pub fn names(&self) -> impl Iterator<Item = Name<'static>> + Clone + use<> {
        names_of(self.known, self.index)
    }
}

impl fmt::Debug for Callsite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Callsite {{ index: {}, entry: {:#x} }}",
            self.index,
            self.entry()
        )
    }
}

/// The function's first name, or its address.
impl fmt::Display for Callsite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.names().next() {
            Some(name) => write!(f, "{name}"),
            None => write!(f, "{:#x}", self.entry()),
        }
    }
}

/// See [`crate::Ftrace::callsites`].
#[derive(Clone)]
pub struct Callsites {
    known: Option<&'static Known>,
    next: usize,
}

impl Callsites {
    pub(crate) fn new(known: Option<&'static Known>) -> Self {
        Self { known, next: 0 }
    }
}

impl Iterator for Callsites {
    type Item = Callsite;

    fn next(&mut self) -> Option<Callsite> {
        let known = self.known?;
        loop {
            let index = self.next;
            let record = known.table.record(index)?;
            self.next += 1;
            if !record.has(LEFT_ALONE) {
                return Some(Callsite {
                    index,
                    record,
                    known,
                });
            }
        }
    }
}

/// A record that is left alone.
#[derive(Clone, Copy)]
pub struct Reject {
    index: usize,
    /// Where the function's first NOP is. Of an address more than 128 TiB from the text only the low 48 bits are kept.
    pub address: usize,
    /// Why it is left alone.
    pub reason: Reason,
    known: &'static Known,
}

impl Reject {
    /// The names of the function.
    pub fn names(&self) -> impl Iterator<Item = Name<'static>> + Clone + use<> {
        names_of(self.known, self.index)
    }
}

impl fmt::Debug for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Reject {{ address: {:#x}, reason: {:?} }}",
            self.address, self.reason
        )
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x} {}", self.address, self.reason)?;
        self.names()
            .next()
            .map_or(Ok(()), |name| write!(f, ": {name}"))
    }
}

/// See [`crate::Ftrace::rejects`].
#[derive(Clone)]
pub struct Rejects {
    known: Option<&'static Known>,
    next: usize,
}

impl Rejects {
    pub(crate) fn new(known: Option<&'static Known>) -> Self {
        Self { known, next: 0 }
    }
}

impl Iterator for Rejects {
    type Item = Reject;

    fn next(&mut self) -> Option<Reject> {
        let known = self.known?;
        loop {
            let index = self.next;
            let record = known.table.record(index)?;
            self.next += 1;
            if let Some(reason) = record.reason() {
                return Some(Reject {
                    index,
                    address: known.table.layout(record).literal(),
                    reason,
                    known,
                });
            }
        }
    }
}

/// An address in words: the nearest function with a record at or before it, and how far behind its entry the address is.
///
/// Code without records (asm, naked functions, code compiled without the flags) has no names, and where `aftrace embed` has seen it
/// behind a function, an address in it is not that function's. The end itself is: a call that never returns may be the last instruction.
#[derive(Clone, Copy)]
pub struct Symbol {
    /// The function's first name.
    pub name: Name<'static>,
    /// From the function's entry to the address, in bytes.
    pub offset: usize,
}

impl Symbol {
    pub(crate) fn find(known: &'static Known, address: usize) -> Option<Self> {
        let index = known.table.at_or_before(address)?;
        let entry = known.table.layout(known.table.record(index)?).entry();
        let offset = address.saturating_sub(entry);
        let names = known.names.as_ref().ok()?;
        if names.end(index).is_some_and(|end| offset > end) {
            return None;
        }
        let name = names.get(index)?.next()?;
        Some(Self { name, offset })
    }
}

/// `path::of::function+0x12`
impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{:#x}", self.name, self.offset)
    }
}

fn names_of(
    known: &'static Known,
    index: usize,
) -> impl Iterator<Item = Name<'static>> + Clone + use<> {
    let names: Option<&Names<'static>> = known.names.as_ref().ok();
    let aliases: Option<Aliases<'static>> = names.and_then(|names| names.get(index));
    aliases.into_iter().flatten()
}
