//! Traces that are made for the readers: of everything that a trace can have.

use std::fs;
use std::path::Path;

use aarch64_ftrace::trace::{
    DATA_ARGUMENT, DATA_RESULT, DATA_RETURN_ADDRESS, Data, Event, FrameKind, Type, events_head,
};
use aftrace::trace::file::Trace;
use aftrace::trace::ram::FrameWriter;
use aftrace::trace::symbols::Symbols;
use anyhow::{Result, ensure};

use super::facts::{Call, LARGE, Sample};

#[path = "../../../../aftrace/tests/kernel/mod.rs"]
mod synthetic;

use synthetic::{Core, RETURN, callsite, entry, event};

/// All traces, written below `folder`.
///
/// # Errors
/// They cannot be written, or aftrace does not agree with itself.
pub fn samples(folder: &Path) -> Result<Vec<Sample>> {
    let traces = folder.join("traces");
    let mut samples = Vec::new();
    let made = [
        ("a whole trace", whole(), true),
        ("a trace with gaps", gaps(), true),
        ("a trace with values", values(), true),
        ("a trace of everything without names", everything(), false),
    ];
    for (name, bytes, is_named) in made {
        let path = traces.join(format!("{}.aft", name.replace(' ', "-")));
        fs::write(&path, bytes)?;
        let mut trace = Trace::open(&path)?;
        if name == "a trace with values" {
            name_oddly(&mut trace);
        }
        let symbols = match is_named {
            true => Symbols::of_trace(&trace),
            false => Symbols::none(trace.header),
        };
        samples.push(Sample::new(name, trace, symbols)?);
    }
    let [whole, gaps, values, everything] = &samples[..] else {
        anyhow::bail!("{} traces", samples.len());
    };
    // What the readers are to be tried with is there.
    ensure!(whole.missing.is_empty() && whole.functions.len() == 3 && whole.counted().1 == 2);
    ensure!(gaps.missing.values().sum::<u64>() == 85 && gaps.counted().1 > 2);
    let entered = || values.calls.iter().filter(|call| call.caller.is_some());
    ensure!(entered().all(|call| call.arguments.len() == 2));
    ensure!(
        values
            .calls
            .iter()
            .all(|call| call.result.is_some() == call.duration.is_some())
    );
    let counts = |count| {
        let has = |call: &&Call| call.caller.is_some() && call.arguments.len() == count;
        everything.calls.iter().filter(has).count()
    };
    ensure!((0..=8).all(|count| counts(count) > 0) && everything.others == 5);
    ensure!(everything.calls.iter().any(|call| call.seen.is_some()));
    let unseen = |call: &&Call| call.caller.is_none();
    ensure!(everything.calls.iter().filter(unseen).count() >= 2);
    ensure!(everything.missing.values().sum::<u64>() == 40 && everything.switches.len() == 7);
    Ok(samples)
}

/// Names that a format must not take for more than names.
fn name_oddly(trace: &mut Trace) {
    let names = [
        "a::<\"x\\y\">::f",
        "b::<[u8; 4]>::{closure#0}",
        "<&mut [T] as c::D<'_>>::\u{e9}t\u{e9}",
        "d::$e%s, f@arg1/x64",
        "",
        "(u8) -> *const [u8]",
    ];
    for (symbol, name) in trace.symbols.iter_mut().zip(names) {
        if !name.is_empty() {
            name.clone_into(&mut symbol.name);
        }
    }
    trace.tasks.insert(7, "a \"b\" \\c's".to_owned());
    let long = "the task whose name is longer than a name of Linux";
    trace.tasks.insert(4100, long.to_owned());
}

/// Two cores and three tasks; interrupts in the one that no task runs on; at the end a call that does not return.
fn cores() -> [Vec<Event>; 2] {
    let mut first = Core::new(1);
    first.task(7);
    let mut first = first.run(20);
    first.task(4100);
    let mut first = first.run(15);
    first.task(7);
    let mut first = first.run(5).events;
    let second = Core::new(2).run(40).events;
    // Half a second later, which some formats need more bits for.
    let last = first.last().map_or(0, |event| event.time()) + 30_000_000;
    let caller = (entry(4) + 0x20) as u32;
    // All within a tick of the clock: what stands in what is told by the order alone.
    let short =
        |kind, time, function, upper| event(kind, last - 1000 + time, callsite(function), upper);
    first.extend([
        short(Type::Entry, 0, 1, caller),
        short(Type::Entry, 0, 2, caller),
        short(Type::Exit, 0, 2, 0),
        short(Type::Entry, 0, 5, caller),
        short(Type::Exit, 1, 5, 1),
        short(Type::Exit, 1, 1, 1),
        short(Type::Entry, 1, 1, caller),
        short(Type::Exit, 1, 1, 0),
    ]);
    // From the middle of functions, one of which is the last that the readers are given a name of.
    let callers = [entry(4) + 0x20, entry(5) + 0x20, RETURN + 8];
    let called = |(n, caller)| event(Type::Function, last + 100 + n, callsite(3), caller as u32);
    first.extend((0..).zip(callers).map(called));
    first.push(event(Type::Entry, last + 200, callsite(0), caller));
    first.push(event(Type::Entry, last + 250, callsite(2), caller));
    [first, second]
}

