//@ cpu: neoverse-n1
//@ smp: 4
//@ target: softfloat
//@ profile: release
//! Six tasks on four cores, each going on with another core after each wait, in the middle of traced functions: calls begin on one
//! core and return on another. Told `send`, it sends its trace to a file of the host's by semihosting, for `cargo xtask test --only
//! readers`; told `more`, it does more than its rings hold and sends that. It always says what it did, which is the same each time.
#![no_std]
#![no_main]

use aarch64_ftrace::record::Sizes;
use aarch64_ftrace::sink::{HostFile, Stream};
use aarch64_ftrace::trace::EndReason;
use aarch64_ftrace::{CpuArea, Filter, Mode, ReturnStack};
use core::hint::{black_box, spin_loop};
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use guest::record::{RECORDER, install_sizes, sure};
use guest::returns::frames;
use guest::task::{self, Task};
use guest::{FTRACE, register};
use virt::{cores, println};

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

const CORES: usize = 4;
const TASKS: usize = 6;
/// Jobs of a task, each with a wait; and so many where the rings are to overflow.
const JOBS: u64 = 8;
const MORE: u64 = 80;
/// The most calls that are open in a task at the same time.
const DEPTH: usize = 8;
const STACK: usize = 1024;

/// No core, and no task.
const NONE: usize = usize::MAX;

// What a task is in.
const READY: usize = 0;
const RUNNING: usize = 1;
const WAITS: usize = 2;
const ENDS: usize = 3;
const DONE: usize = 4;

struct Thread {
    task: Task,
    returns: ReturnStack,
    state: AtomicUsize,
    /// The core that it ran on last.
    core: AtomicUsize,
    slices: AtomicU64,
}

impl Thread {
    const fn new(state: usize) -> Self {
        Self {
            task: Task::new(),
            returns: ReturnStack::new(),
            state: AtomicUsize::new(state),
            core: AtomicUsize::new(NONE),
            slices: AtomicU64::new(0),
        }
    }
}

static THREADS: [Thread; TASKS] = [const { Thread::new(READY) }; TASKS];
/// What a core does where no task runs.
static IDLE: [Thread; CORES] = [const { Thread::new(RUNNING) }; CORES];
static AREAS: [CpuArea; CORES] = [const { CpuArea::new() }; CORES];
static CURRENT: [AtomicUsize; CORES] = [const { AtomicUsize::new(NONE) }; CORES];
static ROUNDS: AtomicU64 = AtomicU64::new(JOBS);
static STAYED: AtomicBool = AtomicBool::new(false);
static ARRIVED: AtomicUsize = AtomicUsize::new(0);
static LEFT: AtomicUsize = AtomicUsize::new(0);

/// Gives the core to another one, which has its own return stack and number.
fn give(from: &Thread, to: &Thread, number: u32) {
    // SAFETY: `to` runs nowhere else, and what it has entered returns on its stack.
    unsafe { FTRACE.switch_return_stack(&to.returns) };
    RECORDER.task_switch(number);
    // SAFETY: `from` runs here; `to` has begun or was switched from.
    unsafe { task::switch(&from.task, &to.task) };
}

/// Leaves the core; the task goes on with another one, unless it is over.
#[inline(never)]
fn leave(state: usize) {
    let core = cores::index();
    let me = &THREADS[CURRENT[core].load(Ordering::Relaxed)];
    me.state.store(state, Ordering::Relaxed);
    give(me, &IDLE[core], 0);
}

#[inline(never)]
fn fetch(n: u64) -> u64 {
    black_box(n * 3)
}

#[inline(never)]
fn note(n: u64) -> u64 {
    black_box(n + 1)
}

#[inline(never)]
fn wait_for_the_disk(n: u64) -> u64 {
    leave(WAITS);
    black_box(n)
}

#[inline(never)]
fn parse(depth: u64) -> u64 {
    let inner = match depth {
        0 => wait_for_the_disk(1),
        _ => parse(depth - 1),
    };
    black_box(inner + fetch(depth))
}

#[inline(never)]
fn job(n: u64) -> u64 {
    black_box(parse(n % 4) + note(n))
}

#[inline(never)]
fn look_for_work(core: usize) -> u64 {
    black_box(fetch(core as u64))
}

fn body() -> ! {
    (0..ROUNDS.load(Ordering::Relaxed)).for_each(|n| {
        job(n);
    });
    loop {
        leave(ENDS);
    }
}

