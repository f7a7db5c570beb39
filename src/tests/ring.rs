//! The ring's protocol on the host: who reserves owns, who reads is never told what is not whole.

use super::recorder::word;
use crate::ring::{Control, Counts, Mode, Slot, Unreadable};
use crate::trace::{DATA_ARGUMENT, Data, EVENT_BYTES, RING_BYTES_MIN, Type};
use core::mem::MaybeUninit;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, Ordering};
use std::alloc::{Layout, alloc_zeroed};
use std::boxed::Box;

const EVENTS: u64 = RING_BYTES_MIN / EVENT_BYTES;

/// A ring of the least size, over memory of zeroes.
fn ring(mode: Mode) -> &'static Control {
    let block = NonNull::from(Box::leak(Box::new(MaybeUninit::<Control>::uninit())));
    let layout =
        Layout::from_size_align(RING_BYTES_MIN as usize, align_of::<Slot>()).expect("a layout");
    // SAFETY: the layout is not empty.
    let memory = NonNull::new(unsafe { alloc_zeroed(layout) }).expect("memory");
    // SAFETY: both were allocated for it, of that size and alignment, and are never given back.
    unsafe { Control::make(block, memory.cast(), RING_BYTES_MIN, 4096, 0, mode) }
}

/// An event whose fields all follow from one number, so that a mixture of two is known.
fn write(ring: &Control, n: u32) -> bool {
    ring.write(Type::Function, u64::from(n) * 3, u64::from(n) << 3, !n)
}

/// The number of the event at a position.
fn read(ring: &Control, position: u64) -> Result<u32, Unreadable> {
    ring.read(position).map(|event| {
        let n = !event.upper();
        assert_eq!(event.time(), u64::from(n) * 3, "torn: {event:?}");
        assert_eq!(event.callsite_low(), n << 3, "torn: {event:?}");
        n
    })
}

#[test]
fn a_slot_that_is_reserved_and_not_stored_is_no_event() {
    let ring = ring(Mode::Overwrite);
    // In the first lap the memory is all zeroes, in the later ones it has the event of the lap before.
    for lap in 0..20 {
        let position = ring.reserve().expect("room");
        assert_eq!(
            read(ring, position),
            Err(Unreadable::Unfinished),
            "lap {lap}"
        );
        ring.store(position, Type::Function, 3, 8, !1);
        assert_eq!(read(ring, position), Ok(1), "lap {lap}");
        (1..EVENTS as u32).for_each(|n| assert!(write(ring, n)));
    }
}

#[test]
fn who_stores_a_lap_late_is_not_taken_for_the_newer_event() {
    let ring = ring(Mode::Overwrite);
    let late = ring.reserve().expect("room");
    (1..EVENTS as u32).for_each(|n| assert!(write(ring, n)));
    let newer = ring.reserve().expect("room");
    assert_eq!(newer, late + RING_BYTES_MIN, "the same slot, a lap on");
    ring.store(newer, Type::Function, 21, 56, !7);
    assert_eq!(read(ring, newer), Ok(7));
    ring.store(late, Type::Function, 3, 8, !1);
    assert_eq!(read(ring, newer), Err(Unreadable::Unfinished));
    assert_eq!(read(ring, late), Err(Unreadable::Overwritten));
}

/// Of every size, so that the ring ends at every place within them.
#[test]
fn an_event_and_its_data_stand_behind_one_another_and_stop_at_the_limit() {
    for mode in [Mode::Overwrite, Mode::StopWhenFull] {
        let ring = ring(mode);
        let mut next = ring.oldest();
        for n in 0..200_u64 {
            let data: [Data; 8] = core::array::from_fn(|i| Data {
                kind: DATA_ARGUMENT,
                index: i as u8,
                value: n << 40 ^ i as u64,
            });
            let data = &data[..(n % 9) as usize];
            ring.write_with(Type::Entry, n, 0x40, 7, data);
            if n % 60 == 59 && mode == Mode::StopWhenFull {
                assert_eq!(ring.counts().written, EVENTS, "full, to the last slot");
                ring.begin(mode);
                next = ring.oldest();
                continue;
            }
            let slots = (next..ring.end()).step_by(EVENT_BYTES as usize);
            let found: std::vec::Vec<_> = slots
                .map(|position| ring.read(position).expect("written").without_lap())
                .collect();
            let first = crate::trace::Event::new(Type::Entry, n, 0x40, 7, 0, 12);
            let wanted = core::iter::once(first).chain(data.iter().map(|data| data.event(0, 12)));
            let wanted: std::vec::Vec<_> = wanted.map(|event| event.without_lap()).collect();
            let kept = if mode == Mode::Overwrite {
                wanted.len()
            } else {
                found.len()
            };
            assert_eq!(found, wanted[..kept], "{n}");
            next = ring.end();
        }
    }
}

