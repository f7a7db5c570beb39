//! A trace as a kernel of four cores would leave it: function graph events of five hundred functions, tasks that take turns. The
//! same for the same number of events.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use aarch64_ftrace::trace::{
    EndReason, Event, FrameCounts, FrameKind, Header, NO_CORE, Type, counts_payload, end_payload,
    events_head,
};
use aftrace::trace::ram::FrameWriter;

pub const CORES: u16 = 4;
const FUNCTIONS: u32 = 500;
const TASKS_OF_A_CORE: u32 = 8;
/// Calls that a task may have open.
const DEEPEST: usize = 16;
/// Events in a frame.
const BATCH: usize = 4096;
/// Of so many events one is a switch of tasks.
const SWITCH: u64 = 64;

const TEXT: u64 = 0xffff_0000_4020_0000;
const BYTES_OF_A_FUNCTION: u32 = 0x100;
const FREQUENCY: u64 = 62_500_000;

/// Writes a file of so many events; says how many it has become: each call returns.
///
/// # Errors
/// Those of the file.
pub fn write(path: &Path, events: u64) -> io::Result<u64> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let mut out = FrameWriter::new(&mut file);
    out.frame(FrameKind::Header, NO_CORE, &[&header().to_bytes()])?;
    names(&mut out)?;
    let mut cores: Vec<Core> = (0..CORES)
        .map(|core| Core::new(core, events / u64::from(CORES)))
        .collect();
    while cores.iter().any(|core| !core.is_done()) {
        for core in &mut cores {
            core.frame(&mut out)?;
        }
    }
    for core in &cores {
        let counts = FrameCounts {
            written: core.written,
            ..FrameCounts::default()
        };
        out.frame(FrameKind::Counts, core.number, &[&counts_payload(counts)])?;
    }
    let last = cores.iter().map(|core| core.now).max().unwrap_or(0);
    let end = end_payload(last, EndReason::Asked);
    out.frame(FrameKind::End, NO_CORE, &[&end])?;
    file.flush()?;
    Ok(cores.iter().map(|core| core.written).sum())
}

fn header() -> Header {
    let mut build_id = [0; 32];
    build_id[..20].fill(0x5C);
    Header {
        cpus: CORES.into(),
        region_bytes: 1 << 20,
        frequency: FREQUENCY,
        text_start: TEXT,
        text_bytes: u64::from(FUNCTIONS * BYTES_OF_A_FUNCTION),
        link_start: TEXT,
        return_start: TEXT - 64,
        return_bytes: 64,
        controls: 256,
        rings: CORES.into(),
        build_id,
        build_id_len: 20,
        made: 0,
        boots: 1,
        ..Header::default()
    }
}

fn names<W: Write>(out: &mut FrameWriter<W>) -> io::Result<()> {
    let mut symbols = Vec::new();
    for function in 0..FUNCTIONS {
        let (module, number) = (function % 40, function / 40);
        let name = match function % 3 {
            0 => format!("kernel::module_{module}::Type{number}::method"),
            1 => format!("kernel::module_{module}::function_{number}"),
            _ => format!(
                "<kernel::module_{module}::Type{number} as kernel::traits::Operations>::perform"
            ),
        };
        symbols.extend((TEXT + u64::from(function * BYTES_OF_A_FUNCTION)).to_le_bytes());
        symbols.extend(BYTES_OF_A_FUNCTION.to_le_bytes());
        symbols.extend((name.len() as u16).to_le_bytes());
        symbols.extend(name.as_bytes());
    }
    out.frame(FrameKind::Symbols, NO_CORE, &[&symbols])?;
    let mut tasks = Vec::new();
    for task in 1..=u32::from(CORES) * TASKS_OF_A_CORE {
        let name = format!("worker-{task}");
        tasks.extend(task.to_le_bytes());
        tasks.extend((name.len() as u16).to_le_bytes());
        tasks.extend(name.as_bytes());
    }
    out.frame(FrameKind::Tasks, NO_CORE, &[&tasks])
}

struct Core {
    number: u16,
    now: u64,
    random: u64,
    written: u64,
    wanted: u64,
    /// Of each task the open calls: function and time.
    tasks: Vec<Vec<(u32, u64)>>,
    open: u64,
    running: usize,
    held: Vec<u8>,
}

impl Core {
    fn new(number: u16, wanted: u64) -> Self {
        Self {
            number,
            now: 1_000_000,
            random: (u64::from(number) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15),
            written: 0,
            wanted,
            tasks: vec![Vec::new(); TASKS_OF_A_CORE as usize],
            open: 0,
            running: 0,
            held: Vec::with_capacity(BATCH * 16),
        }
    }

    fn is_done(&self) -> bool {
        self.open == 0 && self.written >= self.wanted
    }

    fn random(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below
    }

    fn push(&mut self, kind: Type, address: u64, upper: u32) {
        let event = Event::new(kind, self.now, address, upper, 0, 12);
        self.held.extend(event.to_bytes());
        self.written += 1;
    }

    fn frame<W: Write>(&mut self, out: &mut FrameWriter<W>) -> io::Result<()> {
        let first = self.written;
        while self.held.len() < BATCH * 16 && !self.is_done() {
            self.step();
        }
        if self.held.is_empty() {
            return Ok(());
        }
        let head = events_head(first, 0);
        out.frame(FrameKind::Events, self.number, &[&head, &self.held])?;
        self.held.clear();
        Ok(())
    }

    fn step(&mut self) {
        self.now += 1 + self.random(30);
        // What is open has to return, each task for itself.
        let ends = self.written + self.open + u64::from(TASKS_OF_A_CORE) >= self.wanted;
        let idle = self.tasks[self.running].is_empty();
        if self.written == 0 || ends && idle || !ends && self.random(SWITCH) == 0 {
            return self.switch(ends);
        }
        let depth = self.tasks[self.running].len();
        let calls = !ends && (idle || depth < DEEPEST && self.random(2) == 0);
        if calls {
            self.enter(depth);
        } else {
            self.leave();
        }
    }

    fn switch(&mut self, ends: bool) {
        let next = match ends {
            true => self.tasks.iter().position(|calls| !calls.is_empty()),
            false => Some(self.random(TASKS_OF_A_CORE.into()) as usize),
        };
        self.running = next.unwrap_or(0);
        let id = u32::from(self.number) * TASKS_OF_A_CORE + self.running as u32 + 1;
        self.push(Type::Task, 0, id);
    }

    /// The outer functions call many others, the inner ones few: so there are some thousand paths.
    fn enter(&mut self, depth: usize) {
        let choices = match depth {
            0..4 => 3,
            4..6 => 2,
            _ => 1,
        };
        let caller = self.tasks[self.running].last().map_or(0, |call| call.0);
        let choice = self.random(choices) as u32;
        let function = (caller * 31 + choice * 7 + depth as u32) % FUNCTIONS;
        let entry = |function: u32| TEXT + u64::from(function * BYTES_OF_A_FUNCTION);
        self.tasks[self.running].push((function, self.now));
        self.open += 1;
        self.push(
            Type::Entry,
            entry(function) + 16,
            (entry(caller) + 32) as u32,
        );
    }

    fn leave(&mut self) {
        let Some((function, start)) = self.tasks[self.running].pop() else {
            return;
        };
        self.open -= 1;
        let address = TEXT + u64::from(function * BYTES_OF_A_FUNCTION) + 16;
        self.push(Type::Exit, address, (self.now - start) as u32);
    }
}
