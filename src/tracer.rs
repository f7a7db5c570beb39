//! [`Ftrace`]: the tracer of one kernel.

#![forbid(unsafe_code)]

use crate::arch::{self, Executable, LiveText};
use crate::counters::Cores;
use crate::engine::{self, Applied, Engine, Work};
use crate::error::Error;
use crate::filter::Filter;
use crate::image::Image;
use crate::introspect::{Callsites, Rejects, Symbol};
use crate::lock::Lock;
use crate::names::{Names, NamesError};
use crate::ops::Ops;
use crate::platform::Platform;
use crate::storage::Storage;
use crate::table::Table;
use crate::veneer::{Targets, Veneer};
use core::fmt;
use core::mem::MaybeUninit;
use core::ops::Range;

/// Memory for sets that every tracer has, in bytes: enough for a hundred tracers on one function.
const FIRST_SET_MEMORY: usize = 8192;

/// The tracer of one kernel: make it a `static`.
///
/// # Context
/// Unless a method says otherwise: from ordinary code of the kernel, at EL1 or above, interrupts on or off, on one core
/// at a time or several (a spin lock inside orders them). Not from a tracer or an interrupt handler that interrupts
/// another call on the same core: those get [`Error::Reentrant`].
pub struct Ftrace {
    pub(crate) platform: &'static dyn Platform,
    known: spin::Once<Known>,
    pub(crate) engine: Lock<Engine>,
    first_set_memory: FirstSetMemory,
    pub(crate) cores: Cores,
}

/// What is known after init and never changes.
pub(crate) struct Known {
    pub(crate) table: Table,
    pub(crate) names: Result<Names<'static>, NamesError>,
    veneers: &'static [Veneer],
    pub(crate) text: Range<usize>,
}

#[repr(C, align(16))]
struct FirstSetMemory(Storage<MaybeUninit<u8>, FIRST_SET_MEMORY>);

/// What [`Ftrace::init`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InitReport {
    /// Callsites that can be traced.
    pub callsites: usize,
    /// Records that were left alone; [`Ftrace::rejects`] lists them.
    pub rejected: usize,
    /// Functions that have a name, or why there are no names.
    pub names: Result<usize, NamesError>,
}

impl fmt::Display for InitReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "ftrace: {} callsites, {} records left alone, ",
            self.callsites, self.rejected
        )?;
        match &self.names {
            Ok(count) => write!(f, "{count} names"),
            Err(error) => write!(f, "no names: {error}"),
        }
    }
}

/// What the tracer keeps in memory, text aside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Records, rejects included.
    pub records: usize,
    /// Bytes that they take: the linker's own section, used in place.
    pub record_bytes: usize,
    /// Names, aliases included.
    pub names: usize,
    /// Bytes of the table of names.
    pub name_bytes: usize,
}

impl Ftrace {
    /// A tracer on this platform. Does nothing until [`Ftrace::init`].
    pub const fn new(platform: &'static dyn Platform) -> Self {
        Self {
            platform,
            known: spin::Once::new(),
            engine: Lock::new(Engine::new()),
            first_set_memory: FirstSetMemory(Storage::new(
                [MaybeUninit::uninit(); FIRST_SET_MEMORY],
            )),
            cores: Cores::new(),
        }
    }

    /// Finds the kernel's callsites and takes them to the disabled state, in which each costs two instructions. Sets
    /// this core's [`crate::CpuArea`].
    ///
    /// # Errors
    /// [`Error::AlreadyInitialised`]; [`Error::NoCallsites`], [`Error::Records`]: the build flags or the linker script;
    /// [`Error::Alias`], [`Error::Patch`]: nothing is changed then. A missing or foreign table of names is no error: the
    /// report says so, and name filters do.
    ///
    /// # Context
    /// On the boot core, before other cores run traced code. Again after an init that failed, and after
    /// [`Ftrace::shutdown`] with the other cores kept away from traced code: it then goes on with what it knows of the
    /// kernel, and quarantines callsites whose words somebody else has written meanwhile.
    pub fn init(&'static self) -> Result<InitReport, Error> {
        let mut engine = self.engine.lock(self.platform)?;
        if engine.active {
            return Err(Error::AlreadyInitialised);
        }
        match self.known() {
            Some(known) => self.start_again(&mut engine, known),
            None => self.start(&mut engine, Image::of_this_kernel()?),
        }
    }

    /// As [`Ftrace::init`], for a kernel whose records or text the linker's symbols do not describe.
    ///
    /// The tracer keeps the image, so this works once: after a shutdown, or an [`Error::Patch`], go on with
    /// [`Ftrace::init`].
    ///
    /// # Errors
    /// As [`Ftrace::init`].
    pub fn init_with(&'static self, image: Image) -> Result<InitReport, Error> {
        let mut engine = self.engine.lock(self.platform)?;
        if self.known.is_completed() {
            return Err(Error::AlreadyInitialised);
        }
        self.start(&mut engine, image)
    }

