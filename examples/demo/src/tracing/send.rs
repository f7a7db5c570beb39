//! What is recorded, profiled and covered, over the console, for `aftrace console` on the host.

use super::{COVER, PROFILE, RECORDER};
use aarch64_ftrace::record::SendError;
use aarch64_ftrace::sink::Stream;
use aarch64_ftrace::trace::EndReason;
use virt::console::TraceLine;
use virt::{irq, println};

/// Sends what is profiled and covered, and what is recorded. Nobody else runs meanwhile: what another task
/// prints within a frame would be taken for a part of it.
///
/// # Errors
///
/// Those of [`aarch64_ftrace::record::Recorder::send`].
pub fn send() -> Result<(), SendError> {
    irq::masked(|| {
        // What sends is traced, too.
        let was_on = RECORDER.is_on();
        RECORDER.switch(false)?;
        let sent = all(&mut Stream::serial(TraceLine::new()));
        RECORDER.switch(was_on)?;
        // What is printed next begins a line.
        println!();
        sent
    })
}

/// A header comes first, as the profile's; the end last.
fn all(stream: &mut Stream<TraceLine>) -> Result<(), SendError> {
    RECORDER.send_profile(stream, &PROFILE)?;
    RECORDER.send_coverage(stream, &COVER)?;
    RECORDER.send(stream, EndReason::Asked)
}
