//! What the guest kernels share: one tracer instance, tracers that count and note, results in words, raw text access.
//!
//! A guest prints facts (counts, orders, results), never times or addresses, so that one text fits every CPU model, target
//! and profile.
#![no_std]
#![cfg(target_os = "none")]

pub mod arguments;
pub mod context;
pub mod fault;
pub mod irq;
pub mod keeper;
pub mod null;
pub mod platform;
pub mod probe;
pub mod raw;
pub mod record;
pub mod returns;
pub mod smp;
pub mod step;
pub mod subject;
pub mod task;
pub mod unwind;
pub mod writers;

use aarch64_ftrace::{Applied, Callsite, CpuArea, Error, Filter, Fregs, Ftrace, InitReport, Ops};
use core::fmt;
use core::sync::atomic::{AtomicU8, AtomicU32, AtomicUsize, Ordering};
use virt::platform::Virt;
use virt::println;

/// The tracer under test.
pub static FTRACE: Ftrace = Ftrace::new(&Virt);

/// The boot core's area, so that a guest can read its count of refused calls.
pub static AREA: CpuArea = CpuArea::new();

const COUNTERS: usize = 128;
static COUNTS: [AtomicU32; COUNTERS] = [const { AtomicU32::new(0) }; COUNTERS];

const NOTES: usize = 512;
static LOG: [AtomicU8; NOTES] = [const { AtomicU8::new(0) }; NOTES];
static NOTED: AtomicUsize = AtomicUsize::new(0);

/// Initialises [`FTRACE`] with [`AREA`] as the boot core's.
///
/// # Panics
/// Where init fails.
pub fn init() -> InitReport {
    FTRACE.cpu_online(&AREA);
    match FTRACE.init() {
        Ok(report) => report,
        Err(error) => panic!("init: {error}"),
    }
}

aarch64_ftrace::notrace! {
    /// A tracer that counts: its ops' data is the counter's number.
    pub extern "C" fn count(_ip: usize, _parent: usize, ops: &Ops, _fregs: &mut Fregs) {
        bump(ops.data());
    }

    /// A tracer that notes its ops' data as a character.
    pub extern "C" fn note(_ip: usize, _parent: usize, ops: &Ops, _fregs: &mut Fregs) {
        write(ops.data() as u8);
    }

    /// Adds one to a counter. In asm, so that an unguarded tracer may use it while everything is traced: in a debug build
    /// the methods of atomics are functions with callsites of their own.
    pub fn bump(counter: usize) {
        let at = &raw const COUNTS[counter];
        // SAFETY: the loop adds one to the counter, which is atomic and aligned.
        unsafe {
            core::arch::asm!(
                "2: ldxr {value:w}, [{at}]",
                "add {value:w}, {value:w}, #1",
                "stxr {failed:w}, {value:w}, [{at}]",
                "cbnz {failed:w}, 2b",
                at = in(reg) at,
                value = out(reg) _,
                failed = out(reg) _,
                options(nostack, preserves_flags),
            );
        }
    }

    /// Adds a character to the log. What no longer fits is dropped: a log that long is wrong anyway.
    pub fn write(character: u8) {
        if let Some(slot) = LOG.get(NOTED.fetch_add(1, Ordering::Relaxed)) {
            slot.store(character, Ordering::Relaxed);
        }
    }
}

/// The counters from 0 on, all of them zero afterwards.
pub fn take_counts<const N: usize>() -> [u32; N] {
    let counts = core::array::from_fn(|i| COUNTS[i].load(Ordering::Relaxed));
    COUNTS
        .iter()
        .for_each(|each| each.store(0, Ordering::Relaxed));
    counts
}

/// What [`write()`] and [`note`] wrote since the last time.
pub struct Log([u8; NOTES], usize);

/// Takes the log and empties it.
pub fn take_log() -> Log {
    let len = NOTED.swap(0, Ordering::Relaxed).min(NOTES);
    Log(
        core::array::from_fn(|i| LOG[i].load(Ordering::Relaxed)),
        len,
    )
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match core::str::from_utf8(&self.0[..self.1]) {
            Ok("") => f.write_str("nothing"),
            Ok(text) => f.write_str(text),
            Err(_) => f.write_str("(not text)"),
        }
    }
}

/// Prints what the tracer answered: counts, or the whole error.
pub fn say(what: &str, answer: Result<Applied, Error>) {
    match answer {
        Ok(applied) => println!(
            "{what}: matched {}, on {}, off {}, swapped {}{}",
            applied.matched,
            applied.enabled,
            applied.disabled,
            applied.swapped,
            if applied.own_tracer {
                ", own tracer left out"
            } else {
                ""
            }
        ),
        Err(error) => println!("{what}: refused: {error:?}"),
    }
}

/// Registers, and panics where that is refused: for steps that are not what the guest is about.
pub fn register(ops: &'static Ops, filter: &Filter<'_>) -> Applied {
    match FTRACE.register(ops, filter) {
        Ok(applied) => applied,
        Err(error) => panic!("register: {error}"),
    }
}

/// Unregisters, and panics where that is refused.
pub fn unregister(ops: &'static Ops) -> Applied {
    match FTRACE.unregister(ops) {
        Ok(applied) => applied,
        Err(error) => panic!("unregister: {error}"),
    }
}

/// Calls `what` on a core that is not online, and takes the core online again. Nobody may use the area that is not there.
pub fn without_area<R>(what: impl FnOnce() -> R) -> R {
    virt::irq::masked(|| {
        raw::clear_area_register();
        null::watch();
        let result = what();
        null::unwatch();
        FTRACE.cpu_online(&AREA);
        result
    })
}

/// The callsite of a function.
///
/// # Panics
/// Where the function has none.
pub fn callsite(function: *const ()) -> Callsite {
    match FTRACE
        .callsites()
        .find(|callsite| callsite.entry() == function as usize)
    {
        Some(callsite) => callsite,
        None => panic!("the function at {function:p} has no callsite"),
    }
}
