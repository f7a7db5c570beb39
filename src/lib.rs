//! Dynamic function tracing for AArch64 kernels that are not Linux.
#![no_std]

pub mod glob;
pub mod names;
