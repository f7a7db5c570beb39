//! Names as long as a trace can have them, and more functions than a format has numbers for.

mod kernel;

use std::fs;

use aarch64_ftrace::trace::{DATA_ARGUMENT, Data, Type};
use aftrace::trace::dump::{Omitted, chrome, ctf, folded, fxt, perfetto, trace_dat, uftrace};
use aftrace::trace::file::{Symbol, Trace};
use aftrace::trace::filter::Filter;
use aftrace::trace::symbols::Symbols;
use kernel::{TEXT, event, file, opened};

/// Bytes from a function's entry to the next.
const FUNCTION: u64 = 64;
/// What readers of Fuchsia's format take.
const FXT_NAME: usize = 32_000;

/// A trace in which each of these functions is called once, with eight arguments, by a task of this name.
fn called(names: &[String], task: &str) -> Trace {
    let mut events = vec![event(Type::Task, 1, 0, 7)];
    for (index, _) in names.iter().enumerate() {
        let (at, time) = (TEXT + FUNCTION * index as u64 + 16, 100 * index as u64);
        events.push(event(Type::Entry, time + 10, at, 0));
        let value = |index| Data {
            kind: DATA_ARGUMENT,
            index,
            value: u64::MAX,
        };
        events.extend((0..8).map(|index| value(index).event(0, 12)));
        events.push(event(Type::Exit, time + 90, at, 80));
    }
    let mut trace = opened(&file(&[events], 4000));
    trace.tasks.insert(7, task.to_owned());
    let symbol = |(index, name): (usize, &String)| Symbol {
        address: TEXT + FUNCTION * index as u64,
        bytes: FUNCTION as u32,
        name: name.clone(),
    };
    trace.symbols = names.iter().enumerate().map(symbol).collect();
    trace
}

/// Each record of a file in Fuchsia's format: its type, and all of it.
fn records(mut bytes: &[u8]) -> Vec<(u64, &[u8])> {
    let mut records = Vec::new();
    while let Some(head) = bytes.first_chunk() {
        let head = u64::from_le_bytes(*head);
        let size = 8 * (head >> 4 & 0xfff) as usize;
        assert!(
            (8..=bytes.len()).contains(&size),
            "a record of {size} bytes"
        );
        records.push((head & 15, &bytes[..size]));
        bytes = &bytes[size..];
    }
    assert_eq!(bytes, b"");
    records
}

/// The texts of the records that say one, by number.
fn strings(records: &[(u64, &[u8])]) -> Vec<String> {
    let texts = records
        .iter()
        .filter(|(kind, _)| *kind == 2)
        .map(|(_, record)| {
            let head = u64::from_le_bytes(*record.first_chunk().expect("a head"));
            let length = (head >> 32 & 0x7fff) as usize;
            assert_eq!(record.len(), 8 + length.next_multiple_of(8));
            String::from_utf8(record[8..8 + length].to_vec()).expect("whole characters")
        });
    texts.collect()
}

fn fxt_of(trace: &Trace) -> (Vec<u8>, Omitted) {
    let mut bytes = Vec::new();
    let symbols = Symbols::of_trace(trace);
    let omitted = fxt::write(trace, &symbols, &Filter::default(), &mut bytes);
    (bytes, omitted.expect("written"))
}

