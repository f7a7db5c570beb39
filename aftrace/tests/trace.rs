//! Traces: what is read of them, whatever is damaged or lost, and what is made of that.

mod kernel;

use aarch64_ftrace::trace::{Event, Type};
use aftrace::trace::calls::{Calls, Step};
use aftrace::trace::dump::{chrome, folded};
use aftrace::trace::filter::Filter;
use aftrace::trace::replay::{duration, shorten};
use aftrace::trace::report::Report;
use aftrace::trace::symbols::Symbols;
use aftrace::trace::text;
use kernel::{Core, FUNCTIONS, RETURN, Sums, callsite, entry, event, file, opened, replayed};
use proptest::prelude::*;

fn two_cores() -> (Vec<u8>, Sums) {
    let cores = [Core::new(1).run(40), Core::new(2).run(30)];
    let mut sums = Sums::new();
    for core in &cores {
        for (name, sum) in &core.sums {
            let all = sums.entry(name.clone()).or_default();
            *all = (all.0 + sum.0, all.1 + sum.1, all.2 + sum.2);
        }
    }
    let events: Vec<_> = cores.into_iter().map(|core| core.events).collect();
    (file(&events, 100), sums)
}

fn sums(bytes: &[u8], filter: &Filter) -> Sums {
    let trace = opened(bytes);
    let report = Report::new(&trace, &Symbols::of_trace(&trace), filter).unwrap();
    report
        .rows
        .into_iter()
        .map(|(name, row)| (name, (row.calls, row.total, row.own)))
        .collect()
}

fn steps(events: Vec<Event>) -> Vec<Step> {
    let trace = opened(&file(&[events], 4));
    let mut calls = Calls::new(trace.play().unwrap());
    std::iter::from_fn(|| calls.next().unwrap()).collect()
}

#[test]
fn a_report_adds_up_what_the_kernel_did() {
    let (bytes, expected) = two_cores();
    assert!(
        expected.len() == FUNCTIONS.len() && expected.values().all(|sum| sum.0 > 5),
        "{expected:?}"
    );
    assert_eq!(sums(&bytes, &Filter::default()), expected);
}

#[test]
fn events_come_in_the_order_of_their_time() {
    let (bytes, _) = two_cores();
    let trace = opened(&bytes);
    let mut events = trace.play().unwrap();
    let (mut last, mut count) = (0, 0);
    while let Some(item) = events.next().unwrap() {
        assert!(item.event.time() >= last);
        last = item.event.time();
        count += 1;
    }
    assert_eq!(count, trace.events());
}

#[test]
fn an_overwritten_prefix_loses_no_duration() {
    let core = Core::new(3).run(20);
    // From the middle of a call on: its EXIT says all of it.
    let cut = core.events[37..].to_vec();
    let exits = cut
        .iter()
        .filter(|event| event.kind() == Some(Type::Exit))
        .count();
    let ticks: u64 = cut
        .iter()
        .filter(|event| event.kind() == Some(Type::Exit))
        .map(|event| u64::from(event.upper()))
        .sum();
    let bytes = file(std::slice::from_ref(&cut), 50);
    let all = sums(&bytes, &Filter::default());
    assert_eq!(all.values().map(|sum| sum.0).sum::<u64>(), exits as u64);
    assert_eq!(all.values().map(|sum| sum.1).sum::<u64>(), ticks);
    let unseen = steps(cut)
        .iter()
        .filter(|step| matches!(step, Step::Leave(leave) if !leave.entered))
        .count();
    assert!(
        unseen > 0 && replayed(&bytes, &Filter::default()).contains("entered before the trace")
    );
}

#[test]
fn calls_longer_than_the_duration_field_have_their_whole_duration() {
    let long = (1 << 32) + 5;
    let events = vec![
        event(Type::Entry, 10, callsite(0), 0),
        event(Type::Exit, 10 + long, callsite(0), long as u32),
    ];
    assert_eq!(
        sums(&file(&[events], 4), &Filter::default())[FUNCTIONS[0]].1,
        long
    );
}

#[test]
fn tasks_keep_their_calls_across_cores_and_switches() {
    let first = vec![
        event(Type::Task, 1, 0, 7),
        event(Type::Entry, 10, callsite(0), 0),
        event(Type::Task, 20, 0, 8),
        event(Type::Entry, 21, callsite(1), 0),
        event(Type::Exit, 25, callsite(1), 4),
    ];
    let second = vec![
        event(Type::Task, 30, 0, 7),
        event(Type::Exit, 40, callsite(0), 30),
    ];
    let text = replayed(&file(&[first, second], 4), &Filter::default());
    assert!(
        text.contains("[  1] shell        | } /* sched::schedule */"),
        "{text}"
    );
    assert!(
        text.contains("[  0] task 8       | <fs::Pipe as fs::File>::read();"),
        "{text}"
    );
}

