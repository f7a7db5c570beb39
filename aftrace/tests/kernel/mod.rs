//! A synthetic kernel: the same calls each time, as a trace file, and what they add up to, reckoned while they are made.

#![allow(dead_code, reason = "each test uses its part")]

use std::collections::BTreeMap;

use aarch64_ftrace::trace::{
    EndReason, FrameCounts, FrameKind, NO_CORE, counts_payload, end_payload, events_head,
};
use aarch64_ftrace::trace::{Event, Header, Type};
use aftrace::trace::filter::Filter;
use aftrace::trace::ram::FrameWriter;
use aftrace::trace::replay::{Style, replay};
use aftrace::trace::symbols::Symbols;

pub const TEXT: u64 = 0xffff_0000_4020_0000;
pub const RETURN: u64 = TEXT + 0x8000;
pub const FUNCTIONS: [&str; 6] = [
    "sched::schedule",
    "<fs::Pipe as fs::File>::read",
    "alloc::vec::Vec<u8>::push",
    "irq::handle",
    "fs::open",
    "mem::copy",
];

pub fn header(cpus: u32) -> Header {
    let mut build_id = [0; 32];
    build_id[..20].fill(0xB1);
    Header {
        cpus,
        region_bytes: 1 << 20,
        frequency: 62_500_000,
        text_start: TEXT,
        text_bytes: 0x10_0000,
        link_start: TEXT,
        return_start: RETURN,
        return_bytes: 64,
        controls: 256,
        rings: cpus,
        build_id,
        build_id_len: 20,
        made: 1000,
        boots: 1,
        ..Header::default()
    }
}

pub fn entry(function: usize) -> u64 {
    TEXT + 0x100 * (function as u64 + 1)
}

pub fn callsite(function: usize) -> u64 {
    entry(function) + 12 + 4
}

pub fn event(kind: Type, time: u64, at: u64, upper: u32) -> Event {
    Event::new(kind, time, at, upper, 0, 12)
}

/// Calls, total and self ticks by function.
pub type Sums = BTreeMap<String, (u64, u64, u64)>;

/// One core that calls at random, but always the same.
pub struct Core {
    pub events: Vec<Event>,
    pub sums: Sums,
    now: u64,
    random: u64,
}

impl Core {
    pub fn new(seed: u64) -> Self {
        Self {
            events: Vec::new(),
            sums: Sums::new(),
            now: 10_000 + seed,
            random: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
        }
    }

    fn random(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below
    }

    pub fn task(&mut self, id: u32) {
        self.now += 1;
        self.events.push(event(Type::Task, self.now, 0, id));
    }

    /// Calls `function`, and down to `depth` what it calls, the last one now and then as a tail call. Returns its ticks.
    pub fn call(&mut self, function: usize, parent: u64, depth: u32) -> u64 {
        self.now += 1 + self.random(20);
        let start = self.now;
        self.events
            .push(event(Type::Entry, start, callsite(function), parent as u32));
        let mut inner = 0;
        let calls = if depth == 0 { 0 } else { self.random(4) };
        for index in 0..calls {
            let callee = self.random(FUNCTIONS.len() as u64) as usize;
            let is_tail = index + 1 == calls && self.random(3) == 0;
            let back = if is_tail {
                RETURN
            } else {
                entry(function) + 32
            };
            inner += self.call(callee, back, depth - 1);
        }
        self.now += 1 + self.random(3000);
        let ticks = self.now - start;
        self.events.push(event(
            Type::Exit,
            self.now,
            callsite(function),
            ticks as u32,
        ));
        let sum = self.sums.entry(FUNCTIONS[function].to_owned()).or_default();
        *sum = (sum.0 + 1, sum.1 + ticks, sum.2 + ticks - inner);
        ticks
    }

    pub fn run(mut self, calls: usize) -> Self {
        for _ in 0..calls {
            let function = self.random(FUNCTIONS.len() as u64) as usize;
            self.call(function, entry(5) + 40, 4);
        }
        self
    }
}

pub fn symbols() -> Vec<u8> {
    let mut bytes = Vec::new();
    for (index, name) in FUNCTIONS.iter().enumerate() {
        bytes.extend(entry(index).to_le_bytes());
        bytes.extend(0x100_u32.to_le_bytes());
        bytes.extend((name.len() as u16).to_le_bytes());
        bytes.extend(name.as_bytes());
    }
    bytes
}

/// A file of these cores, `batch` events in a frame, the frames of the cores by turns.
pub fn file(cores: &[Vec<Event>], batch: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut out = FrameWriter::new(&mut bytes);
    out.frame(
        FrameKind::Header,
        NO_CORE,
        &[&header(cores.len() as u32).to_bytes()],
    )
    .unwrap();
    out.frame(FrameKind::Symbols, NO_CORE, &[&symbols()])
        .unwrap();
    let name = b"shell";
    let mut tasks = 7_u32.to_le_bytes().to_vec();
    tasks.extend((name.len() as u16).to_le_bytes());
    tasks.extend(name);
    out.frame(FrameKind::Tasks, NO_CORE, &[&tasks]).unwrap();
    let most = cores.iter().map(Vec::len).max().unwrap_or(0);
    for from in (0..most).step_by(batch) {
        for (core, events) in cores.iter().enumerate() {
            let part = &events[from.min(events.len())..(from + batch).min(events.len())];
            if !part.is_empty() {
                let slots: Vec<u8> = part.iter().flat_map(|event| event.to_bytes()).collect();
                out.frame(
                    FrameKind::Events,
                    core as u16,
                    &[&events_head(from as u64, 0), &slots],
                )
                .unwrap();
            }
        }
    }
    for (core, events) in cores.iter().enumerate() {
        let counts = FrameCounts {
            written: events.len() as u64,
            ..FrameCounts::default()
        };
        out.frame(FrameKind::Counts, core as u16, &[&counts_payload(counts)])
            .unwrap();
    }
    out.frame(
        FrameKind::End,
        NO_CORE,
        &[&end_payload(1 << 30, EndReason::Asked)],
    )
    .unwrap();
    bytes
}

pub fn opened(bytes: &[u8]) -> aftrace::trace::file::Trace {
    use std::io::Write as _;
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    std::io::Seek::rewind(&mut file).unwrap();
    aftrace::trace::file::Trace::index(file, Box::new(|_, _| {})).unwrap()
}

/// The function graph as `aftrace replay` prints it.
pub fn replayed(bytes: &[u8], filter: &Filter) -> String {
    let trace = opened(bytes);
    let symbols = Symbols::of_trace(&trace);
    let mut out = Vec::new();
    replay(&trace, &symbols, filter, &Style::default(), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// Compares with the golden file; or writes it, where that is asked for.
pub fn same(name: &str, bytes: &[u8]) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = folder.join("tests/golden").join(name);
    if std::env::var_os("FTRACE_GOLDEN").is_some_and(|what| what == "write") {
        std::fs::write(&path, bytes).expect("the folder is there");
    }
    let golden = std::fs::read(&path).expect("a golden file");
    assert_eq!(
        String::from_utf8_lossy(&golden),
        String::from_utf8_lossy(bytes),
        "{name}"
    );
    // What is no text may look the same.
    assert!(golden == bytes, "{name}");
}
