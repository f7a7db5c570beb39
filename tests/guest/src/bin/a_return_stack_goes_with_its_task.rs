//@ cpu: cortex-a53, max
//@ variant: plain, bti
//! Each task has its own return stack: two that give each other the core in the middle of traced functions return each to
//! its own callers, and a backtrace has each task's own. A task that ends inside traced functions leaves its frames; its
//! stack is emptied and serves the next task. One that leaves functions without returning from them goes on at a mark.
#![no_std]
#![no_main]

use aarch64_ftrace::record::Item;
use aarch64_ftrace::trace::Type;
use aarch64_ftrace::{Filter, Mode, Profile, ReturnStack};
use core::hint::black_box;
use core::sync::atomic::{AtomicU64, Ordering};
use guest::record::{RECORDER, install, name, sure};
use guest::returns::{frames, lines};
use guest::task::{self, Task};
use guest::{FTRACE, callsite, register, unregister, unwind};
use virt::println;

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

static TIMES: Profile = Profile::new();
static TASKS: [(Task, ReturnStack); 2] = [const { (Task::new(), ReturnStack::new()) }; 2];
const MAIN: usize = 0;
const OTHER: usize = 1;
/// How the other task goes on after its first turn.
static DIES: AtomicU64 = AtomicU64::new(0);

/// What a context switch does.
fn give(from: usize, to: usize) {
    // SAFETY: `to` does not run, and what it has entered returns on its stack.
    unsafe { FTRACE.switch_return_stack(&TASKS[to].1) };
    RECORDER.task_switch(to as u32 + 1);
    // SAFETY: `from` is the task that runs; `to` has begun.
    unsafe { task::switch(&TASKS[from].0, &TASKS[to].0) };
}

#[inline(never)]
extern "C" fn relay(from: u64, depth: u64) -> u64 {
    if depth > 0 {
        return black_box(relay(from, depth - 1) + 1);
    }
    let (from, to) = if from == 0 {
        (MAIN, OTHER)
    } else {
        (OTHER, MAIN)
    };
    // SAFETY: `relay`'s own four, and its caller's.
    unsafe { unwind::print(2) };
    give(from, to);
    black_box(0)
}

#[inline(never)]
extern "C" fn leaf(n: u64) -> u64 {
    black_box(n + 1)
}

fn other_task() -> ! {
    loop {
        let depth = relay(1, 3);
        println!("other: came back through {depth}");
        if DIES.load(Ordering::Relaxed) == 0 {
            give(OTHER, MAIN);
        }
    }
}

fn give_frames(stack: &'static ReturnStack, count: usize) {
    assert_eq!(stack.set_frames(frames(count)), Ok(()));
}

/// A fresh task in the place of the other one.
fn begin_other() {
    begin(other_task);
}

fn begin(body: fn() -> !) {
    static mut STACK: [u128; 2048] = [0; 2048];
    let stack = (&raw mut STACK).cast();
    // SAFETY: the task that had this stack does not go on.
    unsafe { TASKS[OTHER].0.begin(body, stack, 2048) };
}

/// Entries and exits, task by task.
fn events() {
    let mut task = 1;
    let mut depth = [0_usize; 3];
    for item in sure(RECORDER.read(0)) {
        let Item::Event { event, .. } = item else {
            println!("  {item:?}");
            continue;
        };
        let what = name_of(event.callsite_low());
        match event.kind() {
            Some(Type::Task) => task = event.upper() as usize,
            Some(Type::Entry) => {
                depth[task] += 1;
                println!("  task {task}, {}: into {what}", depth[task]);
            }
            Some(Type::Exit) => {
                println!("  task {task}, {}: out of {what}", depth[task]);
                depth[task] -= 1;
            }
            other => println!("  {other:?}"),
        }
    }
    sure(RECORDER.reset(0));
}

fn name_of(low: u32) -> impl core::fmt::Display {
    name(if low == 0 {
        relay as *const () as u32
    } else {
        low
    })
}

fn depths(what: &str) {
    let [main, other] = [MAIN, OTHER].map(|task| TASKS[task].1.depth());
    let overruns = TASKS[OTHER].1.overruns();
    println!("{what}: main {main} deep, other {other}, overruns {overruns}");
}

#[inline(never)]
fn both() {
    begin_other();
    println!("main: came back through {}", relay(0, 1));
    depths("in the middle");
    give(MAIN, OTHER);
    depths("after both");
}

#[inline(never)]
fn dying() {
    DIES.store(1, Ordering::Relaxed);
    for _ in 0..2 {
        begin_other();
        println!("main: came back through {}", relay(0, 0));
        depths("dead");
    }
    TASKS[OTHER].1.reset();
    depths("reset");
    begin_other();
    println!("main: came back through {}", relay(0, 0));
    depths("dead again");
    TASKS[OTHER].1.reset();
}

/// So many calls, each inside the one before, from which nobody returns.
#[inline(never)]
extern "C" fn left(depth: u64) -> u64 {
    if depth > 0 {
        return black_box(left(depth - 1) + 1);
    }
    // SAFETY: whoever began this waits, and this does not run again.
    unsafe { task::switch(&TASKS[OTHER].0, &TASKS[MAIN].0) };
    unreachable!("left for good")
}

fn leaving() -> ! {
    left(3);
    unreachable!("left for good")
}

/// As a longjmp does it: what it leaves ran on other memory, but as the same task, with the same return stack.
#[inline(never)]
extern "C" fn jumps(times: u64) -> u64 {
    let stack = &TASKS[MAIN].1;
    let mark = stack.mark();
    for _ in 0..times {
        begin(leaving);
        // SAFETY: this one runs, the other has just begun.
        unsafe { task::switch(&TASKS[MAIN].0, &TASKS[OTHER].0) };
        let open = stack.depth();
        assert_eq!(stack.unwind_to(mark), Ok(()));
        println!("jumped: {open} deep, then {}", stack.depth());
    }
    leaf(times)
}

/// More of them than there are frames.
#[inline(never)]
fn jumping() {
    println!("jumped {}", jumps(5) - 1);
    depths("after jumps");
}

fn hits() {
    let hits = traced().map(|at| {
        let times = TIMES.times(&callsite(at), 0).unwrap_or_default();
        (times.hits, times.own <= times.total)
    });
    println!("hits: {hits:?}");
    TIMES.clear();
}

fn traced() -> [*const (); 4] {
    [
        relay as *const (),
        leaf as *const (),
        left as *const (),
        jumps as *const (),
    ]
}

fn main() {
    guest::init();
    install(Mode::Overwrite, 1);
    give_frames(&TASKS[MAIN].1, 16);
    give_frames(&TASKS[OTHER].1, 6);
    let lines = lines(FTRACE.profile_lines(1));
    assert_eq!(FTRACE.place_profile(&TIMES, lines, 1), Ok(()));
    // SAFETY: no function has been hijacked yet.
    unsafe { FTRACE.switch_return_stack(&TASKS[MAIN].1) };
    let at = traced().map(|at| at as usize);
    let ops = sure(RECORDER.graph_ops());
    register(ops, &Filter::at(&at));
    both();
    events();
    dying();
    println!("result {}", leaf(1));
    sure(RECORDER.reset(0));
    assert_eq!(jumps(1), 2);
    events();
    jumping();
    unregister(ops);
    DIES.store(0, Ordering::Relaxed);

    register(&TIMES, &Filter::at(&at));
    both();
    hits();
    dying();
    println!("result {}", leaf(1));
    jumping();
    hits();
    unregister(&TIMES);
}
