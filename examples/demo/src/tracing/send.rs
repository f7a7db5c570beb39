//! The recording over the console, for `aftrace console` on the host.

use super::RECORDER;
use crate::sched;
use aarch64_ftrace::record::SendError;
use aarch64_ftrace::sink::Stream;
use aarch64_ftrace::trace::{EndReason, FrameKind, NO_CORE};
use alloc::vec::Vec;
use virt::console::TraceLine;
use virt::{irq, println};

/// Sends what is recorded, and the names of the tasks. Nobody else runs meanwhile: what another task prints within a frame would be
/// taken for a part of it.
///
/// # Errors
///
/// Those of [`aarch64_ftrace::record::Recorder::send`].
pub fn send() -> Result<(), SendError> {
    let mut tasks = Vec::new();
    for (number, row) in sched::rows().iter().enumerate() {
        tasks.extend((number as u32).to_le_bytes());
        tasks.extend((row.name.len() as u16).to_le_bytes());
        tasks.extend(row.name.as_bytes());
    }
    irq::masked(|| {
        // What sends is traced, too.
        let was_on = RECORDER.is_on();
        RECORDER.switch(false)?;
        let mut stream = Stream::serial(TraceLine::new());
        stream.frame(FrameKind::Tasks, NO_CORE, &[&tasks])?;
        let sent = RECORDER.send(&mut stream, EndReason::Asked);
        RECORDER.switch(was_on)?;
        // What is printed next begins a line.
        println!();
        sent
    })
}
