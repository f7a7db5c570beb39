//@ cpu: neoverse-n1
//@ target: softfloat
//@ profile: release
//! What `aftrace record` boots: traced from boot on, as its image or its device tree says. It hangs when that is told by the
//! semihosting command line. Booted plainly it is told nothing, and records nothing. A text that is wrong is refused whole; of one
//! that is right each part is in force.
#![no_std]
#![no_main]

extern crate alloc;

use aarch64_ftrace::bootconfig::{BootConfig, bootargs};
use aarch64_ftrace::{Applied, GraphOptions, Mode, ReturnFrame, ReturnStack};
use alloc::vec::Vec;
use guest::record::{RECORDER, counts, install, sure};
use guest::{FTRACE, unregister};
use virt::{println, timer};

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);
aarch64_ftrace::reserve_boot_config!(1024);

static STACK: ReturnStack = ReturnStack::new();
/// QEMU puts no larger device tree before the kernel.
const TREE_BYTES: usize = 1 << 20;

mod sched {
    #[inline(never)]
    pub fn pick(n: u64) -> u64 {
        core::hint::black_box(n + 1)
    }

    #[inline(never)]
    pub fn idle(n: u64) -> u64 {
        core::hint::black_box(n + 3)
    }
}

mod fs {
    #[inline(never)]
    pub fn read(n: u64) -> u64 {
        core::hint::black_box(n * 2)
    }

    #[inline(never)]
    pub fn open(n: u64) -> u64 {
        core::hint::black_box(read(n) + read(n + 1))
    }
}

/// A fiftieth of a second, or more.
#[inline(never)]
fn wait() {
    let until = timer::ticks() + timer::frequency() / 50;
    while timer::ticks() < until {
        core::hint::spin_loop();
    }
}

fn tree() -> &'static [u8] {
    // SAFETY: RAM from its first byte on, mapped; QEMU puts the device tree there and nobody writes to it.
    unsafe { core::slice::from_raw_parts(virt::board::RAM_BASE as *const u8, TREE_BYTES) }
}

/// The image's own configuration, or that of the device tree where the image has none.
fn config() -> BootConfig<'static> {
    let image = match FTRACE_BOOT_CONFIG.config() {
        Ok(config) => config,
        Err(error) => panic!("image: {error}"),
    };
    if !image.is_empty() {
        println!("told by the image");
        return image;
    }
    match bootargs(tree()).and_then(BootConfig::parse) {
        Ok(config) => {
            if !config.is_empty() {
                println!("told by the device tree");
            }
            config
        }
        Err(error) => panic!("device tree: {error}"),
    }
}

fn parsed(text: &str) -> BootConfig<'_> {
    match BootConfig::parse(text) {
        Ok(config) => config,
        Err(error) => panic!("{error}"),
    }
}

fn taken_away() {
    let all = [
        sure(RECORDER.ops()),
        sure(RECORDER.graph_ops_with(GraphOptions::new())),
        RECORDER.graph_roots(),
        RECORDER.graph_notrace(),
    ];
    all.into_iter()
        .filter(|ops| ops.is_registered())
        .for_each(|ops| _ = unregister(ops));
    sure(RECORDER.reset(0));
}

/// Each pattern is its own ops', and what is not to be traced is taken away from both tracers.
fn each_has_its_own() {
    let config = parsed(
        "ftrace.function=*::sched::* ftrace.graph=*::fs::* ftrace.notrace=*::idle ftrace.notrace=*::read \
         ftrace.graph_roots=*::open ftrace.graph_notrace=*::sched::*",
    );
    let booted = sure(RECORDER.boot(&config));
    let [roots, notrace] = [RECORDER.graph_roots(), RECORDER.graph_notrace()];
    println!(
        "functions {:?}, graph {:?}, roots {:?}, notrace {:?}: {} and {}",
        count(booted.function),
        count(booted.graph),
        count(booted.roots),
        count(booted.notrace),
        roots.callsites(),
        notrace.callsites()
    );
    taken_away();
}

/// A time is in ticks of the kernel's own counter.
fn a_time_is_that_of_the_counter() {
    let config = parsed("ftrace.graph=*::wait ftrace.graph_minimum=10ms");
    sure(RECORDER.boot(&config));
    wait();
    counts("longer than 10 ms", 0);
    taken_away();
}

/// Nothing is half done: what comes before the last is right, and taken back.
fn is_refused_whole() {
    for text in [
        "ftrace.function=*::sched::* ftrace.graph=no::such::function",
        "ftrace.function=*::sched::* ftrace.graph=no::such ftrace.graph_roots=*::open ftrace.graph_notrace=*::idle",
        "ftrace.function=*::sched::* ftrace.graph=*::fs::* ftrace.graph_arguments=2 ftrace.graph_minimum=1us",
    ] {
        match RECORDER.boot(&parsed(text)) {
            Err(error) => println!("refused: {error}"),
            Ok(booted) => println!("taken: {booted:?}"),
        }
    }
    let marks = [RECORDER.graph_roots(), RECORDER.graph_notrace()];
    assert!(!marks.iter().any(|ops| ops.is_registered()));
    let on = FTRACE.callsites().filter(|site| site.is_enabled()).count();
    println!("callsites that are on: {on}");
}

fn count(applied: Option<Applied>) -> Option<usize> {
    applied.map(|applied| applied.matched)
}

fn main() {
    guest::init();
    install(Mode::Overwrite, 1);
    let mut frames = Vec::new();
    frames.resize_with(16, ReturnFrame::new);
    assert_eq!(STACK.set_frames(frames.leak()), Ok(()));
    // SAFETY: no function has been hijacked yet.
    unsafe { FTRACE.switch_return_stack(&STACK) };
    is_refused_whole();
    each_has_its_own();
    a_time_is_that_of_the_counter();
    let booted = sure(RECORDER.boot(&config()));
    println!(
        "functions {:?}, graph {:?}",
        count(booted.function),
        count(booted.graph)
    );
    let result = sched::pick(1) + sched::idle(2) + fs::open(3);
    println!("result {result}");
    counts("ring", 0);
    let mut buffer = [0; 64];
    while virt::words::command_line(&mut buffer) == "hang" {
        core::hint::spin_loop();
    }
}
