//! The paths of calls in a trace, each once with what was spent there: folded stacks list them, the call graph shows them as a tree.

use std::io;

use aarch64_ftrace::glob;
use rustc_hash::FxHashMap;

use super::calls::{Call, Return, Step, Task};
use super::file::Trace;
use super::filter::{Filter, Shown};
use super::symbols::Symbols;

mod late;

/// Paths that are told apart. A recursion that never ends makes ever new ones: those beyond count in the path above.
pub const PATHS_MAX: usize = 1 << 20;
/// What stands above the outermost calls.
pub const ROOT: usize = 0;

/// What was spent on a path. Times are ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Calls, as [`super::report::Row`] counts them: each FUNCTION and each EXIT.
    pub calls: u64,
    /// Of those, the ones whose duration is known.
    pub timed: u64,
    /// Of all calls, callees included.
    pub total: u64,
    /// Of all calls, without their traced callees.
    pub own: u64,
    /// Calls that had not returned when the trace ended, or whose return is missing.
    pub unfinished: u64,
}

impl Spent {
    /// A call that did not return, or whose return is missing.
    const UNFINISHED: Self = Self {
        calls: 0,
        timed: 0,
        total: 0,
        own: 0,
        unfinished: 1,
    };

    /// A call that returned.
    const fn returned(leave: &Return) -> Self {
        Self {
            calls: 1,
            timed: 1,
            total: leave.duration,
            own: leave.own,
            unfinished: 0,
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.calls += other.calls;
        self.timed += other.timed;
        self.total = self.total.saturating_add(other.total);
        self.own = self.own.saturating_add(other.own);
        self.unfinished += other.unfinished;
    }
}

/// A function, called on one path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// The path of its caller, which stands before it; [`ROOT`] has itself.
    pub above: usize,
    name: u32,
    /// What was spent there.
    pub spent: Spent,
}

/// The paths of a trace.
#[derive(Clone, Debug)]
pub struct Paths {
    nodes: Vec<Node>,
    names: Vec<Name>,
    by_call: FxHashMap<(usize, u32), usize>,
    most: usize,
    beyond: u64,
}

/// The paths below some functions, and how these were reached.
#[derive(Clone, Debug)]
pub struct Focus {
    /// Their outermost calls are the roots; whoever called them, they are one path.
    pub below: Paths,
    /// The paths of these calls, as they were, those with the largest total first.
    pub callers: Vec<usize>,
}

#[derive(Clone, Debug)]
struct Name {
    /// What a glob is held against.
    plain: String,
    /// With what else is to be shown.
    full: String,
}

/// Names by address, each once.
#[derive(Default)]
struct Names {
    names: Vec<Name>,
    by_name: FxHashMap<String, u32>,
    by_address: FxHashMap<(u32, bool), u32>,
}

impl Names {
    fn of(&mut self, symbols: &Symbols, low: u32, is_parent: bool) -> u32 {
        if let Some(&name) = self.by_address.get(&(low, is_parent)) {
            return name;
        }
        let (plain, full) = match is_parent {
            true => (symbols.caller(low), symbols.full_caller(low)),
            false => (symbols.name(low), symbols.full(low)),
        };
        let names = &mut self.names;
        let name = *self.by_name.entry(full).or_insert_with_key(|full| {
            let full = full.clone();
            names.push(Name { plain, full });
            (names.len() - 1) as u32
        });
        self.by_address.insert((low, is_parent), name);
        name
    }
}

impl Paths {
    /// Of what the filter lets through. A call without an ENTRY stands where its duration says that it was made; FUNCTION events, of
    /// which only the caller is known, are its callees.
    ///
    /// # Errors
    /// Those of the file.
    pub fn new(trace: &Trace, symbols: &Symbols, filter: &Filter) -> io::Result<Self> {
        let mut gatherer = Gatherer {
            paths: Self::none(PATHS_MAX),
            names: Names::default(),
            open: FxHashMap::default(),
        };
        let mut any_unseen = false;
        let played = filter.play(trace, symbols, true, |shown| {
            if let Shown::Step(Step::Leave(Return { entered: false, .. })) = shown {
                any_unseen = true;
                return Err(io::ErrorKind::Interrupted.into());
            }
            gatherer.take(symbols, shown);
            Ok(())
        });
        if !any_unseen {
            played?;
            return Ok(gatherer.finish());
        }
        // Who called what is known late, which takes longer.
        let mut gatherer = late::Gatherer::new(PATHS_MAX);
        filter.play(trace, symbols, true, |shown| {
            gatherer.take(symbols, shown);
            Ok(())
        })?;
        Ok(gatherer.finish(symbols))
    }

    fn none(most: usize) -> Self {
        let root = Node {
            above: ROOT,
            name: 0,
            spent: Spent::default(),
        };
        Self {
            nodes: vec![root],
            names: Vec::new(),
            by_call: FxHashMap::default(),
            most,
            beyond: 0,
        }
    }

    /// All of them, [`ROOT`] first, each behind the one above it.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The function that a path ends with, as [`Symbols::full`] has it; nothing for [`ROOT`].
    #[must_use]
    pub fn name(&self, path: usize) -> &str {
        match path {
            ROOT => "",
            _ => &self.names[self.nodes[path].name as usize].full,
        }
    }

    /// The functions of a path, from the inside out.
    pub fn outwards(&self, path: usize) -> impl Iterator<Item = &str> {
        let above = |path: &usize| Some(self.nodes[*path].above);
        std::iter::successors(Some(path), above)
            .take_while(|path| *path != ROOT)
            .map(|path| self.name(path))
    }

