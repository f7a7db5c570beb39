//! Profile and coverage of a trace: the golden file and its texts, what is damaged, what is chosen.
//!
//! `FTRACE_GOLDEN=write cargo test -p aftrace --test added` writes the golden files anew.

mod kernel;

use std::process::Command;

use aarch64_ftrace::trace::{EndReason, FrameKind, NO_CORE, ProfileEntry, end_payload};
use aftrace::trace::added::{AddedError, write_coverage, write_profile};
use aftrace::trace::file::Trace;
use aftrace::trace::filter::Filter;
use aftrace::trace::ram::FrameWriter;
use aftrace::trace::report::Key;
use aftrace::trace::symbols::Symbols;
use kernel::{callsite, header, opened, same, symbols};

/// Of these times, in ticks.
fn profiled(function: usize, own: u64, times: &[u64]) -> ProfileEntry {
    ProfileEntry {
        callsite: callsite(function) as u32 & !7,
        hits: times.len() as u64,
        total: times.iter().sum(),
        own,
        longest: times.iter().copied().max().unwrap_or(0),
        squares: times.iter().map(|&ticks| u128::from(ticks).pow(2)).sum(),
    }
}

fn profile(entries: &[ProfileEntry]) -> Vec<u8> {
    entries.iter().flat_map(|entry| entry.to_bytes()).collect()
}

fn coverage(functions: &[usize]) -> Vec<u8> {
    let low = |&function: &usize| (callsite(function) as u32 & !7).to_le_bytes();
    functions.iter().flat_map(low).collect()
}

