//! A whole tracer on a fake text: what the tests drive, and what they look at afterwards.

use super::fake::{Event, Fake};
use crate::callsite::Layout;
use crate::engine::{self, Applied, Engine, Work};
use crate::error::Error;
use crate::filter::Filter;
use crate::fregs::Fregs;
use crate::insn::Insn;
use crate::names::{Names, NamesError};
use crate::ops::{EntryFn, Kind, Ops, TracerFn};
use crate::table::{MARKED, Record, SELECTED, Table, TextRanges};
use crate::veneer::{Targets, Veneer};
use core::mem::MaybeUninit;
use std::boxed::Box;
use std::vec;
use std::vec::Vec;

/// Where the text stands: in the upper half, as that of most kernels, so that arithmetic on addresses shows its signs.
pub(super) const BASE: usize = 0xffff_0000_4008_0000;

/// Where the BLs go: before the text, so that they go backward. In reach of it.
pub(super) const TRAMPOLINE: usize = BASE - 0x1_0000;

/// Memory for sets that a world has, in bytes.
const SET_MEMORY: usize = 32 * 1024;

pub(super) struct World {
    pub(super) text: Fake,
    pub(super) table: Table,
    pub(super) engine: Engine,
    pub(super) trampoline: usize,
    pub(super) veneers: &'static [Veneer],
    names: Result<Names<'static>, NamesError>,
}

impl World {
    /// The functions (each is whether it begins with a BTI), after init. The log is empty.
    pub(super) fn new(functions: &[bool], ctr: u64) -> Self {
        let world = Self::compiled(functions, ctr);
        engine::first_patch(&world.text, &world.table).expect("nothing is refused");
        world.text.take_log();
        world
    }

    /// The functions before init.
    pub(super) fn compiled(functions: &[bool], ctr: u64) -> Self {
        let (text, records) = Fake::new(BASE, functions, ctr);
        Self::of_text(text, records)
    }

    pub(super) fn of_text(text: Fake, records: Vec<u64>) -> Self {
        let ranges = TextRanges {
            text: text.range(),
            notrace: 0..0,
        };
        let table = Table::build(records.leak(), &ranges, &text);
        let mut engine = Engine::new();
        engine.active = true;
        engine.sets.memory.add(set_memory(SET_MEMORY));
        text.take_log();
        Self {
            text,
            table,
            engine,
            trampoline: TRAMPOLINE,
            veneers: &[],
            names: Err(NamesError::NoSection),
        }
    }

    /// What BLs reach.
    pub(super) fn targets(&self) -> Targets {
        Targets {
            trampoline: self.trampoline,
            veneers: self.veneers,
        }
    }

    pub(super) fn with_work<R>(
        &mut self,
        what: impl FnOnce(&mut Engine, &Work<'_, Fake>) -> R,
    ) -> R {
        let work = Work {
            text: &self.text,
            table: &self.table,
            names: &self.names,
            targets: Targets {
                trampoline: self.trampoline,
                veneers: self.veneers,
            },
        };
        what(&mut self.engine, &work)
    }

    pub(super) fn register(
        &mut self,
        ops: &'static Ops,
        filter: &Filter<'_>,
    ) -> Result<Applied, Error> {
        self.with_work(|engine, work| engine.register(work, ops, filter))
    }

    pub(super) fn set_filter(
        &mut self,
        ops: &'static Ops,
        filter: &Filter<'_>,
    ) -> Result<Applied, Error> {
        self.with_work(|engine, work| engine.set_filter(work, ops, filter))
    }

    pub(super) fn unregister(&mut self, ops: &'static Ops) -> Result<Applied, Error> {
        self.with_work(|engine, work| engine.unregister(work, ops))
    }

    /// As [`World::register`], of functions by their indices. Without any, nothing is taken.
    pub(super) fn register_at(
        &mut self,
        ops: &'static Ops,
        functions: &[usize],
    ) -> Result<Applied, Error> {
        let addresses = self.entries(functions);
        self.register(ops, &Filter::at(&addresses))
    }

    pub(super) fn set_filter_at(
        &mut self,
        ops: &'static Ops,
        functions: &[usize],
    ) -> Result<Applied, Error> {
        let addresses = self.entries(functions);
        self.set_filter(ops, &Filter::at(&addresses))
    }

    fn entries(&self, functions: &[usize]) -> Vec<usize> {
        functions.iter().map(|&i| self.layout(i).entry()).collect()
    }

    pub(super) fn record(&self, index: usize) -> Record {
        self.table.record(index).expect("the test knows its size")
    }

    pub(super) fn layout(&self, index: usize) -> Layout {
        self.table.layout(self.record(index))
    }

    pub(super) fn layouts(&self) -> Vec<Layout> {
        (0..self.table.len()).map(|i| self.layout(i)).collect()
    }

    /// Literal and patched word of a callsite.
    pub(super) fn state(&self, index: usize) -> (u64, Insn) {
        let layout = self.layout(index);
        let literal = self.text.peek_literal(layout.literal());
        (literal, self.text.peek(layout.branch()))
    }

    /// The BL to the trampoline, at this callsite.
    pub(super) fn bl(&self, index: usize) -> Insn {
        let at = self.layout(index).branch();
        self.targets().branch(at).expect("something is in reach")
    }

    /// The ops that a literal calls; `None` where it is not live.
    pub(super) fn members(&self, literal: u64) -> Option<Vec<&'static Ops>> {
        let members = self.engine.sets.members(&self.engine.registry, literal)?;
        Some(members.collect())
    }

