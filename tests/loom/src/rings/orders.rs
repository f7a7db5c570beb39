//! What a reader's acquire loads are for: barriers of the kernel's that the writer's core executes, as tests/litmus has them.

use super::{Memory, assert_whole, store, write};
use crate::ring::{Mode, Unreadable};
use crate::sync::{Without, do_without, fence};
use crate::trace::EVENT_BYTES;
use loom::thread;
use std::sync::atomic::Ordering;

/// A reader that is held up between its head and the words of a slot for sixteen laps, so that all laps fit again. Somewhere in them
/// the writer's core executes a barrier of the kernel's.
fn held_up() {
    let memory = Memory::new(1);
    loom::model(move || {
        let ring = memory.ring(Mode::Overwrite);
        let first = ring.reserve().expect("room");
        store(ring, first);
        let reader = thread::spawn(move || {
            if let Ok(event) = ring.read(first) {
                assert_whole(event, first);
            }
        });
        write(ring);
        fence(Ordering::Release);
        memory.skip(14);
        write(ring);
        reader.join().unwrap();
        assert_eq!(ring.read(first), Err(Unreadable::Overwritten));
    });
}

#[test]
fn who_is_held_up_until_all_laps_fit_again_finds_the_head_moved() {
    held_up();
}

#[test]
#[should_panic(expected = "torn")]
fn with_words_loaded_relaxed_the_head_may_be_an_old_one() {
    do_without(Without::AcquireLoad);
    held_up();
}

/// The limit that tests/litmus/ring-head-without-dmb.litmus shows in the Arm model.
#[test]
#[should_panic(expected = "torn")]
fn without_a_barrier_in_sixteen_laps_the_head_may_be_an_old_one() {
    do_without(Without::Fence(Ordering::Release));
    held_up();
}

/// A core stores an event, executes a barrier of the kernel's, and reserves the next.
fn behind_a_barrier() {
    let memory = Memory::new(2);
    loom::model(move || {
        let ring = memory.ring(Mode::Overwrite);
        let first = ring.head();
        let writer = thread::spawn(move || {
            write(ring);
            fence(Ordering::Release);
            assert!(ring.reserve().is_some());
        });
        if ring.end() > first + EVENT_BYTES {
            let event = ring.read(first).expect("finished");
            assert_whole(event, first);
        }
        writer.join().unwrap();
    });
}

#[test]
fn who_sees_a_later_reservation_finds_what_was_stored_before_the_barrier() {
    behind_a_barrier();
}

#[test]
#[should_panic(expected = "finished")]
fn with_the_head_loaded_relaxed_a_stored_event_may_seem_unfinished() {
    do_without(Without::AcquireLoad);
    behind_a_barrier();
}