fn whole() -> Vec<u8> {
    synthetic::file(&cores(), 100)
}

/// Of the first core the first 37 events are overwritten, of the second 48 in the middle lost.
fn gaps() -> Vec<u8> {
    let [first, second] = cores();
    let mut bytes = synthetic::file(&[Vec::new(), second[..200].to_vec()], 60);
    let parts = [(0, 37, &first[37..]), (1, 48, &second[248..])];
    let mut out = FrameWriter::new(&mut bytes);
    for (core, lost, events) in parts {
        let slots: Vec<u8> = events.iter().flat_map(|event| event.to_bytes()).collect();
        let number = if core == 0 { 37 } else { 248 };
        let head = events_head(number, lost);
        let written = out.frame(FrameKind::Events, core, &[&head, &slots]);
        written.expect("a vector takes all");
    }
    bytes
}

/// Numbers that a reader could take for others.
const ODD: [u64; 8] = [
    0,
    u64::MAX,
    -22_i64 as u64,
    -9_i32 as u32 as u64,
    1 << 63,
    (1 << 53) + 1,
    0xffff_8000_4020_1000,
    4096,
];

/// The events, each ENTRY with so many arguments and each EXIT with a result where one is wanted; both are told how many came before.
fn with_values(
    events: &[Event],
    arguments: impl Fn(usize) -> u8,
    result: impl Fn(usize) -> bool,
) -> Vec<Event> {
    let mut all = Vec::new();
    let mut count = 0;
    for (number, event) in events.iter().enumerate() {
        all.push(*event);
        let mut value = |kind, index| {
            count += 1;
            let value = match count % 3 {
                0 => ODD[count / 3 % ODD.len()],
                _ => (count as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15),
            };
            Data { kind, index, value }.event(0, 12)
        };
        match event.kind() {
            Some(Type::Entry) => {
                all.extend((0..arguments(number)).map(|index| value(DATA_ARGUMENT, index)));
            }
            Some(Type::Exit) if result(number) => all.push(value(DATA_RESULT, 0)),
            _ => {}
        }
    }
    all
}

/// Two arguments and the result of each call.
fn values() -> Vec<u8> {
    let cores = cores().map(|events| with_values(&events, |_| 2, |_| true));
    synthetic::file(&cores, 100)
}

/// Tasks that go from core to core and one that ends inside of functions, returns whose calls are lost, stacks and triggers, gaps on
/// both cores, calls with no argument to eight of them and with or without a result.
fn everything() -> Vec<u8> {
    let caller = (entry(4) + 0x20) as u32;
    let task = |time, id| event(Type::Task, time, 0, id);
    let enter = |time, function| event(Type::Entry, time, callsite(function), caller);
    let leave = |time, function, ticks| event(Type::Exit, time, callsite(function), ticks);
    let address = |index| {
        let (kind, value) = (DATA_RETURN_ADDRESS, entry(2) + 0x10);
        Data { kind, index, value }.event(0, 12)
    };
    let first = [
        // Entered before the first event that is left.
        leave(1000, 2, 600),
        leave(1010, 4, 900),
        task(1100, 9),
        enter(1110, 0),
        enter(1120, 1),
        leave(1130, 1, 10),
        // It goes on on the other core; another comes, and ends inside of two functions.
        task(1200, LARGE),
        enter(1210, 3),
        enter(1220, 5),
        task(1300, 12),
        enter(1310, 2),
        event(Type::Trigger, 1320, callsite(2), 3),
        event(Type::Stack, 1330, callsite(2), 2),
        address(0),
        address(1),
        leave(1340, 2, 30),
        task(1400, 0),
        // The return of the inner one is lost behind this.
        enter(1410, 4),
        enter(1420, 5),
    ];
    let second = [
        event(Type::Function, 900, callsite(1), caller),
        task(1050, 12),
        enter(1060, 4),
        task(1150, 0),
        task(1250, 9),
        enter(1260, 5),
        leave(1270, 5, 10),
        leave(1350, 0, 240),
        Data {
            kind: DATA_RESULT,
            index: 1,
            value: 5,
        }
        .event(0, 12),
    ];
    let every = |events: &[Event]| with_values(events, |n| (n % 9) as u8, |n| n % 3 > 0);
    let mut bytes = synthetic::file(&[Vec::new(), Vec::new()], 60);
    let mut out = FrameWriter::new(&mut bytes);
    let late = |seed| Core::new(seed).run(30).events;
    let resumed = [vec![leave(9000, 4, 9000 - 1410)], late(5)].concat();
    // By each core so many events are lost before the first part, and before the later one.
    let parts = [
        (0, 15, every(&first), 20, every(&resumed)),
        (1, 0, every(&second), 5, every(&late(6))),
    ];
    for (core, before, early, between, late) in parts {
        let end = before + early.len() as u64;
        for (number, lost, events) in [(before, before, early), (end + between, between, late)] {
            let slots: Vec<u8> = events.iter().flat_map(|event| event.to_bytes()).collect();
            let head = events_head(number, lost);
            let written = out.frame(FrameKind::Events, core, &[&head, &slots]);
            written.expect("a vector takes all");
        }
    }
    bytes
}