    fn start(&'static self, engine: &mut Engine, image: Image) -> Result<InitReport, Error> {
        if image.records.is_empty() {
            return Err(Error::NoCallsites);
        }
        let text = LiveText::open(self.platform)?;
        Table::sort(image.records);
        let names = Names::parse(image.names).and_then(|names| {
            names.belongs_to(image.records.iter().copied())?;
            Ok(names)
        });
        let table = Table::build(image.records, &image.ranges, &text);
        if let Some(memory) = self.first_set_memory.0.take() {
            engine.sets.memory.add(memory);
        }
        // From now on the records are the table's, whatever comes: a failed init is made again with this.
        let known = self.known.call_once(|| Known {
            table,
            names,
            veneers: image.veneers,
            text: image.ranges.text,
        });
        engine::first_patch(&text, &known.table)?;
        Ok(self.started(engine, known, 0))
    }

    fn start_again(
        &'static self,
        engine: &mut Engine,
        known: &'static Known,
    ) -> Result<InitReport, Error> {
        let text = LiveText::open(self.platform)?;
        let left = engine.start_again(&text, &known.table)?;
        Ok(self.started(engine, known, left))
    }

    fn started(&self, engine: &mut Engine, known: &Known, left: usize) -> InitReport {
        engine.active = true;
        arch::set_boot_cpu_area(self.core());
        self.list_area();
        let rejected = known.table.rejected() + left;
        InitReport {
            callsites: known.table.len() - rejected,
            rejected,
            names: known.names.as_ref().map(Names::total_names).map_err(|e| *e),
        }
    }

    /// Gives the engine more memory for interned sets (several tracers on one function). Up to three regions. Not
    /// needed with feature `alloc`.
    ///
    /// # Errors
    /// [`Error::SetMemory`] where no more regions can be kept; [`Error::Reentrant`].
    pub fn add_set_memory(&self, region: &'static mut [MaybeUninit<u8>]) -> Result<(), Error> {
        let bytes = region.len();
        let added = self.engine.lock(self.platform)?.sets.memory.add(region);
        if added {
            Ok(())
        } else {
            Err(Error::SetMemory { bytes })
        }
    }

    /// Registers an ops: the functions that the filter takes call it when this returns.
    ///
    /// # Errors
    /// Nothing is changed on an error: [`Error::NotInitialised`], [`Error::Reentrant`], [`Error::AlreadyRegistered`],
    /// [`Error::Alias`], [`Error::Patch`], [`Error::SetMemory`], and those of the filter: [`Error::Names`],
    /// [`Error::Glob`], [`Error::Number`], [`Error::NoMatch`], [`Error::TooManyPatterns`], [`Error::NoCallsiteAt`],
    /// [`Error::NoSuchIndex`]; of a counter or profiler [`Error::CounterMemory`], [`Error::NoReturnStack`].
    pub fn register(
        &'static self,
        ops: &'static Ops,
        filter: &Filter<'_>,
    ) -> Result<Applied, Error> {
        self.check_return_stack(ops)?;
        self.with_work(|engine, work| engine.register(work, ops, filter))
    }

    /// Changes what a registered ops traces. Functions that both filters take are called through all the while.
    ///
    /// # Errors
    /// As [`Ftrace::register`], and [`Error::NotRegistered`]. The old filter stands then.
    pub fn set_filter(
        &'static self,
        ops: &'static Ops,
        filter: &Filter<'_>,
    ) -> Result<Applied, Error> {
        self.with_work(|engine, work| engine.set_filter(work, ops, filter))
    }

    /// Takes an ops away: a function that is entered after this returns does not call it.
    ///
    /// A function that was entered before, on another core, in another task, or in code that this one interrupted, may
    /// still be on its way into the tracer or inside it, also after the return. [`Ftrace::synchronize`] waits for those.
    ///
    /// # Errors
    /// [`Error::NotInitialised`], [`Error::Reentrant`], [`Error::NotRegistered`], [`Error::Alias`], [`Error::Patch`]
    /// (the ops is still registered then), [`Error::SetMemory`].
    pub fn unregister(&'static self, ops: &'static Ops) -> Result<Applied, Error> {
        self.with_work(|engine, work| engine.unregister(work, ops))
    }

    /// All callsites that can be traced, in the order of their addresses.
    ///
    /// # Context
    /// Takes no lock: any context, also a tracer. States are read as they are at that moment.
    pub fn callsites(&'static self) -> Callsites {
        Callsites::new(self.known())
    }

