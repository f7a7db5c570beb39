//! src/ring.rs and src/record/reader.rs themselves, over rings of one or two slots: writers that reserve and store, a reader
//! beside them. Its head and its slots are loom's, who also returns old values wherever the orders allow it.
//!
//! An event's fields follow from the position that its writer reserved, so that words of two events, or an event of another
//! position, are known.

mod orders;

use crate::reader::{Item, Reader};
use crate::ring::{Control, Counts, Mode, Slot};
use crate::sync::{AtomicU64, watch};
use crate::trace::{DATA_RESULT, Data, EVENT_BYTES, Event, Type};
use loom::sync::Arc;
use loom::sync::atomic::AtomicUsize;
use loom::thread;
use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::sync::atomic::Ordering;

/// Memory for a ring, for all runs of a model.
#[derive(Clone, Copy)]
struct Memory {
    block: usize,
    slots: usize,
    count: usize,
}

impl Memory {
    fn new(count: usize) -> Self {
        let block = Box::leak(Box::new(MaybeUninit::<Control>::uninit()));
        let slots: Vec<u128> = vec![0; count];
        assert!(align_of::<u128>() >= align_of::<Slot>());
        Self {
            block: std::ptr::from_mut(block) as usize,
            slots: slots.leak().as_mut_ptr() as usize,
            count,
        }
    }

    /// The ring as it begins: over zeroes, one lap on. From here on its head and its slots are loom's.
    fn ring(self, mode: Mode) -> &'static Control {
        rings([self], mode)[0]
    }

    fn make(self, mode: Mode) -> &'static Control {
        let block = NonNull::new(self.block as *mut MaybeUninit<Control>).expect("memory");
        let slots = NonNull::new(self.slots as *mut Slot).expect("memory");
        // SAFETY: both were leaked for it, in that size; no run of the model uses them beside this one.
        unsafe { Control::make(block, slots, self.bytes(), 0, 0, mode) }
    }

    fn bytes(self) -> u64 {
        self.count as u64 * EVENT_BYTES
    }

    /// Reserves this many laps at once: loom knows the last seven values of a word.
    fn skip(self, laps: u64) {
        // SAFETY: the block's first word is its head, an atomic, which the ring has made.
        let head = unsafe { &*(self.block as *const AtomicU64) };
        head.fetch_add(laps * self.bytes(), Ordering::Relaxed);
    }

    /// The head, which is the block's first word, and the slots, each with its first value.
    fn words(self) -> impl Iterator<Item = (usize, u64)> {
        let words = (0..2 * self.count).map(move |word| (self.slots + 8 * word, 0));
        words.chain([(self.block, self.bytes())])
    }
}

fn rings<const N: usize>(memories: [Memory; N], mode: Mode) -> [&'static Control; N] {
    watch(memories.into_iter().flat_map(Memory::words));
    memories.map(|memory| memory.make(mode))
}

/// What is stored at a position; the upper halves of both words differ from position to position.
fn event(position: u64) -> (Type, u64, u64, u32) {
    (
        Type::Function,
        position * 3,
        position << 3,
        !position as u32,
    )
}

fn store(ring: &Control, position: u64) {
    let (kind, time, callsite, upper) = event(position);
    ring.store(position, kind, time, callsite, upper);
}

fn write(ring: &Control) {
    if let Some(position) = ring.reserve() {
        store(ring, position);
    }
}

/// It is the event of this position, all of it.
fn assert_whole(event: Event, position: u64) {
    let (kind, time, callsite, upper) = self::event(position);
    let expected = Event::new(kind, time, callsite, upper, 0, 0).without_lap();
    assert_eq!(event.without_lap(), expected, "torn");
}

/// Reads all that is there: how many are whole, overwritten and unfinished.
fn read(reader: &mut Reader) -> [u64; 3] {
    let mut seen = [0; 3];
    for item in reader {
        match item {
            Item::Event { number, event } => {
                assert_whole(event, number * EVENT_BYTES);
                seen[0] += 1;
            }
            Item::Overwritten(count) => seen[1] += count,
            Item::Unfinished { .. } => seen[2] += 1,
        }
    }
    seen
}

