//! Folded stacks, a line for each path of calls with the nanoseconds spent there itself, and the flame graph that inferno draws of them.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::Omitted;
use crate::trace::file::Trace;
use crate::trace::filter::Filter;
use crate::trace::paths::{Paths, ROOT, Spent};
use crate::trace::symbols::Symbols;

/// Names in all lines together: the paths of one deep recursion would have as many as the square of its depth.
const NAMES_MAX: usize = 1 << 22;

/// A line for each path, `a;b;c NANOSECONDS`, in the order of the paths; of FUNCTION
/// events, which have no durations, each counts 1 for `caller;function`. Of paths that are too many, or too deep for four million names
/// in all, what they took counts for the one above.
///
/// # Errors
/// Those of the file.
pub fn lines(trace: &Trace, symbols: &Symbols, filter: &Filter) -> io::Result<Vec<String>> {
    Ok(lines_counted(trace, symbols, filter)?.0)
}

/// As [`lines`], and what is in none of them: calls that have not returned, or whose return is missing.
///
/// # Errors
/// Those of the file.
pub fn lines_counted(
    trace: &Trace,
    symbols: &Symbols,
    filter: &Filter,
) -> io::Result<(Vec<String>, Omitted)> {
    let paths = Paths::new(trace, symbols, filter)?;
    let mut found = BTreeMap::<String, u64>::new();
    let unfinished = paths.nodes().iter().map(|node| node.spent.unfinished);
    let omitted = Omitted {
        unfinished: unfinished.sum(),
        ..Omitted::default()
    };
    for (path, spent) in listed(&paths).into_iter().enumerate().skip(1) {
        let Spent {
            calls, timed, own, ..
        } = spent;
        let value = symbols.nanoseconds(own).saturating_add(calls - timed);
        // A path of whose calls none has a time stands for those below it.
        if own > 0 || calls > timed {
            let mut names: Vec<_> = paths
                .outwards(path)
                .map(|name| symbols.fit(name).replace(';', ":"))
                .collect();
            names.reverse();
            // Two names may be one without their semicolons.
            let sum = found.entry(names.join(";")).or_default();
            *sum = sum.saturating_add(value);
        }
    }
    let lines = found.into_iter();
    let lines = lines.map(|(path, value)| format!("{path} {value}"));
    Ok((lines.collect(), omitted))
}

/// What each path's line says: its own, and what was spent on those below it that have none.
fn listed(paths: &Paths) -> Vec<Spent> {
    let nodes = paths.nodes();
    let mut spent = vec![Spent::default(); nodes.len()];
    // Of each path the one whose line it is in, and the names of that.
    let mut lines = vec![(ROOT, 0); nodes.len()];
    let mut names = 0;
    for (path, node) in nodes.iter().enumerate().skip(1) {
        let (above, length) = lines[node.above];
        let has_own = above == node.above && names + length < NAMES_MAX;
        // An outermost call has no other.
        lines[path] = if has_own || above == ROOT {
            names += length + 1;
            (path, length + 1)
        } else {
            (above, length)
        };
        spent[lines[path].0].add(node.spent);
    }
    spent
}

/// Draws the lines as a flame graph.
///
/// # Errors
/// There is nothing to draw, the lines are more than a flame graph adds up, or `out` fails.
pub fn flame_graph(lines: &[String], title: &str, out: impl Write) -> io::Result<()> {
    if lines.is_empty() {
        return Err(io::Error::other(
            "no call in the trace that a flame graph could show: it needs function graph events",
        ));
    }
    let values = lines.iter().filter_map(|line| line.rsplit_once(' '));
    let mut values = values.filter_map(|(_, value)| value.parse::<u64>().ok());
    if values.try_fold(0, u64::checked_add).is_none() {
        return Err(io::Error::other(
            "the times add up to more than 584 years, which only damage makes: choose a part with --time-range or --core",
        ));
    }
    let mut options = inferno::flamegraph::Options::default();
    options.title = title.to_owned();
    options.count_name = "ns".to_owned();
    inferno::flamegraph::from_lines(&mut options, lines.iter().map(String::as_str), out)
        .map_err(io::Error::other)
}
