//! The text as Linux's own tracers print it (kernel/trace/trace_output.c, trace_functions_graph.c): what people paste into mails and
//! what scripts parse.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::calls::{Call, Return, Step, Task};
use super::dump::Omitted;
use super::file::Trace;
use super::filter::{Filter, Shown};
use super::symbols::Symbols;
use super::values::{comment, equals};

/// Name and id of a task, as Linux has them for its idle tasks and others.
#[must_use]
pub fn comm(trace: &Trace, task: Task) -> (String, u32) {
    match task {
        Task::Core(_) => ("<idle>".to_owned(), 0),
        Task::Id(id) => (
            trace
                .tasks
                .get(&id)
                .cloned()
                .unwrap_or_else(|| "<...>".to_owned()),
            id,
        ),
    }
}

/// As tracer `function` prints it: FUNCTION and ENTRY events with their callers, and what calls were given (Linux's `func-args`).
/// Returns it does not print: what is known of a return alone is left out.
///
/// # Errors
/// Those of the file and of `out`.
pub fn function(
    trace: &Trace,
    symbols: &Symbols,
    filter: &Filter,
    mut out: impl Write,
) -> io::Result<Omitted> {
    let (events, cores) = (trace.events(), trace.header.cpus);
    let written = trace
        .cores
        .values()
        .filter_map(|core| core.counts.map(|counts| counts.written))
        .fold(0, u64::saturating_add);
    write!(
        out,
        "# tracer: function\n#\n# entries-in-buffer/entries-written: {events}/{}   #P:{cores}\n#\n\
         #                                _-----=> irqs-off/BH-disabled\n\
         #                               / _----=> need-resched\n\
         #                              | / _---=> hardirq/softirq\n\
         #                              || / _--=> preempt-depth\n\
         #                              ||| / _-=> migrate-disable\n\
         #                              |||| /     delay\n\
         #           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION\n\
         #              | |         |   |||||     |         |\n",
        written.max(events)
    )?;
    let mut omitted = Omitted::default();
    filter.play(trace, symbols, false, |shown| match shown {
        Shown::Step(Step::Function(call) | Step::Enter(call)) => {
            let (name, id) = comm(trace, call.task);
            let us = symbols.nanoseconds(call.time).div_ceil(500) / 2;
            writeln!(
                out,
                "{name:>16}-{id:<7} [{:03}] ..... {:>5}.{:06}: {}{} <-{}",
                call.core,
                us / 1_000_000,
                us % 1_000_000,
                symbols.shown(call.callsite),
                given(&call),
                symbols.shown_caller(call.parent),
            )
        }
        Shown::Step(Step::Missing(core, events, _)) => {
            writeln!(out, "CPU:{core} [LOST {events} EVENTS]")
        }
        Shown::Step(Step::Leave(leave)) => {
            omitted.values += u64::from(leave.result.is_some());
            omitted.events += u64::from(!leave.entered);
            Ok(())
        }
        Shown::Step(Step::Other(_)) => {
            omitted.events += 1;
            Ok(())
        }
        Shown::Leaf(_) | Shown::Step(Step::Switch(..) | Step::Abandoned(..)) => Ok(()),
    })?;
    out.flush()?;
    Ok(omitted)
}

/// Arguments, where any were recorded.
fn given(call: &Call) -> String {
    match call.arguments.as_slice() {
        [] => String::new(),
        _ => call.arguments.to_string(),
    }
}

