//! The primitives that the lock, the rings and the stack tracer's slots are made of. tests/loom puts loom's in their place and tries
//! every interleaving.
#![forbid(unsafe_code)]

pub(crate) use core::cell::UnsafeCell;
pub(crate) use core::hint::spin_loop;
pub(crate) use core::sync::atomic::{
    AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
};
