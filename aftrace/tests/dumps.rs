//! What conversions leave out and rewrite; that other programs read them is tested by `cargo xtask test --only readers`.

mod kernel;

use aarch64_ftrace::trace::{Data, Event, Type};
use aftrace::trace::dump::{Omitted, chrome, ctf, fxt, perfetto, trace_dat, uftrace};
use aftrace::trace::filter::Filter;
use aftrace::trace::symbols::Symbols;
use kernel::{callsite, event, file, opened};

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

#[test]
fn what_a_format_has_no_room_for_is_counted() {
    let trace = opened(&file(&[deep(1500)], 100));
    let symbols = Symbols::of_trace(&trace);
    let directory = tempfile::tempdir().unwrap();
    let omitted = uftrace::write(&trace, &symbols, &Filter::default(), directory.path()).unwrap();
    let expected = Omitted {
        calls: 1500 - 1024,
        events: 1500,
    };
    assert_eq!(omitted, expected);
    let records = std::fs::read(directory.path().join("1000000.dat")).unwrap();
    assert_eq!(records.len(), 2 * 1024 * 16);
    let omitted = trace_dat::write(
        &trace,
        &symbols,
        &Filter::default(),
        directory.path(),
        std::io::sink(),
    )
    .unwrap();
    assert_eq!((omitted.calls, omitted.events), (0, 1500));
    let folder = directory.path().join("ctf");
    std::fs::create_dir(&folder).unwrap();
    let all = Filter::default();
    for omitted in [
        ctf::write(&trace, &symbols, &all, &folder),
        fxt::write(&trace, &symbols, &all, std::io::sink()),
        perfetto::write(&trace, &symbols, &all, std::io::sink()),
        chrome::write(&trace, &symbols, &all, std::io::sink()),
    ] {
        let omitted = omitted.unwrap();
        assert_eq!((omitted.calls, omitted.events), (0, 1500));
    }
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
