//! What a call of a function with a [`crate::Fprobe`] keeps: a frame, and one below it that holds words instead of an address.

use super::{ReturnFrame, ReturnStack};
use crate::fregs::Fregs;
use crate::ops::Ops;
use crate::probe::PROBE_WORDS;
use core::sync::atomic::{Ordering, compiler_fence};

/// In the place of a return address, which is never odd: the frame belongs to the one above it.
pub(super) const WORDS: u64 = 1;

/// Frames that such a call takes.
const FRAMES: usize = 2;

/// What it kept.
pub(crate) struct Kept {
    /// The callsite's BL.
    pub(crate) ip: usize,
    /// Where the function returns to.
    pub(crate) lr: usize,
    pub(crate) ops: Option<&'static Ops>,
    pub(crate) words: [u64; PROBE_WORDS],
}

impl ReturnStack {
    /// Whether the return of a function at its entry can be hijacked with words; that it finds no room is counted.
    pub(crate) fn has_room_for_words(&self, fregs: &Fregs) -> bool {
        // As in `push`: its return never comes.
        if fregs.pc() == fregs.lr() {
            return false;
        }
        let has_room = self.capacity() - self.depth() >= FRAMES;
        if !has_room {
            self.overruns.fetch_add(1, Ordering::Relaxed);
        }
        has_room
    }

    /// Hijacks the return of a call that has room, unless it returns early by now.
    pub(crate) fn hijack_with_words(
        &self,
        fregs: &mut Fregs,
        ip: usize,
        handler: usize,
        ops: &Ops,
        words: [u64; PROBE_WORDS],
    ) {
        let Some([below, frame]) = self.pair(self.depth()) else {
            return;
        };
        if fregs.pc() == fregs.lr() {
            return;
        }
        let top = self.top.load(Ordering::Relaxed);
        let bytes = size_of::<[ReturnFrame; FRAMES]>() as u64;
        self.top.store(top + bytes, Ordering::Relaxed);
        // Whoever interrupts from here on uses the frames above: the compiler must not write these before.
        compiler_fence(Ordering::SeqCst);
        let [first, second, third, last] = words;
        below.lr.store(WORDS, Ordering::Relaxed);
        below.ip.store(first, Ordering::Relaxed);
        below.time.store(second, Ordering::Relaxed);
        below.aux.store(third, Ordering::Relaxed);
        frame.lr.store(fregs.lr(), Ordering::Relaxed);
        frame.ip.store(ip as u64, Ordering::Relaxed);
        frame.time.store(last, Ordering::Relaxed);
        let ops = core::ptr::from_ref(ops) as u64;
        frame.aux.store(ops, Ordering::Relaxed);
        fregs.hijack(handler as u64);
    }

    /// Takes off the stack what the innermost call has kept.
    ///
    /// # Safety
    /// Its frames are the last that [`ReturnStack::hijack_with_words`] pushed, with an ops that lives for ever.
    pub(crate) unsafe fn take_words(&self) -> Option<Kept> {
        let depth = self.depth().checked_sub(FRAMES)?;
        let [below, frame] = self.pair(depth)?;
        let word = |word: &core::sync::atomic::AtomicU64| word.load(Ordering::Relaxed);
        let ops = word(&frame.aux) as *const Ops;
        let kept = Kept {
            ip: word(&frame.ip) as usize,
            lr: word(&frame.lr) as usize,
            // SAFETY: the caller's promise.
            ops: unsafe { ops.as_ref() },
            words: [
                word(&below.ip),
                word(&below.time),
                word(&below.aux),
                word(&frame.time),
            ],
        };
        // Whoever interrupts from here on uses these frames: they must have been read.
        compiler_fence(Ordering::SeqCst);
        let top = self.top.load(Ordering::Relaxed);
        let bytes = size_of::<[ReturnFrame; FRAMES]>() as u64;
        self.top.store(top - bytes, Ordering::Relaxed);
        Some(kept)
    }

    /// The frames from this one on.
    fn pair(&self, from: usize) -> Option<&'static [ReturnFrame; FRAMES]> {
        self.all().get(from..)?.first_chunk()
    }
}
