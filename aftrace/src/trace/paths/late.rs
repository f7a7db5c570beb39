//! Paths of a trace in which calls have no ENTRY: who called what has returned is known by their EXITs, which say when they began.
//!
//! What returned stands in rows, one behind the other, within the innermost open call, or outside of all. A call of which the
//! EXIT alone is there takes those of its level that began since it did. Whatever is left when the level ends has the open call itself as
//! its caller.

use rustc_hash::FxHashMap;

use super::{Call, Names, Node, Paths, ROOT, Return, Shown, Spent, Step, Symbols, Task};

/// Rows of one level; of more, the older half is told apart no longer.
const LEVEL_MAX: usize = 1 << 14;
/// The same for all levels together: beyond it, a level keeps one row more at most.
const ROWS_MAX: usize = 1 << 18;

/// A path in the making: what is above it may change.
#[derive(Default)]
struct Branch {
    name: u32,
    spent: Spent,
    callees: Vec<usize>,
}

/// What returned: branches that hang on one that is no call.
struct Row {
    start: u64,
    stem: usize,
}

struct Open {
    call: Call,
    /// Where its callees begin among the rows.
    from: usize,
}

#[derive(Default)]
struct Stack {
    open: Vec<Open>,
    rows: Vec<Row>,
}

impl Stack {
    /// Where those rows begin that are of the innermost open call.
    fn level(&self) -> usize {
        self.open.last().map_or(0, |open| open.from)
    }
}

/// Branches, of which each name is once below another.
struct Branches {
    all: Vec<Branch>,
    free: Vec<usize>,
    by_name: FxHashMap<(usize, u32), usize>,
    most: usize,
}

impl Branches {
    fn new(most: usize) -> Self {
        Self {
            all: vec![Branch::default()],
            free: Vec::new(),
            by_name: FxHashMap::default(),
            most,
        }
    }

    /// Whether there is room for one more call.
    fn has_room(&self) -> bool {
        self.by_name.len() < self.most
    }

    fn make(&mut self, name: u32) -> usize {
        let branch = Branch {
            name,
            ..Branch::default()
        };
        match self.free.pop() {
            Some(index) => {
                self.all[index] = branch;
                index
            }
            None => {
                self.all.push(branch);
                self.all.len() - 1
            }
        }
    }

    /// The one of this name below another.
    fn below(&mut self, above: usize, name: u32) -> usize {
        if let Some(&known) = self.by_name.get(&(above, name)) {
            return known;
        }
        let made = self.make(name);
        self.by_name.insert((above, name), made);
        self.all[above].callees.push(made);
        made
    }

    /// Puts what hangs on `from` on `to`; those of one name become one. `from` is gone then.
    fn put(&mut self, from: usize, to: usize) {
        // Not the stack: a depth of files may not be one of it.
        let mut waiting = vec![(from, to)];
        while let Some((from, to)) = waiting.pop() {
            let Branch { spent, callees, .. } = std::mem::take(&mut self.all[from]);
            self.all[to].spent.add(spent);
            self.free.push(from);
            for callee in callees {
                let name = self.all[callee].name;
                self.by_name.remove(&(from, name));
                match self.by_name.get(&(to, name)) {
                    Some(&same) => waiting.push((callee, same)),
                    None => {
                        self.by_name.insert((to, name), callee);
                        self.all[to].callees.push(callee);
                    }
                }
            }
        }
    }
}

/// Makes paths of steps.
pub(super) struct Gatherer {
    branches: Branches,
    names: Names,
    stacks: FxHashMap<Task, Stack>,
    rows: usize,
    beyond: u64,
}

impl Gatherer {
    /// So many paths are told apart.
    pub(super) fn new(most: usize) -> Self {
        Self {
            branches: Branches::new(most),
            names: Names::default(),
            stacks: FxHashMap::default(),
            rows: 0,
            beyond: 0,
        }
    }

    pub(super) fn take(&mut self, symbols: &Symbols, shown: Shown) {
        match shown {
            Shown::Leaf(leave) => {
                self.row(symbols, &leave.call, Vec::new(), Spent::returned(&leave))
            }
            Shown::Step(Step::Enter(call)) => self.enter(call),
            Shown::Step(Step::Leave(leave)) => match leave.entered {
                true => self.leave(symbols, &leave.call, Spent::returned(&leave)),
                false => self.leave_unseen(symbols, &leave),
            },
            Shown::Step(Step::Abandoned(call, _)) => self.leave(symbols, &call, Spent::UNFINISHED),
            Shown::Step(Step::Function(call)) => {
                let caller = self.names.of(symbols, call.parent, true);
                let name = self.names.of(symbols, call.callsite, false);
                if !self.branches.has_room() {
                    self.beyond += 1;
                    return;
                }
                let above = self.branches.below(ROOT, caller);
                let branch = self.branches.below(above, name);
                self.branches.all[branch].spent.calls += 1;
            }
            Shown::Step(_) => {}
        }
    }

