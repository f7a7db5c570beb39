//! What the paths of a trace are, with each call for itself.

use std::collections::BTreeMap;

use aftrace::trace::calls::{Return, Step, Task};
use aftrace::trace::file::Trace;
use aftrace::trace::filter::{Filter, Shown};
use aftrace::trace::paths::Spent;
use aftrace::trace::symbols::Symbols;

/// Of each path, from the outside in.
pub type Tree = BTreeMap<Vec<String>, Spent>;

pub fn add(tree: &mut Tree, path: &[String], spent: Spent) {
    let sum = tree.entry(path.to_vec()).or_default();
    sum.calls += spent.calls;
    sum.timed += spent.timed;
    sum.total += spent.total;
    sum.own += spent.own;
    sum.unfinished += spent.unfinished;
}

/// A call that has ended, with all that it called, each call for itself.
struct Ended {
    name: String,
    start: u64,
    spent: Spent,
    callees: Vec<Ended>,
}

impl Ended {
    fn add_to(self, tree: &mut Tree, above: &[String]) {
        let path = [above, &[self.name]].concat();
        add(tree, &path, self.spent);
        self.callees
            .into_iter()
            .for_each(|callee| callee.add_to(tree, &path));
    }
}

/// Calls of a task that are open, from the outside in, and what has ended within each; the first is none, but what all stand in.
struct Level {
    start: u64,
    ended: Vec<Ended>,
}

/// What is to be found, with whole paths, no call merged with another.
pub fn naive(trace: &Trace, symbols: &Symbols, filter: &Filter) -> Tree {
    let (mut tree, mut stacks) = (Tree::new(), BTreeMap::<Task, Vec<(String, Level)>>::new());
    let unfinished = Spent {
        unfinished: 1,
        ..Spent::default()
    };
    let returned = |leave: Return| Spent {
        calls: 1,
        timed: 1,
        total: leave.duration,
        own: leave.own,
        unfinished: 0,
    };
    let level = |start| Level {
        start,
        ended: Vec::new(),
    };
    let end = |stack: &mut Vec<(String, Level)>, spent| {
        let (name, Level { start, ended }) = stack.pop().unwrap();
        stack.last_mut().unwrap().1.ended.push(Ended {
            name,
            start,
            spent,
            callees: ended,
        });
    };
    let mut take = |shown| {
        let task = match shown {
            Shown::Leaf(Return { call, .. })
            | Shown::Step(
                Step::Enter(call) | Step::Leave(Return { call, .. }) | Step::Abandoned(call, _),
            ) => call.task,
            _ => Task::Core(0),
        };
        let nobody = || vec![(String::new(), level(0))];
        let stack = stacks.entry(task).or_insert_with(nobody);
        match shown {
            Shown::Leaf(leave) => {
                stack.push((symbols.name(leave.call.callsite), level(leave.call.time)));
                end(stack, returned(leave));
            }
            Shown::Step(Step::Enter(call)) => {
                stack.push((symbols.name(call.callsite), level(call.time)));
            }
            Shown::Step(Step::Leave(leave)) if leave.entered && stack.len() > 1 => {
                end(stack, returned(leave));
            }
            Shown::Step(Step::Leave(leave)) => {
                let ended = &mut stack.last_mut().unwrap().1.ended;
                let mut inside = Vec::new();
                while let Some(callee) =
                    ended.pop_if(|e| !leave.entered && e.start >= leave.call.time)
                {
                    inside.push(callee);
                }
                ended.push(Ended {
                    name: symbols.name(leave.call.callsite),
                    start: leave.call.time,
                    spent: returned(leave),
                    callees: inside,
                });
            }
            Shown::Step(Step::Abandoned(..)) if stack.len() > 1 => end(stack, unfinished),
            Shown::Step(Step::Function(call)) => {
                let path = [symbols.caller(call.parent), symbols.name(call.callsite)];
                add(&mut tree, &path[..1], Spent::default());
                let spent = Spent {
                    calls: 1,
                    ..Spent::default()
                };
                add(&mut tree, &path, spent);
            }
            Shown::Step(_) => {}
        }
        Ok(())
    };
    filter.play(trace, symbols, true, &mut take).unwrap();
    for mut stack in stacks.into_values() {
        while stack.len() > 1 {
            end(&mut stack, unfinished);
        }
        let outermost = stack.remove(0).1.ended;
        outermost
            .into_iter()
            .for_each(|ended| ended.add_to(&mut tree, &[]));
    }
    tree
}