#[test]
fn names_are_there_to_their_end_or_counted() {
    let long = |length| "n".repeat(length);
    let odd = format!("n{}", "\u{e9}".repeat(FXT_NAME / 2));
    let names = [
        long(FXT_NAME - 1),
        long(FXT_NAME),
        long(FXT_NAME + 1),
        long(usize::from(u16::MAX)),
        odd.clone(),
    ];
    let trace = called(&names, &long(40_000));
    let (bytes, omitted) = fxt_of(&trace);
    assert_eq!(
        omitted,
        Omitted {
            names: 4,
            ..Omitted::default()
        }
    );
    assert!(omitted.to_string().contains("4 ends of names"), "{omitted}");
    let records = records(&bytes);
    let wanted = [
        long(FXT_NAME - 1),
        long(FXT_NAME),
        long(FXT_NAME),
        long(FXT_NAME),
        odd[..FXT_NAME - 1].to_owned(),
    ];
    assert!(strings(&records) == wanted);
    let events = records.iter().filter(|(kind, _)| *kind == 4).count();
    assert_eq!(events, 2 * names.len());

    let (symbols, all) = (Symbols::of_trace(&trace), Filter::default());
    let scratch = tempfile::tempdir().expect("a folder");
    let [uf, cf] = ["uftrace", "ctf"].map(|name| scratch.path().join(name));
    for folder in [&uf, &cf] {
        fs::create_dir(folder).expect("a folder");
    }
    let (mut dat, mut json, mut proto) = (Vec::new(), Vec::new(), Vec::new());
    let left = [
        uftrace::write(&trace, &symbols, &all, &uf).expect("written"),
        ctf::write(&trace, &symbols, &all, &cf).expect("written"),
        trace_dat::write(&trace, &symbols, &all, scratch.path(), &mut dat).expect("written"),
        chrome::write(&trace, &symbols, &all, &mut json).expect("written"),
        perfetto::write(&trace, &symbols, &all, &mut proto).expect("written"),
    ];
    // Of switches alone, which some have no form for.
    assert!(left.iter().all(|left| left.names == 0 && left.calls == 0));
    let folded = folded::lines(&trace, &symbols, &all).expect("made");
    let read = |path: &std::path::Path| fs::read(path).expect("a file");
    let texts = [
        (read(&uf.join("kernel.sym")), " T ", "\n"),
        (read(&cf.join("metadata")), "\t\"", "\" = "),
        (dat, " t ", "\n"),
        (json, "\"name\":\"", "\","),
        (proto, "", ""),
        (folded.join("\n").into_bytes(), "", " "),
    ];
    for (bytes, before, behind) in &texts {
        let text = String::from_utf8_lossy(bytes);
        for name in &names {
            assert!(
                text.contains(&format!("{before}{name}{behind}")),
                "{before}..{behind}"
            );
        }
    }
}

/// Behind the last number, a name stands in each record: with eight arguments beside it.
#[test]
fn more_functions_than_there_are_references_have_their_names_in_the_records() {
    const REFERENCES: usize = 0x7fff;
    let mut names: Vec<String> = (0..REFERENCES).map(|index| format!("f{index}")).collect();
    names.extend([format!("x{}", "n".repeat(40_000)), "last".to_owned()]);
    let (bytes, omitted) = fxt_of(&called(&names, "shell"));
    assert_eq!(
        omitted,
        Omitted {
            names: 1,
            ..Omitted::default()
        }
    );
    let records = records(&bytes);
    assert_eq!(strings(&records), names[..REFERENCES]);
    let events: Vec<_> = records.iter().filter(|(kind, _)| *kind == 4).collect();
    assert_eq!(events.len(), 2 * names.len());
    let inline = |record: &[u8]| {
        let head = u64::from_le_bytes(*record.first_chunk().expect("a head"));
        (head >> 63 == 1).then_some((head >> 48 & 0x7fff) as usize)
    };
    let inline: Vec<_> = events
        .iter()
        .filter_map(|(_, record)| inline(record))
        .collect();
    assert_eq!(inline, [FXT_NAME, FXT_NAME, 4, 4]);
    for (_, record) in &events[2 * REFERENCES + 2..] {
        assert!(record.windows(4).any(|bytes| bytes == b"last"));
    }
}

/// Each task has a file in a folder of uftrace's.
#[test]
fn more_tasks_than_uftrace_may_have_files_are_refused_before_the_first() {
    let folder = tempfile::tempdir().expect("a folder");
    let events = (1..=65_537_u32).flat_map(|task| {
        let (time, at) = (10 * u64::from(task), TEXT + 16);
        [
            event(Type::Task, time, 0, task),
            event(Type::Entry, time, at, 0),
            event(Type::Exit, time + 1, at, 1),
        ]
    });
    let trace = opened(&file(&[events.collect()], 30_000));
    let (symbols, all) = (Symbols::of_trace(&trace), Filter::default());
    let refused = uftrace::write(&trace, &symbols, &all, folder.path());
    let why = refused.expect_err("too many").to_string();
    assert!(
        why.contains("more than 65536 tasks") && why.contains("take fewer with"),
        "{why}"
    );
    let files = fs::read_dir(folder.path()).expect("a folder");
    assert_eq!(files.count(), 0);
}
