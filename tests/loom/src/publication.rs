//! A MODEL of how a set reaches a core that walks it, in the terms that loom knows.
//!
//! The library stores the set, DMB ISHST, stores the literal; the trampoline loads the literal and, through it, the set.
//! Here the barrier is a release fence, and the reader's address dependency an acquire fence, the nearest thing that is
//! not weaker in loom. The real sequence, in the real memory model, is tests/litmus/new-set.litmus.

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering, fence};
use loom::thread;

const OLD: usize = 0;
const NEW: usize = 1;

struct Text {
    sets: [UnsafeCell<u32>; 2],
    literal: AtomicUsize,
}

fn swap(barrier: bool) {
    loom::model(move || {
        let text = Arc::new(Text {
            sets: [UnsafeCell::new(7), UnsafeCell::new(0)],
            literal: AtomicUsize::new(OLD),
        });
        let reader = {
            let text = text.clone();
            thread::spawn(move || {
                let literal = text.literal.load(Ordering::Relaxed);
                fence(Ordering::Acquire);
                // SAFETY: loom itself checks that nobody writes meanwhile.
                let entry = text.sets[literal].with(|set| unsafe { *set });
                assert_eq!(entry, [7, 8][literal]);
            })
        };
        // SAFETY: loom itself checks that nobody reads meanwhile.
        text.sets[NEW].with_mut(|set| unsafe { *set = 8 });
        if barrier {
            fence(Ordering::Release);
        }
        text.literal.store(NEW, Ordering::Relaxed);
        reader.join().unwrap();
    });
}

#[test]
fn a_set_is_whole_when_a_literal_leads_to_it() {
    swap(true);
}

/// What src/patch.rs did before tests/litmus/new-set.litmus was written.
#[test]
#[should_panic(expected = "Causality violation")]
fn without_the_barrier_the_model_finds_the_half_written_set() {
    swap(false);
}

/// `Known`: written once by init, published by `spin::Once` with a release store, read by any core with an acquire load.
fn once(publish: Ordering) {
    loom::model(move || {
        let known = Arc::new((UnsafeCell::new(0_u32), AtomicUsize::new(0)));
        let reader = {
            let known = known.clone();
            thread::spawn(move || {
                if known.1.load(Ordering::Acquire) == 1 {
                    // SAFETY: loom itself checks that nobody writes meanwhile.
                    assert_eq!(known.0.with(|value| unsafe { *value }), 5);
                }
            })
        };
        // SAFETY: loom itself checks that nobody reads meanwhile.
        known.0.with_mut(|value| unsafe { *value = 5 });
        known.1.store(1, publish);
        reader.join().unwrap();
    });
}

#[test]
fn who_finds_init_done_finds_what_it_found() {
    once(Ordering::Release);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn without_the_release_init_is_not_to_be_trusted() {
    once(Ordering::Relaxed);
}
