//! [`Recorder`]: the function tracer. Each call of a traced function is an event of 16 bytes in its core's ring.

mod boot;
mod dump;
mod error;
mod filter;
mod graph;
pub(crate) mod memory;
mod persistent;
mod reader;
mod snapshot;
mod stream;
mod sums;
mod survivor;
mod switch;
pub(crate) mod task_names;
mod tasks;
mod trigger;

pub use boot::Booted;
pub use dump::dump_on_panic;
pub use error::RecordError;
pub use memory::{RecordMemory, Sizes};
pub use persistent::Persistent;
pub use reader::{Item, Reader};
pub use snapshot::Snapshot;
pub use stream::SendError;
pub use survivor::{Build, Survivor};
pub use trigger::{Action, MAX_TRIGGERS, STACK_DEPTH, Trigger, park};

use graph::Graph;

use crate::arch;
use crate::areas;
use crate::cpu::CpuArea;
use crate::error::Error;
use crate::fregs::Fregs;
use crate::insn::INSN_SIZE;
use crate::names::Names;
use crate::ops::{Kind, Ops};
use crate::ring::{Control, Counts, Mode};
use crate::trace::{Header, Type};
use crate::tracer::Ftrace;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Writes events into rings, one for each core.
///
/// Make it a `static`, give it memory with [`Recorder::install`], then register [`Recorder::ops`] with a filter, as any
/// ops. Recording can be switched off and on without touching the text, and costs a traced call no test.
pub struct Recorder {
    ftrace: &'static Ftrace,
    /// By mode, and by whether the cores have atomic adds: each is another entry.
    ops: [Ops; 4],
    /// Entry and exit.
    graph: Graph,
    installed: spin::Once<Installed>,
    on: AtomicBool,
    /// How many keep recording off until they are done, whether it is on or not.
    pauses: AtomicU32,
    /// There is a [`Snapshot`].
    snapshot: AtomicBool,
    tasks: tasks::Tasks,
}

/// Some recorder has memory: a core has one ring that recorders write to, so there is one recorder.
static TAKEN: AtomicBool = AtomicBool::new(false);
static OWNER: spin::Once<&'static Recorder> = spin::Once::new();

/// The recorder that has this kernel's memory.
fn owner() -> Option<&'static Recorder> {
    OWNER.get().copied()
}

/// What [`Recorder::install`] made. Never changes.
struct Installed {
    region: memory::Region,
    mode: Mode,
    lse: bool,
}

impl Installed {
    /// Which of the four entries of a kind serves: by mode, and by whether the cores have atomic adds.
    fn form(&self) -> usize {
        usize::from(self.mode == Mode::StopWhenFull) * 2 + usize::from(self.lse)
    }
}

impl Recorder {
    /// A recorder without memory: its ops cannot be had before [`Recorder::install`].
    pub const fn new(ftrace: &'static Ftrace) -> Self {
        use arch::entry::{RECORD, RECORD_LSE, RECORD_STOP, RECORD_STOP_LSE};
        Self {
            ftrace,
            ops: [
                Ops::builtin(Kind::Record, RECORD, from_a_set),
                Ops::builtin(Kind::Record, RECORD_LSE, from_a_set),
                Ops::builtin(Kind::Record, RECORD_STOP, from_a_set),
                Ops::builtin(Kind::Record, RECORD_STOP_LSE, from_a_set),
            ],
            graph: Graph::new(),
            installed: spin::Once::new(),
            on: AtomicBool::new(false),
            pauses: AtomicU32::new(0),
            snapshot: AtomicBool::new(false),
            tasks: tasks::Tasks::new(),
        }
    }

    /// Makes a region (header, control blocks, rings) in `memory` and switches recording on. The memory may be anywhere
    /// that all cores map alike as Normal memory, Inner Shareable; it may hold anything. It is given for good, also where it is refused:
    /// sizes that somebody has typed are to be asked for their [`Sizes::bytes`] before.
    ///
    /// # Errors
    /// Nothing is changed then. [`RecordError::AlreadyInstalled`], for another recorder of this kernel too; [`RecordError::Ftrace`] before [`Ftrace::init`];
    /// [`RecordError::Cores`], [`RecordError::RingBytes`], [`RecordError::Misaligned`], [`RecordError::TooSmall`] for sizes that
    /// cannot be; [`RecordError::TextTooLarge`] where 32 bits do not tell functions apart.
    ///
    /// # Context
    /// Once, after [`Ftrace::init`], on any core; not from a tracer.
    pub fn install(
        &'static self,
        memory: &'static mut [MaybeUninit<u8>],
        sizes: Sizes,
    ) -> Result<(), RecordError> {
        self.install_as(memory, sizes, 1, 0)
    }

    fn install_as(
        &'static self,
        memory: &'static mut [MaybeUninit<u8>],
        sizes: Sizes,
        boots: u64,
        flags: u64,
    ) -> Result<(), RecordError> {
        let text = self
            .ftrace
            .known()
            .ok_or(RecordError::Ftrace(Error::NotInitialised))?
            .text
            .clone();
        self.install_for(text, memory, sizes, boots, flags)
    }

