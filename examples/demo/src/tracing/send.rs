//! What is recorded, profiled and covered, over the console, for `aftrace console` on the host.

use super::{COVER, PROFILE, RECORDER};
use crate::sched;
use aarch64_ftrace::record::SendError;
use aarch64_ftrace::sink::Stream;
use aarch64_ftrace::trace::{EndReason, FrameKind, NO_CORE};
use alloc::vec::Vec;
use virt::console::TraceLine;
use virt::{irq, println};

/// Sends what is profiled and covered, the names of the tasks, and what is recorded. Nobody else runs meanwhile: what another task
/// prints within a frame would be taken for a part of it.
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
        let sent = all(&mut Stream::serial(TraceLine::new()), &tasks);
        RECORDER.switch(was_on)?;
        // What is printed next begins a line.
        println!();
        sent
    })
}

/// A header comes first, as the profile's; the end last.
fn all(stream: &mut Stream<TraceLine>, tasks: &[u8]) -> Result<(), SendError> {
    RECORDER.send_profile(stream, &PROFILE)?;
    RECORDER.send_coverage(stream, &COVER)?;
    stream.frame(FrameKind::Tasks, NO_CORE, &[tasks])?;
    RECORDER.send(stream, EndReason::Asked)
}
