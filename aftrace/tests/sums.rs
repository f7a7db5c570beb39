//! What `report` says of durations, beside the plain computation on all of them.

mod kernel;

use std::collections::BTreeMap;

use aarch64_ftrace::trace::{FrameKind, NO_CORE, Type, events_head};
use aftrace::trace::filter::Filter;
use aftrace::trace::ram::FrameWriter;
use aftrace::trace::report::{Report, Row};
use aftrace::trace::symbols::Symbols;
use kernel::{callsite, entry, event, header};
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
    let trace = kernel::opened(&bytes);
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
