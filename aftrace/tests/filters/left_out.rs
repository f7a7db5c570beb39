//! Calls of which the recorder writes the EXIT alone, if they took long enough.

use aarch64_ftrace::trace::{Event, Type};
use aftrace::trace::filter::Filter;
use aftrace::trace::symbols::Symbols;
use proptest::prelude::*;

use super::kernel::{callsite, event, file, opened};
use super::{Made, Seen, made, shown};

/// The EXITs alone of calls that took at least this long, and what each of them spent outside of the others.
fn long_ones(core: u16, calls: &[Made], minimum: u64, out: &mut Vec<Event>, seen: &mut Vec<Seen>) {
    let long = |call: &Made| Some(call.end - call.start).filter(|ticks| *ticks >= minimum);
    for call in calls {
        long_ones(core, &call.callees, minimum, out, seen);
        if let Some(ticks) = long(call) {
            let called: u64 = call.callees.iter().filter_map(long).sum();
            seen.push((core, call.function, call.start, ticks, ticks - called));
            let at = callsite(call.function);
            out.push(event(Type::Exit, call.end, at, ticks as u32));
        }
    }
}

proptest! {
    #[test]
    fn calls_whose_entry_is_left_out_have_the_own_time_that_a_recursion_finds(
        words in prop::collection::vec(prop::collection::vec((0..20_u64, 0..11_usize), 0..60), 2),
        batch in 1..40_usize,
        minimum in 0..120_u64,
    ) {
        let (mut cores, mut expected) = ([vec![], vec![]], vec![]);
        for ((core, words), out) in (0..).zip(&words).zip(&mut cores) {
            long_ones(core, &made(core, words, false), minimum, out, &mut expected);
        }
        expected.sort_unstable();
        let trace = opened(&file(&cores, batch));
        let symbols = Symbols::of_trace(&trace);
        let (seen, _) = shown(&trace, &symbols, &Filter::default(), true);
        prop_assert_eq!(&seen, &expected);
        // One that took just as long is shown.
        let minimum = expected.first().map_or(0, |call| call.3);
        let filter = Filter { minimum, ..Filter::default() };
        expected.retain(|call| call.3 >= minimum);
        prop_assert_eq!(shown(&trace, &symbols, &filter, true), (expected, vec![]));
    }
}
