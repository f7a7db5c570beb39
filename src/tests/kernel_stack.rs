//! The walk over frame records: what is a chain is followed, what is hostile ends it, and nothing outside of the stack is read.

use crate::KernelStack;
use crate::error::Error;
use crate::kernel_stack::Record;
use std::boxed::Box;
use std::vec::Vec;

const WORDS: usize = 64;

/// A stack in memory of its own, with words on both sides that are no part of it.
#[repr(align(16))]
struct Memory([u64; WORDS]);

/// The stack's words: the others are bait.
const FIRST: usize = 8;
const END: usize = 56;

impl Memory {
    fn new() -> Box<Self> {
        Box::new(Self([0; WORDS]))
    }

    fn address(&self, word: usize) -> u64 {
        &raw const self.0[word] as u64
    }

    fn record(&mut self, word: usize, next: u64, lr: u64) {
        (self.0[word], self.0[word + 1]) = (next, lr);
    }

    fn stack(&self) -> KernelStack {
        let stack = KernelStack::new();
        let bounds = self.address(FIRST) as usize..self.address(END) as usize;
        assert_eq!(stack.set_bounds(bounds), Ok(()));
        stack
    }

    /// The return addresses of a walk.
    fn walk(&self, sp: u64, fp: u64) -> Vec<u64> {
        let stack = self.stack();
        // SAFETY: the bounds are those of words of this memory.
        let records = unsafe { stack.records(sp, fp) };
        records.map(|record| record.lr).collect()
    }
}

/// Three records, at words 10, 20 and 54, which is the last there is room for.
fn chain() -> Box<Memory> {
    let mut memory = Memory::new();
    memory.record(10, memory.address(20), 1);
    memory.record(20, memory.address(54), 2);
    memory.record(54, 0, 3);
    memory
}

#[test]
fn a_chain_is_followed_to_its_end() {
    let memory = chain();
    let sp = memory.address(FIRST);
    assert_eq!(memory.walk(sp, memory.address(10)), [1, 2, 3]);
    assert_eq!(memory.walk(sp, memory.address(20)), [2, 3]);
    let stack = memory.stack();
    // SAFETY: as in `walk`.
    let mut records = unsafe { stack.records(sp, memory.address(54)) };
    let at = memory.address(54);
    assert_eq!(records.next(), Some(Record { at, lr: 3 }));
    assert_eq!(records.next(), None);
    assert_eq!(records.next(), None);
}

#[test]
fn what_is_below_the_stack_pointer_or_off_the_stack_is_not_walked() {
    let memory = chain();
    let above = memory.address(12);
    assert_eq!(memory.walk(above, memory.address(10)), []);
    assert_eq!(memory.walk(above, memory.address(20)), [2, 3]);
    for sp in [
        0,
        memory.address(FIRST) - 16,
        memory.address(END),
        memory.address(END) + 16,
        u64::MAX - 15,
    ] {
        assert_eq!(memory.walk(sp, memory.address(10)), []);
    }
}

/// Each is where the second record is said to be.
#[test]
fn a_hostile_record_ends_the_walk() {
    let whole = chain();
    let hostile = |memory: &Memory| {
        [
            memory.address(10),           // itself
            memory.address(11),           // half over itself
            memory.address(FIRST),        // below
            memory.address(20) + 4,       // not aligned
            memory.address(20) + 1,       //
            memory.address(END - 1),      // half outside
            memory.address(END),          // outside
            memory.address(FIRST - 2),    // below the stack
            memory.address(20) | 1 << 63, // no address
            u64::MAX - 7,                 // whose end is beyond all memory
            u64::MAX,
            0,
            8,
        ]
    };
    for i in 0..hostile(&whole).len() {
        let mut memory = chain();
        let next = hostile(&memory)[i];
        memory.record(10, next, 1);
        // Bait: whoever reads there finds a return address.
        memory.record(FIRST - 2, 0, 99);
        memory.record(END, 0, 99);
        let sp = memory.address(FIRST);
        assert_eq!(memory.walk(sp, memory.address(10)), [1], "hostile {i}");
    }
    let mut memory = chain();
    memory.record(20, memory.address(54), 0);
    assert_eq!(memory.walk(memory.address(FIRST), memory.address(10)), [1]);
}

/// As many records as there is room for, each eight bytes or more behind the one before; the walk takes no more steps than that.
#[test]
fn a_walk_takes_no_more_steps_than_records_have_room() {
    let mut memory = Memory::new();
    for word in (FIRST..END).step_by(2) {
        memory.record(word, memory.address(word + 2), 7);
    }
    let sp = memory.address(FIRST);
    assert_eq!(memory.walk(sp, sp).len(), (END - FIRST) / 2);
}

#[test]
fn bounds_that_are_none_are_refused() {
    let stack = KernelStack::new();
    for (low, high) in [(16, 16), (32, 16), (8, 64), (16, 72), (0, 0)] {
        let refused = Err(Error::StackBounds { low, high });
        assert_eq!(stack.set_bounds(low..high), refused);
        assert_eq!(stack.bounds(), 0..0);
    }
    assert_eq!(stack.set_bounds(16..48), Ok(()));
    assert_eq!(stack.bounds(), 16..48);
}
