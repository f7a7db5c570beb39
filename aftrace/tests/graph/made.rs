//! Calls of which some leave no ENTRY, and what they are.

use aarch64_ftrace::trace::{Event, Type};
use aftrace::trace::filter::Filter;
use aftrace::trace::paths::{Paths, Spent};
use aftrace::trace::symbols::Symbols;
use proptest::prelude::*;

use super::kernel::{self, callsite, event, file, opened};
use super::naive::{Tree, add};
use super::{agrees, tree};

/// Calls inside each other at random, of which each leaves its ENTRY by the toss of a coin; what they are is noted as they are made.
struct Made {
    events: Vec<Event>,
    tree: Tree,
    now: u64,
    tosses: Vec<(usize, usize, bool)>,
}

impl Made {
    /// Returns its ticks.
    fn call(&mut self, above: &[String], levels: usize) -> u64 {
        let Some((function, callees, is_seen)) = self.tosses.pop() else {
            return 0;
        };
        let path = [above, &[kernel::FUNCTIONS[function].to_owned()]].concat();
        self.now += 2;
        let start = self.now;
        if is_seen {
            self.events
                .push(event(Type::Entry, start, callsite(function), 0));
        }
        let mut inner = 0;
        for _ in 0..if levels == 0 { 0 } else { callees } {
            inner += self.call(&path, levels - 1);
        }
        self.now += 3;
        let ticks = self.now - start;
        self.events.push(event(
            Type::Exit,
            self.now,
            callsite(function),
            ticks as u32,
        ));
        let spent = Spent {
            calls: 1,
            timed: 1,
            total: ticks,
            own: ticks - inner,
            unfinished: 0,
        };
        add(&mut self.tree, &path, spent);
        ticks
    }
}

proptest! {
    /// Recursions among them: an EXIT alone is not taken for that of an outer call, and each call stands where it was made.
    #[test]
    fn calls_with_and_without_an_entry_stand_where_they_were_made(
        tosses in prop::collection::vec((0..3_usize, 0..4_usize, any::<bool>()), 1..80),
        least in 0..3,
    ) {
        // All with, all without, or mixed.
        let is_seen = |seen| if least == 2 { seen } else { least == 1 };
        let tosses = tosses.into_iter().map(|(f, callees, seen)| (f, callees, is_seen(seen)));
        let mut made = Made { events: Vec::new(), tree: Tree::new(), now: 1, tosses: tosses.collect() };
        // From here on nothing is lost.
        made.tosses.push((5, 0, true));
        while !made.tosses.is_empty() {
            made.call(&[], 6);
        }
        let trace = opened(&file(&[made.events], 7));
        let symbols = Symbols::of_trace(&trace);
        let paths = Paths::new(&trace, &symbols, &Filter::default()).unwrap();
        prop_assert_eq!(tree(&paths), made.tree);
        agrees(&trace, &Filter::default());
    }
}