#[test]
fn replay_is_what_a_person_reads() {
    let events = vec![
        event(Type::Entry, 1000, callsite(4), (entry(0) + 32) as u32),
        event(Type::Entry, 1100, callsite(2), (entry(4) + 32) as u32),
        event(Type::Exit, 1200, callsite(2), 100),
        event(Type::Entry, 1300, callsite(5), RETURN as u32),
        event(Type::Entry, 1310, callsite(5), (entry(5) + 32) as u32),
        event(Type::Exit, 1320, callsite(5), 10),
        event(Type::Exit, 1400, callsite(5), 100),
        event(Type::Exit, 64_001_000, callsite(4), 64_000_000),
        event(
            Type::Function,
            64_001_001,
            callsite(3),
            (entry(0) + 32) as u32,
        ),
        event(Type::Entry, 64_001_002, callsite(0), 0),
    ];
    let bytes = file(&[events], 3);
    let expected = "\
# DURATION  CPU  TASK           FUNCTION
           [  0] -            | fs::open() {
  1.600 us [  0] -            |   alloc::vec::Vec<u8>::push();
           [  0] -            |   mem::copy() { /* tail call */
  0.160 us [  0] -            |     mem::copy();
  1.600 us [  0] -            |   } /* mem::copy */
  1.024  s [  0] -            | } /* fs::open */
           [  0] -            | irq::handle(); /* from sched::schedule */
           [  0] -            | sched::schedule() {

# not returned when the trace ends, from the outside in:
# [  0] sched::schedule
";
    assert_eq!(replayed(&bytes, &Filter::default()), expected);
    let trace = opened(&bytes);
    let symbols = Symbols::of_trace(&trace);
    let mut out = Vec::new();
    text::function_graph(&trace, &symbols, &Filter::default(), &mut out).unwrap();
    let expected = "\
# tracer: function_graph
#
# CPU  DURATION                  FUNCTION CALLS
# |     |   |                     |   |   |   |
 0)               |  fs::open() {
 0)   1.600 us    |    alloc::vec::Vec<u8>::push();
 0)               |    mem::copy() {
 0)   0.160 us    |      mem::copy();
 0)   1.600 us    |    }
 0) $ 1024000 us  |  }
 0)               |  /* irq::handle <-sched::schedule */
 0)               |  sched::schedule() {
";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
    let mut out = Vec::new();
    text::function(&trace, &symbols, &Filter::default(), &mut out).unwrap();
    let out = String::from_utf8(out).unwrap();
    assert!(
        out.contains(
            "\n          <idle>-0       [000] .....     0.000016: fs::open <-sched::schedule\n"
        ),
        "{out}"
    );
}

#[test]
fn filters_let_through_what_they_say() {
    let (bytes, expected) = two_cores();
    let only = |change: fn(&mut Filter)| {
        let mut filter = Filter::default();
        change(&mut filter);
        sums(&bytes, &filter)
    };
    let hidden = only(|f| f.hidden.push("mem::*".to_owned()));
    assert!(!hidden.contains_key("mem::copy") && !hidden.is_empty());
    let outer = only(|f| f.depth = 1);
    assert_eq!(outer.values().map(|sum| sum.0).sum::<u64>(), 70);
    let open = only(|f| (f.functions, f.depth) = (vec!["fs::open".to_owned()], 1));
    assert!(open.len() == 1 && open["fs::open"].0 <= expected["fs::open"].0);
    let called = only(|f| f.callers.push("fs::open".to_owned()));
    assert!(
        called.values().map(|sum| sum.0).sum::<u64>() < expected.values().map(|sum| sum.0).sum()
    );
    let core: Sums = only(|f| f.cores = Some(vec![1]));
    assert_eq!(core, Core::new(2).run(30).sums);
    let trace = opened(&bytes);
    let symbols = Symbols::of_trace(&trace);
    let mut long = 0;
    let filter = Filter {
        minimum: 2000,
        ..Filter::default()
    };
    filter
        .play(&trace, &symbols, false, |each| {
            if let aftrace::trace::filter::Shown::Step(Step::Leave(leave)) = each {
                assert!(leave.duration >= 2000);
                long += 1;
            }
            Ok(())
        })
        .unwrap();
    let all = Core::new(1)
        .run(40)
        .events
        .into_iter()
        .chain(Core::new(2).run(30).events);
    let expected = all
        .filter(|e| e.kind() == Some(Type::Exit) && e.upper() >= 2000)
        .count();
    assert!(expected > 10 && long == expected, "{long} of {expected}");
    // Each shown line has its brackets.
    let text = replayed(&bytes, &filter);
    assert_eq!(text.matches("() {").count(), text.matches("} /*").count());
}