    fn enter(&mut self, call: Call) {
        let stack = self.stacks.entry(call.task).or_default();
        let from = stack.rows.len();
        stack.open.push(Open { call, from });
    }

    /// The innermost open call ends.
    fn leave(&mut self, symbols: &Symbols, call: &Call, spent: Spent) {
        let stack = self.stacks.entry(call.task).or_default();
        let from = stack.open.pop().map_or(stack.rows.len(), |open| open.from);
        let callees = stack.rows.split_off(from);
        self.row(symbols, call, callees, spent);
    }

    fn leave_unseen(&mut self, symbols: &Symbols, leave: &Return) {
        let stack = self.stacks.entry(leave.call.task).or_default();
        let (level, start) = (stack.level(), leave.call.time);
        let outside = |row: &Row| row.start < start;
        let from = stack.rows[level..].iter().rposition(outside);
        let callees = stack
            .rows
            .split_off(from.map_or(level, |at| level + at + 1));
        self.row(symbols, &leave.call, callees, Spent::returned(leave));
    }

    /// A row of a call that has ended, behind those of its level.
    fn row(&mut self, symbols: &Symbols, call: &Call, callees: Vec<Row>, spent: Spent) {
        self.rows -= callees.len();
        let name = self.names.of(symbols, call.callsite, false);
        let stem = self.branches.make(0);
        let branch = match self.branches.has_room() {
            true => {
                let branch = self.branches.below(stem, name);
                self.branches.all[branch].spent = spent;
                branch
            }
            // Its own time is that of a path above.
            false => {
                self.beyond += spent.calls;
                self.branches.all[stem].spent.own = spent.own;
                stem
            }
        };
        for callee in callees {
            self.branches.put(callee.stem, branch);
        }
        let stack = self.stacks.entry(call.task).or_default();
        let level = stack.level();
        let known = stack.rows.len() - level;
        if known > 0 && self.rows >= ROWS_MAX {
            let last = &stack.rows[stack.rows.len() - 1];
            return self.branches.put(stem, last.stem);
        }
        if known >= LEVEL_MAX {
            let older = stack.rows.drain(level + 1..level + known / 2);
            let older: Vec<_> = older.map(|row| row.stem).collect();
            self.rows -= older.len();
            for stem in older {
                self.branches.put(stem, stack.rows[level].stem);
            }
        }
        let start = call.time;
        stack.rows.push(Row { start, stem });
        self.rows += 1;
    }

    pub(super) fn finish(mut self, symbols: &Symbols) -> Paths {
        let mut tasks: Vec<Task> = self.stacks.keys().copied().collect();
        // An order that is always the same decides between equals.
        tasks.sort_unstable();
        for task in tasks {
            let innermost = |stacks: &FxHashMap<Task, Stack>| {
                let stack = stacks.get(&task)?;
                stack.open.last().map(|open| open.call)
            };
            while let Some(call) = innermost(&self.stacks) {
                self.leave(symbols, &call, Spent::UNFINISHED);
            }
            for row in self.stacks.remove(&task).unwrap_or_default().rows {
                self.branches.put(row.stem, ROOT);
            }
        }
        let mut paths = Paths::none(self.branches.most);
        paths.nodes[ROOT].spent = self.branches.all[ROOT].spent;
        // Of each branch the path above it; a path stands behind the one above.
        let mut waiting = vec![(ROOT, ROOT)];
        while let Some((branch, path)) = waiting.pop() {
            for callee in std::mem::take(&mut self.branches.all[branch].callees) {
                let Branch { name, spent, .. } = self.branches.all[callee];
                paths.nodes.push(Node {
                    above: path,
                    name,
                    spent,
                });
                let below = paths.nodes.len() - 1;
                paths.by_call.insert((path, name), below);
                waiting.push((callee, below));
            }
        }
        paths.names = self.names.names;
        paths.beyond = self.beyond;
        paths
    }
}
