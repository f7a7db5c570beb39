//! What conversions leave out and rewrite; that other programs read them is tested by `cargo xtask test --only readers`.

mod kernel;

use std::collections::BTreeMap;

use aarch64_ftrace::trace::{DATA_ARGUMENT, DATA_RESULT, DATA_RETURN_ADDRESS, Data, Event, Type};
use aftrace::trace::dump::{Omitted, chrome, ctf, folded, fxt, perfetto, trace_dat, uftrace};
use aftrace::trace::filter::Filter;
use aftrace::trace::symbols::Symbols;
use aftrace::trace::text;
use kernel::{callsite, entry, event, file, opened};

/// A recursion so many levels deep, and a value of each.
fn deep(levels: u64) -> Vec<Event> {
    let value = Data {
        kind: 0,
        index: 0,
        value: 7,
    };
    let down = (0..levels).flat_map(|level| {
        [
            event(Type::Entry, 100 + level, callsite(1), 0),
            value.event(0, 12),
        ]
    });
    let up = (0..levels).map(|level| {
        event(
            Type::Exit,
            100 + levels + level,
            callsite(1),
            2 * level as u32 + 1,
        )
    });
    down.chain(up).collect()
}

/// What each format leaves out of this trace, by its name.
fn left_out(events: &[Event]) -> BTreeMap<&'static str, Omitted> {
    let trace = opened(&file(&[events.to_vec()], 100));
    let (symbols, all) = (Symbols::of_trace(&trace), Filter::default());
    let scratch = tempfile::tempdir().unwrap();
    let folder = |name| {
        let folder = scratch.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        folder
    };
    let sink = std::io::sink;
    let formats = [
        (
            "uftrace",
            uftrace::write(&trace, &symbols, &all, &folder("uftrace")),
        ),
        ("ctf", ctf::write(&trace, &symbols, &all, &folder("ctf"))),
        (
            "trace-dat",
            trace_dat::write(&trace, &symbols, &all, scratch.path(), sink()),
        ),
        ("fxt", fxt::write(&trace, &symbols, &all, sink())),
        ("perfetto", perfetto::write(&trace, &symbols, &all, sink())),
        ("chrome", chrome::write(&trace, &symbols, &all, sink())),
        (
            "text=function",
            text::function(&trace, &symbols, &all, sink()),
        ),
        (
            "text=function_graph",
            text::function_graph(&trace, &symbols, &all, sink()),
        ),
    ];
    formats
        .into_iter()
        .map(|(name, omitted)| (name, omitted.unwrap()))
        .collect()
}

/// Calls, events, values.
fn omitted(calls: u64, events: u64, values: u64) -> Omitted {
    Omitted {
        calls,
        events,
        values,
        ..Omitted::default()
    }
}

#[test]
fn what_a_format_has_no_room_for_is_counted() {
    let too_deep = 1500 - 1024;
    let expected = [
        ("uftrace", omitted(too_deep, 0, too_deep)),
        ("ctf", omitted(0, 0, 0)),
        ("trace-dat", omitted(0, 0, 0)),
        ("fxt", omitted(0, 0, 0)),
        ("perfetto", omitted(0, 0, 0)),
        ("chrome", omitted(0, 0, 0)),
        ("text=function", omitted(0, 0, 0)),
        ("text=function_graph", omitted(0, 0, 0)),
    ];
    assert_eq!(left_out(&deep(1500)), BTreeMap::from(expected));

    let value = |kind, value| {
        Data {
            kind,
            index: 0,
            value,
        }
        .event(0, 12)
    };
    let second = Data {
        kind: DATA_ARGUMENT,
        index: 1,
        value: 2,
    };
    let events = [
        event(Type::Task, 100, 0, 7),
        event(Type::Entry, 110, callsite(1), 0),
        value(DATA_ARGUMENT, 1),
        second.event(0, 12),
        // Fewer arguments than the other.
        event(Type::Entry, 120, callsite(2), 0),
        value(DATA_ARGUMENT, 3),
        event(Type::Exit, 130, callsite(2), 10),
        value(DATA_RESULT, 4),
        event(Type::Exit, 140, callsite(1), 30),
        // Of no call.
        value(DATA_ARGUMENT, 5),
        event(Type::Trigger, 150, callsite(3), 2),
        event(Type::Stack, 160, callsite(3), 1),
        value(DATA_RETURN_ADDRESS, 6),
        // Its ENTRY is lost.
        event(Type::Exit, 170, callsite(4), 160),
    ];
    // The argument of no call, the trigger, the stack and its address.
    let others = 4;
    let expected = [
        ("uftrace", omitted(0, others + 1, 1)),
        ("ctf", omitted(0, others, 0)),
        ("trace-dat", omitted(0, others, 0)),
        ("fxt", omitted(0, others, 0)),
        ("perfetto", omitted(0, others, 0)),
        ("chrome", omitted(0, others + 1, 0)),
        ("text=function", omitted(0, others + 1, 1)),
        ("text=function_graph", omitted(0, others, 0)),
    ];
    assert_eq!(left_out(&events), BTreeMap::from(expected));
}

