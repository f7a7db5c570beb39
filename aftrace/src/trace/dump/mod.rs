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

use std::fmt;

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
            "left out: {calls} calls that are too deep or in too damaged a part, {events} events that the format has no form for"
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
