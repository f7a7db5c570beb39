//! Traces: read, paired up to calls, shown, converted (docs/trace-format.md).
//!
//! [`stream`] finds frames and damage; [`mod@file`] indexes a file and gives its events in order; [`calls`] makes calls of them, [`brackets`] whole ones;
//! [`symbols`] has the names, [`locations`] their source, [`paths`] who called whom. What is made of that: [`replay`], [`report`], [`added`], [`graph`], [`text`], [`dump`]. [`ram`] and [`uart`] make frames
//! of a memory image and of a console.

pub mod added;
pub mod brackets;
pub mod calls;
pub mod dump;
pub mod file;
pub mod filter;
pub mod graph;
pub mod live;
pub mod locations;
mod lost;
pub mod paths;
pub mod play;
pub mod ram;
pub mod replay;
pub mod report;
pub mod stream;
pub mod symbols;
pub mod tasks;
pub mod text;
pub mod uart;
pub mod values;