    /// Calls on paths that are not told apart any more: their own time is that of a path above.
    #[must_use]
    pub const fn beyond(&self) -> u64 {
        self.beyond
    }

    /// What functions that the glob matches called, and who called them.
    #[must_use]
    pub fn focus(&self, pattern: &str) -> Focus {
        let named = |name: &Name| glob::matches(pattern, name.plain.bytes());
        let is_wanted: Vec<bool> = self.names.iter().map(named).collect();
        let mut below = Self::none(self.most);
        below.names.clone_from(&self.names);
        below.beyond = self.beyond;
        let mut callers = Vec::new();
        // Of each path the one in the result; ROOT, where nothing around it is wanted.
        let mut moved = vec![ROOT; self.nodes.len()];
        for (path, node) in self.nodes.iter().enumerate().skip(1) {
            let above = moved[node.above];
            if above == ROOT {
                if !is_wanted[node.name as usize] {
                    continue;
                }
                callers.push(path);
            }
            // Merging makes no more paths than there were.
            (moved[path], _) = below.below(above, node.name);
            below.nodes[moved[path]].spent.add(node.spent);
        }
        // Stable: those seen first decide between equals.
        callers.sort_by_key(|path| std::cmp::Reverse(self.nodes[*path].spent.total));
        Focus { below, callers }
    }

    /// The path, and whether it is its own.
    fn below(&mut self, above: usize, name: u32) -> (usize, bool) {
        if let Some(&path) = self.by_call.get(&(above, name)) {
            return (path, true);
        }
        if self.nodes.len() > self.most {
            return (above, false);
        }
        self.nodes.push(Node {
            above,
            name,
            spent: Spent::default(),
        });
        self.by_call.insert((above, name), self.nodes.len() - 1);
        (self.nodes.len() - 1, true)
    }

    fn add(&mut self, (path, is_own): (usize, bool), spent: Spent) {
        if is_own {
            return self.nodes[path].spent.add(spent);
        }
        self.beyond += spent.calls;
        self.nodes[path].spent.add(Spent {
            own: spent.own,
            ..Spent::default()
        });
    }
}

/// Makes paths of steps.
struct Gatherer {
    paths: Paths,
    names: Names,
    open: FxHashMap<Task, Vec<(usize, bool)>>,
}

impl Gatherer {
    fn path(&mut self, symbols: &Symbols, call: &Call, above: usize) -> (usize, bool) {
        let name = self.names.of(symbols, call.callsite, false);
        self.paths.below(above, name)
    }

    fn innermost(&self, task: Task) -> usize {
        let stack = self.open.get(&task);
        stack
            .and_then(|stack| stack.last())
            .map_or(ROOT, |(path, _)| *path)
    }

    fn take(&mut self, symbols: &Symbols, shown: Shown) {
        match shown {
            Shown::Leaf(leave) => {
                let above = self.innermost(leave.call.task);
                let path = self.path(symbols, &leave.call, above);
                self.paths.add(path, Spent::returned(&leave));
            }
            Shown::Step(Step::Enter(call)) => {
                let above = self.innermost(call.task);
                let path = self.path(symbols, &call, above);
                self.open.entry(call.task).or_default().push(path);
            }
            Shown::Step(Step::Leave(leave)) => {
                let open = self.leave(leave.call.task);
                let path = open.unwrap_or_else(|| self.path(symbols, &leave.call, ROOT));
                self.paths.add(path, Spent::returned(&leave));
            }
            Shown::Step(Step::Abandoned(call, _)) => {
                if let Some(path) = self.leave(call.task) {
                    self.paths.add(path, Spent::UNFINISHED);
                }
            }
            Shown::Step(Step::Function(call)) => {
                let caller = self.names.of(symbols, call.parent, true);
                let (above, _) = self.paths.below(ROOT, caller);
                let path = self.path(symbols, &call, above);
                let spent = Spent {
                    calls: 1,
                    ..Spent::default()
                };
                self.paths.add(path, spent);
            }
            Shown::Step(_) => {}
        }
    }

    fn leave(&mut self, task: Task) -> Option<(usize, bool)> {
        self.open.get_mut(&task)?.pop()
    }

    fn finish(mut self) -> Paths {
        for path in std::mem::take(&mut self.open).into_values().flatten() {
            self.paths.add(path, Spent::UNFINISHED);
        }
        self.paths.names = self.names.names;
        self.paths
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three levels of a recursion where two paths are told apart.
    #[test]
    fn what_is_beyond_the_last_path_counts_in_the_one_above() {
        let mut paths = Paths::none(2);
        let spent = |total, own| Spent {
            calls: 1,
            timed: 1,
            total,
            own,
            unfinished: 0,
        };
        let outer = paths.below(ROOT, 0);
        let inner = paths.below(outer.0, 0);
        let third = paths.below(inner.0, 0);
        assert_eq!((outer, inner, third), ((1, true), (2, true), (2, false)));
        for (path, what) in [
            (third, spent(5, 5)),
            (inner, spent(9, 4)),
            (outer, spent(12, 3)),
        ] {
            paths.add(path, what);
        }
        let found: Vec<_> = paths.nodes[1..].iter().map(|node| node.spent).collect();
        assert_eq!(found, [spent(12, 3), spent(9, 4 + 5)]);
        assert_eq!(paths.beyond(), 1);
        // A path that is known is found all the same.
        assert_eq!(paths.below(ROOT, 0), outer);
    }
}
