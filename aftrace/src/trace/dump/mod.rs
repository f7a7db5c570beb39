//! Traces in other programs' formats.

pub mod chrome;
pub mod ctf;
pub mod folded;
pub mod functions;
pub mod fxt;
pub mod perfetto;
pub mod threads;
pub mod trace_dat;
pub mod uftrace;

use std::{fmt, io};

use super::brackets::{self, Mark};
use super::file::Trace;
use super::filter::Filter;
use super::symbols::Symbols;

/// What a format has no room for, or damage made impossible to place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Omitted {
    /// Calls: too deep, or in too badly damaged a part.
    pub calls: u64,
    /// Events of types that the format does not know: stacks, triggers, values.
    pub events: u64,
}

impl fmt::Display for Omitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { calls, events } = self;
        write!(
            f,
            "left out: {calls} calls that are too deep, in too damaged a part, or end in another order than brackets (does the kernel say which task it runs?), {events} events that the format has no form for"
        )
    }
}

impl Omitted {
    /// Whether there is nothing to tell.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.calls == 0 && self.events == 0
    }
}

/// Gives each mark of the trace to `write`, and counts what stays out of it: values, and calls that cannot be placed.
fn marks(
    trace: &Trace,
    symbols: &Symbols,
    filter: &Filter,
    mut write: impl FnMut(Mark) -> io::Result<()>,
) -> io::Result<Omitted> {
    let mut events = 0;
    let rest = brackets::play(trace, symbols, filter, |mark| {
        events += mark.besides();
        write(mark)
    })?;
    Ok(Omitted {
        calls: rest.left_out,
        events,
    })
}