/// A trace of these frames.
fn file(frames: &[(FrameKind, u16, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut out = FrameWriter::new(&mut bytes);
    let mut frame = |kind, core, payload: &[u8]| {
        out.frame(kind, core, &[payload]).expect("memory");
    };
    frame(FrameKind::Header, NO_CORE, &header(2).to_bytes());
    frame(FrameKind::Symbols, NO_CORE, &symbols());
    for (kind, core, payload) in frames {
        frame(*kind, *core, payload);
    }
    let end = end_payload(1 << 30, EndReason::Asked);
    frame(FrameKind::End, NO_CORE, &end);
    bytes
}

/// Two cores, one of them in two frames; a time whose square has more than 64 bits; functions that are covered in two frames.
fn whole() -> Vec<u8> {
    let long = 6_250_000_000_000;
    file(&[
        (
            FrameKind::Profile,
            0,
            profile(&[
                profiled(0, 60, &[10, 20, 30]),
                profiled(2, 900, &[500, 1000]),
            ]),
        ),
        (FrameKind::Profile, 0, profile(&[profiled(4, 7, &[7])])),
        (
            FrameKind::Profile,
            1,
            profile(&[profiled(1, long, &[long, long]), profiled(2, 0, &[800; 4])]),
        ),
        (FrameKind::Coverage, NO_CORE, coverage(&[0, 1, 4])),
        (FrameKind::Coverage, NO_CORE, coverage(&[2])),
    ])
}

fn shown(trace: &Trace, filter: &Filter, key: Key) -> Result<String, AddedError> {
    let mut out = Vec::new();
    write_profile(trace, &Symbols::of_trace(trace), filter, &[key], &mut out)?;
    Ok(String::from_utf8(out).expect("text"))
}

fn covered(trace: &Trace, filter: &Filter) -> Result<String, AddedError> {
    let mut out = Vec::new();
    write_coverage(trace, &Symbols::of_trace(trace), filter, &mut out)?;
    Ok(String::from_utf8(out).expect("text"))
}

/// Function and core of each line.
fn order(text: &str) -> Vec<String> {
    let line = |line: &str| {
        let mut words = line.split_whitespace().rev();
        let name = words.next().unwrap_or_default();
        format!("{} {name}", words.next().unwrap_or_default())
    };
    text.lines().skip(1).map(line).collect()
}

#[test]
fn the_golden_file_is_what_the_library_writes_and_is_shown_so() {
    let bytes = whole();
    same("added.aft", &bytes);
    let trace = opened(&bytes);
    assert!(!trace.is_damaged());
    let text = shown(&trace, &Filter::default(), Key::Total).expect("a profile");
    same("added.profile.txt", text.as_bytes());
    let text = covered(&trace, &Filter::default()).expect("a coverage");
    same("added.coverage.txt", text.as_bytes());
}

/// The offsets are those of docs/trace-format.md.
#[test]
fn an_entry_has_the_documents_bytes() {
    let entry = ProfileEntry {
        callsite: 0x4030_2010,
        hits: 2,
        total: 3,
        own: 4,
        longest: 5,
        squares: 0x77 << 64 | 6,
    };
    let bytes = entry.to_bytes();
    assert_eq!(bytes.len(), 56);
    assert_eq!(bytes[..8], [0x10, 0x20, 0x30, 0x40, 0, 0, 0, 0]);
    let words: Vec<u64> = bytes[8..]
        .chunks(8)
        .map(|word| u64::from_le_bytes(word.try_into().expect("eight bytes")))
        .collect();
    assert_eq!(words, [2, 3, 4, 5, 6, 0x77]);
    assert_eq!(ProfileEntry::from_bytes(&bytes), entry);
}

#[test]
fn columns_and_filters_choose() {
    let trace = opened(&whole());
    let all = Filter::default();
    let ordered = |key| order(&shown(&trace, &all, key).expect("a profile"));
    let (read, push) = (
        "1 <fs::Pipe as fs::File>::read",
        "alloc::vec::Vec<u8>::push",
    );
    let last = |text: &str| text.rsplit(' ').next().unwrap_or_default().to_owned();
    let (read_last, push) = (last(read), last(push));
    assert_eq!(ordered(Key::Calls)[0], format!("1 {push}"));
    assert_eq!(ordered(Key::Deviation)[0], format!("0 {push}"));
    assert_eq!(ordered(Key::Own)[1], format!("0 {push}"));
    for key in [Key::Total, Key::Max, Key::Mean, Key::Own] {
        assert!(ordered(key)[0].ends_with(&read_last), "{:?}", ordered(key));
    }
    let named = ordered(Key::Name);
    assert_eq!(named.len(), 5);
    assert_eq!(named[1..3], [format!("0 {push}"), format!("1 {push}")]);
    for key in [Key::Min, Key::P50, Key::P99] {
        assert!(matches!(shown(&trace, &all, key), Err(AddedError::Column)));
    }
    let one = Filter {
        cores: Some(vec![1]),
        hidden: vec!["*read".to_owned()],
        ..Filter::default()
    };
    let text = shown(&trace, &one, Key::Total).expect("a profile");
    assert_eq!(order(&text), [format!("1 {push}")]);
    let some = Filter {
        functions: vec!["fs::*".to_owned()],
        ..Filter::default()
    };
    let text = covered(&trace, &some).expect("a coverage");
    assert_eq!(text.lines().count(), 1);
    assert!(text.contains(" fs::open"), "{text}");
}

#[test]
fn a_later_profile_counts_and_coverages_add_up() {
    let again = |hits| {
        (
            FrameKind::Profile,
            0,
            profile(&[profiled(0, 1, &vec![1; hits])]),
        )
    };
    let trace = opened(&file(&[
        again(3),
        again(5),
        (FrameKind::Coverage, NO_CORE, coverage(&[1])),
        (FrameKind::Coverage, NO_CORE, coverage(&[1, 0])),
    ]));
    let hits: Vec<u64> = trace
        .added
        .profile
        .values()
        .map(|entry| entry.hits)
        .collect();
    assert_eq!(hits, [5]);
    assert_eq!(trace.added.coverage.as_ref().map(|set| set.len()), Some(2));
}

#[test]
fn a_payload_that_is_no_whole_number_of_functions_is_named_and_passed_over() {
    for (kind, unit) in [(FrameKind::Profile, 56), (FrameKind::Coverage, 4)] {
        for bytes in [1, unit - 1, unit + 1, 2 * unit - 1] {
            let good = (FrameKind::Profile, 1, profile(&[profiled(0, 1, &[1])]));
            let trace = opened(&file(&[(kind, 0, vec![7; bytes]), good]));
            assert_eq!(trace.malformed.len(), 1, "{kind:?} of {bytes} bytes");
            assert!(trace.is_damaged());
            assert_eq!(trace.added.profile.len(), 1);
            assert_eq!(trace.added.coverage, None);
        }
        let trace = opened(&file(&[(kind, 0, Vec::new())]));
        assert!(
            !trace.is_damaged(),
            "nothing is a whole number of functions"
        );
    }
}

#[test]
fn every_damaged_byte_is_noticed() {
    let bytes = whole();
    let good = opened(&bytes);
    for at in (0..bytes.len()).step_by(7) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        let mut file = tempfile::tempfile().expect("a file");
        std::io::Write::write_all(&mut file, &damaged).expect("written");
        std::io::Seek::rewind(&mut file).expect("rewound");
        // The header's frame is the one without which there is no trace.
        if let Ok(trace) = Trace::index(file, Box::new(|_, _| {})) {
            // Four bytes of a frame's head mean nothing, and no CRC is over them.
            assert!(trace.is_damaged() || trace.added == good.added, "at {at}");
            let known = |(at, entry)| good.added.profile.get(at) == Some(entry);
            assert!(trace.added.profile.iter().all(known), "at {at}");
        }
    }
}

#[test]
fn the_verb_shows_them_or_says_that_there_are_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    std::fs::write(path.join("whole.aft"), whole()).expect("written");
    std::fs::write(path.join("none.aft"), file(&[])).expect("written");
    let broken = file(&[(FrameKind::Profile, 0, vec![0; 57])]);
    std::fs::write(path.join("broken.aft"), broken).expect("written");
    let report = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_aftrace"))
            .arg("report")
            .args(arguments)
            .current_dir(path)
            .output()
            .expect("it runs");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        (
            output.status.code(),
            text(output.stdout),
            text(output.stderr),
        )
    };
    let trace = opened(&whole());
    let (code, out, err) = report(&["--profile", "whole.aft"]);
    let text = shown(&trace, &Filter::default(), Key::Total).expect("a profile");
    assert_eq!((code, out, err), (Some(0), text, String::new()));
    let (code, out, err) = report(&["--coverage", "whole.aft"]);
    let text = covered(&trace, &Filter::default()).expect("a coverage");
    assert_eq!((code, out, err), (Some(0), text, String::new()));
    for (what, method) in [
        ("--profile", "send_profile"),
        ("--coverage", "send_coverage"),
    ] {
        let (code, out, err) = report(&[what, "none.aft"]);
        assert!(
            code == Some(2) && out.is_empty() && err.contains(method),
            "{err}"
        );
    }
    let tables = [
        (
            &["--profile", "-F", "shced::*"][..],
            "profile is left: --filter \"shced::*\" matches no function's name: is it sched::schedule?",
        ),
        (
            &["--coverage", "-F", "shced::*"],
            "coverage is left: --filter \"shced::*\" matches no function's name: is it sched::schedule?",
        ),
        (
            &["--profile", "-F", "irq::handle"],
            "--filter \"irq::handle\" matches no function in it (without a choice, all are shown)",
        ),
        (
            &["--coverage", "-N", "*"],
            "coverage is left: --notrace \"*\" hides all",
        ),
        (
            &["--profile", "--core", "7"],
            "profile is left: --core has none of 0, 1",
        ),
        (
            &["--profile", "-F", "fs::open", "--core", "1"],
            "profile is left: each option leaves some, but not all together",
        ),
    ];
    for (choice, why) in tables {
        let (code, out, err) = report(&[choice, &["whole.aft"]].concat());
        assert_eq!((code, out.as_str()), (Some(2), ""), "{choice:?}: {err}");
        assert!(
            err.starts_with("aftrace: whole.aft: no function of the "),
            "{err}"
        );
        assert!(err.contains(why) && err.lines().count() == 1, "{err}");
    }
    // What a choice is not of counts nothing.
    let (code, out, _) = report(&["--coverage", "--core", "7", "whole.aft"]);
    assert_eq!((code, out.lines().count()), (Some(0), 4));
    let (code, _, err) = report(&["--profile", "broken.aft"]);
    assert!(code != Some(0) && err.contains("send_profile"), "{err}");
    let (code, _, err) = report(&["--profile", "--coverage", "whole.aft"]);
    assert!(code == Some(2) && err.contains("cannot be used"), "{err}");
    let (code, _, err) = report(&["--profile", "--sort", "p99", "whole.aft"]);
    assert!(code == Some(2) && err.contains("no such column"), "{err}");
}
