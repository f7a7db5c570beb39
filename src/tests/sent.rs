//! What is sent of a ring says of every event of the recording where it is: in a frame, or lost before one.
#![forbid(unsafe_code)]

use super::recorder::{Kernel, after_a_reset};
use crate::areas;
use crate::record::RecordError;
use crate::ring::Mode;
use crate::sink::{MemorySink, Sink, SinkError, Stream};
use crate::trace::{EndReason, Event, Frame, FrameCounts, FrameKind, Type, counts_payload};
use core::ops::Range;
use std::vec;
use std::vec::Vec;

/// So many have room in a [`Kernel`]: more than a frame has.
const TASK_NAMES: usize = 10;

/// What the frames say: the head of each run of events (core, first, lost, events), and the COUNTS of each core.
type Said = (Vec<(u16, u64, u64, u64)>, Vec<Vec<u8>>);

/// Reads a stream. Frames that follow one another without a loss are one run, however many events a frame has.
fn said(stream: &[u8]) -> Said {
    let (mut runs, mut counts, mut at) = (Vec::<(u16, u64, u64, u64)>::new(), vec![], 0);
    while at < stream.len() {
        let (frame, bytes) = Frame::parse(&stream[at..]).expect("a frame");
        at += bytes;
        let word = |index: usize| {
            let word = frame.payload[index * 8..].first_chunk();
            u64::from_le_bytes(*word.expect("a word"))
        };
        match FrameKind::from_code(frame.kind) {
            Some(FrameKind::Events) => {
                let (first, lost) = (word(0), word(1));
                let events = (frame.payload.len() as u64 - 16) / 16;
                match runs.last_mut() {
                    Some(run) if run.0 == frame.core && lost == 0 && run.1 + run.3 == first => {
                        run.3 += events;
                    }
                    _ => runs.push((frame.core, first, lost, events)),
                }
            }
            Some(FrameKind::Counts) => counts.push(frame.payload.to_vec()),
            _ => {}
        }
    }
    (runs, counts)
}

