//! The call graph of a trace as a person reads it: a line for each path of calls, indented below its caller.

use std::cmp::Reverse;
use std::io::{self, Write};

use super::paths::{PATHS_MAX, Paths, ROOT, Spent};
use super::replay::duration;
use super::symbols::Symbols;

/// Levels with an indentation of their own. A recursion may be 65,536 deep: from there on the level is written instead.
const INDENTED: usize = 64;
/// Callers that are shown of one backtrace.
const BACKTRACE: usize = 64;
const COLUMNS: &str = "#    TOTAL       SELF     CALLS ";

/// How to show it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    /// So many backtraces of a function; 0: none.
    pub backtraces: usize,
}

/// Writes all paths as a tree, callees in the order of their total, the largest first.
///
/// # Errors
/// Those of `out`.
pub fn write(
    paths: &Paths,
    symbols: &Symbols,
    style: Style,
    mut out: impl Write,
) -> io::Result<()> {
    Printer { symbols, style }.tree(paths, &mut out)?;
    out.flush()
}

/// Writes how functions that the glob matches were reached, and what they called. Returns whether there is one.
///
/// # Errors
/// Those of `out`.
pub fn write_focus(
    paths: &Paths,
    pattern: &str,
    symbols: &Symbols,
    style: Style,
    mut out: impl Write,
) -> io::Result<bool> {
    let focus = paths.focus(pattern);
    if focus.callers.is_empty() {
        return Ok(false);
    }
    let printer = Printer { symbols, style };
    if style.backtraces > 0 {
        printer.backtraces(paths, &focus.callers, &mut out)?;
    }
    printer.tree(&focus.below, &mut out)?;
    out.flush()?;
    Ok(true)
}

struct Printer<'a> {
    symbols: &'a Symbols,
    style: Style,
}

impl Printer<'_> {
    fn columns(&self, spent: &Spent) -> String {
        let time = |ticks| match spent.timed {
            0 => String::new(),
            _ => duration(self.symbols.nanoseconds(ticks)),
        };
        let calls = match spent.calls {
            0 => String::new(),
            calls => calls.to_string(),
        };
        format!(
            "{:>10} {:>10} {calls:>9}",
            time(spent.total),
            time(spent.own)
        )
    }

    fn backtraces(&self, paths: &Paths, callers: &[usize], out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "{COLUMNS} BACKTRACE")?;
        let shown = callers.len().min(self.style.backtraces);
        for &path in &callers[..shown] {
            let mut names = paths.outwards(path);
            let innermost = names.next().unwrap_or_default();
            let spent = self.columns(&paths.nodes()[path].spent);
            writeln!(out, "{spent}  {}", self.symbols.fit(innermost))?;
            for name in names.by_ref().take(BACKTRACE) {
                writeln!(out, "{:32} <- {}", "", self.symbols.fit(name))?;
            }
            match names.count() {
                0 => {}
                more => writeln!(out, "{:32} <- ... {more} more callers", "")?,
            }
        }
        let more = callers.len() - shown;
        if more > 0 {
            writeln!(
                out,
                "# and {more} more backtraces: --backtraces {} shows all",
                callers.len()
            )?;
        }
        writeln!(out)
    }

    fn tree(&self, paths: &Paths, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "{COLUMNS} FUNCTION")?;
        let nodes = paths.nodes();
        let mut order: Vec<usize> = (1..nodes.len()).collect();
        order.sort_unstable_by_key(|&path| {
            let node = &nodes[path];
            let Spent { total, calls, .. } = node.spent;
            (node.above, Reverse(total), Reverse(calls), paths.name(path))
        });
        let callees = |path: usize| {
            let from = order.partition_point(|&p| nodes[p].above < path);
            let until = order.partition_point(|&p| nodes[p].above <= path);
            from..until
        };
        // Of each open level what is left of it; a depth of files may not be one of the stack.
        let mut levels = vec![callees(ROOT)];
        while let Some(level) = levels.last_mut() {
            let Some(at) = level.next() else {
                levels.pop();
                continue;
            };
            let path = order[at];
            let depth = levels.len() - 1;
            let mut indent = String::new();
            for level in levels.iter().take(depth.min(INDENTED)).skip(1) {
                indent.push_str(if level.is_empty() { "   " } else { " | " });
            }
            if depth > 0 {
                indent.push_str(" +-");
            }
            if depth > INDENTED {
                indent.push_str(&format!("(level {depth}) "));
            }
            let Spent { unfinished, .. } = nodes[path].spent;
            let note = match unfinished {
                0 => String::new(),
                unfinished => format!("  ({unfinished} not returned)"),
            };
            let (spent, name) = (
                self.columns(&nodes[path].spent),
                self.symbols.fit(paths.name(path)),
            );
            writeln!(out, "{spent}  {indent}{name}{note}")?;
            levels.push(callees(path));
        }
        match paths.beyond() {
            0 => Ok(()),
            calls => writeln!(
                out,
                "# {calls} calls on more than {PATHS_MAX} paths: their time is in SELF of the path above; filters show a part"
            ),
        }
    }
}
