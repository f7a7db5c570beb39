//! Proof that functions which are not traced are untouched: what their words are, read from the text itself.

use super::{FTRACE, LIVE};
use aarch64_ftrace::insn::{INSN_SIZE, Insn, Kind};
use aarch64_ftrace::{Callsite, Error};
use core::fmt;

/// What the words of all records are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Words {
    /// The live tracer's: MOV X9, X30 and a BL.
    pub traced: usize,
    /// Nobody's: MOV X9, X30 and a NOP.
    pub untraced: usize,
    /// Left alone since they were compiled: NOPs only.
    pub rejected: usize,
    /// Anything else. There must be none.
    pub other: usize,
}

impl Words {
    /// Reads all of them.
    ///
    /// # Errors
    ///
    /// Those of [`aarch64_ftrace::Ftrace::ops_of`].
    pub fn read() -> Result<Self, Error> {
        let mut words = Self::default();
        for callsite in FTRACE.callsites() {
            let traced = is_traced(&callsite)?;
            let layout = callsite.layout();
            let mov = insn(layout.mov()) == Insn::MOV_X9_X30;
            let branch = insn(layout.branch());
            match (mov, traced) {
                (true, true) if matches!(branch.kind(), Kind::Bl(_)) => words.traced += 1,
                (true, false) if branch == Insn::NOP => words.untraced += 1,
                _ => words.other += 1,
            }
        }
        for reject in FTRACE.rejects() {
            if is_as_compiled(reject.address) {
                words.rejected += 1;
            } else {
                words.other += 1;
            }
        }
        Ok(words)
    }

    /// Whether there is nothing but what must be, and as many traced ones as the tracer says.
    pub fn prove(&self) -> bool {
        self.other == 0 && self.traced == LIVE.callsites()
    }
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(
            f,
            "  {:>5} traced      mov x9, x30; bl <trampoline>",
            self.traced
        )?;
        writeln!(f, "  {:>5} untraced    mov x9, x30; nop", self.untraced)?;
        writeln!(
            f,
            "  {:>5} left alone  nop; nop, as compiled",
            self.rejected
        )?;
        write!(f, "  {:>5} anything else", self.other)
    }
}

fn is_traced(callsite: &Callsite) -> Result<bool, Error> {
    let mut traced = false;
    FTRACE.ops_of(callsite.index(), |ops| {
        traced |= core::ptr::eq(ops, &raw const LIVE)
    })?;
    Ok(traced)
}

fn is_as_compiled(record: usize) -> bool {
    let entry = record + 2 * INSN_SIZE;
    let first = entry + if insn(entry).is_bti() { INSN_SIZE } else { 0 };
    [record, record + INSN_SIZE, first, first + INSN_SIZE]
        .iter()
        .all(|&word| insn(word) == Insn::NOP)
}

fn insn(at: usize) -> Insn {
    let word = core::ptr::with_exposed_provenance::<u32>(at);
    // SAFETY: the tracer's records point into the text, which is mapped readable for ever.
    Insn(unsafe { word.read_volatile() })
}
