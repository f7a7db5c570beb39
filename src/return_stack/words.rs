//! What a call of a function with a [`crate::Fprobe`] keeps: a frame, and one below it that holds words instead of an address.
#![forbid(unsafe_code)]

use super::{ReturnFrame, ReturnStack};
use crate::fregs::Fregs;
use crate::ops::Ops;
use crate::probe::PROBE_WORDS;
use core::sync::atomic::{Ordering, compiler_fence};

/// In the place of a return address, which is never odd: the frame belongs to the one above it.
pub(crate) const WORDS: u64 = 1;

/// Frames that such a call takes.
const FRAMES: usize = 2;

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

    /// What asm/fprobe.S does when the innermost such call returns: takes it off. Callsite, return address, ops; words.
    #[cfg(test)]
    pub(crate) fn take_words(&self) -> Option<([u64; 3], [u64; PROBE_WORDS])> {
        let [below, frame] = self.pair(self.depth().checked_sub(FRAMES)?)?;
        let word = |word: &core::sync::atomic::AtomicU64| word.load(Ordering::Relaxed);
        assert_eq!(word(&below.lr), WORDS);
        let words = [&below.ip, &below.time, &below.aux, &frame.time].map(word);
        let bytes = size_of::<[ReturnFrame; FRAMES]>() as u64;
        self.top.fetch_sub(bytes, Ordering::Relaxed);
        Some(([&frame.ip, &frame.lr, &frame.aux].map(word), words))
    }

    /// The frames from this one on.
    fn pair(&self, from: usize) -> Option<&'static [ReturnFrame; FRAMES]> {
        self.all().get(from..)?.first_chunk()
    }
}
