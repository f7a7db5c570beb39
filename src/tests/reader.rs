//! Readers that go on while others write, forget, or take their time.
#![forbid(unsafe_code)]

use super::recorder::Kernel;
use crate::areas;
use crate::record::{Item, Reader};
use crate::ring::{Control, Mode};
use crate::trace::{RING_BYTES_MIN, Type};
use std::vec::Vec;

const EVENTS: u32 = RING_BYTES_MIN as u32 / 16;

/// Writes these on core 0.
fn write(kernel: &Kernel, numbers: core::ops::Range<u32>) {
    for n in numbers {
        kernel.write(0, n);
    }
}

fn ring(kernel: &Kernel) -> &'static Control {
    areas::ring(&kernel.areas[0])
}

fn reader(kernel: &Kernel) -> Reader {
    kernel.recorder.read(0).expect("a core")
}

/// The numbers of the events that are whole, those that were overwritten, and those that were unfinished.
fn read(reader: &mut Reader) -> (Vec<u32>, u64, usize) {
    let (mut whole, mut lost, mut unfinished) = (Vec::new(), 0, 0);
    reader.go_on();
    for item in reader {
        match item {
            Item::Event { event, .. } => whole.push(event.upper()),
            Item::Overwritten(events) => lost += events,
            Item::Unfinished { .. } => unfinished += 1,
        }
    }
    (whole, lost, unfinished)
}

#[test]
fn who_wants_finished_events_only_is_given_them_later() {
    let kernel = Kernel::new(Mode::Overwrite, false);
    let (mut any, mut finished) = (reader(&kernel), reader(&kernel).finished_only());
    write(&kernel, 0..3);
    let late = ring(&kernel).reserve().expect("room");
    write(&kernel, 4..6);
    assert_eq!(read(&mut any), ([0, 1, 2, 4, 5].into(), 0, 1));
    assert_eq!(read(&mut finished), ([0, 1, 2].into(), 0, 0));
    assert_eq!(read(&mut finished), ([].into(), 0, 0));
    ring(&kernel).store(late, Type::Function, 0, 24, 3);
    write(&kernel, 6..7);
    assert_eq!(read(&mut any), ([6].into(), 0, 0));
    assert_eq!(read(&mut finished), ([3, 4, 5, 6].into(), 0, 0));
}

#[test]
fn who_never_stores_is_waited_for_until_the_slot_is_overwritten() {
    let kernel = Kernel::new(Mode::Overwrite, false);
    let mut finished = reader(&kernel).finished_only();
    ring(&kernel).reserve().expect("room");
    write(&kernel, 1..EVENTS);
    assert_eq!(read(&mut finished), ([].into(), 0, 0));
    write(&kernel, EVENTS..EVENTS + 1);
    let all: Vec<u32> = (1..=EVENTS).collect();
    assert_eq!(read(&mut finished), (all, 1, 0));
}

/// The head is far behind the limit by then, and none of the positions between was ever an event.
#[test]
fn after_a_reset_a_reader_goes_on_with_the_new_recording() {
    for mode in [Mode::Overwrite, Mode::StopWhenFull] {
        let kernel = Kernel::new(mode, false);
        let mut reader = reader(&kernel);
        write(&kernel, 0..10 * EVENTS);
        let (whole, lost, unfinished) = read(&mut reader);
        let dropped = kernel.counts(0).dropped as usize;
        assert_eq!(whole.len() + lost as usize + dropped, 10 * EVENTS as usize);
        assert_eq!(unfinished, 0);
        kernel.recorder.reset(0).expect("a core");
        assert_eq!(read(&mut reader), ([].into(), 0, 0), "{mode:?}");
        write(&kernel, 0..3);
        assert_eq!(read(&mut reader), ([0, 1, 2].into(), 0, 0), "{mode:?}");
    }
}

/// What it was to read is there still, or is counted; never more than it was to read.
#[test]
fn a_reset_under_a_reader_loses_no_more_than_it_was_to_read() {
    for mode in [Mode::Overwrite, Mode::StopWhenFull] {
        let kernel = Kernel::new(mode, false);
        write(&kernel, 0..10 * EVENTS);
        let mut reader = reader(&kernel);
        assert!(matches!(reader.next(), Some(Item::Event { .. })));
        kernel.recorder.reset(0).expect("a core");
        write(&kernel, 0..3);
        let (mut whole, mut lost) = (0, 0);
        for item in &mut reader {
            match item {
                Item::Event { .. } => whole += 1,
                Item::Overwritten(events) => lost += events,
                Item::Unfinished { .. } => panic!("{mode:?}: all were stored"),
            }
        }
        assert_eq!(whole + lost, u64::from(EVENTS) - 1, "{mode:?}");
        assert_eq!(read(&mut reader), ([0, 1, 2].into(), 0, 0), "{mode:?}");
    }
}
