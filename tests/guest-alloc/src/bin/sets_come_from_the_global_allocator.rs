//! With feature `alloc` sets are as large as the heap allows: hundreds of tracers on one function, then all of that memory back
//! where it came from. A heap that is exhausted is an error that changes nothing.
//@ cpu: neoverse-n1
#![no_std]
#![no_main]

extern crate alloc;

use aarch64_ftrace::{Error, Filter, Ops};
use alloc::vec::Vec;
use core::alloc::Layout;
use core::hint::black_box;
use guest::{FTRACE, count, register, take_counts, unregister};
use virt::{heap, println};

virt::entry!(main);

/// More than the tracer's own memory holds without the feature: `sets_are_shared_and_given_back` shows that.
const MANY: usize = 400;

static OPS: [Ops; MANY] = [const { Ops::new(count) }; MANY];

#[inline(never)]
fn subject(n: u64) -> u64 {
    black_box(n + 1)
}

fn calls() -> u32 {
    assert_eq!(subject(1), 2);
    take_counts::<1>()[0]
}

/// Takes all of the heap, in blocks down to the smallest; frees them when dropped.
struct Hoard(Vec<(*mut u8, Layout)>);

impl Hoard {
    fn all() -> Self {
        let mut blocks = Vec::with_capacity(4096);
        let mut size = 1 << 30;
        while size >= 16 {
            let layout = Layout::from_size_align(size, 16).expect("a power of two");
            // SAFETY: the layout is not of size 0.
            let block = unsafe { alloc::alloc::alloc(layout) };
            if block.is_null() || blocks.len() == blocks.capacity() {
                size /= 2;
            } else {
                blocks.push((block, layout));
            }
        }
        Self(blocks)
    }
}

impl Drop for Hoard {
    fn drop(&mut self) {
        for (block, layout) in self.0.drain(..) {
            // SAFETY: from `all`, with this layout, once.
            unsafe { alloc::alloc::dealloc(block, layout) };
        }
    }
}

fn main() {
    guest::init();
    let unused = heap::usage().0;
    let here = [subject as *const () as usize];
    let here = Filter::at(&here);
    for ops in &OPS[..MANY - 1] {
        register(ops, &here);
    }
    println!("called: {} of {}", calls(), MANY - 1);
    println!(
        "in the heap: {}",
        heap::usage().0 >= unused + (MANY - 1) * 2 * size_of::<usize>()
    );

    let last = &OPS[MANY - 1];
    let hoard = Hoard::all();
    let refused = FTRACE.register(last, &here);
    drop(hoard);
    println!(
        "heap exhausted: {}, registered all the same: {}, still called: {}",
        matches!(refused, Err(Error::SetMemory { .. })),
        last.is_registered(),
        calls()
    );
    register(last, &here);
    println!("with memory again: {} of {MANY}", calls());

    for ops in &OPS {
        unregister(ops);
    }
    println!(
        "none: {}, sets {:?}, heap as before: {}",
        calls(),
        FTRACE.sets(),
        heap::usage().0 == unused
    );
}
