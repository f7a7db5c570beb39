//@ cpu: neoverse-n1
//@ target: softfloat
//@ profile: release
//! What `aftrace record` boots: traced from boot on, as its image or its device tree says. It hangs when that is told by the
//! semihosting command line. Booted plainly it is told nothing, and records nothing. A text that is wrong is refused whole.
#![no_std]
#![no_main]

extern crate alloc;

use aarch64_ftrace::Mode;
use aarch64_ftrace::bootconfig::{BootConfig, bootargs};
use aarch64_ftrace::{ReturnFrame, ReturnStack};
use alloc::vec::Vec;
use guest::FTRACE;
use guest::record::{RECORDER, counts, install, sure};
use virt::println;

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

/// Nothing is half done: what comes before the last is right, and taken back.
fn is_refused_whole() {
    for text in [
        "ftrace.function=*::sched::* ftrace.graph=no::such::function",
        "ftrace.function=*::sched::* ftrace.graph=no::such ftrace.graph_roots=*::open ftrace.graph_notrace=*::idle",
        "ftrace.function=*::sched::* ftrace.graph=*::fs::* ftrace.graph_arguments=2 ftrace.graph_minimum=1us",
    ] {
        let config = match BootConfig::parse(text) {
            Ok(config) => config,
            Err(error) => panic!("{error}"),
        };
        match RECORDER.boot(&config) {
            Err(error) => println!("refused: {error}"),
            Ok(booted) => println!("taken: {booted:?}"),
        }
    }
    let marks = [RECORDER.graph_roots(), RECORDER.graph_notrace()];
    assert!(!marks.iter().any(|ops| ops.is_registered()));
    let on = FTRACE.callsites().filter(|site| site.is_enabled()).count();
    println!("callsites that are on: {on}");
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
    let booted = sure(RECORDER.boot(&config()));
    let count = |applied: Option<aarch64_ftrace::Applied>| applied.map(|applied| applied.matched);
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
