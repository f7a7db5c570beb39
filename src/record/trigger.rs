//! [`Trigger`]: what a call of a function does to the recording, so many times.
#![forbid(unsafe_code)]

use super::{RecordError, Recorder, Snapshot};
use crate::arch;
use crate::areas;
use crate::engine::Applied;
use crate::error::Error;
use crate::filter::Filter;
use crate::fregs::Fregs;
use crate::insn::INSN_SIZE;
use crate::kernel_stack::Backtrace;
use crate::ops::Ops;
use crate::trace::{DATA_RETURN_ADDRESS, Data, Type};
use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// How many triggers a kernel may have set at some time; a trigger that is set again counts once.
pub const MAX_TRIGGERS: usize = 16;

/// Most return addresses of one stack trace.
pub const STACK_DEPTH: usize = 32;

/// Left of a trigger that fires always.
const ALWAYS: u32 = u32::MAX;

/// The triggers that have been set at some time: how one is found by its ops.
static KNOWN: [spin::Once<&'static Trigger>; MAX_TRIGGERS] =
    [const { spin::Once::new() }; MAX_TRIGGERS];

/// What a trigger does.
#[derive(Clone, Copy, Debug)]
pub enum Action {
    /// Switches recording off, on all cores. The function's own event is still recorded.
    Off,
    /// Switches it on. The function's own event is not recorded yet.
    On,
    /// Takes a snapshot, and keeps it for [`Trigger::take_snapshot`].
    Snapshot,
    /// Prints the last events of every core, as [`Recorder::dump_on_panic`] does; recording goes on behind it, unless somebody has
    /// switched it off meanwhile.
    Dump {
        /// Takes a piece of text. It is called in the traced function's context, and must wait for no lock that may be held there.
        out: fn(&str),
        /// How many events of each core.
        events: usize,
    },
    /// Records where the function and those around it return to: a STACK event, at most [`STACK_DEPTH`] addresses, the real ones
    /// in place of those that the graph or the profiler has exchanged. Frame records are followed on the stack that
    /// [`crate::Ftrace::switch_kernel_stack`] has named; elsewhere the caller alone is known, and the trigger has failed.
    Stack,
    /// Switches recording off and parks the calling core for good, where a debugger finds it.
    Halt {
        /// Makes each other core call [`park`], by an interrupt. Called once, before the core is parked; it must not wait for
        /// a core that may have interrupts masked. A core is parked when it takes the interrupt.
        stop_others: fn(),
    },
}

impl Action {
    /// Its number in TRIGGER events (docs/trace-format.md).
    const fn code(self) -> u32 {
        match self {
            Self::Off => 1,
            Self::On => 2,
            Self::Snapshot => 3,
            Self::Dump { .. } => 4,
            Self::Stack => 5,
            Self::Halt { .. } => 6,
        }
    }
}

/// Does something when a function is entered. Make it a `static`, and [`Trigger::set`] it.
///
/// Each time it fires it leaves a TRIGGER event, where recording is on. It is a guarded tracer ([`Ops::new`]): it fires on cores that
/// are online, and not for what it calls itself. Beside a recorder on the same function it comes after it.
pub struct Trigger {
    ops: Ops,
    recorder: &'static Recorder,
    action: Action,
    left: AtomicU32,
    fired: AtomicU64,
    failed: AtomicU64,
    kept: AtomicBool,
}

impl Trigger {
    /// A trigger that fires at every call.
    pub const fn new(recorder: &'static Recorder, action: Action) -> Self {
        Self {
            ops: Ops::new(called),
            recorder,
            action,
            left: AtomicU32::new(ALWAYS),
            fired: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            kept: AtomicBool::new(false),
        }
    }

    /// The same, but it fires at the first `count` calls only.
    #[must_use]
    pub const fn times(mut self, count: u32) -> Self {
        self.left = AtomicU32::new(count);
        self
    }

    /// Fires at the next `count` calls, however often it has fired.
    ///
    /// # Context
    /// Any.
    pub fn rearm(&self, count: u32) {
        self.left.store(count, Ordering::Relaxed);
    }

    /// Sets it on the functions that the filter takes.
    ///
    /// # Errors
    /// Nothing is changed then. [`RecordError::NotInstalled`]; [`RecordError::NoSpare`] for a snapshot; [`Error::NoKernelStack`] for a stack trace; [`RecordError::TooManyTriggers`];
    /// those of [`crate::Ftrace::register`], among them [`crate::Error::NoMatch`] and [`crate::Error::NoCallsiteAt`] for a function
    /// that does not exist.
    ///
    /// # Context
    /// As [`crate::Ftrace::register`].
    pub fn set(&'static self, filter: &Filter<'_>) -> Result<Applied, RecordError> {
        let installed = self.recorder.installed()?;
        if matches!(self.action, Action::Snapshot) && !installed.region.has_spare() {
            return Err(RecordError::NoSpare);
        }
        if matches!(self.action, Action::Stack) && self.recorder.ftrace.kernel_stack().is_none() {
            return Err(Error::NoKernelStack.into());
        }
        let known = KNOWN
            .iter()
            .any(|slot| core::ptr::eq(*slot.call_once(|| self), self));
        if !known {
            return Err(RecordError::TooManyTriggers);
        }
        Ok(self.recorder.ftrace.register(&self.ops, filter)?)
    }

    /// Takes it away.
    ///
    /// # Errors
    /// Those of [`crate::Ftrace::unregister`].
    ///
    /// # Context
    /// As [`crate::Ftrace::unregister`]: a call under way may still fire.
    pub fn unset(&'static self) -> Result<Applied, RecordError> {
        Ok(self.recorder.ftrace.unregister(&self.ops)?)
    }

    /// Sets this trigger, which switches on, and `stop`, which switches off: recording is off until a function of the first
    /// filter is entered, and off again when one of the second is.
    ///
    /// # Errors
    /// Neither is set then. [`RecordError::NotAPair`] where the actions are others; those of [`Trigger::set`].
    ///
    /// # Context
    /// As [`Trigger::set`].
    pub fn set_until(
        &'static self,
        start: &Filter<'_>,
        stop: &'static Self,
        end: &Filter<'_>,
    ) -> Result<(), RecordError> {
        if !matches!((self.action, stop.action), (Action::On, Action::Off)) {
            return Err(RecordError::NotAPair);
        }
        // Who stops comes first: nothing is switched on that nobody would switch off.
        stop.set(end)?;
        if let Err(error) = self.set(start) {
            stop.unset()?;
            return Err(error);
        }
        self.recorder.switch(false)
    }

    /// Whether it is set.
    pub fn is_set(&self) -> bool {
        self.ops.is_registered()
    }

    /// How often it has fired.
    pub fn fired(&self) -> u64 {
        self.fired.load(Ordering::Relaxed)
    }

    /// How often of those its action could not be done: a snapshot while there was one, text that did not get out.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// The snapshot that it took. There is none until it fires, and one to take for each time.
    ///
    /// # Context
    /// Any.
    pub fn take_snapshot(&self) -> Option<Snapshot> {
        let kept = self.kept.swap(false, Ordering::Acquire);
        kept.then(|| Snapshot::kept(self.recorder))
    }

    fn fire(&'static self, ip: usize, fregs: &Fregs) {
        let one_less = |left: u32| match left {
            0 => None,
            ALWAYS => Some(ALWAYS),
            left => Some(left - 1),
        };
        let left = &self.left;
        if left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less)
            .is_err()
        {
            return;
        }
        self.fired.fetch_add(1, Ordering::Relaxed);
        if matches!(self.action, Action::On) {
            self.recorder.set_on(true);
        }
        let callsite = (ip + INSN_SIZE) as u64;
        if let Some(area) = arch::cpu_area() {
            areas::ring(area).write(Type::Trigger, arch::ticks(), callsite, self.action.code());
        }
        let done = match self.action {
            Action::On => true,
            Action::Off => {
                self.recorder.set_on(false);
                true
            }
            Action::Snapshot => self.keep(),
            Action::Dump { out, events } => {
                let _pause = self.recorder.pause();
                self.recorder.print_last(&mut Out(out), events).is_ok()
            }
            Action::Stack => write_stack(callsite, fregs),
            Action::Halt { stop_others } => {
                self.recorder.set_on(false);
                stop_others();
                park()
            }
        };
        if !done {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn keep(&self) -> bool {
        let Ok(snapshot) = self.recorder.snapshot() else {
            return false;
        };
        // Held on: whoever takes it lets go of it.
        core::mem::forget(snapshot);
        self.kept.store(true, Ordering::Release);
        true
    }
}

impl fmt::Debug for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trigger")
            .field("action", &self.action)
            .field("fired", &self.fired())
            .finish_non_exhaustive()
    }
}

