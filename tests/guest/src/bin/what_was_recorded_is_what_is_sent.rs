//@ cpu: cortex-a53, neoverse-n1
//@ smp: 4
//@ profile: release
//! Three cores record without a pause while the first sends streams: every frame is whole, every event is one that was
//! written, numbers go on without a gap that is not counted; and when they have stopped, what is sent, overwritten and
//! unfinished is all that was written.
#![no_std]
#![no_main]

use aarch64_ftrace::Mode;
use aarch64_ftrace::sink::{MemorySink, Stream};
use aarch64_ftrace::trace::{EndReason, Event, Frame, FrameKind};
use guest::record::{EVENTS, RECORDER, install};
use guest::writers::{self, assert_whole};
use virt::println;

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

const CORES: usize = 4;
const STREAMS: usize = 100;
/// Four rings, and what frames add to them.
const BYTES: usize = 32 * 1024;

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
                // A core's first event has the number of the ring's first lap.
                let expected = next[core].max(EVENTS) + lost;
                assert_eq!(first, expected);
                seen[core].lost += lost;
                for bytes in payload[16..].chunks_exact(16) {
                    let mut event = [0; 16];
                    event.copy_from_slice(bytes);
                    assert_whole(Event::from_bytes(event));
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
    assert_eq!(writers::start(), CORES);
    writers::wait(1..CORES, 2 * EVENTS);
    let mut memory = [0; BYTES];
    let mut events = 0;
    for _ in 0..STREAMS {
        let seen = send(&mut memory);
        events += seen.iter().map(|seen| seen.events).sum::<u64>();
    }
    println!("events while cores write: {}", events > 0);
    writers::stop();
    let seen = send(&mut memory);
    for (core, seen) in seen.iter().enumerate() {
        let calls = writers::calls(core);
        println!(
            "core {core}: all calls written {}, lost is overwritten {}, unfinished {}, sent and overwritten are written {}, sent {}",
            seen.written == calls,
            seen.lost == seen.overwritten,
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
