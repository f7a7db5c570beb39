//! Chrome's trace format in JSON, which Perfetto's page and speedscope open: complete events ("X") with microseconds.

use std::collections::BTreeSet;
use std::io::{self, Write};

use super::threads::Threads;
use crate::trace::calls::{Call, Step};
use crate::trace::file::Trace;
use crate::trace::filter::{Filter, Shown};
use crate::trace::symbols::Symbols;

/// Writes the trace. Calls that have not returned begin ("B") and do not end.
///
/// # Errors
/// Those of the file and of `out`.
pub fn write(
    trace: &Trace,
    symbols: &Symbols,
    filter: &Filter,
    mut out: impl Write,
) -> io::Result<()> {
    write!(out, "{{\"displayTimeUnit\":\"ns\",\"traceEvents\":[")?;
    write!(
        out,
        "{{\"ph\":\"M\",\"pid\":1,\"name\":\"process_name\",\"args\":{{\"name\":\"kernel\"}}}}"
    )?;
    let mut tasks = BTreeSet::new();
    let mut threads = Threads::new(trace);
    let mut event = |out: &mut dyn Write, call: &Call, phase: &str, duration: Option<u64>| {
        tasks.insert(call.task);
        write!(
            out,
            ",\n{{\"ph\":\"{phase}\",\"pid\":1,\"tid\":{},\"ts\":",
            threads.number(call.task)
        )?;
        microseconds(out, symbols.nanoseconds(call.time))?;
        if let Some(ticks) = duration {
            write!(out, ",\"dur\":")?;
            microseconds(out, symbols.nanoseconds(ticks))?;
        }
        if phase == "i" {
            write!(out, ",\"s\":\"t\"")?;
        }
        let name = serde_json::to_string(&symbols.name(call.callsite)).map_err(io::Error::other)?;
        write!(out, ",\"name\":{name},\"args\":{{\"cpu\":{}}}}}", call.core)
    };
    let unfinished = filter.play(trace, symbols, true, |shown| match shown {
        Shown::Leaf(leave) | Shown::Step(Step::Leave(leave)) => {
            event(&mut out, &leave.call, "X", Some(leave.duration))
        }
        Shown::Step(Step::Function(call)) => event(&mut out, &call, "i", None),
        Shown::Step(_) => Ok(()),
    })?;
    for call in unfinished {
        event(&mut out, &call, "B", None)?;
    }
    for task in tasks {
        let name = threads.name(task);
        let name = serde_json::to_string(&name).map_err(io::Error::other)?;
        let thread = threads.number(task);
        write!(
            out,
            ",\n{{\"ph\":\"M\",\"pid\":1,\"tid\":{thread},\"name\":\"thread_name\",\"args\":{{\"name\":{name}}}}}"
        )?;
    }
    writeln!(out, "]}}")?;
    out.flush()
}

fn microseconds(out: &mut dyn Write, nanoseconds: u64) -> io::Result<()> {
    write!(out, "{}.{:03}", nanoseconds / 1_000, nanoseconds % 1_000)
}