/// Waits for all cores, then runs tasks, each until it leaves the core, while there are any.
fn schedule(core: usize) {
    ARRIVED.fetch_add(1, Ordering::Release);
    while ARRIVED.load(Ordering::Acquire) < CORES {
        spin_loop();
    }
    while !THREADS
        .iter()
        .all(|thread| thread.state.load(Ordering::Acquire) == DONE)
    {
        for (id, thread) in THREADS.iter().enumerate() {
            let elsewhere = thread.core.load(Ordering::Relaxed) != core;
            let take = || {
                let (success, failure) = (Ordering::Acquire, Ordering::Relaxed);
                thread
                    .state
                    .compare_exchange(READY, RUNNING, success, failure)
            };
            if elsewhere && take().is_ok() {
                run(core, id, thread);
            }
        }
        spin_loop();
    }
}

fn run(core: usize, id: usize, thread: &Thread) {
    look_for_work(core);
    if thread.core.swap(core, Ordering::Relaxed) == core {
        STAYED.store(true, Ordering::Relaxed);
    }
    thread.slices.fetch_add(1, Ordering::Relaxed);
    CURRENT[core].store(id, Ordering::Relaxed);
    give(&IDLE[core], thread, id as u32 + 1);
    // Only now is all of it in memory, for another core to take.
    let next = match thread.state.load(Ordering::Relaxed) {
        WAITS => READY,
        ENDS => DONE,
        state => panic!("task {id} left as {state}"),
    };
    thread.state.store(next, Ordering::Release);
}

fn arrive(core: usize) {
    FTRACE.cpu_online(&AREAS[core]);
    RECORDER.cpu_online();
    // SAFETY: no function has been hijacked on this core yet.
    unsafe { FTRACE.switch_return_stack(&IDLE[core].returns) };
}

fn other_core(core: usize) {
    arrive(core);
    schedule(core);
    LEFT.fetch_add(1, Ordering::Release);
}

fn begin(thread: &Thread, stack: *mut u128) {
    assert_eq!(thread.returns.set_frames(frames(DEPTH)), Ok(()));
    // SAFETY: each task has a part of the stacks for itself.
    unsafe { thread.task.begin(body, stack, STACK) };
}

fn main() {
    guest::init();
    let mut buffer = [0; 64];
    let word = virt::words::command_line(&mut buffer);
    install_sizes(Sizes {
        cores: CORES,
        ring_bytes: 16 << 10,
        mode: Mode::Overwrite,
        spare: false,
        task_names: 0,
    });
    if word == "more" {
        ROUNDS.store(MORE, Ordering::Relaxed);
    }
    static mut STACKS: [[u128; STACK]; TASKS] = [[0; STACK]; TASKS];
    for (number, thread) in THREADS.iter().enumerate() {
        begin(
            thread,
            (&raw mut STACKS)
                .cast::<u128>()
                .wrapping_add(number * STACK),
        );
    }
    for idle in &IDLE {
        assert_eq!(idle.returns.set_frames(frames(DEPTH)), Ok(()));
    }
    arrive(0);
    let graph = [
        job as *const () as usize,
        parse as *const () as usize,
        wait_for_the_disk as *const () as usize,
        fetch as *const () as usize,
        look_for_work as *const () as usize,
    ];
    register(sure(RECORDER.graph_ops()), &Filter::at(&graph));
    register(
        sure(RECORDER.ops()),
        &Filter::at(&[note as *const () as usize]),
    );
    for core in 1..CORES {
        if let Err(error) = virt::start_core(core, other_core) {
            panic!("{error}");
        }
    }
    schedule(0);
    while LEFT.load(Ordering::Acquire) < CORES - 1 {
        spin_loop();
    }
    let slices: [u64; TASKS] =
        core::array::from_fn(|id| THREADS[id].slices.load(Ordering::Relaxed));
    println!("slices of the tasks: {slices:?}");
    println!(
        "two in a row on one core: {}",
        STAYED.load(Ordering::Relaxed)
    );
    let written: u64 = (0..CORES)
        .map(|core| sure(RECORDER.counts(core)).written)
        .sum();
    println!("events: {written}");
    if let "send" | "more" = word {
        let sent = HostFile::create(c"cores.aft")
            .map(|file| RECORDER.send(&mut Stream::file(file), EndReason::Asked));
        println!("sent: {sent:?}");
    }
}