/// As tracer `function_graph` prints it.
///
/// # Errors
/// Those of the file and of `out`.
pub fn function_graph(
    trace: &Trace,
    symbols: &Symbols,
    filter: &Filter,
    mut out: impl Write,
) -> io::Result<Omitted> {
    const NO_DURATION: &str = "              |  ";
    write!(
        out,
        "# tracer: function_graph\n#\n# CPU  DURATION                  FUNCTION CALLS\n# |     |   |                     |   |   |   |\n"
    )?;
    let last = trace
        .cores
        .last_key_value()
        .map_or(0, |(core, _)| *core)
        .max(trace.header.cpus.saturating_sub(1) as u16);
    let width = last.to_string().len();
    let indent = |call: &Call| "  ".repeat((call.depth as usize).min(50));
    let mut running = BTreeMap::<u16, Task>::new();
    let mut omitted = Omitted::default();
    filter.play(trace, symbols, true, |shown| {
        let (core, task) = match shown {
            Shown::Leaf(leave) | Shown::Step(Step::Leave(leave)) => (leave.core, leave.call.task),
            Shown::Step(Step::Enter(call) | Step::Function(call)) => (call.core, call.task),
            Shown::Step(Step::Missing(core, events, _)) => {
                return writeln!(out, "CPU:{core} [LOST {events} EVENTS]");
            }
            Shown::Step(Step::Other(_)) => {
                omitted.events += 1;
                return Ok(());
            }
            Shown::Step(_) => return Ok(()),
        };
        if let Some(before) = running.insert(core, task)
            && before != task
        {
            let (from, to) = (process(trace, before), process(trace, task));
            let rule = "-".repeat(42);
            write!(out, " {rule}\n {core:>width$}) {from} => {to}\n {rule}\n\n")?;
        }
        write!(out, " {core:>width$}) ")?;
        match shown {
            Shown::Leaf(leave) => {
                let name = symbols.shown(leave.call.callsite);
                let time = graph_duration(symbols.nanoseconds(leave.duration));
                let (indent, arguments) = (indent(&leave.call), leave.call.arguments);
                let result = comment(leave.result);
                writeln!(out, "{time}|  {indent}{name}{arguments};{result}")
            }
            Shown::Step(Step::Leave(leave)) => {
                let time = graph_duration(symbols.nanoseconds(leave.duration));
                // Linux names the function only where its entry is not to be seen, or for the result.
                let name = match leave {
                    Return {
                        entered: true,
                        result: None,
                        ..
                    } => String::new(),
                    _ => format!(
                        " /* {}{} */",
                        symbols.shown(leave.call.callsite),
                        equals(leave.result)
                    ),
                };
                writeln!(out, "{time}|  {}}}{name}", indent(&leave.call))
            }
            Shown::Step(Step::Enter(call)) => {
                writeln!(
                    out,
                    "{NO_DURATION}{}{}{} {{",
                    indent(&call),
                    symbols.shown(call.callsite),
                    call.arguments
                )
            }
            Shown::Step(Step::Function(call)) => writeln!(
                out,
                "{NO_DURATION}{}/* {} <-{} */",
                indent(&call),
                symbols.shown(call.callsite),
                symbols.shown_caller(call.parent)
            ),
            Shown::Step(_) => Ok(()),
        }
    })?;
    out.flush()?;
    Ok(omitted)
}

/// Fourteen characters: a mark for long calls, seven for the microseconds, the unit.
fn graph_duration(nanoseconds: u64) -> String {
    const MARKS: [(u64, char); 6] = [
        (1_000_000_000, '$'),
        (100_000_000, '@'),
        (10_000_000, '*'),
        (1_000_000, '#'),
        (100_000, '!'),
        (10_000, '+'),
    ];
    let mark = MARKS
        .into_iter()
        .find(|(limit, _)| nanoseconds > *limit)
        .map_or(' ', |(_, mark)| mark);
    let mut number = (nanoseconds / 1_000).to_string();
    if number.len() < 7 {
        let rest = format!("{:03}", nanoseconds % 1_000);
        number = format!("{number}.{}", &rest[..rest.len().min(7 - number.len())]);
    }
    let pad = " ".repeat(8_usize.saturating_sub(number.len()));
    format!("{mark} {number} us {pad}")
}

/// Fourteen characters with the name in their middle.
fn process(trace: &Trace, task: Task) -> String {
    let (name, id) = comm(trace, task);
    let name: String = name.chars().take(7).collect();
    format!("{:^14}", format!("{name}-{id}"))
}
