//! How many events a second are recorded: four cores call a traced function without a pause, a fifth reads their rings. One JSON
//! object a core, after every event is accounted for. The command line says what a full ring does: `overwrite` or `stop-when-full`.
#![no_std]
#![no_main]

mod reading;
mod writing;

use aarch64_ftrace::record::{RecordError, RecordMemory, Recorder, Sizes};
use aarch64_ftrace::{Filter, Ftrace, Mode};
use reading::Seen;
use virt::platform::Virt;
use virt::{println, timer};

virt::entry!(main);
aarch64_ftrace::reserve_names!(64 * 1024);

/// Cores that write; core 0 reads.
const WRITERS: usize = 4;
const CORES: usize = WRITERS + 1;
const RING_BYTES: usize = 1 << 16;
const EVENTS: u64 = RING_BYTES as u64 / aarch64_ftrace::trace::EVENT_BYTES;
/// How long they write.
const SECONDS: u64 = 1;
const TARGET: &str = if cfg!(target_feature = "neon") {
    "hardfloat"
} else {
    "softfloat"
};

static FTRACE: Ftrace = Ftrace::new(&Virt);
static RECORDER: Recorder = Recorder::new(&FTRACE);
static MEMORY: RecordMemory<{ CORES * RING_BYTES + 4096 }> = RecordMemory::new();

fn main() {
    let mut buffer = [0; 64];
    let word = virt::words::command_line(&mut buffer);
    let mode = match word {
        "overwrite" => Mode::Overwrite,
        "stop-when-full" => Mode::StopWhenFull,
        other => panic!("overwrite or stop-when-full, not {other:?}"),
    };
    install(mode);
    (1..CORES).for_each(writing::start);
    let start = writing::go();
    let mut seen = [const { Seen::new() }; WRITERS];
    while timer::ticks() - start < SECONDS * timer::frequency() {
        for (seen, core) in seen.iter_mut().zip(1..) {
            seen.read(core, mode);
        }
    }
    writing::stop();
    // What was written while they came to their ends is counted, so the time is, too.
    let ns = timer::ticks_to_ns(timer::ticks() - start);
    for (seen, core) in seen.iter_mut().zip(1..) {
        seen.read(core, mode);
        let counts = writing::counts(core);
        seen.assert_all(counts, writing::calls(core), mode);
        println!(
            r#"{{"bench":"record_function_sustained","target":"{TARGET}","mode":"{word}","core":{core},"ns":{ns},"calls":{},"written":{},"overwritten":{},"dropped":{},"read":{},"lost":{}}}"#,
            writing::calls(core),
            counts.written,
            counts.overwritten,
            counts.dropped,
            seen.whole(),
            seen.lost(),
        );
    }
}

fn install(mode: Mode) {
    if let Err(error) = FTRACE.init() {
        panic!("init: {error}");
    }
    let Some(memory) = MEMORY.take() else {
        panic!("the memory is taken once")
    };
    let sizes = Sizes {
        cores: CORES,
        ring_bytes: RING_BYTES as u64,
        mode,
        spare: false,
        task_names: 0,
    };
    sure(RECORDER.install(memory, sizes));
    let function = writing::tracee as *const () as usize;
    let ops = sure(RECORDER.ops());
    if let Err(error) = FTRACE.register(ops, &Filter::at(&[function])) {
        panic!("register: {error}");
    }
}

fn sure<T>(answer: Result<T, RecordError>) -> T {
    match answer {
        Ok(value) => value,
        Err(error) => panic!("recorder: {error}"),
    }
}
