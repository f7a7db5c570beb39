//@ cpu: cortex-a53, neoverse-n1
//@ smp: 4
//@ profile: release
//! Three cores record without a pause while the first sends streams: every frame is whole, every event is one that was
//! written, numbers go on without a gap that is not counted; and when they have stopped, what is sent, overwritten and
//! unfinished is all that was written.
#![no_std]
#![no_main]

use aarch64_ftrace::sink::{MemorySink, Stream};
use aarch64_ftrace::trace::{EndReason, Event, Frame, FrameKind, Type};
use aarch64_ftrace::{CpuArea, Filter, Mode};
use core::hint::black_box;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use guest::record::{EVENTS, RECORDER, install, sure};
use guest::{FTRACE, register};
use virt::println;

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

const CORES: usize = 4;
const STREAMS: usize = 100;
/// Four rings, and what frames add to them.
const BYTES: usize = 32 * 1024;

static AREAS: [CpuArea; CORES] = [const { CpuArea::new() }; CORES];
static STOP: AtomicBool = AtomicBool::new(false);
static DONE: AtomicU32 = AtomicU32::new(0);
static CALLS: [AtomicU64; CORES] = [const { AtomicU64::new(0) }; CORES];

#[inline(never)]
fn work(n: u64) -> u64 {
    black_box(n + 1)
}

fn busy(core: usize) {
    FTRACE.cpu_online(&AREAS[core]);
    RECORDER.cpu_online();
    virt::irq::unmask();
    while !STOP.load(Ordering::Acquire) {
        work(7);
        CALLS[core].fetch_add(1, Ordering::Release);
    }
    DONE.fetch_add(1, Ordering::AcqRel);
}

fn word(payload: &[u8], index: usize) -> u64 {
    match payload[index * 8..].first_chunk() {
        Some(bytes) => u64::from_le_bytes(*bytes),
        None => panic!("a payload of {} bytes", payload.len()),
    }
}

/// What a stream had of each core.
#[derive(Clone, Copy, Default)]
struct Seen {
    events: u64,
    lost: u64,
    written: u64,
    overwritten: u64,
    unfinished: u64,
}

/// Reads a stream and checks all of it.
fn check(stream: &[u8]) -> [Seen; CORES] {
    let (mut at, mut number, mut kinds) = (0, 0, [0_u32; 16]);
    let mut seen = [Seen::default(); CORES];
    let mut next = [0; CORES];
    while at < stream.len() {
        let (frame, bytes) = match Frame::parse(&stream[at..]) {
            Ok(frame) => frame,
            Err(error) => panic!("at {at}: {error}"),
        };
        at += bytes;
        assert_eq!(frame.number, number);
        number += 1;
        kinds[usize::from(frame.kind)] += 1;
        let core = usize::from(frame.core);
        let payload = frame.payload;
        match FrameKind::from_code(frame.kind) {
            Some(FrameKind::Events) => {
                let (first, lost) = (word(payload, 0), word(payload, 1));
                if seen[core].events > 0 {
                    assert_eq!(first, next[core] + lost);
                }
                seen[core].lost += lost;
                for bytes in payload[16..].chunks_exact(16) {
                    let mut event = [0; 16];
                    event.copy_from_slice(bytes);
                    whole(Event::from_bytes(event));
                    seen[core].events += 1;
                }
                next[core] = first + (payload.len() as u64 - 16) / 16;
            }
            Some(FrameKind::Counts) => {
                seen[core].written = word(payload, 0);
                seen[core].overwritten = word(payload, 1);
                seen[core].unfinished = word(payload, 3);
            }
            _ => {}
        }
    }
    assert_eq!((kinds[1], kinds[3], kinds[8]), (1, CORES as u32, 1));
    seen
}

/// It is what a call of `work` by `busy` leaves, and nothing else.
fn whole(event: Event) {
    let entry = work as *const () as usize as u64;
    let site = sure(RECORDER.header()).text_address(event.callsite_low());
    assert_eq!(event.kind(), Some(Type::Function));
    assert!(site >= entry && site - entry <= 16, "{site:#x}");
    static PARENT: AtomicU32 = AtomicU32::new(0);
    let first = PARENT.swap(event.upper(), Ordering::Relaxed);
    assert!(first == 0 || first == event.upper(), "{first:#x}");
}

fn send(memory: &mut [u8]) -> [Seen; CORES] {
    let mut stream = Stream::file(MemorySink::new(memory));
    if let Err(error) = RECORDER.send(&mut stream, EndReason::Asked) {
        panic!("{error}");
    }
    check(stream.into_inner().written())
}

fn main() {
    guest::init();
    virt::irq::unmask();
    install(Mode::Overwrite, CORES);
    register(
        sure(RECORDER.ops()),
        &Filter::at(&[work as *const () as usize]),
    );
    for core in 1..CORES {
        if let Err(error) = virt::start_core(core, busy) {
            panic!("{error}");
        }
    }
    while (1..CORES).any(|core| CALLS[core].load(Ordering::Acquire) < 2 * EVENTS) {
        core::hint::spin_loop();
    }
    let mut memory = [0; BYTES];
    let mut events = 0;
    for _ in 0..STREAMS {
        let seen = send(&mut memory);
        events += seen.iter().map(|seen| seen.events).sum::<u64>();
    }
    println!("events while cores write: {}", events > 0);
    STOP.store(true, Ordering::Release);
    while DONE.load(Ordering::Acquire) < CORES as u32 - 1 {
        core::hint::spin_loop();
    }
    let seen = send(&mut memory);
    for (core, seen) in seen.iter().enumerate() {
        let calls = CALLS[core].load(Ordering::Acquire);
        println!(
            "core {core}: all calls written {}, lost {}, unfinished {}, sent and overwritten are written {}, sent {}",
            seen.written == calls,
            seen.lost,
            seen.unfinished,
            seen.events + seen.overwritten == seen.written,
            seen.events
        );
    }
    let mut small = [0; 1000];
    let mut stream = Stream::file(MemorySink::new(&mut small));
    println!(
        "too small: {:?}",
        RECORDER.send(&mut stream, EndReason::Asked).err()
    );
}
