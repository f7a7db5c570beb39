//! [`Survivor`]: what an earlier boot recorded, found in memory that a warm reset has left as it was.
#![forbid(unsafe_code)]

use super::dump::{Printer, Recording};
use super::reader::Before;
use super::stream::{end, send_core};
use super::task_names::send_task_names;
use super::{Item, Persistent, Recorder, SendError};
use crate::introspect::Symbol;
use crate::ring::{Counts, Role};
use crate::sink::{Sink, Stream};
use crate::trace::{
    BUILD_ID_BYTES, EndReason, Header, Region, RegionError, Ring, TaskEntry, TaskName,
};
use crate::tracer::Ftrace;
use core::fmt;

/// Which kernel has recorded something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Build {
    /// This one: its names are right for what it recorded.
    Same,
    /// Another one: names come from its own file, which the build id tells.
    Other,
    /// One of the two has no build id.
    Unknown,
}

impl Build {
    /// Of the kernel whose build id is `here`, and of a header that has `there`.
    pub(crate) fn of(here: &[u8], there: &[u8]) -> Self {
        // A header has room for the first bytes of a longer one.
        let here = &here[..here.len().min(BUILD_ID_BYTES)];
        match (here, there) {
            ([], _) | (_, []) => Self::Unknown,
            _ if here == there => Self::Same,
            _ => Self::Other,
        }
    }
}

/// A recording of an earlier boot: its header and control blocks have been checked, and each event is checked as it is read.
#[derive(Clone, Copy)]
pub struct Survivor<'a> {
    region: Region<'a>,
    build: Build,
    ftrace: &'static Ftrace,
}

impl fmt::Debug for Survivor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = self.header();
        write!(f, "Survivor {{ build: {:?}, {header:?} }}", self.build)
    }
}

impl Recorder {
    /// Looks whether an earlier boot has left a recording in `memory`, before [`Recorder::install_persistent`] uses it.
    ///
    /// # Errors
    /// [`RegionError`] says what is wrong first: no magic, another version or byte order, a header or a control block whose
    /// CRC is not that of its bytes, a field that cannot be, a region larger than the memory.
    ///
    /// # Context
    /// Any. After [`Ftrace::init`](crate::Ftrace::init): before it, nobody knows which build this is.
    pub fn survivor<'a>(&self, memory: &'a Persistent) -> Result<Survivor<'a>, RegionError> {
        let region = Region::parse(memory.bytes())?;
        let build = Build::of(self.build_id(), region.header().build_id());
        Ok(Survivor {
            region,
            build,
            ftrace: self.ftrace,
        })
    }
}

impl<'a> Survivor<'a> {
    /// What it says of itself.
    pub fn header(&self) -> &Header {
        self.region.header()
    }

    /// Which kernel it is of.
    pub fn build(&self) -> Build {
        self.build
    }

    /// All its rings: of each core the one that was written to, and a snapshot.
    pub fn rings(&self) -> impl Iterator<Item = Ring<'a>> {
        self.region.rings()
    }

    /// The ring that the core's recorders wrote to.
    fn written(&self, core: u32) -> Option<Ring<'a>> {
        self.rings()
            .find(|ring| ring.core == core && ring.role == Role::Written as u32)
    }

    /// The events of a core, oldest first. What is not an event of that text is unfinished. Nothing for a core that has no ring.
    pub fn read(&self, core: u32) -> impl Iterator<Item = Item> + use<'a> {
        self.written(core)
            .into_iter()
            .flat_map(Ring::events)
            .map(|(number, event)| match event {
                Some(event) => Item::Event { number, event },
                None => Item::Unfinished { number },
            })
    }

    /// The names that its kernel gave to tasks. Of two names of one task the last counts.
    pub fn task_names(&self) -> impl Iterator<Item = TaskName> + use<'a> {
        self.region.task_names().filter_map(TaskEntry::name)
    }

    /// How many events of a core it holds, and what became of the others; `None` for a core that has no ring.
    pub fn counts(&self, core: u32) -> Option<Counts> {
        let counts = self.written(core)?.counts();
        Some(Counts {
            written: counts.written,
            overwritten: counts.overwritten,
            dropped: counts.dropped,
            refused: counts.refused,
        })
    }

    /// Prints what it is, and the last `count` events of every core as [`Recorder::dump_on_panic`] does: with this kernel's names
    /// where the build is the same, and with addresses where it is not, or nothing shows that it is.
    ///
    /// # Errors
    /// Those of `out`.
    ///
    /// # Context
    /// Any; takes no lock and no memory but 8 KiB of stack.
    pub fn print(&self, out: &mut dyn fmt::Write, count: usize) -> fmt::Result {
        let whose = match self.build {
            Build::Same => "this build",
            Build::Other => "another build",
            Build::Unknown => "an unknown build",
        };
        write!(out, "ftrace: recorded by {whose}, build id ")?;
        match self.header().build_id() {
            [] => write!(out, "none")?,
            id => id.iter().try_for_each(|byte| write!(out, "{byte:02x}"))?,
        }
        writeln!(out, ", boot {}", self.header().boots)?;
        Printer(self).print(out, count)
    }

    /// Sends it, as [`Recorder::send`] does; the reason is [`EndReason::WarmReset`].
    ///
    /// # Errors
    /// [`SendError::Sink`]. What was sent until then is a stream without an end.
    ///
    /// # Context
    /// As [`Recorder::send`].
    pub fn send<S: Sink>(&self, stream: &mut Stream<S>) -> Result<(), SendError> {
        stream.header(&self.header().to_bytes())?;
        send_task_names(stream, self.task_names())?;
        for core in 0..self.header().cpus {
            if let (Some(ring), Some(counts)) = (self.written(core), self.counts(core)) {
                let before = Before {
                    first: ring.oldest(),
                    lost: counts.overwritten,
                };
                send_core(stream, core, before, self.read(core), || counts)?;
            }
        }
        end(stream, EndReason::WarmReset)
    }
}

impl Recording for Survivor<'_> {
    fn header(&self) -> &Header {
        self.region.header()
    }

    /// All of it was looked at when it was found.
    fn check(&self, _: usize) -> Result<(), RegionError> {
        Ok(())
    }

    fn counts(&self, core: usize) -> Option<Counts> {
        Survivor::counts(self, u32::try_from(core).ok()?)
    }

    fn newest(&self, core: usize, count: usize) -> Option<impl Iterator<Item = Item>> {
        let core = u32::try_from(core).ok()?;
        let ring = self.written(core)?;
        let older = ring.held().saturating_sub(count as u64);
        Some(self.read(core).skip(older as usize))
    }

    fn task(&self, id: u32) -> Option<TaskName> {
        self.task_names().filter(|name| name.id == id).last()
    }

    fn symbol(&self, address: u64) -> Option<Symbol> {
        if self.build != Build::Same {
            return None;
        }
        // The same build may run at another address on each boot.
        let offset = address.wrapping_sub(self.header().text_start) as usize;
        let text = &self.ftrace.known()?.text;
        self.ftrace.symbol(text.start.wrapping_add(offset))
    }
}
