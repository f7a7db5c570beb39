//! What counting and timing cost a call of an empty function.

use crate::measure::{Cost, Meter};
use crate::{CALLS, FTRACE, TARGET, per_call, register, tracee, unregister, wall};
use aarch64_ftrace::{Count, CounterLine, Ops, Profile, ReturnFrame, ReturnStack};
use alloc::vec::Vec;
use virt::println;

static COUNT: Count = Count::new();
static PROFILE: Profile = Profile::new();
static STACK: ReturnStack = ReturnStack::new();

fn leak<T>(count: usize, make: fn() -> T) -> &'static mut [T] {
    let mut all = Vec::new();
    all.resize_with(count, make);
    all.leak()
}

/// Prints `count_hit` and `profile_hit`; `base` is the cost of the untraced call.
pub fn counters(meter: Meter, base: Cost) {
    let lines = FTRACE.count_lines(1);
    if let Err(error) = FTRACE.place_count(&COUNT, leak(lines, CounterLine::new), 1) {
        panic!("place_count: {error}");
    }
    let lines = FTRACE.profile_lines(1);
    if let Err(error) = FTRACE.place_profile(&PROFILE, leak(lines, CounterLine::new), 1) {
        panic!("place_profile: {error}");
    }
    if let Err(error) = STACK.set_frames(leak(16, ReturnFrame::new)) {
        panic!("set_frames: {error}");
    }
    // SAFETY: one core, one stack, and nothing is hijacked yet.
    unsafe { FTRACE.switch_return_stack(&STACK) };
    row(meter, "count_hit", &COUNT, base);
    row(meter, "profile_hit", &PROFILE, base);
}

fn row(meter: Meter, bench: &str, ops: &'static Ops, base: Cost) {
    let function = tracee as *const () as usize;
    register(ops, function);
    meter.calls(function, CALLS / 10);
    let cost = meter.calls(function, CALLS);
    unregister(ops);
    if virt::pmu::has_instructions() {
        println!(
            r#"{{"bench":"{bench}","target":"{TARGET}","insns_per_call":{:.1},"overhead_insns":{:.1}}}"#,
            per_call(cost),
            per_call(cost) - per_call(base)
        );
    }
    wall(bench, cost);
}
