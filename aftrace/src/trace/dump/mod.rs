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

use super::brackets::{self, Mark, Values};
use super::file::Trace;
use super::filter::Filter;
use super::symbols::{Symbols, in_one_line};

/// What a format has no room for, or damage made impossible to place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Omitted {
    /// Calls: too deep, or in too badly damaged a part.
    pub calls: u64,
    /// Events of types that the format does not know: stacks, triggers, values without a call, switches of tasks.
    pub events: u64,
    /// Arguments and results of calls.
    pub values: u64,
    /// Calls without a time, where only times are shown.
    pub unfinished: u64,
    /// Names of functions and tasks that are there in part.
    pub names: u64,
}

impl fmt::Display for Omitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            (
                self.calls,
                "calls that are too deep, in too damaged a part, or end in another order than brackets (does the kernel say which task it runs?)",
            ),
            (self.events, "events that the format has no form for"),
            (
                self.values,
                "arguments and results that the format has no room for",
            ),
            (
                self.unfinished,
                "calls that have not returned, or whose return is missing",
            ),
            (
                self.names,
                "ends of names that are longer than the format takes",
            ),
        ];
        let parts = parts.iter().filter(|(count, _)| *count > 0);
        let parts: Vec<_> = parts
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        write!(f, "left out: {}", parts.join(", "))
    }
}

impl Omitted {
    /// Whether there is nothing to tell.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// Gives each mark of the trace to `write`, and counts what stays out of it: calls that cannot be placed, and what is no call.
fn marks(
    trace: &Trace,
    symbols: &Symbols,
    filter: &Filter,
    write: impl FnMut(Mark) -> io::Result<()>,
) -> io::Result<Omitted> {
    marks_knowing(trace, symbols, filter, |_| write)
}

/// As [`marks`], for formats that must know which values there are before the first mark.
fn marks_knowing<F: FnMut(Mark) -> io::Result<()>>(
    trace: &Trace,
    symbols: &Symbols,
    filter: &Filter,
    begin: impl FnOnce(Values) -> F,
) -> io::Result<Omitted> {
    let mut events = 0;
    let rest = brackets::play_knowing(trace, symbols, filter, |values| {
        let mut write = begin(values);
        let events = &mut events;
        move |mark| {
            *events += u64::from(matches!(mark, Mark::Other(..)));
            write(mark)
        }
    })?;
    Ok(Omitted {
        calls: rest.left_out,
        events,
        ..Omitted::default()
    })
}

/// So many bytes of a name, or fewer, so that no character is cut.
fn cut(name: &str, most: usize) -> &str {
    let most = most.min(name.len());
    let end = (0..=most).rev().find(|end| name.is_char_boundary(*end));
    &name[..end.unwrap_or(0)]
}

/// The register that an argument was in.
const fn register(index: usize) -> &'static str {
    ["x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7"][index]
}