#[test]
fn chrome_and_folded_have_the_reports_durations() {
    let (bytes, expected) = two_cores();
    let trace = opened(&bytes);
    let symbols = Symbols::of_trace(&trace);
    let mut out = Vec::new();
    chrome::write(&trace, &symbols, &Filter::default(), &mut out).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&out).unwrap();
    let mut found = std::collections::BTreeMap::<String, (u64, u64)>::new();
    let mut open = std::collections::BTreeMap::<u64, Vec<(String, f64)>>::new();
    for event in json["traceEvents"].as_array().unwrap() {
        let time = || event["ts"].as_f64().unwrap();
        let open = open.entry(event["tid"].as_u64().unwrap_or(0)).or_default();
        match event["ph"].as_str().unwrap() {
            "B" => open.push((event["name"].as_str().unwrap().to_owned(), time())),
            "E" => {
                let (name, begun) = open.pop().unwrap();
                let sum = found.entry(name).or_default();
                let duration = ((time() - begun) * 1000.0).round() as u64;
                *sum = (sum.0 + 1, sum.1 + duration);
            }
            other => assert_eq!(other, "M"),
        }
    }
    let wanted = expected
        .iter()
        .map(|(name, sum)| (name.clone(), (sum.0, sum.1 * 16)))
        .collect();
    assert_eq!(found, wanted);
    let lines = folded::lines(&trace, &symbols, &Filter::default()).unwrap();
    let value = |line: &String| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap();
    assert_eq!(
        lines.iter().map(value).sum::<u64>(),
        expected.values().map(|sum| sum.2 * 16).sum::<u64>()
    );
    let mut svg = Vec::new();
    folded::flame_graph(&lines, "test", &mut svg).unwrap();
    assert!(String::from_utf8(svg).unwrap().contains("fs::open"));
}

#[test]
fn a_function_ends_where_it_ends() {
    let trace = opened(&two_cores().0);
    let symbols = Symbols::of_trace(&trace);
    let last = FUNCTIONS.len() - 1;
    let end = entry(last) + 0x100;
    assert_eq!(symbols.name(end as u32 - 4), FUNCTIONS[last]);
    assert_eq!(symbols.name(end as u32), format!("{end:#x}"));
    // A parent is behind the call.
    assert_eq!(symbols.shown_caller(end as u32), FUNCTIONS[last]);
    assert_eq!(symbols.shown_caller(RETURN as u32), "return_to_handler");
    assert!(symbols.is_tail(RETURN as u32 + 63) && !symbols.is_tail(RETURN as u32 + 64));
}

#[test]
fn durations_and_names_as_people_write_them() {
    for (path, short) in [
        ("a::f::<<X as Y>::Z>", "a::f::<...>"),
        ("a::f_<u8>::g", "a::f_<...>::g"),
        ("a::B<c::D>::f", "a::B<...>::f"),
    ] {
        assert_eq!(shorten(path), short);
    }
    let table = [
        (0, "0.000 us"),
        (999, "0.999 us"),
        (1_500_000, "1.500 ms"),
        (61_000_000_000, "1.016  m"),
    ];
    for (ns, text) in table {
        assert_eq!(duration(ns), text);
    }
    let table = [
        ("a::Vec<u8>::push", "a::Vec<...>::push"),
        (
            "<fs::Pipe<T> as fs::File>::read",
            "<fs::Pipe<...> as fs::File>::read",
        ),
        ("f::<fn(u8) -> u8>", "f::<...>"),
    ];
    for (path, short) in table {
        assert_eq!(shorten(path), short);
    }
}

proptest! {
    /// Whatever the events say, they are shown, and brackets stay in order.
    #[test]
    fn no_events_break_the_pairing(words in prop::collection::vec((0_u64..9, 0_u64..5000, 0_usize..6, any::<u32>()), 0..200)) {
        let events: Vec<_> = words
            .into_iter()
            .map(|(kind, time, function, upper)| Event([kind << 56 | time, u64::from(upper) << 32 | u64::from(callsite(function) as u32 & !7)]))
            .collect();
        let bytes = file(&[events.clone(), events], 7);
        let text = replayed(&bytes, &Filter::default());
        prop_assert!(text.starts_with("# DURATION"));
        replayed(&bytes, &Filter { minimum: 100, depth: 3, ..Filter::default() });
        let trace = opened(&bytes);
        folded::lines(&trace, &Symbols::of_trace(&trace), &Filter::default()).unwrap();
    }
}