    /// As [`Recorder::install`], for a kernel whose text is known.
    pub(crate) fn install_for(
        &'static self,
        text: core::ops::Range<usize>,
        memory: &'static mut [MaybeUninit<u8>],
        sizes: Sizes,
        boots: u64,
        flags: u64,
    ) -> Result<(), RecordError> {
        if TAKEN.swap(true, Ordering::AcqRel) {
            return Err(RecordError::AlreadyInstalled);
        }
        let header = Header {
            boots,
            flags,
            ..self.header_of(text)
        };
        let region = match memory::Region::make(memory, sizes, header) {
            Ok(region) => region,
            Err(error) => {
                TAKEN.store(false, Ordering::Release);
                return Err(error);
            }
        };
        self.begin(region, sizes.mode);
        OWNER.call_once(|| self);
        Ok(())
    }

    /// Takes the region as its own and switches recording on.
    pub(crate) fn begin(&'static self, region: memory::Region, mode: Mode) {
        self.installed.call_once(|| Installed {
            region,
            mode,
            lse: arch::has_lse(),
        });
        self.set_on(true);
    }

    fn header_of(&'static self, text: core::ops::Range<usize>) -> Header {
        let mut header = Header {
            frequency: arch::frequency().max(1),
            text_start: text.start as u64,
            text_bytes: (text.end - text.start) as u64,
            link_start: text.start as u64,
            return_start: arch::return_handlers().start as u64,
            return_bytes: arch::return_handlers().len() as u64,
            made: arch::ticks(),
            ..Header::default()
        };
        let id = self.build_id();
        let len = id.len().min(header.build_id.len());
        header.build_id[..len].copy_from_slice(&id[..len]);
        header.build_id_len = len as u32;
        header
    }

    /// This kernel's build id; nothing where it has no table of names.
    fn build_id(&self) -> &'static [u8] {
        let known = self.ftrace.known();
        known
            .and_then(|known| known.names.as_ref().ok())
            .map_or(&[], Names::build_id)
    }

    fn installed(&self) -> Result<&Installed, RecordError> {
        self.installed.get().ok_or(RecordError::NotInstalled)
    }

    /// The ops to register: the functions that its filter takes are recorded. Alone on a callsite it costs its entry and
    /// nothing else; beside other tracers the set calls it.
    ///
    /// # Errors
    /// [`RecordError::NotInstalled`].
    pub fn ops(&'static self) -> Result<&'static Ops, RecordError> {
        Ok(&self.ops[self.installed()?.form()])
    }

    /// The ring that the core's events go to.
    fn ring(&'static self, core: usize) -> Result<&'static Control, RecordError> {
        let region = &self.installed()?.region;
        region.written(core).ok_or(RecordError::NoSuchCore {
            core,
            cores: region.cores(),
        })
    }

    /// How many events the ring of a core holds, and what became of the others.
    ///
    /// # Errors
    /// [`RecordError::NotInstalled`], [`RecordError::NoSuchCore`].
    ///
    /// # Context
    /// Any.
    pub fn counts(&'static self, core: usize) -> Result<Counts, RecordError> {
        let ring = self.ring(core)?;
        let refused = areas::all()
            .filter(|area| area.core() == core)
            .map(CpuArea::off_events)
            .sum();
        ring.set_refused(refused);
        Ok(ring.counts())
    }

    /// Forgets what is recorded on a core, and begins anew. With [`Mode::StopWhenFull`] there is room again.
    ///
    /// # Errors
    /// As [`Recorder::counts`].
    ///
    /// # Context
    /// On that core with interrupts masked, or with recording off and no call under way there: what is written
    /// meanwhile may count for either recording.
    pub fn reset(&'static self, core: usize) -> Result<(), RecordError> {
        let mode = self.installed()?.mode;
        self.ring(core)?.begin(mode);
        Ok(())
    }

    /// Reads what the ring of a core holds now, oldest first, while writers go on.
    ///
    /// # Errors
    /// As [`Recorder::counts`].
    ///
    /// # Context
    /// Any. Takes no lock, keeps nobody waiting.
    pub fn read(&'static self, core: usize) -> Result<Reader, RecordError> {
        Ok(Reader::new(self.ring(core)?))
    }

    /// The region's bytes, header first, as a debugger or a host would find them in RAM.
    ///
    /// # Errors
    /// [`RecordError::NotInstalled`].
    pub fn header(&self) -> Result<&Header, RecordError> {
        Ok(self.installed()?.region.header())
    }
}

/// What a set calls for a recorder's ops: the same event as its asm entry writes.
extern "C" fn from_a_set(ip: usize, parent_ip: usize, _: &Ops, _: &mut Fregs) {
    if let Some(area) = arch::cpu_area() {
        let callsite = (ip + INSN_SIZE) as u64;
        areas::ring(area).write(Type::Function, arch::ticks(), callsite, parent_ip as u32);
    }
}

impl From<Error> for RecordError {
    fn from(error: Error) -> Self {
        Self::Ftrace(error)
    }
}
