//! Traces in other programs' formats.

pub mod chrome;
pub mod folded;