#[test]
fn calls_that_sums_have_no_time_of_are_counted() {
    let events = [
        event(Type::Entry, 100, callsite(1), 0),
        // Its return is missing, as the one around it returns; the last has not returned.
        event(Type::Entry, 110, callsite(2), 0),
        event(Type::Exit, 150, callsite(1), 50),
        event(Type::Entry, 160, callsite(3), 0),
    ];
    let trace = opened(&file(&[events.to_vec()], 100));
    let (symbols, all) = (Symbols::of_trace(&trace), Filter::default());
    let (lines, omitted) = folded::lines_counted(&trace, &symbols, &all).unwrap();
    assert_eq!(lines, ["<fs::Pipe as fs::File>::read 800"]);
    assert_eq!(omitted.unfinished, 2);
    assert_eq!(
        omitted.to_string(),
        "left out: 2 calls that have not returned, or whose return is missing"
    );
}

/// Programs go by the length of the record where no number is told: Linux's arguments stand behind all else of it.
#[test]
fn arguments_of_trace_dat_end_their_record() {
    let argument = |index, value| {
        let kind = DATA_ARGUMENT;
        Data { kind, index, value }.event(0, 12)
    };
    let mut events = vec![
        event(Type::Entry, 100, callsite(1), 0),
        argument(0, 0x1122_3344_5566_7788),
        argument(1, u64::MAX - 1),
        event(Type::Entry, 110, callsite(2), 0),
    ];
    let written = |events: &[Event]| {
        let trace = opened(&file(&[events.to_vec()], 100));
        let (symbols, all) = (Symbols::of_trace(&trace), Filter::default());
        let (mut dat, scratch) = (Vec::new(), tempfile::tempdir().unwrap());
        trace_dat::write(&trace, &symbols, &all, scratch.path(), &mut dat).unwrap();
        dat
    };
    let has = |dat: &[u8], part: &[u8]| dat.windows(part.len()).any(|bytes| bytes == part);
    // Words behind the head, type of the event, task of core 0, function, depth, four bytes for their alignment, arguments.
    let record = |words: u32, function, depth: u64, arguments: &[u64]| {
        let mut bytes = words.to_le_bytes().to_vec();
        bytes.extend(11_u32.to_le_bytes());
        bytes.extend(1_000_000_u32.to_le_bytes());
        bytes.extend(entry(function).to_le_bytes());
        bytes.extend(depth.to_le_bytes());
        bytes.extend(arguments.iter().flat_map(|value| value.to_le_bytes()));
        bytes
    };
    let dat = written(&events);
    let both = [0x1122_3344_5566_7788, u64::MAX - 1];
    // The first of the sub-buffer; the other 160 nanoseconds later.
    let first = record(10, 1, 0, &both);
    assert!(has(&dat, &first));
    assert!(has(
        &dat,
        &[first, record(6 | 160 << 5, 2, 1, &[])].concat()
    ));
    let told = |dat: &[u8], name: &str, size| {
        let line = format!("\tfield:unsigned long {name};\toffset:24;\tsize:{size};\tsigned:0;\n");
        assert!(has(dat, line.as_bytes()), "{line}");
    };
    told(&dat, "args[]", 0);
    events.truncate(3);
    told(&written(&events), "args[2]", 16);
    // Of a call whose ENTRY is lost no argument is known.
    events.push(event(Type::Exit, 200, callsite(4), 180));
    told(&written(&events), "args[]", 0);
}