/// Writers that write so many events each, in a ring of so many slots, a reader that reads while they write and once more
/// when they have ended.
fn beside(slots: usize, writers: &'static [usize]) {
    let memory = Memory::new(slots);
    let mut model = loom::model::Builder::new();
    // Where a thread is interrupted without waiting for another: so many times in a run.
    model.preemption_bound = Some(2);
    model.check(move || {
        let ring = memory.ring(Mode::Overwrite);
        let mut reader = Reader::new(ring);
        let threads: Vec<_> = writers
            .iter()
            .map(|&events| thread::spawn(move || (0..events).for_each(|_| write(ring))))
            .collect();
        reader.go_on();
        let first = read(&mut reader);
        for thread in threads {
            thread.join().unwrap();
        }
        reader.go_on();
        let second = read(&mut reader);
        let written = writers.iter().sum::<usize>() as u64;
        let seen = first.iter().chain(&second).sum::<u64>();
        assert_eq!(seen, written, "each is whole, overwritten or unfinished");
        let counts = Counts {
            written,
            overwritten: written.saturating_sub(slots as u64),
            ..Counts::default()
        };
        assert_eq!(ring.counts(), counts);
    });
}

#[test]
fn two_writers_have_a_slot_each() {
    beside(2, &[1, 1]);
}

#[test]
fn who_is_overwritten_is_counted_and_never_mixed_with_who_overwrites() {
    beside(1, &[1, 1]);
}

#[test]
fn laps_go_by_beside_a_reader() {
    beside(1, &[3]);
}

#[test]
fn of_two_who_want_the_last_slot_one_is_dropped() {
    let memory = Memory::new(1);
    loom::model(move || {
        let ring = memory.ring(Mode::StopWhenFull);
        let other = thread::spawn(move || write(ring));
        write(ring);
        other.join().unwrap();
        let counts = Counts {
            written: 1,
            dropped: 1,
            ..Counts::default()
        };
        assert_eq!(ring.counts(), counts);
        assert_eq!(read(&mut Reader::new(ring)), [1, 0, 0]);
    });
}

/// A writer is interrupted between its reservation and its store, until the ring has been filled `laps` times more; then
/// it stores, and the next one does. Somebody reads what the last one writes.
fn late(laps: u32) {
    let memory = Memory::new(1);
    loom::model(move || {
        let ring = memory.ring(Mode::Overwrite);
        let late = ring.reserve().expect("room");
        (1..laps).for_each(|_| write(ring));
        store(ring, late);
        let last = ring.reserve().expect("room");
        assert_eq!(last - late, u64::from(laps) * EVENT_BYTES);
        let writer = thread::spawn(move || store(ring, last));
        if let Ok(event) = ring.read(last) {
            assert_whole(event, last);
        }
        writer.join().unwrap();
        assert_whole(ring.read(last).expect("stored"), last);
    });
}

#[test]
fn a_writer_up_to_seven_laps_late_is_not_taken_for_the_newest() {
    (1..8).for_each(late);
}

/// The limit of the laps in the second word, which docs/trace-format.md states.
#[test]
#[should_panic(expected = "torn")]
fn a_writer_eight_laps_late_can_be_taken_for_the_newest() {
    late(8);
}