    /// The records that are left alone, with the reason.
    ///
    /// # Context
    /// As [`Ftrace::callsites`].
    pub fn rejects(&'static self) -> Rejects {
        Rejects::new(self.known())
    }

    /// Names an address in the text: the nearest function at or before it that has a record.
    ///
    /// # Context
    /// As [`Ftrace::callsites`]. A tracer uses it for its `ip` and `parent_ip`.
    pub fn symbol(&'static self, address: usize) -> Option<Symbol> {
        Symbol::find(self.known()?, address)
    }

    /// Calls `each` for every ops that the callsite with this index calls, in calling order.
    ///
    /// # Errors
    /// [`Error::NotInitialised`], [`Error::Reentrant`], [`Error::NoSuchIndex`].
    pub fn ops_of(
        &'static self,
        index: usize,
        mut each: impl FnMut(&'static Ops),
    ) -> Result<(), Error> {
        self.with_reader(|engine, work| {
            let count = work.table.len();
            let record = work
                .table
                .record(index)
                .ok_or(Error::NoSuchIndex { index, count })?;
            engine
                .members(work, record)
                .into_iter()
                .flatten()
                .for_each(&mut each);
            Ok(())
        })
    }

    /// Calls `each` for every registered ops, newest first.
    ///
    /// # Errors
    /// [`Error::Reentrant`].
    pub fn for_each_ops(&'static self, each: impl FnMut(&'static Ops)) -> Result<(), Error> {
        self.engine
            .lock(self.platform)?
            .registry
            .iter()
            .for_each(each);
        Ok(())
    }

    /// What the tracer keeps in memory. All zero before init.
    pub fn memory(&'static self) -> Memory {
        let Some(known) = self.known() else {
            return Memory::default();
        };
        let names = known.names.as_ref().ok();
        Memory {
            records: known.table.len(),
            record_bytes: known.table.bytes(),
            names: names.map_or(0, |names| names.total_names()),
            name_bytes: names.map_or(0, |names| names.size()),
        }
    }

    /// How many interned sets are kept, used or not.
    ///
    /// # Errors
    /// [`Error::Reentrant`].
    pub fn sets(&'static self) -> Result<usize, Error> {
        Ok(self.engine.lock(self.platform)?.sets.count())
    }

    pub(crate) fn known(&'static self) -> Option<&'static Known> {
        self.known.get()
    }

    /// The engine, with the text to look at.
    pub(crate) fn with_reader<R>(
        &'static self,
        what: impl FnOnce(&Engine, &Work<'_, Executable>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let known = self.known().ok_or(Error::NotInitialised)?;
        let engine = self.engine.lock(self.platform)?;
        what(&engine, &known.work(&engine, &Executable)?)
    }

    /// The engine, with the text to patch.
    pub(crate) fn with_work<R>(
        &'static self,
        what: impl FnOnce(&mut Engine, &Work<'_, LiveText>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        self.with_work_and_grace(what).0
    }

    /// Also answers what [`Platform::synchronize`] said where it was asked after the change, because of unused sets.
    pub(crate) fn with_work_and_grace<R>(
        &'static self,
        what: impl FnOnce(&mut Engine, &Work<'_, LiveText>) -> Result<R, Error>,
    ) -> (Result<R, Error>, Option<bool>) {
        let mut retired = None;
        let result = self.locked(|engine, work| {
            let result = what(engine, work);
            retired = engine.sets.retire();
            result
        });
        let grace = retired.map(|retired| {
            let grace = self.platform.synchronize();
            // Refused only from where the change above was refused too: there is nothing retired then.
            if grace && let Ok(mut engine) = self.engine.lock(self.platform) {
                engine.sets.free(retired);
            }
            grace
        });
        (result, grace)
    }

    fn locked<R>(
        &'static self,
        what: impl FnOnce(&mut Engine, &Work<'_, LiveText>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let known = self.known().ok_or(Error::NotInitialised)?;
        let mut engine = self.engine.lock(self.platform)?;
        if !engine.active {
            return Err(Error::NotInitialised);
        }
        let text = LiveText::open(self.platform)?;
        let work = known.work(&engine, &text)?;
        what(&mut engine, &work)
    }
}

impl Known {
    fn work<'a, T>(&'a self, engine: &Engine, text: &'a T) -> Result<Work<'a, T>, Error> {
        if !engine.active {
            return Err(Error::NotInitialised);
        }
        Ok(Work {
            text,
            table: &self.table,
            names: &self.names,
            targets: Targets {
                trampoline: arch::trampoline(),
                veneers: self.veneers,
            },
        })
    }
}