/// Whether more than the caller could be known.
fn write_stack(callsite: u64, fregs: &Fregs) -> bool {
    let known = arch::cpu_area().zip(Backtrace::at_entry(fregs));
    let Some((area, backtrace)) = known else {
        return false;
    };
    let inside = backtrace.is_inside();
    let mut data = [Data {
        kind: DATA_RETURN_ADDRESS,
        index: 0,
        value: 0,
    }; STACK_DEPTH];
    let mut depth = 0;
    for ((slot, open), index) in data.iter_mut().zip(backtrace).zip(0..) {
        slot.index = index;
        slot.value = open.address;
        depth += 1;
    }
    let upper = depth as u32;
    areas::ring(area).write_with(
        Type::Stack,
        arch::ticks(),
        callsite,
        upper,
        data.get(..depth).unwrap_or_default(),
    );
    inside
}

struct Out(fn(&str));

impl fmt::Write for Out {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        (self.0)(text);
        Ok(())
    }
}

extern "C" fn called(ip: usize, _: usize, ops: &Ops, fregs: &mut Fregs) {
    let mut known = KNOWN.iter().filter_map(spin::Once::get);
    if let Some(trigger) = known.find(|trigger| core::ptr::eq(&raw const trigger.ops, ops)) {
        trigger.fire(ip, fregs);
    }
}

/// Parks the calling core for good, with all interrupts masked; registers and stack stay as they are for a debugger.
///
/// # Context
/// Any.
pub fn park() -> ! {
    arch::mask_all();
    loop {
        arch::wait();
    }
}
