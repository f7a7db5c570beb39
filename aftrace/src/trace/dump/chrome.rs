//! Chrome's trace format in JSON, which Perfetto's page and speedscope open: calls that begin ("B") and end ("E"), with microseconds.
//!
//! Arguments and results are texts, as `aftrace replay` writes them: a number of JSON has 53 bits in most programs.
//!
//! Half as long would be calls that do both at once ("X"). But of events at the same tick of the clock Perfetto takes those first,
//! the longest first: a call would be shown around the one that it stands in.

use std::collections::BTreeSet;
use std::io::{self, Write};

use super::threads::Threads;
use super::{Omitted, marks, register};
use crate::trace::brackets::{End, Mark};
use crate::trace::calls::{Call, Task};
use crate::trace::file::Trace;
use crate::trace::filter::Filter;
use crate::trace::symbols::Symbols;
use crate::trace::values::result;

struct Writer<'a, W> {
    out: W,
    threads: Threads<'a>,
    symbols: &'a Symbols,
    tasks: BTreeSet<Task>,
    switches: u64,
}

/// Writes the trace. Calls that have not returned begin and do not end; a call whose return is missing ends where a function around it
/// went on.
///
/// # Errors
/// Those of the file and of `out`.
pub fn write(
    trace: &Trace,
    symbols: &Symbols,
    filter: &Filter,
    mut out: impl Write,
) -> io::Result<Omitted> {
    write!(out, "{{\"displayTimeUnit\":\"ns\",\"traceEvents\":[")?;
    write!(
        out,
        "{{\"ph\":\"M\",\"pid\":1,\"name\":\"process_name\",\"args\":{{\"name\":\"kernel\"}}}}"
    )?;
    let mut writer = Writer {
        out,
        threads: Threads::new(trace),
        symbols,
        tasks: BTreeSet::new(),
        switches: 0,
    };
    let mut omitted = marks(trace, symbols, filter, |mark| writer.mark(mark))?;
    omitted.events += writer.switches;
    writer.names()?;
    writer.out.flush()?;
    Ok(omitted)
}

impl<W: Write> Writer<'_, W> {
    fn mark(&mut self, mark: Mark) -> io::Result<()> {
        match mark {
            Mark::Begin(call) => self.call("B", &call),
            Mark::Function(call) => self.call("i", &call),
            Mark::End(end) => self.end(end),
            Mark::Missing(core, time, events) => {
                self.event("i", Task::Core(core), time)?;
                write!(
                    self.out,
                    ",\"s\":\"t\",\"name\":\"events are missing\",\"args\":{{\"events\":{events}}}}}"
                )
            }
            Mark::Switch(..) => {
                self.switches += 1;
                Ok(())
            }
            Mark::Other(..) => Ok(()),
        }
    }

    fn end(&mut self, end: End) -> io::Result<()> {
        self.event("E", end.call.task, end.time)?;
        if !end.returned {
            write!(self.out, ",\"args\":{{\"return is missing\":1}}")?;
        } else if let Some(value) = end.result {
            write!(self.out, ",\"args\":{{\"result\":\"{}\"}}", result(value))?;
        }
        write!(self.out, "}}")
    }

    fn call(&mut self, phase: &str, call: &Call) -> io::Result<()> {
        self.event(phase, call.task, call.time)?;
        if phase == "i" {
            write!(self.out, ",\"s\":\"t\"")?;
        }
        let name = self.symbols.name(call.callsite);
        let name = serde_json::to_string(&name).map_err(io::Error::other)?;
        write!(
            self.out,
            ",\"name\":{name},\"args\":{{\"cpu\":{}",
            call.core
        )?;
        for (index, value) in call.arguments.as_slice().iter().enumerate() {
            write!(self.out, ",\"{}\":\"{value:#x}\"", register(index))?;
        }
        write!(self.out, "}}}}")
    }

    /// What all events have; the object stays open.
    fn event(&mut self, phase: &str, task: Task, ticks: u64) -> io::Result<()> {
        self.tasks.insert(task);
        let number = self.threads.number(task);
        let nanoseconds = self.symbols.nanoseconds(ticks);
        write!(
            self.out,
            ",\n{{\"ph\":\"{phase}\",\"pid\":1,\"tid\":{number},\"ts\":{}.{:03}",
            nanoseconds / 1_000,
            nanoseconds % 1_000
        )
    }

    fn names(&mut self) -> io::Result<()> {
        for task in &self.tasks {
            let name =
                serde_json::to_string(&self.threads.name(*task)).map_err(io::Error::other)?;
            let number = self.threads.number(*task);
            write!(
                self.out,
                ",\n{{\"ph\":\"M\",\"pid\":1,\"tid\":{number},\"name\":\"thread_name\",\"args\":{{\"name\":{name}}}}}"
            )?;
        }
        writeln!(self.out, "]}}")
    }
}
