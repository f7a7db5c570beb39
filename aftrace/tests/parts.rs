//! What is shown of a part of a trace: some of its cores, some of its time.

mod kernel;

use aarch64_ftrace::trace::{FrameKind, Header, NO_CORE, Type, events_head};
use aftrace::arguments::time_range;
use aftrace::trace::filter::{Filter, first_tick, last_tick};
use aftrace::trace::ram::FrameWriter;
use aftrace::trace::replay::{Style, replay};
use aftrace::trace::report::Report;
use aftrace::trace::symbols::Symbols;
use kernel::{FUNCTIONS, Sums, callsite, event, file, header, opened, replayed};
use proptest::prelude::*;

fn sums(bytes: &[u8], filter: &Filter) -> Sums {
    let trace = opened(bytes);
    let report = Report::new(&trace, &Symbols::of_trace(&trace), filter).unwrap();
    let rows = report.rows.into_iter();
    rows.map(|(name, row)| (name, (row.calls, row.total, row.own)))
        .collect()
}

/// A task that goes on on another core: each call is of the core that it began on, and has all of its time.
#[test]
fn a_core_has_the_calls_that_began_there() {
    let first = vec![
        event(Type::Task, 1, 0, 7),
        event(Type::Entry, 10, callsite(0), 0),
        event(Type::Entry, 11, callsite(1), 0),
        event(Type::Task, 20, 0, 8),
        event(Type::Entry, 41, callsite(2), 0),
    ];
    let second = vec![
        event(Type::Task, 30, 0, 7),
        event(Type::Entry, 31, callsite(3), 0),
        event(Type::Exit, 35, callsite(3), 4),
        event(Type::Exit, 40, callsite(1), 29),
        event(Type::Exit, 50, callsite(0), 40),
    ];
    let bytes = file(&[first, second], 4);
    let of = |core| Filter {
        cores: Some(vec![core]),
        ..Filter::default()
    };
    let named = |rows: &[(usize, (u64, u64, u64))]| -> Sums {
        let rows = rows.iter();
        rows.map(|(at, sum)| (FUNCTIONS[*at].to_owned(), *sum))
            .collect()
    };
    let expected = named(&[(0, (1, 40, 11)), (1, (1, 29, 25)), (2, (0, 0, 0))]);
    assert_eq!(sums(&bytes, &of(0)), expected);
    assert_eq!(sums(&bytes, &of(1)), named(&[(3, (1, 4, 4))]));
    let expected = "\
# DURATION  CPU  TASK           FUNCTION
           [  1]              | /* core 1 runs shell */
  0.064 us [  1] shell        |     irq::handle();
";
    assert_eq!(replayed(&bytes, &of(1)), expected);
    let text = replayed(&bytes, &of(0));
    assert!(
        text.ends_with("outside in:\n# [  0] alloc::vec::Vec<u8>::push\n"),
        "{text}"
    );
}

/// A loss stands where it may be of what is wanted: where it ends behind the time's beginning and begins before its end.
#[test]
fn a_loss_stands_where_its_time_and_its_core_are_wanted() {
    let mut bytes = Vec::new();
    let mut out = FrameWriter::new(&mut bytes);
    out.frame(FrameKind::Header, NO_CORE, &[&header(1).to_bytes()])
        .unwrap();
    let mut first = 0;
    for (time, lost) in [(100, 0), (200, 10), (300, 20), (400, 30)] {
        first += lost;
        let head = events_head(first, lost);
        let event = event(Type::Function, time, callsite(0), 0);
        out.frame(FrameKind::Events, 0, &[&head, &event.to_bytes()])
            .unwrap();
        first += 1;
    }
    let missing = |time, core| {
        let cores = Some(vec![core]);
        let filter = Filter {
            time,
            cores,
            ..Filter::default()
        };
        let text = replayed(&bytes, &filter);
        let numbers = text.lines().filter_map(|line| {
            let (before, _) = line.split_once(" events are missing")?;
            before.rsplit(' ').next()?.parse().ok()
        });
        numbers.collect::<Vec<u64>>()
    };
    assert_eq!(missing(0..=u64::MAX, 0), [10, 20, 30]);
    assert_eq!(missing(0..=u64::MAX, 1), [0_u64; 0]);
    assert_eq!(missing(250..=260, 0), [20]);
    assert_eq!(missing(200..=200, 0), [10, 20]);
    assert_eq!(missing(301..=u64::MAX, 0), [30]);
    assert_eq!(missing(0..=99, 0), [0_u64; 0]);
}

/// The clock is shown in the words that choose a time.
#[test]
fn a_time_that_is_shown_can_be_asked_for() {
    let calls = (0..50).flat_map(|n| {
        let at = 1_000_000_007 + 12_345 * n;
        [
            event(Type::Entry, at, callsite(0), 0),
            event(Type::Exit, at + 3, callsite(0), 3),
        ]
    });
    let trace = opened(&file(&[calls.collect()], 7));
    let symbols = Symbols::of_trace(&trace);
    let lines = |filter: &Filter| {
        let style = Style {
            timestamps: true,
            ..Style::default()
        };
        let mut out = Vec::new();
        replay(&trace, &symbols, filter, &style, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let all = lines(&Filter::default());
    let time = |line: &str| line.split_whitespace().next().unwrap().to_owned();
    assert_eq!(
        all[..2],
        [
            "#            TIME DURATION  CPU  TASK           FUNCTION",
            "    16.000000112   0.048 us [  0] -            | sched::schedule();"
        ]
    );
    for (index, line) in all.iter().enumerate().skip(1) {
        let only = format!("{0}~{0}", time(line));
        let (from, to) = time_range(&only).unwrap();
        let frequency = trace.header.frequency;
        let filter = Filter {
            time: first_tick(from, frequency)..=last_tick(to, frequency),
            ..Filter::default()
        };
        assert_eq!(lines(&filter)[1..], all[index..=index], "{only}");
    }
}

proptest! {
    /// Whatever a tick is: each has the time that is shown of it, and no other.
    #[test]
    fn a_tick_is_within_the_time_that_is_shown_of_it(
        frequency in prop_oneof![Just(24_000_000), Just(54_000_000), Just(19_200_000), Just(1_000_000_000), 1..5_000_000_000_u64],
        tick in prop_oneof![0..1000_u64, 0..1_u64 << 56],
    ) {
        let shown = |tick| Symbols::none(Header { frequency, ..header(1) }).nanoseconds(tick);
        prop_assume!(shown(tick) < u64::MAX);
        let time = shown(tick);
        let (first, last) = (first_tick(time, frequency), last_tick(time, frequency));
        prop_assert!(first <= tick && tick <= last, "{first} {last}");
        prop_assert_eq!((shown(first), shown(last)), (time, time));
        prop_assert!(first == 0 || shown(first - 1) < time);
        prop_assert!(shown(last + 1) > time);
    }
}
