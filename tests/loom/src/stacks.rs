//! src/stack_tracer/slot.rs itself: the stack of one core, kept by that core and read by another.
//!
//! A stack's words all follow from its number, so that words of two stacks are known.

use crate::kernel_stack::{NOWHERE, Return};
use crate::slot::{Frames, STACK_FRAMES, StackSlot};
use crate::sync::{Without, do_without, watch_first};
use loom::thread;
use std::sync::atomic::Ordering;

/// Keeps stack number `n`, which is as deep.
fn keep(slot: &StackSlot, n: u64) -> bool {
    let open = Return {
        address: n,
        record: Some(n),
    };
    slot.keep(n, n as usize, n, &NOWHERE, || Some([open].into_iter()))
}

/// Reads it: which stack it is, and all of it.
fn read(slot: &StackSlot) -> Option<u64> {
    let mut frames: Frames = [Return::default(); STACK_FRAMES];
    let head = slot.read(&mut frames)?;
    let n = head.ip;
    let words = [head.sp, head.frames * n, frames[0].address];
    assert_eq!(words, [n; 3], "torn");
    assert_eq!(frames[0].record, Some(n), "torn");
    Some(n)
}

/// What is loom's of a slot: the version, how deep, the frame's two words, and of the head those up to `sp`. All others are the same
/// for each stack.
const WATCHED: usize = 2 + 2 + 3;

/// Runs this over a slot that nothing was kept in. Words become loom's with the first stack, which is kept before others begin. Who
/// reads is the thread that is spawned: with one that is spawned to write, loom 0.7 leaves out orders that fail.
fn model(run: fn(&'static StackSlot)) {
    let slot: &'static StackSlot = Box::leak(Box::default());
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(move || {
        let at = std::ptr::from_ref(slot) as usize;
        watch_first(WATCHED, at..at + size_of::<StackSlot>());
        run(slot);
    });
}

/// A deeper one is kept in the place of another while somebody reads.
fn deeper() {
    model(|slot| {
        assert!(keep(slot, 1));
        let reader = thread::spawn(|| {
            let seen = read(slot);
            assert!(matches!(seen, Some(1 | 2)), "{seen:?}");
        });
        assert!(keep(slot, 2));
        reader.join().unwrap();
        assert_eq!(read(slot), Some(2));
    });
}

/// One is kept while another core forgets, and then reads.
fn forgotten() {
    model(|slot| {
        assert!(keep(slot, 1));
        let reader = thread::spawn(|| {
            slot.clear();
            let seen = read(slot);
            assert!(matches!(seen, None | Some(2)), "{seen:?}");
        });
        assert!(keep(slot, 2));
        reader.join().unwrap();
        assert_eq!(read(slot), (slot.bytes() != 0).then_some(2));
    });
}

/// Two want to keep one in the same slot; who comes while the other writes does not wait.
fn two() {
    model(|slot| {
        assert!(keep(slot, 1));
        let other = thread::spawn(|| keep(slot, 2));
        let mine = keep(slot, 3);
        let theirs = other.join().unwrap();
        assert!(mine || theirs, "one of them writes");
        assert_eq!(slot.bytes(), if mine { 3 } else { 2 }, "the deeper");
        assert_eq!(read(slot), Some(slot.bytes()), "of who kept it");
    });
}

/// One is kept while another core forgets, and then keeps one in the same slot.
fn anew() {
    model(|slot| {
        assert!(keep(slot, 1));
        let other = thread::spawn(|| {
            slot.clear();
            keep(slot, 3)
        });
        let mine = keep(slot, 2);
        let theirs = other.join().unwrap();
        assert!(mine || theirs, "one of them writes");
        let seen = read(slot);
        match seen {
            Some(3) => assert!(theirs),
            Some(2) => assert!(mine && !theirs, "the deeper"),
            // Between what the other writes last and its end.
            None => assert!(!theirs),
            Some(_) => panic!("{seen:?}"),
        }
    });
}

#[test]
fn who_reads_beside_a_deeper_one_gets_one_of_them() {
    deeper();
}

#[test]
fn what_was_forgotten_does_not_come_back() {
    forgotten();
}

#[test]
fn of_two_writers_one_writes_at_a_time() {
    two();
}

#[test]
fn who_keeps_one_behind_another_writes_over_all_of_it() {
    anew();
}

// Twins, each without one order of the protocol.

#[test]
#[should_panic(expected = "torn")]
fn without_the_release_fence_words_may_be_newer_than_the_version() {
    do_without(Without::Fence(Ordering::Release));
    deeper();
}

#[test]
#[should_panic(expected = "torn")]
fn without_the_acquire_fence_the_version_may_be_older_than_words() {
    do_without(Without::Fence(Ordering::Acquire));
    deeper();
}

#[test]
#[should_panic(expected = "torn")]
fn without_the_acquire_load_words_may_be_older_than_the_version() {
    do_without(Without::AcquireLoad);
    deeper();
}

#[test]
#[should_panic(expected = "torn")]
fn without_the_release_store_words_may_be_missing_at_the_version() {
    do_without(Without::ReleaseStore);
    deeper();
}

#[test]
#[should_panic(expected = "the deeper")]
fn without_the_exchange_two_write_at_once() {
    do_without(Without::Exchange);
    two();
}

#[test]
#[should_panic(expected = "the deeper")]
fn without_the_acquire_exchange_what_was_written_before_may_stay() {
    do_without(Without::AcquireExchange);
    anew();
}
