//! [`Cover`]: which functions have been called at all. A function that has been costs nothing any more.
#![forbid(unsafe_code)]

use crate::arch;
use crate::engine::Applied;
use crate::error::Error;
use crate::fregs::Fregs;
use crate::instances::{CounterLine, Instances};
use crate::introspect::Callsite;
use crate::ops::{Kind, Ops};
use crate::tracer::Ftrace;
use core::ops::Deref;
use core::sync::atomic::Ordering;

/// The set of the functions that have been called, of those that its filter takes.
///
/// Register it as any ops, after [`Ftrace::place_cover`] has given it memory. The first call of a function marks it, for ten
/// instructions, trampoline included. From then on its calls cost eight, until [`Ftrace::settle`] takes the callsite out:
/// what has been covered costs as much as what is not traced.
#[derive(Debug)]
pub struct Cover {
    ops: Ops,
    instances: Instances,
}

/// Callsites that share a line: a block is the entry, and the entry is the mark.
const BLOCKS: usize = 8;

/// Marks are not kept by core.
const CORES: usize = 1;

impl Cover {
    /// Covers nothing yet.
    pub const fn new() -> Self {
        Self {
            ops: Ops::builtin(Kind::Coverage, arch::entry::COVER, covered),
            instances: Instances::new(BLOCKS),
        }
    }

    /// Whether the function has been called since the memory was given or [`Cover::clear`].
    pub fn is_hit(&self, callsite: &Callsite) -> bool {
        self.has(callsite.index())
    }

    /// Forgets what has been called. Callsites that were settled stay out until [`Ftrace::set_filter`] takes them again.
    /// Calls that run meanwhile may be forgotten or not.
    pub fn clear(&self) {
        self.instances.set_entries(arch::entry::COVER);
    }

    fn has(&self, record: usize) -> bool {
        let word = self.instances.word(record, 0, 0);
        word.is_some_and(|word| word.load(Ordering::Relaxed) == arch::entry::NOP as usize as u64)
    }
}

impl Default for Cover {
    fn default() -> Self {
        Self::new()
    }
}

impl Deref for Cover {
    type Target = Ops;

    fn deref(&self) -> &Ops {
        &self.ops
    }
}

impl Ftrace {
    /// How many lines of memory a [`Cover`] needs: 8 bytes a callsite. 0 before init.
    pub fn cover_lines(&'static self) -> usize {
        Instances::new(BLOCKS).lines(self.span(), CORES)
    }

    /// Gives a [`Cover`] its memory, once.
    ///
    /// # Errors
    /// [`Error::NotInitialised`]; [`Error::CounterMemory`] where it has its memory already, or `memory` is too small.
    pub fn place_cover(
        &'static self,
        cover: &'static Cover,
        memory: &'static mut [CounterLine],
    ) -> Result<(), Error> {
        let known = self.known().ok_or(Error::NotInitialised)?;
        let lines = memory.len();
        if !cover
            .instances
            .place(&known.table, memory, CORES, arch::entry::COVER, 0)
        {
            return Err(Error::CounterMemory { lines });
        }
        cover.ops.set_instances(&cover.instances);
        Ok(())
    }

    /// Takes out the callsites of all functions that have been called: one plan, with one round of all cores, as
    /// [`Ftrace::set_filter`] makes it. What is called for the first time meanwhile is settled the next time.
    ///
    /// # Errors
    /// Nothing is changed then: [`Error::NotInitialised`], [`Error::Reentrant`], [`Error::NotRegistered`], [`Error::Alias`],
    /// [`Error::Patch`], [`Error::SetMemory`].
    ///
    /// # Context
    /// Ordinary code, as for all changes of tracing: the idle task, a timer's task, whoever reads the coverage. How often is
    /// the kernel's choice between the cost of a call (eight instructions) and that of a plan.
    pub fn settle(&'static self, cover: &'static Cover) -> Result<Applied, Error> {
        self.with_work(|engine, work| engine.keep(work, &cover.ops, |index| !cover.has(index)))
    }

    /// The functions that have been called, in the order of their addresses.
    ///
    /// # Context
    /// As [`Ftrace::callsites`].
    pub fn covered(&'static self, cover: &'static Cover) -> impl Iterator<Item = Callsite> {
        self.callsites().filter(|callsite| cover.is_hit(callsite))
    }
}

/// A call from a set.
extern "C" fn covered(ip: usize, _: usize, ops: &Ops, _: &mut Fregs) {
    let _: Option<()> = (|| {
        let instances = ops.instances()?;
        let word = instances.word(instances.block_at(ip)?, 0, 0)?;
        word.store(arch::entry::NOP as usize as u64, Ordering::Relaxed);
        Some(())
    })();
}