#[test]
fn counts_are_exact_in_both_modes() {
    for (mode, expected) in [
        (
            Mode::Overwrite,
            Counts {
                written: EVENTS + 9,
                overwritten: 9,
                dropped: 0,
                refused: 0,
            },
        ),
        (
            Mode::StopWhenFull,
            Counts {
                written: EVENTS,
                overwritten: 0,
                dropped: 9,
                refused: 0,
            },
        ),
    ] {
        let ring = ring(mode);
        let first = ring.head();
        let stored = (0..EVENTS as u32 + 9).filter(|&n| write(ring, n)).count() as u64;
        assert_eq!(stored, expected.written, "{mode:?}");
        assert_eq!(ring.counts(), expected, "{mode:?}");
        let oldest = first + expected.overwritten * EVENT_BYTES;
        assert_eq!(ring.oldest(), oldest, "{mode:?}");
        assert_eq!(
            read(ring, oldest),
            Ok(expected.overwritten as u32),
            "{mode:?}"
        );
        ring.begin(mode);
        assert_eq!(ring.counts(), Counts::default(), "{mode:?}");
        assert!(write(ring, 5), "{mode:?}: room again");
        assert_eq!(read(ring, ring.oldest()), Ok(5), "{mode:?}");
    }
}

/// A ring that has run for long: its positions have more bits than a word of 32, in the end nearly all of 64.
#[test]
fn positions_beyond_32_bits_are_told_apart_and_counted() {
    for mode in [Mode::Overwrite, Mode::StopWhenFull] {
        for near in [1_u64 << 32, 1 << 40, 1 << 63] {
            let ring = ring(mode);
            word(ring, 0).store(near - 100 * EVENT_BYTES, Ordering::Relaxed);
            ring.begin(mode);
            let all = EVENTS as u32 + 200;
            let stored = (0..all).filter(|&n| write(ring, n)).count();
            let lost = match mode {
                Mode::Overwrite => 200,
                Mode::StopWhenFull => 0,
            };
            let counts = ring.counts();
            assert_eq!(counts.written, stored as u64, "{near:#x}");
            assert_eq!(
                (counts.overwritten, counts.written + counts.dropped),
                (lost, all.into())
            );
            let numbers = (ring.oldest()..ring.end()).step_by(EVENT_BYTES as usize);
            let numbers = numbers.map(|position| read(ring, position));
            assert!(
                numbers.eq((lost as u32..stored as u32).map(Ok)),
                "{near:#x}"
            );
        }
    }
}

#[test]
fn readers_are_never_given_a_torn_event_while_others_write() {
    const WRITERS: u32 = 3;
    const EACH: u32 = 60_000;
    let ring = ring(Mode::Overwrite);
    let first = ring.head();
    let done = AtomicBool::new(false);
    let (whole, lost) = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let (mut next, mut whole, mut lost) = (first, 0, 0);
            while !done.load(Ordering::Acquire) || next < ring.end() {
                if next >= ring.end() {
                    std::hint::spin_loop();
                    continue;
                }
                match read(ring, next) {
                    Ok(_) => (next, whole) = (next + EVENT_BYTES, whole + 1),
                    Err(Unreadable::Overwritten) => {
                        let oldest = ring.oldest();
                        lost += (oldest - next) / EVENT_BYTES;
                        next = oldest;
                    }
                    // Its writer will store it, or has lost it to a newer one.
                    Err(Unreadable::Unfinished) if !done.load(Ordering::Acquire) => {}
                    Err(Unreadable::Unfinished) => (next, lost) = (next + EVENT_BYTES, lost + 1),
                }
            }
            (whole, lost)
        });
        let writers: [_; WRITERS as usize] = core::array::from_fn(|writer| {
            scope.spawn(move || {
                (0..EACH).for_each(|n| assert!(write(ring, n * WRITERS + writer as u32)));
            })
        });
        writers
            .into_iter()
            .for_each(|writer| writer.join().expect("a writer"));
        done.store(true, Ordering::Release);
        reader.join().expect("the reader")
    });
    assert_eq!(
        whole + lost,
        u64::from(WRITERS * EACH),
        "every event is read or counted"
    );
    assert!(whole > 0);
}
