//! What `report` says of durations, beside the plain computation on all of them; and of calls whose entry is not seen, by hand.

mod kernel;

use std::collections::BTreeMap;

use aarch64_ftrace::trace::{Event, FrameKind, NO_CORE, Type, events_head};
use aftrace::trace::filter::Filter;
use aftrace::trace::ram::FrameWriter;
use aftrace::trace::report::{Report, Row};
use aftrace::trace::symbols::Symbols;
use kernel::{FUNCTIONS, Sums, callsite, entry, event, file, header, opened, replayed};
use proptest::prelude::*;

/// Two functions of one name: generic code has many.
const NAMES: [&str; 3] = ["twin", "twin", "single"];

fn report(calls: &[(usize, u32)]) -> Report {
    let mut bytes = Vec::new();
    let mut out = FrameWriter::new(&mut bytes);
    let mut symbols = Vec::new();
    for (index, name) in NAMES.iter().enumerate() {
        symbols.extend(entry(index).to_le_bytes());
        symbols.extend(0x100_u32.to_le_bytes());
        symbols.extend((name.len() as u16).to_le_bytes());
        symbols.extend(name.as_bytes());
    }
    let mut now = 1;
    let mut events = Vec::new();
    for &(function, ticks) in calls {
        let at = callsite(function);
        events.extend(event(Type::Entry, now, at, 0).to_bytes());
        now += u64::from(ticks);
        events.extend(event(Type::Exit, now, at, ticks).to_bytes());
        now += 1;
    }
    let frames: [(_, _, &[&[u8]]); 3] = [
        (FrameKind::Header, NO_CORE, &[&header(1).to_bytes()]),
        (FrameKind::Symbols, NO_CORE, &[&symbols]),
        (FrameKind::Events, 0, &[&events_head(0, 0), &events]),
    ];
    for (kind, core, payload) in frames {
        out.frame(kind, core, payload).unwrap();
    }
    let trace = opened(&bytes);
    Report::new(&trace, &Symbols::of_trace(&trace), &Filter::default()).unwrap()
}

fn compare(row: &Row, ticks: &mut [u64]) -> Result<(), TestCaseError> {
    ticks.sort_unstable();
    let calls = ticks.len() as u64;
    let total: u64 = ticks.iter().sum();
    prop_assert_eq!((row.calls, row.timed), (calls, calls));
    prop_assert_eq!(
        (row.total, row.own, row.mean()),
        (total, total, total / calls)
    );
    prop_assert_eq!((row.min, row.max), (ticks[0], ticks[ticks.len() - 1]));
    let mean = total as f64 / calls as f64;
    let squares: f64 = ticks.iter().map(|t| (*t as f64 - mean).powi(2)).sum();
    let deviation = (squares / calls as f64).sqrt();
    let said = row.deviation() as f64;
    // A whole number of ticks, rounded down.
    prop_assert!(
        (said - deviation).abs() <= 1.0 + deviation * 1e-9,
        "deviation {said}, {deviation}"
    );
    for percent in 1..=100 {
        let rank = (calls * percent).div_ceil(100);
        let exact = ticks[rank as usize - 1];
        let said = row.percentile(percent);
        prop_assert!(
            said <= exact && exact - said <= exact / 64,
            "of 100 {percent}: {said}, {exact}"
        );
    }
    Ok(())
}

fn durations() -> impl Strategy<Value = Vec<(usize, u32)>> {
    let any = prop_oneof![0..300_u32, 0..1_000_000_u32, any::<u32>()];
    let of_any_length = prop::collection::vec((0..NAMES.len(), any), 1..200);
    // Long ones that hardly differ.
    let alike = (1..u32::MAX - 100)
        .prop_flat_map(|least| prop::collection::vec((0..NAMES.len(), least..least + 100), 1..200));
    prop_oneof![of_any_length, alike]
}

/// Calls, total and self by function.
fn sums(bytes: &[u8]) -> Sums {
    let trace = opened(bytes);
    let report = Report::new(&trace, &Symbols::of_trace(&trace), &Filter::default());
    let rows = report.unwrap().rows.into_iter();
    rows.map(|(name, row)| (name, (row.calls, row.total, row.own)))
        .collect()
}

#[test]
fn the_own_time_of_an_unseen_call_is_what_was_seen_of_it() {
    // A call from tick 0 to 100, of which the trace has ticks 60 to 100, and in it a call of 30.
    let events = vec![
        event(Type::Entry, 60, callsite(1), 0),
        event(Type::Exit, 90, callsite(1), 30),
        event(Type::Exit, 100, callsite(0), 100),
    ];
    let all = sums(&file(&[events], 4));
    assert_eq!(all[FUNCTIONS[0]], (1, 100, 10));
}

/// Of cores whose events are lost where the second part begins.
fn with_a_loss(before: &[Event], behind: &[Event]) -> Vec<u8> {
    let mut bytes = file(&[before.to_vec()], 4);
    let slots: Vec<u8> = behind.iter().flat_map(|event| event.to_bytes()).collect();
    let head = events_head(before.len() as u64 + 2, 2);
    let mut out = FrameWriter::new(&mut bytes);
    out.frame(FrameKind::Events, 0, &[&head, &slots]).unwrap();
    bytes
}

