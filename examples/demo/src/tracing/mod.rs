//! The tracer of this kernel: its platform, and the live tracer, which writes each call to a ring that the shell prints.

pub mod graph;
pub mod proof;
pub mod ring;
pub mod send;

use crate::klog::{self, Level};
use crate::sched;
use aarch64_ftrace::bootconfig::BootConfig;
use aarch64_ftrace::record::{RecordError, RecordMemory, Recorder, Sizes};
use aarch64_ftrace::{
    AliasError, Applied, CounterLine, Cover, Error, Filter, Fregs, Ftrace, GraphOptions, Mode, Ops,
};
use aarch64_ftrace::{Platform, Profile, ReturnFrame, ReturnStack, StackSlot, StackTracer};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use ring::{Event, Hits, Ring};
use virt::{cores, irq, mmu, timer};

struct Kernel;

// SAFETY: between the two calls `mmu` maps the text's alias for every core, with the text's own memory type; `cores::synchronize` interrupts each
// other running core and waits for it; cores are numbered. `synchronize` keeps its default, no: tasks lose the core
// inside tracers.
unsafe impl Platform for Kernel {
    fn patch_begin(&self) -> Result<isize, AliasError> {
        Ok(mmu::map_alias())
    }

    fn patch_end(&self) {
        mmu::unmap_alias();
    }

    fn sync_cores(&self) {
        cores::synchronize();
    }

    fn cpu_index(&self) -> usize {
        cores::index()
    }
}

/// The tracer.
pub static FTRACE: Ftrace = Ftrace::new(&Kernel);
/// The live tracer's ops.
pub static LIVE: Ops = Ops::new(on_call);
/// What the live tracer writes.
pub static EVENTS: Ring = Ring::new();
/// How often it was called, by callsite.
pub static HITS: Hits = Hits::new();

/// The flight recorder: asm that leaves 16 bytes a call, and is read when somebody asks, or on a panic.
pub static RECORDER: Recorder = Recorder::new(&FTRACE);

/// The kernel runs on one core.
const CORES: usize = 1;

/// Tasks that have a name in the recording.
const TASK_NAMES: usize = 16;

const RING: Sizes = Sizes {
    cores: CORES,
    ring_bytes: 64 * 1024,
    mode: Mode::Overwrite,
    // For the trigger that takes a snapshot.
    spare: true,
    task_names: TASK_NAMES,
};
/// A page for header, control blocks and names, and the ring, twice.
static RING_MEMORY: RecordMemory<{ 4096 + 2 * RING.ring_bytes as usize }> = RecordMemory::new();

/// Events that a panic prints.
const LAST_EVENTS: usize = 16;

/// Gives the flight recorder its memory, and the panic handler its last words.
///
/// # Errors
///
/// Those of [`Recorder::install`].
pub fn start_recorder() -> Result<(), RecordError> {
    if let Some(memory) = RING_MEMORY.take() {
        RECORDER.install(memory, RING)?;
    }
    virt::on_panic(|out| {
        let _ = aarch64_ftrace::dump_on_panic(out, LAST_EVENTS);
    });
    Ok(())
}

/// Records what the boot configuration says; an empty one says nothing. The boot task has its return stack by then.
///
/// # Errors
///
/// Those of [`Recorder::boot`].
pub fn boot(config: &BootConfig<'_>) -> Result<(), RecordError> {
    let booted = RECORDER.boot(config)?;
    let is_limited = booted.graph.is_some() && config.graph_options(1).is_some();
    LIMITED.store(is_limited, Ordering::Relaxed);
    TASKS.fetch_or(booted.graph.is_some(), Ordering::Relaxed);
    Ok(())
}

/// Records the functions that the patterns take, in place of those before.
///
/// # Errors
///
/// Those of [`Ftrace::register`]; nothing is changed then.
pub fn record(patterns: &[&str]) -> Result<Applied, RecordError> {
    let applied = trace(RECORDER.ops()?, patterns)?;
    RECORDER.switch(true)?;
    Ok(applied)
}

/// Records nothing any more; what is recorded stays.
///
/// # Errors
///
/// Those of [`Ftrace::unregister`].
pub fn record_off() -> Result<Applied, RecordError> {
    Ok(FTRACE.unregister(RECORDER.ops()?)?)
}

/// The graph that is recorded is the one with options.
static LIMITED: AtomicBool = AtomicBool::new(false);