/// A kernel may name its tasks as it likes, and a file its functions: none of it is taken for lines of the format.
#[test]
fn a_name_of_several_lines_stays_one_name() {
    let events = [
        event(Type::Task, 100, 0, 7),
        event(Type::Entry, 110, callsite(1), 0),
        event(Type::Exit, 120, callsite(1), 10),
    ];
    let mut trace = opened(&file(&[events.to_vec()], 100));
    trace.tasks.insert(7, "x\ny \\ \"".to_owned());
    for symbol in &mut trace.symbols {
        symbol.name = "f\ng \\ \"".to_owned();
    }
    let (symbols, all) = (Symbols::of_trace(&trace), Filter::default());
    let scratch = tempfile::tempdir().unwrap();
    let [uf, cf] = ["uftrace", "ctf"].map(|name| scratch.path().join(name));
    for folder in [&uf, &cf] {
        std::fs::create_dir(folder).unwrap();
    }
    uftrace::write(&trace, &symbols, &all, &uf).unwrap();
    ctf::write(&trace, &symbols, &all, &cf).unwrap();
    let mut dat = Vec::new();
    trace_dat::write(&trace, &symbols, &all, scratch.path(), &mut dat).unwrap();
    let mut json = Vec::new();
    chrome::write(&trace, &symbols, &all, &mut json).unwrap();
    let read = |path: std::path::PathBuf| std::fs::read(path).unwrap();
    let expected = [
        (read(uf.join("task.txt")), "exename=\"x y \\ '\"\n"),
        (read(uf.join("kernel.sym")), " T f g \\ \"\n"),
        (read(cf.join("metadata")), "\t\"x y \\\\ \\\"\" = 7,\n"),
        (read(cf.join("metadata")), "\t\"f g \\\\ \\\"\" = 1,\n"),
        (dat.clone(), "\n7 x y \\ \"\n"),
        (dat, " t f_g_\\_\"\n"),
        (json.clone(), "\"name\":\"x\\ny \\\\ \\\"\""),
        (json, "\"name\":\"f g \\\\ \\\"\""),
    ];
    for (bytes, text) in expected {
        let bytes = String::from_utf8_lossy(&bytes);
        assert!(bytes.contains(text), "{text:?} is not in {bytes}");
    }
}

#[test]
fn what_is_left_out_is_told_and_nothing_else() {
    let told = |calls, events, values| omitted(calls, events, values).to_string();
    assert_eq!(
        told(0, 2, 0),
        "left out: 2 events that the format has no form for"
    );
    assert_eq!(
        told(0, 2, 1),
        "left out: 2 events that the format has no form for, 1 arguments and results that the format has no room for"
    );
    assert!(told(3, 0, 0).starts_with("left out: 3 calls that are too deep, "));
    assert!(!omitted(0, 0, 1).is_none() && !omitted(0, 1, 0).is_none());
    assert!(!omitted(1, 0, 0).is_none() && omitted(0, 0, 0).is_none());
}

#[test]
fn names_for_trace_cmd_have_no_blanks_and_stay_apart() {
    let table = [
        ("fs::open", "fs::open"),
        (
            "<fs::Pipe as fs::File>::read",
            "<fs::Pipe_as_fs::File>::read",
        ),
        ("f::<(u8, u16), fn(u8) -> u8>", "f::<(u8,u16),fn(u8)->u8>"),
        ("<dyn a::B + Send>::f", "<dyn_a::B_+_Send>::f"),
    ];
    for (name, joined) in table {
        assert_eq!(trace_dat::joined(name), joined);
    }
}
