//! Folded stacks, a line for each path of calls with the nanoseconds spent there itself, and the flame graph that inferno draws of them.

use std::collections::BTreeMap;
use std::io::{self, Write};

use crate::trace::file::Trace;
use crate::trace::filter::Filter;
use crate::trace::paths::{Paths, Spent};
use crate::trace::symbols::Symbols;

/// A line for each path, `a;b;c NANOSECONDS`, in the order of the paths. Calls without an ENTRY are paths of their own; of FUNCTION
/// events, which have no durations, each counts 1 for `caller;function`.
///
/// # Errors
/// Those of the file.
pub fn lines(trace: &Trace, symbols: &Symbols, filter: &Filter) -> io::Result<Vec<String>> {
    let paths = Paths::new(trace, symbols, filter)?;
    let mut found = BTreeMap::<String, u64>::new();
    for (path, node) in paths.nodes().iter().enumerate().skip(1) {
        let Spent {
            calls, timed, own, ..
        } = node.spent;
        let value = symbols.nanoseconds(own).saturating_add(calls - timed);
        // A path of whose calls none has a time stands for those below it.
        if own > 0 || calls > timed {
            let mut names: Vec<_> = paths
                .outwards(path)
                .map(|name| name.replace(';', ":"))
                .collect();
            names.reverse();
            // Two names may be one without their semicolons.
            let sum = found.entry(names.join(";")).or_default();
            *sum = sum.saturating_add(value);
        }
    }
    Ok(found
        .into_iter()
        .map(|(path, value)| format!("{path} {value}"))
        .collect())
}

/// Draws the lines as a flame graph.
///
/// # Errors
/// There is nothing to draw, or `out` fails.
pub fn flame_graph(lines: &[String], title: &str, out: impl Write) -> io::Result<()> {
    if lines.is_empty() {
        return Err(io::Error::other(
            "no call in the trace that a flame graph could show: it needs function graph events",
        ));
    }
    let mut options = inferno::flamegraph::Options::default();
    options.title = title.to_owned();
    options.count_name = "ns".to_owned();
    inferno::flamegraph::from_lines(&mut options, lines.iter().map(String::as_str), out)
        .map_err(io::Error::other)
}
