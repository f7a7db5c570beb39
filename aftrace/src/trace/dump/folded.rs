//! Folded stacks, a line for each path of calls with the nanoseconds spent there itself, and the flame graph that inferno draws of them.

use std::io::{self, Write};

use rustc_hash::FxHashMap;

use crate::trace::calls::{Return, Step, Task};
use crate::trace::file::Trace;
use crate::trace::filter::{Filter, Shown};
use crate::trace::symbols::Symbols;

/// Paths that are told apart. A recursion that never ends makes ever new ones: those beyond count in the path above.
const PATHS_MAX: usize = 1 << 20;
const ROOT: usize = 0;

struct Paths {
    /// Of a path: the one above, the function, ticks of its own.
    nodes: Vec<(usize, u32, u64)>,
    by_call: FxHashMap<(usize, u32), usize>,
}

impl Paths {
    fn below(&mut self, above: usize, callsite: u32) -> usize {
        if let Some(&path) = self.by_call.get(&(above, callsite)) {
            return path;
        }
        if self.nodes.len() >= PATHS_MAX {
            return above;
        }
        self.nodes.push((above, callsite, 0));
        self.by_call.insert((above, callsite), self.nodes.len() - 1);
        self.nodes.len() - 1
    }

    fn add(&mut self, path: usize, ticks: u64) {
        let sum = &mut self.nodes[path].2;
        *sum = sum.saturating_add(ticks);
    }
}

/// A line for each path, `a;b;c NANOSECONDS`, in the order of the paths. Calls without an ENTRY are paths of their own; of FUNCTION
/// events, which have no durations, each counts 1 for `caller;function`.
///
/// # Errors
/// Those of the file.
pub fn lines(trace: &Trace, symbols: &Symbols, filter: &Filter) -> io::Result<Vec<String>> {
    let mut paths = Paths {
        nodes: vec![(ROOT, 0, 0)],
        by_call: FxHashMap::default(),
    };
    let mut open = FxHashMap::<Task, Vec<usize>>::default();
    let mut functions = FxHashMap::<(u32, u32), u64>::default();
    filter.play(trace, symbols, true, |shown| {
        match shown {
            Shown::Leaf(leave) => {
                let above = open
                    .get(&leave.call.task)
                    .and_then(|stack| stack.last().copied())
                    .unwrap_or(ROOT);
                let path = paths.below(above, leave.call.callsite);
                paths.add(path, leave.own);
            }
            Shown::Step(Step::Enter(call)) => {
                let stack = open.entry(call.task).or_default();
                let path = paths.below(stack.last().copied().unwrap_or(ROOT), call.callsite);
                stack.push(path);
            }
            Shown::Step(Step::Leave(Return {
                call, entered, own, ..
            })) => {
                let path = match entered {
                    true => open.entry(call.task).or_default().pop(),
                    false => Some(paths.below(ROOT, call.callsite)),
                };
                paths.add(path.unwrap_or(ROOT), own);
            }
            Shown::Step(Step::Abandoned(call, _)) => {
                open.entry(call.task).or_default().pop();
            }
            Shown::Step(Step::Function(call)) => {
                *functions.entry((call.parent, call.callsite)).or_default() += 1
            }
            Shown::Step(_) => {}
        }
        Ok(())
    })?;
    let name = |callsite| symbols.name(callsite).replace(';', ":");
    let mut found = std::collections::BTreeMap::<String, u64>::new();
    let mut add = |path: String, value: u64| {
        let sum = found.entry(path).or_default();
        *sum = sum.saturating_add(value);
    };
    for &(mut above, callsite, ticks) in paths
        .nodes
        .iter()
        .skip(1)
        .filter(|(_, _, ticks)| *ticks > 0)
    {
        let mut names = vec![name(callsite)];
        while above != ROOT {
            names.push(name(paths.nodes[above].1));
            above = paths.nodes[above].0;
        }
        names.reverse();
        add(names.join(";"), symbols.nanoseconds(ticks));
    }
    for ((parent, callsite), calls) in functions {
        let path = format!(
            "{};{}",
            symbols.caller(parent).replace(';', ":"),
            name(callsite)
        );
        add(path, calls);
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
