//! What tasks did: how long each ran, and what it called.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use rustc_hash::FxHashMap;

use super::calls::{Step, Task};
use super::file::Trace;
use super::filter::{Filter, Shown};
use super::replay::duration;
use super::report::Key;
use super::symbols::Symbols;

/// One task. Times are ticks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// From where cores switched to it until they switched to another, or until the last event of the core; of what a core does of its own, from
    /// its first event on.
    pub ran: u64,
    /// In functions that were traced; of calls that returned.
    pub own: u64,
    /// Calls: each FUNCTION and each EXIT.
    pub calls: u64,
    /// Of so many functions.
    pub functions: usize,
}

/// What a core runs, since when, and until when that is known.
struct Running {
    task: Task,
    since: u64,
    until: u64,
}

/// The tasks of what the filter lets through.
///
/// # Errors
/// Those of the file.
pub fn rows(trace: &Trace, symbols: &Symbols, filter: &Filter) -> io::Result<BTreeMap<Task, Row>> {
    let mut rows = BTreeMap::<Task, Row>::new();
    let mut called = BTreeMap::<Task, BTreeSet<u32>>::new();
    let mut cores = FxHashMap::<u16, Running>::default();
    filter.play(trace, symbols, false, |shown| {
        let Shown::Step(step) = shown else {
            return Ok(());
        };
        let (core, time, task) = match step {
            Step::Enter(call) | Step::Function(call) => (call.core, call.time, call.task),
            Step::Leave(leave) => (leave.core, leave.time, leave.call.task),
            Step::Switch(core, time, task) => (core, time, task),
            Step::Abandoned(..) | Step::Missing(..) | Step::Other(_) => return Ok(()),
        };
        let running = cores.entry(core).or_insert(Running {
            task: Task::Core(core),
            since: time,
            until: time,
        });
        running.until = time.max(running.until);
        if let Step::Switch(..) = step {
            let ran = running.until - running.since;
            rows.entry(running.task).or_default().ran += ran;
            (running.task, running.since) = (task, running.until);
        }
        let (callsite, own) = match step {
            Step::Function(call) => (call.callsite, 0),
            Step::Leave(leave) => (leave.call.callsite, leave.own),
            _ => return Ok(()),
        };
        let row = rows.entry(task).or_default();
        row.calls += 1;
        row.own = row.own.saturating_add(own);
        called.entry(task).or_default().insert(callsite);
        Ok(())
    })?;
    for running in cores.into_values() {
        rows.entry(running.task).or_default().ran += running.until - running.since;
    }
    for (task, functions) in called {
        rows.entry(task).or_default().functions = functions.len();
    }
    rows.retain(|task, row| *row != Row::default() && filter.is_wanted(*task));
    Ok(rows)
}

/// Writes them in the order of the first of these columns, of which [`Key::Total`] is how long they ran.
///
/// # Errors
/// Those of `out`.
pub fn write(
    trace: &Trace,
    symbols: &Symbols,
    rows: &BTreeMap<Task, Row>,
    keys: &[Key],
    mut out: impl Write,
) -> io::Result<()> {
    let mut rows: Vec<_> = rows
        .iter()
        .map(|(task, row)| (name(trace, *task), task, row))
        .collect();
    rows.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
    for key in keys.iter().rev() {
        rows.sort_by_key(|(_, _, row)| {
            Reverse(match key {
                Key::Total => row.ran,
                Key::Own => row.own,
                Key::Calls => row.calls,
                _ => 0,
            })
        });
    }
    let time = |ticks| duration(symbols.nanoseconds(ticks));
    writeln!(
        out,
        "{:>10} {:>10} {:>9} {:>9} {:>10}  TASK",
        "RAN", "SELF", "CALLS", "FUNCTIONS", "TID"
    )?;
    for (name, task, row) in rows {
        let id = match task {
            Task::Core(_) => "0".to_owned(),
            Task::Id(id) => id.to_string(),
        };
        writeln!(
            out,
            "{:>10} {:>10} {:>9} {:>9} {id:>10}  {name}",
            time(row.ran),
            time(row.own),
            row.calls,
            row.functions
        )?;
    }
    out.flush()
}

fn name(trace: &Trace, task: Task) -> String {
    match task {
        Task::Core(core) => format!("core {core}, no task"),
        Task::Id(id) => trace.task_name(id),
    }
}
