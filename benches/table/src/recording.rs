//! What recording costs: each built-in recorder alone on the trivial function.

use crate::measure::{Cost, Meter};
use crate::{CALLS, FTRACE, TARGET, per_call, register, tracee, unregister, wall};
use aarch64_ftrace::record::{RecordError, RecordMemory, Recorder, Sizes};
use aarch64_ftrace::{
    ARGUMENTS_MAX, Fprobe, Fregs, GraphOptions, Mode, Ops, PROBE_WORDS, Probe, ReturnFrame,
    ReturnStack, trace,
};
use alloc::vec::Vec;
use virt::println;

const RING_BYTES: u64 = 1 << 16;
static MEMORY: RecordMemory<{ (1 << 16) + 4096 }> = RecordMemory::new();
static RECORDER: Recorder = Recorder::new(&FTRACE);

/// The function tracer: one event a call, overwriting.
pub fn function(meter: Meter, base: Cost) {
    let sizes = Sizes {
        cores: 1,
        ring_bytes: RING_BYTES,
        mode: Mode::Overwrite,
        spare: false,
        task_names: 0,
    };
    let Some(memory) = MEMORY.take() else {
        panic!("the memory is taken once")
    };
    match RECORDER
        .install(memory, sizes)
        .and_then(|()| RECORDER.ops())
    {
        Ok(ops) => {
            recorder(meter, base, "record_function", ops);
            recorded(0, 1);
            switched(false);
            recorder(meter, base, "record_off", ops);
            switched(true);
        }
        Err(error) => panic!("recorder: {error}"),
    }
    // What was called while it was off left nothing.
    recorded(0, 1);
    graph(meter, base);
}

fn switched(on: bool) {
    if let Err(error) = RECORDER.switch(on) {
        panic!("switch: {error}");
    }
}

/// Each call left an event: what was measured is a call that records.
fn recorded(before: u64, each: u64) {
    let counts: Result<_, RecordError> = RECORDER.counts(0);
    let expected = before + (CALLS / 10 + CALLS) * each;
    match counts {
        Ok(counts) if counts.written == expected => {}
        other => panic!("{expected} events expected, {other:?}"),
    }
}

/// Entry and exit of each call; then with all arguments and the result.
fn graph(meter: Meter, base: Cost) {
    static STACK: ReturnStack = ReturnStack::new();
    let mut frames = Vec::new();
    frames.resize_with(16, ReturnFrame::new);
    if let Err(error) = STACK.set_frames(frames.leak()) {
        panic!("set_frames: {error}");
    }
    // SAFETY: one core, one stack, and nothing is hijacked yet.
    unsafe { FTRACE.switch_return_stack(&STACK) };
    match RECORDER.graph_ops() {
        Ok(ops) => recorder(meter, base, "record_graph", ops),
        Err(error) => panic!("graph: {error}"),
    }
    let calls = CALLS / 10 + CALLS;
    recorded(calls, 2);
    let options = GraphOptions {
        arguments: ARGUMENTS_MAX,
        result: true,
        ..GraphOptions::new()
    };
    match RECORDER.graph_ops_with(options) {
        Ok(ops) => recorder(meter, base, "record_graph_args", ops),
        Err(error) => panic!("graph: {error}"),
    }
    recorded(calls * 3, 3 + u64::from(ARGUMENTS_MAX));
    fprobe(meter, base);
}

/// Entry and exit of each call, by Rust that does nothing there.
fn fprobe(meter: Meter, base: Cost) {
    struct Nothing;
    aarch64_ftrace::notrace! {
        impl Probe for Nothing {
            fn entry(&self, _: usize, _: usize, _: &mut Fregs, _: &mut [u64; PROBE_WORDS]) -> bool {
                true
            }
            fn exit(&self, _: usize, _: usize, _: &mut Fregs, _: &[u64; PROBE_WORDS]) {}
        }
    }
    static FPROBE: Fprobe = Fprobe::new(&Nothing);
    recorder(meter, base, "fprobe", &FPROBE);
}

fn recorder(meter: Meter, base: Cost, name: &str, ops: &'static Ops) {
    register(ops, tracee as *const () as usize);
    meter.calls(tracee as *const () as usize, CALLS / 10);
    let cost = meter.calls(tracee as *const () as usize, CALLS);
    unregister(ops);
    if virt::pmu::has_instructions() {
        let insns = per_call(cost);
        let overhead = insns - per_call(base);
        let bytes = trace::EVENT_BYTES;
        println!(
            r#"{{"bench":"{name}","target":"{TARGET}","insns_per_call":{insns:.1},"overhead_insns":{overhead:.1},"event_bytes":{bytes}}}"#
        );
    }
    wall(name, cost);
}
