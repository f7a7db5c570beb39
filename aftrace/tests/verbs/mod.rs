//! A trace of many frames, and what each verb that reads a trace makes of a file, in 192 MiB of address space.

#![allow(dead_code, reason = "each test uses its part")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use aarch64_ftrace::trace::{
    EndReason, FRAME_HEAD_BYTES, FrameCounts, FrameKind, NO_CORE, Type, counts_payload,
    end_payload, events_head,
};
use aftrace::trace::ram::FrameWriter;

use crate::kernel::{self, callsite, event, header};

pub const CORES: u16 = 2;
/// Frames of events, the cores by turns, and the calls in each.
pub const BATCHES: usize = 12;
pub const CALLS: usize = 5;
/// Where the frames of the whole file are: HEADER, SYMBOLS, TASKS; events; in the middle HEADER again, as on a serial line.
pub const SECOND_HEADER: usize = 3 + BATCHES / 2;
/// A batch before and one behind it.
pub const EARLY: usize = 5;
pub const LATE: usize = 12;
pub const COUNTS: usize = 3 + BATCHES + 1;
pub const END: usize = COUNTS + CORES as usize;

#[derive(Clone)]
pub struct Part {
    pub kind: FrameKind,
    pub core: u16,
    pub payload: Vec<u8>,
    pub calls: usize,
}

pub fn part(kind: FrameKind, payload: impl Into<Vec<u8>>) -> Part {
    Part {
        kind,
        core: NO_CORE,
        payload: payload.into(),
        calls: 0,
    }
}

pub fn named(kind: FrameKind, before: &[u8], name: &[u8]) -> Part {
    let mut payload = before.to_vec();
    payload.extend((name.len() as u16).to_le_bytes());
    payload.extend(name);
    part(kind, payload)
}

pub fn batch(number: usize) -> Part {
    let core = number as u16 % CORES;
    let first = (number / CORES as usize * 2 * CALLS) as u64;
    let mut payload = events_head(first, 0).to_vec();
    for call in 0..CALLS {
        let at = callsite((number + call) % 6);
        let start = (1000 + 1000 * number + 100 * call) as u64;
        let took = 10 + call as u32;
        payload.extend(event(Type::Entry, start, at, at as u32 + 64).to_bytes());
        payload.extend(event(Type::Exit, start + u64::from(took), at, took).to_bytes());
    }
    Part {
        core,
        calls: CALLS,
        ..part(FrameKind::Events, payload)
    }
}

pub fn whole() -> Vec<Part> {
    let mut parts = vec![
        part(FrameKind::Header, header(CORES.into()).to_bytes()),
        part(FrameKind::Symbols, kernel::symbols()),
        named(FrameKind::Tasks, &7_u32.to_le_bytes(), b"shell"),
    ];
    parts.extend((0..BATCHES).map(batch));
    parts.insert(SECOND_HEADER, parts[0].clone());
    for core in 0..CORES {
        let counts = FrameCounts {
            written: (BATCHES / CORES as usize * 2 * CALLS) as u64,
            ..FrameCounts::default()
        };
        parts.push(Part {
            core,
            ..part(FrameKind::Counts, counts_payload(counts))
        });
    }
    parts.push(part(FrameKind::End, end_payload(1 << 30, EndReason::Asked)));
    parts
}

/// The file, and where each frame begins, and the last one ends.
pub fn written(parts: &[Part]) -> (Vec<u8>, Vec<usize>) {
    let mut bytes = Vec::new();
    let mut out = FrameWriter::new(&mut bytes);
    let mut offsets = vec![0];
    for Part {
        kind,
        core,
        payload,
        ..
    } in parts
    {
        out.frame(*kind, *core, &[payload]).expect("memory");
        offsets.push(offsets[offsets.len() - 1] + FRAME_HEAD_BYTES + payload.len());
    }
    (bytes, offsets)
}

pub fn without(lost: &[usize]) -> Vec<Part> {
    let parts = whole().into_iter().enumerate();
    let left = parts.filter(|(index, _)| !lost.contains(index));
    left.map(|(_, part)| part).collect()
}

pub const OUTPUT: &str = "output";
pub const VERBS: [&[&str]; 15] = [
    &["replay"],
    &["replay", "--time-filter", "100ns"],
    &["replay", "--tail", "7", "--timestamps"],
    &["report"],
    &["graph"],
    &["dump", "--text=function"],
    &["dump", "--text=function_graph"],
    &["dump", "--chrome"],
    &["dump", "--folded"],
    &["dump", "--flamegraph", OUTPUT],
    &["dump", "--perfetto", OUTPUT],
    &["dump", "--fxt", OUTPUT],
    &["dump", "--ctf", OUTPUT],
    &["dump", "--trace-dat", OUTPUT],
    &["dump", "--uftrace", OUTPUT],
];

/// What a verb makes of a file: its exit code, what it shows and writes, what it says.
#[derive(Clone, Debug, PartialEq)]
pub struct Made {
    pub code: Option<i32>,
    pub shown: Vec<u8>,
    pub files: Vec<(PathBuf, Vec<u8>)>,
    pub says: String,
}

pub fn aftrace(verb: &[&str], bytes: &[u8]) -> Made {
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    fs::write(here.join("x.aft"), bytes).expect("room");
    let mut command = Command::new("sh");
    let limited = "ulimit -v 196608 && exec \"$0\" \"$@\"";
    command.args(["-c", limited, env!("CARGO_BIN_EXE_aftrace")]);
    let command = command.args(verb).arg("x.aft").current_dir(here);
    let output = command.output().expect("a shell");
    Made {
        code: output.status.code(),
        shown: output.stdout,
        files: files(&here.join(OUTPUT)),
        says: String::from_utf8(output.stderr).expect("text"),
    }
}

pub fn files(path: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    if !path.is_dir() {
        return fs::read(path)
            .map(|bytes| (PathBuf::new(), bytes))
            .into_iter()
            .collect();
    }
    let entries = fs::read_dir(path).expect("a folder");
    let mut found: Vec<_> = entries
        .map(|entry| entry.expect("an entry"))
        .map(|entry| {
            (
                entry.file_name().into(),
                fs::read(entry.path()).expect("a file"),
            )
        })
        .collect();
    found.sort();
    found
}