/// A writer of two events, and somebody who takes snapshots meanwhile: begins in the other ring, lets the writer find that,
/// ends the recording and reads it.
fn snapshots(end: fn(&Control)) {
    let memories = [Memory::new(2), Memory::new(2)];
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(move || {
        let rings = rings(memories, Mode::Overwrite);
        let found = Arc::new(AtomicUsize::new(0));
        let writer = {
            let found = found.clone();
            thread::spawn(move || (0..2).for_each(|_| write(rings[found.load(Ordering::Relaxed)])))
        };
        let mut total = 0;
        let mut take = |other: usize| {
            rings[other].begin(Mode::Overwrite);
            found.store(other, Ordering::SeqCst);
            let taken = rings[1 - other];
            end(taken);
            let seen: u64 = read(&mut Reader::new(taken)).iter().sum();
            assert!(seen <= taken.counts().written);
            total += seen;
        };
        take(1);
        take(0);
        writer.join().unwrap();
        // What is left, and what a late writer left in the other one.
        take(1);
        take(0);
        assert_eq!(total, 2, "each event is in one recording");
    });
}

#[test]
fn each_event_is_in_one_recording_however_late_its_writer_is() {
    snapshots(Control::freeze);
}

// Twins, each broken in one place.

#[test]
#[should_panic(expected = "each event is in one recording")]
fn without_an_end_a_late_writer_is_in_no_recording() {
    snapshots(|_| {});
}

/// What the reader is given if it believes the words, or one word's lap.
fn believing(whole: fn(Event, u64) -> bool) {
    let memory = Memory::new(1);
    loom::model(move || {
        let ring = memory.ring(Mode::Overwrite);
        let (first, second) = (ring.reserve().unwrap(), ring.reserve().unwrap());
        store(ring, first);
        let writer = thread::spawn(move || store(ring, second));
        let event = ring.words(second);
        if whole(event, second) {
            assert_whole(event, second);
        }
        writer.join().unwrap();
    });
}

const SHIFT: u32 = EVENT_BYTES.trailing_zeros();

#[test]
fn both_laps_are_enough() {
    believing(|event, position| event.is_of(position, SHIFT));
}

#[test]
#[should_panic(expected = "torn")]
fn without_laps_a_slot_that_is_not_stored_yet_is_taken_for_an_event() {
    believing(|_, _| true);
}

/// `is_of` with one word as it should be, whatever is in the memory.
fn only(word: usize, event: Event, position: u64) -> bool {
    let mut good = Event::new(Type::Function, 0, 0, 0, position, SHIFT);
    good.0[word] = event.0[word];
    good.is_of(position, SHIFT)
}

#[test]
#[should_panic(expected = "torn")]
fn without_a_lap_in_the_first_word_the_second_may_be_newer() {
    believing(|event, position| only(1, event, position));
}

#[test]
#[should_panic(expected = "torn")]
fn without_a_lap_in_the_second_word_the_first_may_be_newer() {
    believing(|event, position| only(0, event, position));
}

/// An event and what belongs to it are reserved as one.
#[test]
fn two_writers_of_several_slots_have_their_own() {
    let memory = Memory::new(4);
    loom::model(move || {
        let ring = memory.ring(Mode::Overwrite);
        let start = ring.head();
        let write = move || {
            let data = Data {
                kind: DATA_RESULT,
                index: 0,
                value: 7,
            };
            ring.write_with(Type::Function, 1, 8, 0, &[data]);
        };
        let other = thread::spawn(write);
        write();
        other.join().unwrap();
        assert_eq!(ring.head() - start, 4 * EVENT_BYTES);
        for position in (start..ring.head()).step_by(EVENT_BYTES as usize) {
            assert!(ring.read(position).is_ok(), "each slot is written");
        }
    });
}

/// Reserves as a load and an add that somebody may come between.
#[test]
#[should_panic(expected = "both have a slot")]
fn without_an_atomic_add_two_writers_have_one_slot() {
    let memory = Memory::new(2);
    loom::model(move || {
        let ring = memory.ring(Mode::Overwrite);
        let start = ring.head();
        let write = move || {
            let position = ring.head();
            store(ring, position);
            assert!(ring.reserve().is_some());
        };
        let other = thread::spawn(write);
        write();
        other.join().unwrap();
        for position in [start, start + EVENT_BYTES] {
            assert!(ring.read(position).is_ok(), "both have a slot");
        }
    });
}
