//! [`Count`] and [`Profile`]: how often functions are called and how long they take, on each core, without a log.
#![forbid(unsafe_code)]

use crate::arch;
use crate::error::Error;
use crate::fregs::Fregs;
use crate::instances::{CounterLine, Instances, word};
use crate::introspect::Callsite;
use crate::ops::{EntryFn, Kind, Ops};
use crate::tracer::Ftrace;
use core::ops::Deref;
use core::sync::atomic::{AtomicUsize, Ordering};

/// Counts the calls of each function that its filter takes: 14 instructions a call, trampoline included, where it is the
/// callsite's only ops and the core has LSE.
///
/// Register it as any ops, after [`Ftrace::place_count`] has given it memory.
#[derive(Debug)]
pub struct Count {
    ops: Ops,
    instances: Instances,
}

/// Callsites that share a line: a block is the entry and one counter.
const COUNT_BLOCKS: usize = 4;

impl Count {
    /// Counts nothing yet.
    pub const fn new() -> Self {
        Self {
            ops: Ops::builtin(Kind::Count, arch::entry::COUNT, count_called),
            instances: Instances::new(COUNT_BLOCKS),
        }
    }

    /// Calls of the function on core `core` since the memory was given or [`Count::clear`]. `None` for a core that there
    /// are no counters for.
    pub fn hits(&self, callsite: &Callsite, core: usize) -> Option<u64> {
        let hits = self.instances.word(callsite.index(), core, word::HITS)?;
        Some(hits.load(Ordering::Relaxed))
    }

    /// For how many cores there are counters.
    pub fn cores(&self) -> usize {
        self.instances.cores()
    }

    /// Sets all counters to zero. Calls that run meanwhile may be counted or not.
    pub fn clear(&self) {
        self.instances.clear();
    }
}

impl Default for Count {
    fn default() -> Self {
        Self::new()
    }
}

impl Deref for Count {
    type Target = Ops;

    fn deref(&self) -> &Ops {
        &self.ops
    }
}

/// Times each function that its filter takes, by the virtual counter, in ticks. Needs a [`crate::ReturnStack`].
///
/// Register it as any ops, after [`Ftrace::place_profile`] has given it memory.
#[derive(Debug)]
pub struct Profile {
    ops: Ops,
    instances: Instances,
}

/// What a [`Profile`] knows of one function on one core. Times are in ticks of CNTVCT_EL0, over calls that have returned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// Calls that have returned.
    pub hits: u64,
    /// Time from entry to return, of all of them.
    pub total: u64,
    /// The same without the time of profiled functions that they called (and of profiled interrupt handlers).
    pub own: u64,
    /// The longest.
    pub longest: u64,
    /// The sum of the squares of the times.
    pub squares: u128,
}

impl Times {
    /// Both together: of two cores.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            hits: self.hits.wrapping_add(other.hits),
            total: self.total.wrapping_add(other.total),
            own: self.own.wrapping_add(other.own),
            longest: self.longest.max(other.longest),
            squares: self.squares.wrapping_add(other.squares),
        }
    }

    /// The mean time of a call, in ticks, rounded down. 0 without calls.
    pub fn mean(self) -> u64 {
        self.total.checked_div(self.hits).unwrap_or(0)
    }

    /// The variance of the time of a call, in ticks squared: the mean square less the square of the mean, rounded down. Where the sums
    /// are too large for 128 bits together, up to a tick squared more.
    pub fn variance(self) -> u128 {
        let (hits, total) = (u128::from(self.hits), u128::from(self.total));
        let square = total * total;
        let exact = self
            .squares
            .checked_mul(hits)
            .and_then(|squares| squares.saturating_sub(square).checked_div(hits * hits));
        exact.unwrap_or_else(|| {
            let mean_square = self.squares.checked_div(hits).unwrap_or(0);
            mean_square.saturating_sub(square.checked_div(hits * hits).unwrap_or(0))
        })
    }
}

impl Profile {
    /// Times nothing yet.
    pub const fn new() -> Self {
        Self {
            ops: Ops::builtin(Kind::Profile, arch::entry::PROFILE, profile_called),
            instances: Instances::new(1),
        }
    }

    /// What is known of the function on core `core`. `None` for a core that there are no counters for. Read while calls
    /// return, the numbers may be of a call apart.
    pub fn times(&self, callsite: &Callsite, core: usize) -> Option<Times> {
        let word = |word| -> Option<u64> {
            let word = self.instances.word(callsite.index(), core, word)?;
            Some(word.load(Ordering::Relaxed))
        };
        Some(Times {
            hits: word(word::HITS)?,
            total: word(word::TOTAL)?,
            own: word(word::OWN)?,
            longest: word(word::LONGEST)?,
            squares: u128::from(word(word::SQUARES + 1)?) << 64 | u128::from(word(word::SQUARES)?),
        })
    }

