//! [`Probe`]: what is called at a function's entry and at its return, and what goes from the one to the other.
#![forbid(unsafe_code)]

use crate::fregs::Fregs;

/// Words that a call keeps for its return, for each [`crate::Fprobe`] on the function.
pub const PROBE_WORDS: usize = 4;

/// One user of entry and exit: give it to [`crate::Fprobe::new`].
///
/// # Context
/// As [`crate::TracerFn`], for both methods: any exception level the kernel runs at, any interrupt mask, any lock held by
/// the traced code. Both run under the guard of [`crate::Ops::new`]: traced functions that they call do not call guarded
/// tracers again. Mark them and what they call with [`crate::notrace!`].
pub trait Probe: Sync {
    /// The function is entered. `true`, and [`Probe::exit`] is called with the same `words` when it returns; `false`, and it
    /// is not, and the call takes no frame of the return stack. Nor is it where `fregs` say to return early.
    ///
    /// * `ip`: the address of the callsite's BL. [`crate::Ftrace::symbol`] names it.
    /// * `parent_ip`: where the function will return to in the end, whoever else waits for its return.
    /// * `fregs`: the function's argument registers, readable and writable.
    /// * `words`: zeroes, to be filled.
    fn entry(
        &self,
        ip: usize,
        parent_ip: usize,
        fregs: &mut Fregs,
        words: &mut [u64; PROBE_WORDS],
    ) -> bool;

    /// The function has returned.
    ///
    /// * `ip`, `parent_ip`: as at its entry.
    /// * `fregs`: the registers as it left them: results in x0 and x1 ([`Fregs::arg`]; on hard-float targets in the vector
    ///   registers), or where x8 pointed. What is written is what the caller sees.
    /// * `words`: as [`Probe::entry`] left them, in this very call.
    fn exit(&self, ip: usize, parent_ip: usize, fregs: &mut Fregs, words: &[u64; PROBE_WORDS]);
}