/// Records entry and exit of the functions that the patterns take, in place of those before and of all that is recorded; only
/// what is called from functions that `from` takes, where it has patterns; only calls of so many ticks or more, where it has ticks.
///
/// # Errors
///
/// Those of [`Ftrace::register`]; nothing is traced in another way then, but for the roots and their opposite.
pub fn graph(patterns: &[&str], from: &[&str], minimum: u64) -> Result<Applied, RecordError> {
    let options = GraphOptions {
        rooted: !from.is_empty(),
        minimum,
        ..GraphOptions::new()
    };
    let (plain, limited) = (RECORDER.graph_ops()?, RECORDER.graph_ops_with(options)?);
    let (ops, other) = match options == GraphOptions::new() {
        true => (plain, limited),
        false => (limited, plain),
    };
    let roots = RECORDER.graph_roots();
    match options.rooted {
        true => trace(roots, from).map(drop)?,
        false => untrace(roots)?,
    }
    untrace(RECORDER.graph_notrace())?;
    RECORDER.switch(false)?;
    let applied = untrace(other).and_then(|()| trace(ops, patterns));
    irq::masked(|| RECORDER.reset(0))?;
    TASKS.store(true, Ordering::Relaxed);
    RECORDER.switch(true)?;
    // What comes first belongs to the shell.
    RECORDER.task_switch(sched::current() as u32);
    let applied = applied?;
    LIMITED.store(options != GraphOptions::new(), Ordering::Relaxed);
    Ok(applied)
}

/// Records no entry and exit any more; what is recorded stays.
///
/// # Errors
///
/// Those of [`Ftrace::unregister`].
pub fn graph_off() -> Result<Applied, RecordError> {
    untrace(RECORDER.graph_roots())?;
    untrace(RECORDER.graph_notrace())?;
    let ops = match LIMITED.load(Ordering::Relaxed) {
        true => RECORDER.graph_ops_with(GraphOptions::new())?,
        false => RECORDER.graph_ops()?,
    };
    let applied = FTRACE.unregister(ops)?;
    LIMITED.store(false, Ordering::Relaxed);
    Ok(applied)
}

/// Whether entry and exit of some functions are recorded.
pub fn graph_is_on() -> bool {
    LIMITED.load(Ordering::Relaxed) || RECORDER.graph_ops().is_ok_and(Ops::is_registered)
}

/// Tasks matter: calls that return may be recorded, also when no more are entered, until all that were have returned, whenever
/// that is; or only some tasks are recorded.
static TASKS: AtomicBool = AtomicBool::new(false);

/// Records only this task and those that were added before.
///
/// # Errors
///
/// Those of [`Recorder::add_task`].
pub fn record_task(task: usize) -> Result<(), RecordError> {
    RECORDER.add_task(task as u32)?;
    TASKS.store(true, Ordering::Relaxed);
    RECORDER.task_switch(sched::current() as u32);
    Ok(())
}

/// Records all tasks again. How many were recorded alone.
pub fn record_all_tasks() -> usize {
    let tasks = 0..sched::rows().len() as u32;
    tasks.filter(|&task| RECORDER.remove_task(task)).count()
}

/// Whoever reads the recording, also from RAM, is to know this task by its name.
pub fn name_task(task: usize, name: &str) {
    if let Err(error) = RECORDER.name_task(task as u32, name) {
        klog::log(
            Level::Warn,
            format_args!("task {name} is traced without its name: {error}"),
        );
    }
}

/// The scheduler gives the core to this task. Said in the recording where tasks matter.
pub fn switched_task(task: usize) {
    if TASKS.load(Ordering::Relaxed) {
        RECORDER.task_switch(task as u32);
    }
}

/// Times the functions that the patterns take.
pub static PROFILE: Profile = Profile::new();

/// Times the functions that the patterns take, in place of those before; all times are forgotten.
///
/// # Errors
///
/// Those of [`Ftrace::place_profile`] and [`Ftrace::register`].
pub fn profile(patterns: &[&str]) -> Result<Applied, Error> {
    if PROFILE.cores() == 0 {
        let lines = FTRACE.profile_lines(CORES);
        let memory: Vec<CounterLine> = (0..lines).map(|_| CounterLine::new()).collect();
        FTRACE.place_profile(&PROFILE, memory.leak(), CORES)?;
    }
    let applied = trace(&PROFILE, patterns)?;
    PROFILE.clear();
    Ok(applied)
}

static STACK_SLOTS: [StackSlot; CORES] = [const { StackSlot::new() }; CORES];
/// Keeps the deepest stack.
pub static STACKS: StackTracer = StackTracer::new(&FTRACE, &STACK_SLOTS);