    /// For how many cores there are counters.
    pub fn cores(&self) -> usize {
        self.instances.cores()
    }

    /// Sets all counters to zero. Calls that return meanwhile may be counted or not.
    pub fn clear(&self) {
        self.instances.clear();
    }
}

impl Default for Profile {
    fn default() -> Self {
        Self::new()
    }
}

impl Deref for Profile {
    type Target = Ops;

    fn deref(&self) -> &Ops {
        &self.ops
    }
}

/// Which cores there are, as far as counters are concerned.
pub(crate) struct Cores {
    /// The highest number of a core that came online, plus one.
    online: AtomicUsize,
    /// For how many cores all counters are: cores from there on share the last one's.
    counted: AtomicUsize,
}

impl Cores {
    pub(crate) const fn new() -> Self {
        Self {
            online: AtomicUsize::new(0),
            counted: AtomicUsize::new(usize::MAX),
        }
    }
}

impl Ftrace {
    /// How many lines of memory a [`Count`] needs: 16 bytes a callsite and core. 0 before init.
    pub fn count_lines(&'static self, cores: usize) -> usize {
        Instances::new(COUNT_BLOCKS).lines(self.span(), cores)
    }

    /// How many lines of memory a [`Profile`] needs: 64 bytes a callsite and core. 0 before init.
    pub fn profile_lines(&'static self, cores: usize) -> usize {
        Instances::new(1).lines(self.span(), cores)
    }

    /// Gives a [`Count`] its memory, once: counters for `cores` cores. A core with a higher number that comes online later
    /// shares the counters of the last.
    ///
    /// # Errors
    /// [`Error::NotInitialised`]; [`Error::CounterMemory`] where it has its memory already, or `memory` is too small, or a
    /// core with a higher number is online.
    pub fn place_count(
        &'static self,
        count: &'static Count,
        memory: &'static mut [CounterLine],
        cores: usize,
    ) -> Result<(), Error> {
        let blocks = (arch::count_entry(), 0);
        self.place(&count.ops, &count.instances, memory, cores, blocks)
    }

    /// As [`Ftrace::place_count`], for a [`Profile`].
    ///
    /// # Errors
    /// As [`Ftrace::place_count`].
    pub fn place_profile(
        &'static self,
        profile: &'static Profile,
        memory: &'static mut [CounterLine],
        cores: usize,
    ) -> Result<(), Error> {
        let blocks = (arch::entry::PROFILE, arch::profile_handler());
        self.place(&profile.ops, &profile.instances, memory, cores, blocks)
    }

    /// The core whose counters the calling core changes.
    pub(crate) fn core(&self) -> usize {
        let core = self.platform.cpu_index();
        self.cores.online.fetch_max(core + 1, Ordering::SeqCst);
        core.min(self.cores.counted.load(Ordering::SeqCst) - 1)
    }

    /// How many records there are from the first callsite to the last.
    pub(crate) fn span(&'static self) -> usize {
        self.known()
            .map_or(0, |known| known.table.callsites().len())
    }

    /// Places an ops's blocks: `blocks` is their entry and handler.
    fn place(
        &'static self,
        ops: &'static Ops,
        instances: &'static Instances,
        memory: &'static mut [CounterLine],
        cores: usize,
        blocks: (EntryFn, usize),
    ) -> Result<(), Error> {
        let known = self.known().ok_or(Error::NotInitialised)?;
        let lines = memory.len();
        self.cores.counted.fetch_min(cores.max(1), Ordering::SeqCst);
        let fits = self.cores.online.load(Ordering::SeqCst) <= cores
            && instances.place(&known.table, memory, cores, blocks.0, blocks.1);
        if !fits {
            return Err(Error::CounterMemory { lines });
        }
        ops.set_instances(instances);
        Ok(())
    }
}

/// A call from a set: the callsite has no literal of its own then, so the block is looked up.
extern "C" fn count_called(ip: usize, _: usize, ops: &Ops, _: &mut Fregs) {
    let _: Option<()> = (|| {
        let instances = ops.instances()?;
        let core = arch::cpu_area()?.counted_core();
        let hits = instances.word(instances.block_at(ip)?, core, word::HITS)?;
        hits.fetch_add(1, Ordering::Relaxed);
        Some(())
    })();
}

/// As [`count_called`]: hijacks the return address that the function has by now.
extern "C" fn profile_called(ip: usize, _: usize, ops: &Ops, fregs: &mut Fregs) {
    let _: Option<()> = (|| {
        let block = ops.instances()?.literal(ops.instances()?.block_at(ip)?)?;
        arch::cpu_area()?
            .return_stack()
            .hijack_timed(fregs, block, arch::profile_handler());
        Some(())
    })();
}
