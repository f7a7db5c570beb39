//! Init and shutdown: the whole text from compiled to disabled, and back.
//!
//! NOP to MOV X9, X30 and back is not among the changes that the architecture allows while a core executes the word: both
//! happen before other cores run traced code, or with them kept away from it.
#![forbid(unsafe_code)]

use super::{Engine, Work};
use crate::callsite::COMPILED_LITERAL;
use crate::error::{Error, PatchError, Why, WriteFault};
use crate::insn::Insn;
use crate::ops::NOP_OPS;
use crate::table::{FOREIGN, LEFT_ALONE, QUARANTINED, REJECTED, Record, Table};
use crate::text::{ReadText, Text};
use core::ops::Range;

/// What [`crate::Ftrace::shutdown`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shutdown {
    /// Ops that were registered, and are no more.
    pub ops: usize,
    /// Callsites that are as before init, or disabled, as was asked.
    pub callsites: usize,
    /// Callsites with words that somebody else wrote, or that could not be written: left as they are. They are listed as
    /// quarantined, and none of them calls a tracer of this crate.
    pub left: usize,
}

/// What a callsite without a tracer has in the literal and in the word that becomes MOV X9, X30.
#[derive(Clone, Copy)]
struct Form {
    literal: u64,
    mov: Insn,
}

const COMPILED: Form = Form {
    literal: COMPILED_LITERAL,
    mov: Insn::NOP,
};

fn disabled() -> Form {
    Form {
        literal: NOP_OPS.target(),
        mov: Insn::MOV_X9_X30,
    }
}

/// Takes every callsite from the compiled to the disabled state: literal to NOP_OPS, first NOP to MOV X9, X30.
///
/// # Errors
/// A write that failed. All callsites are then as compiled, but those that are counted as stuck.
pub(crate) fn first_patch<T: Text>(text: &T, table: &Table) -> Result<(), PatchError> {
    rewrite(text, table, COMPILED, disabled())
}

/// The inverse of [`first_patch`], for callsites that are disabled.
///
/// # Errors
/// A write that failed. All callsites are then disabled, but those that are counted as stuck.
fn restore<T: Text>(text: &T, table: &Table) -> Result<(), PatchError> {
    rewrite(text, table, disabled(), COMPILED)
}

/// Quarantines every callsite that is neither compiled nor disabled nor half-way between, and takes all others out of
/// quarantine. Returns how many are left alone.
pub(crate) fn adopt(text: &impl ReadText, table: &Table) -> usize {
    let mut left = 0;
    for (index, record) in table.range(0..table.len()) {
        if record.has(REJECTED) {
            continue;
        }
        let layout = table.layout(record);
        let literal = text.literal(layout.literal());
        let mov = text.insn(layout.mov());
        let is_ours = [COMPILED.literal, disabled().literal].contains(&literal)
            && [COMPILED.mov, disabled().mov].contains(&mov)
            && text.insn(layout.branch()) == Insn::NOP;
        if is_ours {
            table.set_flags(index, 0, QUARANTINED | FOREIGN);
        } else {
            // What got stuck keeps its reason.
            let foreign = if record.has(QUARANTINED) { 0 } else { FOREIGN };
            table.set_flags(index, QUARANTINED | foreign, 0);
            left += 1;
        }
    }
    left
}

impl Engine {
    /// Takes every ops away, and what is left of the tracer in the text where that is asked.
    ///
    /// # Errors
    /// Of the first ops that cannot be taken away: it is registered as before, those before it are not.
    pub(crate) fn shutdown<T: Text>(
        &mut self,
        work: &Work<'_, T>,
        compiled: bool,
    ) -> Result<Shutdown, Error> {
        let mut ops = 0;
        while let Some(newest) = self.registry.iter().next() {
            match self.unregister(work, newest) {
                Ok(_) => ops += 1,
                // Quarantined now: the next attempt goes on without.
                Err(Error::Patch(error)) if error.foreign > 0 && error.stuck == 0 => {}
                Err(error) => return Err(error),
            }
        }
        let left = adopt(work.text, work.table);
        self.quarantined = left > 0;
        if compiled {
            restore(work.text, work.table)?;
        }
        self.active = false;
        Ok(Shutdown {
            ops,
            callsites: work.table.len() - work.table.rejected() - left,
            left,
        })
    }

    /// Goes on after a shutdown, or after an init that failed. Returns how many callsites are left alone.
    ///
    /// # Errors
    /// As [`first_patch`].
    pub(crate) fn start_again<T: Text>(
        &mut self,
        text: &T,
        table: &Table,
    ) -> Result<usize, PatchError> {
        let left = adopt(text, table);
        self.quarantined = left > 0;
        first_patch(text, table).map(|()| left)
    }
}

/// Each word is made visible to this core as soon as it is stored, and to the others at the end: what stands below calls
/// functions of `core`, which are callsites like any other unless the compiler inlines them.
fn rewrite<T: Text>(text: &T, table: &Table, from: Form, to: Form) -> Result<(), PatchError> {
    for (index, record) in table.range(0..table.len()) {
        if record.has(LEFT_ALONE) {
            continue;
        }
        if let Err((at, restored)) = write(text, table, record, from, to) {
            let (undone, stuck) = undo(text, table, 0..index, from);
            text.complete();
            text.sync_cores();
            if restored.is_err() {
                table.set_flags(index, QUARANTINED, 0);
            }
            return Err(PatchError {
                at,
                why: Why::Fault,
                undone,
                stuck: stuck + usize::from(restored.is_err()),
                foreign: 0,
            });
        }
    }
    text.sync_cores();
    Ok(())
}

/// One callsite. On failure where, and whether it is as before.
fn write(
    text: &impl Text,
    table: &Table,
    record: Record,
    from: Form,
    to: Form,
) -> Result<(), (usize, Result<(), WriteFault>)> {
    let layout = table.layout(record);
    text.write_literal(layout.literal(), to.literal)
        .map_err(|_| (layout.literal(), Ok(())))?;
    text.write_cold(layout.mov(), to.mov).map_err(|_| {
        let restored = text.write_literal(layout.literal(), from.literal);
        (layout.mov(), restored)
    })
}

fn undo(text: &impl Text, table: &Table, range: Range<usize>, from: Form) -> (usize, usize) {
    let (mut undone, mut stuck) = (0, 0);
    for (index, record) in table
        .range(range)
        .rev()
        .filter(|(_, record)| !record.has(LEFT_ALONE))
    {
        let layout = table.layout(record);
        let word = text.write_cold(layout.mov(), from.mov);
        match word.and(text.write_literal(layout.literal(), from.literal)) {
            Ok(()) => undone += 1,
            Err(_) => {
                table.set_flags(index, QUARANTINED, 0);
                stuck += 1;
            }
        }
    }
    (undone, stuck)
}
