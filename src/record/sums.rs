//! Sending what a profile and a coverage have added up, beside what is recorded.
#![forbid(unsafe_code)]

use super::{Recorder, SendError};
use crate::counters::{Profile, Times};
use crate::cover::Cover;
use crate::insn::INSN_SIZE;
use crate::introspect::Callsite;
use crate::sink::{Sink, Stream};
use crate::trace::{
    COVERAGE_ENTRY_BYTES, FrameKind, LAP_LOW_BITS, NO_CORE, PROFILE_ENTRY_BYTES, ProfileEntry,
};

/// Functions of one PROFILE frame, and of one COVERAGE frame: so many as a kernel's stack has room for.
const PROFILED: usize = 16;
const COVERED: usize = 128;

impl Recorder {
    /// Sends what a profile knows: of every core in its turn, each function that has returned there, in the order of their addresses.
    /// Before it the header, which says where the text runs. Call it before [`Recorder::send`], whose END is the last frame.
    ///
    /// # Errors
    /// [`SendError`]; what was sent until then stays sent. [`super::RecordError::NotInstalled`]: the header is the recorder's.
    ///
    /// # Context
    /// Where the sink may be written to. Takes no lock and no memory but 1 KiB of stack. Numbers of a function that returns meanwhile
    /// may be of a call apart.
    pub fn send_profile<S: Sink>(
        &'static self,
        stream: &mut Stream<S>,
        profile: &Profile,
    ) -> Result<(), SendError> {
        stream.header(&self.header()?.to_bytes())?;
        for core in 0..profile.cores() {
            let number = u16::try_from(core).unwrap_or(NO_CORE);
            let entries = self.ftrace.callsites().filter_map(|callsite| {
                let times = profile.times(&callsite, core)?;
                (times.hits > 0).then(|| entry(&callsite, times).to_bytes())
            });
            send::<_, PROFILE_ENTRY_BYTES, PROFILED>(stream, FrameKind::Profile, number, entries)?;
        }
        Ok(())
    }

    /// Sends which functions have been called, in the order of their addresses: those that [`crate::Ftrace::covered`] names. Before
    /// it the header. Call it before [`Recorder::send`].
    ///
    /// # Errors
    /// As [`Recorder::send_profile`].
    ///
    /// # Context
    /// As [`Recorder::send_profile`].
    pub fn send_coverage<S: Sink>(
        &'static self,
        stream: &mut Stream<S>,
        cover: &'static Cover,
    ) -> Result<(), SendError> {
        stream.header(&self.header()?.to_bytes())?;
        let entries = self.ftrace.covered(cover).map(|callsite| low(&callsite));
        let entries = entries.map(u32::to_le_bytes);
        send::<_, COVERAGE_ENTRY_BYTES, COVERED>(stream, FrameKind::Coverage, NO_CORE, entries)
    }
}

/// As events have it (src/trace/mod.rs).
fn low(callsite: &Callsite) -> u32 {
    let behind = callsite.layout().branch() + INSN_SIZE;
    behind as u32 & !((1 << LAP_LOW_BITS) - 1)
}

fn entry(callsite: &Callsite, times: Times) -> ProfileEntry {
    ProfileEntry {
        callsite: low(callsite),
        hits: times.hits,
        total: times.total,
        own: times.own,
        longest: times.longest,
        squares: times.squares,
    }
}

/// Sends entries of `BYTES`, `COUNT` to a frame; no frame where there is none.
fn send<S: Sink, const BYTES: usize, const COUNT: usize>(
    stream: &mut Stream<S>,
    kind: FrameKind,
    core: u16,
    entries: impl Iterator<Item = [u8; BYTES]>,
) -> Result<(), SendError> {
    let mut batch = [[0; BYTES]; COUNT];
    let mut len = 0;
    for entry in entries {
        if len == COUNT {
            stream.frame(kind, core, &[batch.as_flattened()])?;
            len = 0;
        }
        batch[len] = entry;
        len += 1;
    }
    if len > 0 {
        stream.frame(kind, core, &[batch[..len].as_flattened()])?;
    }
    Ok(())
}
