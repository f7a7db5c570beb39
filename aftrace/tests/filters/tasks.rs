//! What tasks do, beside a plain list of it.

use std::collections::{BTreeMap, BTreeSet};

use aarch64_ftrace::trace::{Event, Type};
use aftrace::trace::calls::{Step, Task};
use aftrace::trace::filter::{Filter, Shown};
use aftrace::trace::symbols::Symbols;
use aftrace::trace::tasks::{self, Row};
use proptest::prelude::*;

use super::kernel::{callsite, event, file, opened};

/// What happens on a core next.
#[derive(Clone, Copy, Debug)]
enum Word {
    Switch(u32),
    /// A call of so many ticks.
    Call(usize, u32),
    /// A call of which the end is not recorded.
    Function(usize),
}

fn word() -> impl Strategy<Value = (usize, u64, Word)> {
    let word = prop_oneof![
        (0..4_u32).prop_map(Word::Switch),
        (0..6_usize, 1..40_u32).prop_map(|(function, ticks)| Word::Call(function, ticks)),
        (0..6_usize).prop_map(Word::Function),
    ];
    (0..2_usize, 1..30_u64, word)
}

/// What a core ran from when to when, and the calls in it: function, ticks.
struct Part {
    task: Task,
    from: u64,
    until: u64,
    calls: Vec<(usize, u64)>,
}

fn parts(words: &[(usize, u64, Word)]) -> ([Vec<Event>; 2], [Vec<Part>; 2]) {
    let (mut events, mut parts) = ([vec![], vec![]], [vec![], vec![]]);
    let mut now = 100;
    for &(core, ticks, word) in words {
        now += ticks;
        let part = |task, from| Part {
            task,
            from,
            until: from,
            calls: Vec::new(),
        };
        let (events, parts): (&mut Vec<Event>, &mut Vec<Part>) =
            (&mut events[core], &mut parts[core]);
        if parts.is_empty() {
            parts.push(part(Task::Core(core as u16), now));
        }
        let last = parts.len() - 1;
        match word {
            Word::Switch(task) => {
                events.push(event(Type::Task, now, 0, task));
                parts[last].until = now;
                parts.push(part(
                    match task {
                        0 => Task::Core(core as u16),
                        task => Task::Id(task),
                    },
                    now,
                ));
            }
            Word::Call(function, ticks) => {
                events.push(event(Type::Entry, now, callsite(function), 0));
                now += u64::from(ticks);
                events.push(event(Type::Exit, now, callsite(function), ticks));
                parts[last].calls.push((function, ticks.into()));
            }
            Word::Function(function) => {
                events.push(event(Type::Function, now, callsite(function), 0));
                parts[last].calls.push((function, 0));
            }
        }
        let last = parts.len() - 1;
        parts[last].until = now;
    }
    (events, parts)
}

proptest! {
    #[test]
    fn what_tasks_did_is_what_a_plain_list_says(
        words in prop::collection::vec(word(), 0..80),
        chosen in prop::option::of(prop::collection::vec(0..4_u32, 0..3)),
        batch in 1..20_usize,
    ) {
        let (events, parts) = parts(&words);
        let trace = opened(&file(&events, batch));
        let symbols = Symbols::of_trace(&trace);
        let of = |id| match id {
            0 => vec![Task::Core(0), Task::Core(1)],
            id => vec![Task::Id(id)],
        };
        let tasks: Option<Vec<Task>> = chosen.map(|ids| ids.into_iter().flat_map(of).collect());
        let wanted = |task: &Task| tasks.as_ref().is_none_or(|tasks| tasks.contains(task));

        let (mut rows, mut calls) = (BTreeMap::<Task, Row>::new(), BTreeMap::new());
        let mut functions = BTreeMap::<Task, BTreeSet<usize>>::new();
        for part in parts.iter().flatten().filter(|part| wanted(&part.task)) {
            let row = rows.entry(part.task).or_default();
            row.ran += part.until - part.from;
            row.calls += part.calls.len() as u64;
            row.own += part.calls.iter().map(|call| call.1).sum::<u64>();
            for (function, _) in &part.calls {
                functions.entry(part.task).or_default().insert(*function);
                *calls.entry((part.task, callsite(*function) as u32)).or_insert(0) += 1;
            }
        }
        for (task, functions) in functions {
            rows.entry(task).or_default().functions = functions.len();
        }
        rows.retain(|_, row| *row != Row::default());

        let filter = Filter { tasks: tasks.clone(), ..Filter::default() };
        prop_assert_eq!(tasks::rows(&trace, &symbols, &filter).expect("a file"), rows);
        for fold in [true, false] {
            let (mut seen, mut runs) = (BTreeMap::new(), BTreeMap::new());
            let mut others = 0;
            filter.play(&trace, &symbols, fold, |shown| {
                match shown {
                    Shown::Leaf(leave) | Shown::Step(Step::Leave(leave)) => {
                        *seen.entry((leave.call.task, leave.call.callsite)).or_insert(0) += 1;
                    }
                    Shown::Step(Step::Function(call)) => {
                        *seen.entry((call.task, call.callsite)).or_insert(0) += 1;
                    }
                    // From one that is wanted, or to one.
                    Shown::Step(Step::Switch(core, _, next)) => {
                        let last = runs.insert(core, next).unwrap_or(Task::Core(core));
                        others += usize::from(!wanted(&last) && !wanted(&next));
                    }
                    Shown::Step(_) => {}
                }
                Ok(())
            }).expect("a file");
            prop_assert_eq!(&seen, &calls);
            prop_assert_eq!(others, 0);
        }
    }
}