    /// The ops that the callsite calls, as the engine says.
    pub(super) fn called_by(&mut self, index: usize) -> Vec<&'static Ops> {
        let record = self.record(index);
        self.with_work(|engine, work| {
            engine
                .members(work, record)
                .expect("a live literal")
                .collect()
        })
    }

    pub(super) fn take_log(&self) -> Vec<Event> {
        self.text.take_log()
    }

    /// Whether no record has a flag that only lives during a call.
    /// Gives back unused sets, if `grace` says that nobody is walking them.
    pub(super) fn sweep(&mut self, grace: impl FnOnce() -> bool) {
        let sets = &mut self.engine.sets;
        if let Some(retired) = sets.retire()
            && grace()
        {
            sets.free(retired);
        }
    }

    pub(super) fn is_clean(&self) -> bool {
        self.table
            .range(0..self.table.len())
            .all(|(_, record)| !record.has(MARKED | SELECTED))
    }
}

pub(super) fn set_memory(bytes: usize) -> &'static mut [MaybeUninit<u8>] {
    vec![MaybeUninit::uninit(); bytes].leak()
}

pub(super) extern "C" fn tracer(_: usize, _: usize, _: &Ops, _: &mut Fregs) {}

fn leak(ops: Ops) -> &'static Ops {
    Box::leak(Box::new(ops))
}

pub(super) fn guarded() -> &'static Ops {
    leak(Ops::new(tracer))
}

pub(super) fn unguarded() -> &'static Ops {
    leak(Ops::unguarded(tracer))
}

/// An ops whose tracer stands at this address.
pub(super) fn guarded_at(address: usize) -> &'static Ops {
    // SAFETY: the address is not 0, and nothing on this host calls a tracer.
    leak(Ops::new(unsafe {
        core::mem::transmute::<usize, TracerFn>(address)
    }))
}

fn entry_at(address: usize) -> EntryFn {
    // SAFETY: the address is not 0, and nothing on this host branches to an entry.
    unsafe { core::mem::transmute::<usize, EntryFn>(address) }
}

/// Asm that stands at this address.
pub(super) fn direct_at(address: usize) -> &'static Ops {
    // SAFETY: nothing on this host branches to an entry.
    leak(unsafe { Ops::direct(entry_at(address)) })
}

/// Asm that stands at this address, reached without the trampoline.
pub(super) fn straight_at(address: usize) -> &'static Ops {
    // SAFETY: nothing on this host branches to an entry.
    leak(unsafe { Ops::straight(entry_at(address)) })
}

/// An ops of this crate's own, with asm that stands at this address.
pub(super) fn builtin_at(address: usize) -> &'static Ops {
    leak(Ops::builtin(Kind::Record, entry_at(address), tracer))
}

/// A built-in ops whose callsites have literals of their own.
pub(super) fn counted() -> &'static Ops {
    leak(Ops::builtin(Kind::Count, crate::arch::entry::COUNT, tracer))
}
