//! The primitives that the lock is made of. tests/loom puts loom's in their place and tries every interleaving.
#![forbid(unsafe_code)]

pub(crate) use core::cell::UnsafeCell;
pub(crate) use core::sync::atomic::{AtomicUsize, Ordering};