/// Notes which functions are called at all.
pub static COVER: Cover = Cover::new();
static TAKEN: AtomicUsize = AtomicUsize::new(0);
/// Lines of memory that it has.
static COVER_PLACED: AtomicUsize = AtomicUsize::new(0);

/// Notes the first call of each function that the patterns take, in place of those before; what was noted is forgotten.
///
/// # Errors
///
/// Those of [`Ftrace::place_cover`] and [`Ftrace::register`].
pub fn cover(patterns: &[&str]) -> Result<Applied, Error> {
    if COVER_PLACED.load(Ordering::Relaxed) == 0 {
        let lines = FTRACE.cover_lines();
        let memory: Vec<CounterLine> = (0..lines).map(|_| CounterLine::new()).collect();
        FTRACE.place_cover(&COVER, memory.leak())?;
        COVER_PLACED.store(lines, Ordering::Relaxed);
    }
    // Before the first call of the new ones, which must not be forgotten.
    COVER.clear();
    let applied = trace(&COVER, patterns)?;
    TAKEN.store(COVER.callsites(), Ordering::Relaxed);
    Ok(applied)
}

/// How many functions the patterns took.
pub fn cover_taken() -> usize {
    TAKEN.load(Ordering::Relaxed)
}

/// Unregisters the ops, where it is registered.
fn untrace(ops: &'static Ops) -> Result<(), Error> {
    match ops.is_registered() {
        true => FTRACE.unregister(ops).map(drop),
        false => Ok(()),
    }
}

/// Registers the ops, or changes its filter.
fn trace(ops: &'static Ops, patterns: &[&str]) -> Result<Applied, Error> {
    let filter = Filter::new(patterns);
    if ops.is_registered() {
        FTRACE.set_filter(ops, &filter)
    } else {
        FTRACE.register(ops, &filter)
    }
}

/// Traced calls that a task may be inside of.
const OPEN_CALLS: usize = 256;

/// A return stack for a task, for ever.
pub fn new_return_stack() -> &'static ReturnStack {
    let stack: &'static ReturnStack = Box::leak(Box::new(ReturnStack::new()));
    let frames: Vec<ReturnFrame> = (0..OPEN_CALLS).map(|_| ReturnFrame::new()).collect();
    let given = stack.set_frames(frames.leak());
    assert!(given.is_ok(), "a stack that was just made has no frames");
    stack
}

/// No task.
const NOBODY: usize = usize::MAX;
/// The task that prints the trace: what it does meanwhile is counted and not recorded, or the trace would never end.
static PRINTING: AtomicUsize = AtomicUsize::new(NOBODY);
static OWN: AtomicU64 = AtomicU64::new(0);

aarch64_ftrace::notrace! {
    extern "C" fn on_call(ip: usize, parent_ip: usize, _ops: &Ops, _fregs: &mut Fregs) {
        let task = sched::current();
        if PRINTING.load(Ordering::Relaxed) == task {
            OWN.fetch_add(1, Ordering::Relaxed);
            return;
        }
        HITS.add(ip);
        EVENTS.push(Event {
            time: timer::ticks(),
            ip,
            parent_ip,
            task,
            masked: !irq::enabled(),
        });
    }
}

/// Traces the functions that the patterns take, in place of those before.
///
/// # Errors
///
/// Those of [`Ftrace::register`]; nothing is changed then.
pub fn on(patterns: &[&str]) -> Result<Applied, Error> {
    let filter = Filter::new(patterns);
    if LIVE.is_registered() {
        let applied = FTRACE.set_filter(&LIVE, &filter)?;
        // What is shown from now on is of the new filter.
        EVENTS.forget();
        return Ok(applied);
    }
    HITS.clear();
    FTRACE.register(&LIVE, &filter)
}

/// Traces nothing any more.
///
/// # Errors
///
/// Those of [`Ftrace::unregister`].
pub fn off() -> Result<Applied, Error> {
    FTRACE.unregister(&LIVE)
}

/// Runs `print` on behalf of the shell: what it calls itself is not recorded.
pub fn unrecorded<R>(print: impl FnOnce() -> R) -> R {
    let before = PRINTING.swap(sched::current(), Ordering::Relaxed);
    let result = print();
    PRINTING.store(before, Ordering::Relaxed);
    result
}

/// How many calls were not recorded because the printing of the trace itself made them.
pub fn own_calls() -> u64 {
    OWN.load(Ordering::Relaxed)
}