fn sent(send: impl FnOnce(&mut Stream<MemorySink<'_>>)) -> Said {
    let mut memory = vec![0; 64 << 10];
    let mut stream = Stream::file(MemorySink::new(&mut memory));
    send(&mut stream);
    said(stream.into_inner().written())
}

/// The payloads of the frames of a kind.
fn payloads(stream: &[u8], kind: FrameKind) -> Vec<Vec<u8>> {
    let (mut found, mut at) = (vec![], 0);
    while at < stream.len() {
        let (frame, bytes) = Frame::parse(&stream[at..]).expect("a frame");
        at += bytes;
        if frame.kind == kind as u8 {
            found.push(frame.payload.to_vec());
        }
    }
    found
}

/// By the kernel that named them, and by the next boot; a name that was given back is not.
#[test]
fn names_of_tasks_are_sent() {
    let kernel = Kernel::new(Mode::Overwrite, false);
    let recorder = kernel.recorder;
    for id in 0..TASK_NAMES as u32 {
        recorder.name_task(id, "a task").expect("room");
    }
    let most = TASK_NAMES;
    let refused = recorder.name_task(99, "one too many");
    assert_eq!(refused, Err(RecordError::TooManyTaskNames { most }));
    recorder.name_task(3, "shell").expect("it has a name");
    recorder.name_task(5, "").expect("it has a name");
    let names = (0..TASK_NAMES as u32).filter(|id| *id != 5);
    let expected: Vec<Vec<u8>> = names
        .map(|id| {
            let name: &[u8] = if id == 3 { b"shell" } else { b"a task" };
            let length = (name.len() as u16).to_le_bytes();
            [&id.to_le_bytes()[..], &length, name].concat()
        })
        .collect();
    let frames = [expected[..8].concat(), expected[8..].concat()];
    let mut memory = vec![0; 64 << 10];
    let mut stream = Stream::file(MemorySink::new(&mut memory));
    recorder.send(&mut stream, EndReason::Asked).expect("room");
    let live = stream.into_inner().written().to_vec();
    assert_eq!(payloads(&live, FrameKind::Tasks), frames);
    let before = after_a_reset(&kernel.bytes());
    let survivor = recorder.survivor(&before).expect("a region");
    let mut stream = Stream::file(MemorySink::new(&mut memory));
    survivor.send(&mut stream).expect("room");
    let later = stream.into_inner().written().to_vec();
    assert_eq!(payloads(&later, FrameKind::Tasks), frames);
}

/// Writes so many events by an area's recorder; two of them stay reserved.
fn fill(kernel: &Kernel, area: usize, events: Range<u64>, unfinished: [u64; 2]) {
    let ring = areas::ring(&kernel.areas[area]);
    for n in events {
        let position = ring.reserve().expect("room");
        if !unfinished.contains(&n) {
            ring.store(
                position,
                Type::Function,
                n,
                0x4020_0000 + 8 * n,
                0x4020_0000,
            );
        }
    }
}

fn counts(written: u64, overwritten: u64, dropped: u64, unfinished: u64) -> Vec<u8> {
    let counts = FrameCounts {
        written,
        overwritten,
        dropped,
        unfinished,
        refused: 0,
    };
    counts_payload(counts).to_vec()
}

/// `aftrace dump-ram` says the same of the same memory: `aftrace/tests/sources.rs`, "every loss stands before an event or at the end".
#[test]
fn every_loss_stands_before_an_event_or_at_the_end() {
    let kernel = Kernel::new(Mode::Overwrite, false);
    // A ring has 256 slots, and the first event is number 256.
    fill(&kernel, 0, 0..300, [276, 299]);
    fill(&kernel, 1, 0..2, [0, 1]);
    let expected = vec![
        (0, 300, 44, 232),
        (0, 533, 1, 22),
        (0, 556, 1, 0),
        (1, 258, 2, 0),
    ];
    let expected = (
        expected,
        vec![
            counts(300, 44, 0, 2),
            counts(2, 0, 0, 2),
            counts(0, 0, 0, 0),
        ],
    );
    let live = sent(|stream| {
        let sent = kernel.recorder.send(stream, EndReason::Asked);
        sent.expect("room");
    });
    assert_eq!(live, expected);
    let memory = after_a_reset(&kernel.bytes());
    let survivor = kernel.recorder.survivor(&memory).expect("a region");
    assert_eq!(sent(|stream| survivor.send(stream).expect("room")), live);
}

/// What was dropped has no number: it is in COUNTS alone.
#[test]
fn what_a_full_ring_dropped_is_counted_and_not_lost() {
    let kernel = Kernel::new(Mode::StopWhenFull, true);
    (0..300).for_each(|n| _ = kernel.write(2, n));
    let snapshot = kernel.recorder.snapshot().expect("spare rings");
    let (runs, all) = sent(|stream| snapshot.send(stream, EndReason::Trigger).expect("room"));
    assert_eq!(runs, [(2, 256, 0, 256)]);
    assert_eq!(all[2], counts(256, 0, 44, 0));
}

/// A recording that began anew counts from there; the numbers go on.
#[test]
fn what_was_forgotten_is_not_lost() {
    let kernel = Kernel::new(Mode::Overwrite, false);
    fill(&kernel, 0, 0..300, [0, 1]);
    kernel.recorder.reset(0).expect("a core");
    fill(&kernel, 0, 0..5, [9, 9]);
    let (runs, all) = sent(|stream| {
        let sent = kernel.recorder.send(stream, EndReason::Asked);
        sent.expect("room");
    });
    assert_eq!(runs, [(0, 556, 0, 5)]);
    assert_eq!(all[0], counts(5, 0, 0, 0));
}

/// Laps are the ring's own: the same calls give the same bytes, whatever the ring has seen before.
#[test]
fn events_are_sent_without_their_laps() {
    let kernel = Kernel::new(Mode::Overwrite, false);
    fill(&kernel, 0, 0..256 * 15 + 3, [0, 0]);
    let mut memory = vec![0; 64 << 10];
    let mut stream = Stream::file(MemorySink::new(&mut memory));
    let sent = kernel.recorder.send(&mut stream, EndReason::Asked);
    sent.expect("room");
    let sink = stream.into_inner();
    let (mut at, mut events) = (0, 0);
    while at < sink.written().len() {
        let (frame, bytes) = Frame::parse(&sink.written()[at..]).expect("a frame");
        at += bytes;
        if frame.kind == FrameKind::Events as u8 {
            for event in frame.payload[16..].chunks_exact(16) {
                let event = Event::from_bytes(*event.first_chunk().expect("an event"));
                assert_eq!(event, event.without_lap());
                events += 1;
            }
        }
    }
    assert_eq!(events, 256);
}

/// COUNTS stand behind the events that they are of: also what was refused until then, also what was written meanwhile.
#[test]
fn counts_are_those_behind_the_events() {
    struct Writing<'a> {
        kernel: &'a Kernel,
        sent: &'a mut Vec<u8>,
    }
    impl Sink for Writing<'_> {
        fn write(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
            self.sent.extend_from_slice(bytes);
            self.kernel.write(0, 1);
            Ok(())
        }
    }
    let kernel = Kernel::new(Mode::Overwrite, false);
    fill(&kernel, 0, 0..5, [9, 9]);
    kernel.recorder.record_core(1, false).expect("a core");
    (0..7).for_each(|n| _ = kernel.write(1, n));
    let mut bytes = vec![];
    let sink = Writing {
        kernel: &kernel,
        sent: &mut bytes,
    };
    let mut stream = Stream::file(sink);
    let sent = kernel.recorder.send(&mut stream, EndReason::Asked);
    sent.expect("room");
    let (runs, counts) = said(&bytes);
    // A call for each of the header's two pieces, then for the three of the frame with the events.
    assert_eq!(runs, [(0, 256, 0, 5 + 2)]);
    let word = |core: usize, at: usize| counts[core][at * 8];
    assert_eq!(word(0, 0), 5 + 2 + 3);
    assert_eq!((word(1, 0), word(1, 4)), (0, 7));
}
