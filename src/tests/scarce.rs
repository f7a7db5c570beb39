//! A global allocator that a test can exhaust: sets with feature `alloc`.

use super::fake::CTR_NEITHER;
use super::world::{World, guarded};
use crate::error::Error;
use crate::filter::Filter;
use core::alloc::{GlobalAlloc, Layout};
use core::cell::Cell;
use std::alloc::System;
use std::vec;

std::thread_local! {
    /// Whether this thread gets no memory of a set's alignment.
    static EXHAUSTED: Cell<bool> = const { Cell::new(false) };
}

struct Scarce;

// SAFETY: either the system's allocator, or no memory at all, which every caller must expect.
unsafe impl GlobalAlloc for Scarce {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() == 16 && EXHAUSTED.get() {
            return core::ptr::null_mut();
        }
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise; all memory is the system's.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Scarce = Scarce;

/// Without memory for the set nothing changes; with memory it goes on.
#[test]
fn memory_exhaustion_leaves_everything_as_before() {
    let mut world = World::new(&[false; 4], CTR_NEITHER);
    let (first, second) = (guarded(), guarded());
    world.register_at(first, &[1, 2]).expect("needs no set");
    world.take_log();
    let before = world.text.memory();
    EXHAUSTED.set(true);
    let refused = world.register(second, &Filter::ALL);
    EXHAUSTED.set(false);
    assert!(
        matches!(refused, Err(Error::SetMemory { bytes }) if bytes > 64),
        "{refused:?}"
    );
    assert_eq!((world.text.memory(), world.take_log()), (before, vec![]));
    assert_eq!((second.is_registered(), second.callsites()), (false, 0));
    assert!(world.is_clean());
    world
        .register(second, &Filter::ALL)
        .expect("there is memory now");
    assert_eq!(world.engine.sets.count(), 1);
    world.unregister(second).expect("unregisters");
    world.sweep(|| true);
    assert_eq!(world.engine.sets.count(), 0);
}
