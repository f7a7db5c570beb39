//@ cpu: cortex-a53, max
//@ target: softfloat
//@ profile: release
//@ reboot: yes
//@ timeout: 10
//@ emu-check: its text is loaded again behind the plug-in's back
//! A recording in memory that no loader clears, over resets of the machine: offered by the next boot, with names where
//! the kernel is the same; as another build's where the build id differs; refused with the reason where header, control block or
//! size are not what they were; an event that cannot be is left out and counted. Told `record`, it records and leaves: `cargo xtask
//! test --only command` boots another kernel on the same RAM then.
#![no_std]
#![no_main]

use aarch64_ftrace::record::{Persistent, Sizes};
use aarch64_ftrace::sink::{MemorySink, Stream};
use aarch64_ftrace::trace::{EndReason, FLAG_SURVIVES, Frame, FrameKind, Header};
use aarch64_ftrace::{Filter, Mode};
use core::hint::black_box;
use guest::record::{EVENTS, RECORDER, RING_BYTES, print, sure};
use guest::register;
use virt::println;

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

const SIZES: Sizes = Sizes {
    cores: 1,
    ring_bytes: RING_BYTES,
    mode: Mode::Overwrite,
    spare: true,
    task_names: 8,
};
/// The first ring's data, behind header and control blocks: the snapshot's.
const DATA: usize = 4096;
/// The task that records last.
const TASK: u32 = 7;
/// Offsets of docs/trace-format.md.
const HEADER_VERSION: usize = 20;
const HEADER_BOOTS: usize = 144;
const BUILD_ID: usize = 104;
const CONTROL: usize = 256;

#[inline(never)]
fn first(n: u64) -> u64 {
    black_box(n + 1)
}

#[inline(never)]
fn second(n: u64) -> u64 {
    black_box(n * 2)
}

/// A byte of the persistent memory, which nobody has borrowed.
fn flip(memory: &mut Persistent, at: usize, bits: u8) {
    let byte = memory.bytes()[at..].as_ptr().cast_mut();
    // SAFETY: the guest's own memory.
    let before = unsafe { byte.read_volatile() };
    // SAFETY: as above.
    unsafe { byte.write_volatile(before ^ bits) };
}

/// Where the guest notes what it has done: the last byte, behind the region.
fn stage(memory: &mut Persistent) -> (u8, usize) {
    let at = memory.bytes().len() - 1;
    (memory.bytes()[at], at)
}

fn offered(memory: &Persistent) {
    let found = match RECORDER.survivor(memory) {
        Ok(found) => found,
        Err(error) => return println!("  refused: {error:?}"),
    };
    let header = found.header();
    println!(
        "  {:?} build, boot {}, survives {}",
        found.build(),
        header.boots,
        header.flags & FLAG_SURVIVES != 0
    );
    for ring in found.rings() {
        let counts = ring.counts();
        println!(
            "  core {} role {}: written {}, overwritten {}, unfinished {}",
            ring.core, ring.role, counts.written, counts.overwritten, counts.unfinished
        );
    }
    assert_eq!(found.read(1).count(), 0, "there is no core 1");
    print(&found, 4);
    let mut bytes = [0; 8192];
    let mut stream = Stream::file(MemorySink::new(&mut bytes));
    match found.send(&mut stream) {
        Ok(()) => {}
        Err(error) => panic!("{error}"),
    }
    let (frames, sink) = (stream.frames(), stream.into_inner());
    let last = sink.written().len() - 24 - 16;
    match Frame::parse(&sink.written()[last..]) {
        Ok((end, _)) => println!(
            "  sent, the end says {}",
            end.kind == FrameKind::End as u8
                && end.payload[8] == EndReason::WarmReset as u8
                && end.number + 1 == frames
        ),
        Err(error) => panic!("{error}"),
    }
}

/// What is found where these bits are flipped; then they are flipped back.
fn damaged(memory: &mut Persistent, what: &str, at: usize, bits: u8) {
    flip(memory, at, bits);
    println!("{what}:");
    match RECORDER.survivor(memory) {
        Ok(found) => println!("  {:?}", found.rings().next().map(|ring| ring.counts())),
        Err(error) => println!("  refused: {error}"),
    }
    flip(memory, at, bits);
}

/// Gives the header another build id, as if another kernel had written it.
fn rebuild(memory: &mut Persistent) {
    let Some(Ok(mut header)) = memory.bytes().first_chunk().map(Header::from_bytes) else {
        panic!("there was one")
    };
    header.build_id[0] ^= 1;
    let wanted = header.to_bytes();
    for (at, byte) in wanted.into_iter().enumerate() {
        let bits = memory.bytes()[at] ^ byte;
        flip(memory, at, bits);
    }
}

fn record(memory: Persistent, firsts: u64) {
    sure(RECORDER.install_persistent(memory, SIZES));
    let both = [first as *const () as usize, second as *const () as usize];
    register(sure(RECORDER.ops()), &Filter::at(&both));
    (0..3).for_each(|n| {
        second(n);
    });
    drop(sure(RECORDER.snapshot()));
    (0..firsts).for_each(|n| {
        first(n);
    });
    sure(RECORDER.name_task(TASK, "worker"));
    RECORDER.task_switch(TASK);
    second(7);
    sure(RECORDER.clean_to_memory());
}

fn damages(memory: &mut Persistent) {
    damaged(memory, "version", HEADER_VERSION, 2);
    damaged(memory, "build id", BUILD_ID, 2);
    damaged(memory, "a ring's mask", CONTROL + 8, 2);
    damaged(memory, "a ring's head", CONTROL, 1);
    damaged(memory, "a callsite", DATA + 8 + 3, 0x80);
    damaged(memory, "a lap", DATA + 7, 0x10);
    damaged(memory, "nothing", DATA, 0);
}

fn main() {
    guest::init();
    let Some(mut memory) = virt::reset::persistent() else {
        panic!("it is given once")
    };
    if virt::words::command_line(&mut [0; 64]) == "record" {
        return record(memory, EVENTS + 44);
    }
    assert!(virt::reset::persistent().is_none());
    let (stage, at) = stage(&mut memory);
    println!("boot {stage}");
    offered(&memory);
    flip(&mut memory, at, stage ^ (stage + 1));
    match stage {
        0 => record(memory, EVENTS + 44),
        1 | 3 => record(memory, 2),
        2 => flip(&mut memory, HEADER_BOOTS, 1),
        4 => rebuild(&mut memory),
        _ => return damages(&mut memory),
    }
    virt::reset::warm_reset();
}
