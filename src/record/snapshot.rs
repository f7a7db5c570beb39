//! [`Snapshot`]: what was recorded until now, kept while recording goes on into other rings.
#![forbid(unsafe_code)]

use super::{Item, Reader, RecordError, Recorder, SendError};
use crate::areas;
use crate::ring::{Control, Counts};
use crate::sink::{Sink, Stream};
use crate::trace::EndReason;
use core::fmt;
use core::sync::atomic::Ordering;

/// What every core had recorded when [`Recorder::snapshot`] took it. Its rings are used again when it has been dropped and
/// the next one is taken.
pub struct Snapshot {
    recorder: &'static Recorder,
}

impl Recorder {
    /// Takes what is recorded until now, core by core, and records on into spare rings. Writers are not stopped and not waited
    /// for: each event is in exactly one recording, this one or the next, and is counted there. Who has found the ring
    /// before it is taken away and has not stored yet is *unfinished* here; who has not reserved yet is in the next recording
    /// of the same ring, the one after the next snapshot.
    ///
    /// # Errors
    /// Nothing is changed then. [`RecordError::NotInstalled`]; [`RecordError::NoSpare`] without [`Sizes::spare`](super::Sizes::spare);
    /// [`RecordError::SnapshotHeld`] while there is another one.
    ///
    /// # Context
    /// Any, also a tracer: takes no lock, waits for nobody. Twenty stores a core and two for each of its areas.
    pub fn snapshot(&'static self) -> Result<Snapshot, RecordError> {
        let installed = self.installed()?;
        if !installed.region.has_spare() {
            return Err(RecordError::NoSpare);
        }
        if self.snapshot.swap(true, Ordering::Acquire) {
            return Err(RecordError::SnapshotHeld);
        }
        for core in 0..installed.region.cores() {
            // Keeps what was refused until now with the ring that is taken away.
            self.counts(core)?;
            let taken = installed.region.exchange(core, installed.mode);
            areas::all()
                .filter(|area| area.core() == core)
                .for_each(|area| self.point(area));
            taken.into_iter().for_each(|ring| ring.freeze());
        }
        Ok(Snapshot { recorder: self })
    }
}

impl Snapshot {
    /// The one that somebody has forgotten, to be held from now on.
    pub(super) const fn kept(recorder: &'static Recorder) -> Self {
        Self { recorder }
    }

    fn ring(&self, core: usize) -> Result<&'static Control, RecordError> {
        let region = &self.recorder.installed()?.region;
        region.taken(core).ok_or(RecordError::NoSuchCore {
            core,
            cores: region.cores(),
        })
    }

    /// How many events of a core it holds, and what became of the others; those refused, until it was taken.
    ///
    /// # Errors
    /// [`RecordError::NoSuchCore`].
    pub fn counts(&self, core: usize) -> Result<Counts, RecordError> {
        Ok(self.ring(core)?.counts())
    }

    /// Reads the events of a core, oldest first.
    ///
    /// # Errors
    /// [`RecordError::NoSuchCore`].
    pub fn read(&self, core: usize) -> Result<impl Iterator<Item = Item> + use<'_>, RecordError> {
        Ok(Reader::new(self.ring(core)?))
    }

    /// Sends it, as [`Recorder::send`] does.
    ///
    /// # Errors
    /// [`SendError`]. What was sent until then is a stream without an end.
    pub fn send<S: Sink>(
        &self,
        stream: &mut Stream<S>,
        reason: EndReason,
    ) -> Result<(), SendError> {
        self.recorder
            .send_rings(stream, reason, |core| self.ring(core))
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        self.recorder.snapshot.store(false, Ordering::Release);
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").finish_non_exhaustive()
    }
}
