//! The primitives that the lock and the rings are made of. tests/loom puts loom's in their place and tries every interleaving.
#![forbid(unsafe_code)]

pub(crate) use core::cell::UnsafeCell;
pub(crate) use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};
