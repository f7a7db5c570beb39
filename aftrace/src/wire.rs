//! The trace format as the library has it, and frames until the library has them, too.
#![allow(missing_docs)]

mod cobs;
mod frame;

pub use aarch64_ftrace::trace::*;
pub use cobs::{CobsEncoder, cobs_decode};
pub use frame::{
    EVENTS_HEAD_BYTES, EndReason, FRAME_HEAD_BYTES, Frame, FrameCounts, FrameError, FrameKind,
    NO_CORE, PAYLOAD_BYTES_MAX, counts_payload, end_payload, events_head, frame_head,
};