#[test]
fn a_call_whose_entry_is_left_out_has_its_own_time() {
    let exit =
        |function: usize, time: u64, ticks: u32| event(Type::Exit, time, callsite(function), ticks);
    let enter = |function: usize, time: u64| event(Type::Entry, time, callsite(function), 0);
    let own = |bytes: &[u8]| -> Vec<u64> {
        let all = sums(bytes);
        FUNCTIONS
            .iter()
            .map_while(|name| all.get(*name))
            .map(|sum| sum.2)
            .collect()
    };
    let before = "entered before the trace or what is missing of it";
    // 2 in 1 in 0, then 3 in 0: none has an ENTRY.
    let alone = [
        exit(2, 1150, 30),
        exit(1, 1200, 100),
        exit(3, 1250, 20),
        exit(0, 2000, 1000),
    ];
    let bytes = file(&[alone.to_vec()], 4);
    assert_eq!(own(&bytes), [880, 70, 30, 20]);
    let text = replayed(&bytes, &Filter::default());
    assert_eq!(
        text.matches(", its entry is left out */").count(),
        4,
        "{text}"
    );
    // Behind a loss a call is only seen from the next event on.
    let bytes = with_a_loss(&alone[..2], &alone[2..]);
    assert_eq!(own(&bytes), [750, 70, 30, 0]);
    let text = replayed(&bytes, &Filter::default());
    assert_eq!(
        (
            text.matches("left out").count(),
            text.matches(before).count()
        ),
        (2, 2),
        "{text}"
    );
    // Short calls are left out within 0, and not any more when it calls 3.
    let mixed = [
        enter(0, 1000),
        alone[0],
        alone[1],
        enter(3, 1300),
        exit(3, 1400, 100),
        exit(0, 2000, 1000),
    ];
    let bytes = file(&[mixed.to_vec()], 4);
    assert_eq!(own(&bytes), [800, 70, 30, 100]);
    assert!(!replayed(&bytes, &Filter::default()).contains(before));
    // 2 began behind the loss, and so did not call what 0 called before.
    let first = [enter(0, 1000), enter(1, 1100), exit(1, 1200, 100)];
    let behind = [
        enter(1, 1500),
        exit(1, 1600, 100),
        exit(2, 1700, 250),
        exit(0, 2000, 1000),
    ];
    assert_eq!(own(&with_a_loss(&first, &behind)), [650, 200, 100]);
}

#[test]
fn recursion_with_a_lost_pair_pairs_by_duration() {
    // f at 10, then [EXIT f, ENTRY f lost], EXIT of the second at 50 which took 20.
    let events = [
        event(Type::Entry, 10, callsite(0), 0),
        event(Type::Exit, 50, callsite(0), 20),
    ];
    let bytes = with_a_loss(&events[..1], &events[1..]);
    let all = sums(&bytes);
    assert_eq!((all[FUNCTIONS[0]].0, all[FUNCTIONS[0]].1), (1, 20));
    assert!(replayed(&bytes, &Filter::default()).contains("2 events are missing here"));
}

#[test]
fn calls_that_have_not_returned_are_counted_as_far_as_they_are_shown() {
    let enter = |function: usize, time: u64| event(Type::Entry, time, callsite(function), 0);
    // `fs::open` is open twice, and what it called once more, which is abandoned when the first returns.
    let events = vec![
        enter(4, 10),
        enter(5, 20),
        event(Type::Exit, 40, callsite(4), 30),
        enter(4, 50),
        enter(4, 60),
        enter(1, 70),
    ];
    let trace = opened(&file(&[events], 4));
    let symbols = Symbols::of_trace(&trace);
    let unfinished = |filter: Filter| -> Vec<(String, u64)> {
        let rows = Report::new(&trace, &symbols, &filter).unwrap().rows;
        rows.into_iter()
            .map(|(name, row)| (name, row.unfinished))
            .collect()
    };
    let of = |rows: &[(usize, u64)]| -> Vec<(String, u64)> {
        let rows = rows
            .iter()
            .map(|&(f, calls)| (FUNCTIONS[f].to_owned(), calls));
        rows.collect()
    };
    let all = Filter::default;
    assert_eq!(unfinished(all()), of(&[(1, 1), (4, 2), (5, 1)]));
    let open = || vec!["fs::open".to_owned()];
    let hidden = Filter {
        hidden: open(),
        ..all()
    };
    assert_eq!(unfinished(hidden), of(&[]));
    let skipped = Filter {
        skipped: open(),
        ..all()
    };
    assert_eq!(unfinished(skipped), of(&[(1, 1), (5, 1)]));
    assert_eq!(unfinished(Filter { depth: 1, ..all() }), of(&[(4, 1)]));
}

proptest! {
    #[test]
    fn calls_mean_deviation_and_percentiles_are_those_of_all_durations(calls in durations()) {
        let report = report(&calls);
        let mut by_name = BTreeMap::<&str, Vec<u64>>::new();
        for (function, ticks) in calls {
            by_name.entry(NAMES[function]).or_default().push(ticks.into());
        }
        let names: Vec<_> = report.rows.keys().map(String::as_str).collect();
        prop_assert_eq!(names, by_name.keys().copied().collect::<Vec<_>>());
        for (name, mut ticks) in by_name {
            compare(&report.rows[name], &mut ticks)?;
        }
    }
}
