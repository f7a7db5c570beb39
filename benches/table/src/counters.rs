//! What counting, timing and covering cost a call of an empty function.

use crate::measure::{Cost, Meter};
use crate::{CALLS, FTRACE, TARGET, per_call, register, tracee, unregister, wall};
use aarch64_ftrace::{
    Count, CounterLine, Cover, Filter, KernelStack, Ops, Profile, ReturnFrame, ReturnStack,
    StackSlot, StackTracer,
};
use alloc::vec::Vec;
use virt::println;

static COUNT: Count = Count::new();
static PROFILE: Profile = Profile::new();
static COVER: Cover = Cover::new();
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
    let lines = FTRACE.cover_lines();
    if let Err(error) = FTRACE.place_cover(&COVER, leak(lines, CounterLine::new)) {
        panic!("place_cover: {error}");
    }
    coverage(meter, base);
    stack_check(meter, base);
}

/// A call whose stack is no deeper than the deepest, which is the first.
fn stack_check(meter: Meter, base: Cost) {
    static SLOTS: [StackSlot; 1] = [const { StackSlot::new() }; 1];
    static STACKS: StackTracer = StackTracer::new(&FTRACE, &SLOTS);
    static BOUNDS: KernelStack = KernelStack::new();
    if let Err(error) = BOUNDS.set_bounds(virt::cores::stack(0)) {
        panic!("set_bounds: {error}");
    }
    // SAFETY: the stack that this core runs on.
    unsafe { FTRACE.switch_kernel_stack(&BOUNDS) };
    let function = tracee as *const () as usize;
    if let Err(error) = STACKS.set(&Filter::at(&[function])) {
        panic!("set: {error}");
    }
    meter.calls(function, CALLS / 10);
    let cost = meter.calls(function, CALLS);
    assert!(STACKS.deepest(0).is_some());
    if let Err(error) = STACKS.unset() {
        panic!("unset: {error}");
    }
    print("stack_check", cost, base);
}

/// The first call of a function, of which there is one only; and any call once the callsite is settled.
fn coverage(meter: Meter, base: Cost) {
    const FIRST_CALLS: u32 = 1000;
    let function = tracee as *const () as usize;
    let singly = |prepare: fn()| {
        (0..FIRST_CALLS).fold(Cost::default(), |sum, _| {
            prepare();
            let cost = meter.calls(function, 1);
            Cost {
                insns: sum.insns + cost.insns,
                cycles: sum.cycles + cost.cycles,
                ns: sum.ns + cost.ns,
            }
        })
    };
    let untraced = singly(|| ());
    register(&COVER, function);
    let first = singly(|| COVER.clear());
    if let Err(error) = FTRACE.settle(&COVER) {
        panic!("settle: {error}");
    }
    let after = meter.calls(function, CALLS);
    assert_eq!(COVER.callsites(), 0);
    unregister(&COVER);
    // As so many calls in one loop would cost. An emulator that is held up during the untraced calls makes their time the longer one,
    // which a hundredfold is more than a whole row: then the first calls cost nothing more.
    let scale = CALLS as u32 / FIRST_CALLS;
    let first = Cost {
        insns: base.insns + (first.insns - untraced.insns) * scale,
        cycles: base.cycles + first.cycles.saturating_sub(untraced.cycles) * u64::from(scale),
        ns: base.ns + (first.ns - untraced.ns).max(0.0) * scale as f32,
    };
    print("coverage_first", first, base);
    print("coverage_after", after, base);
}

fn row(meter: Meter, bench: &str, ops: &'static Ops, base: Cost) {
    let function = tracee as *const () as usize;
    register(ops, function);
    meter.calls(function, CALLS / 10);
    let cost = meter.calls(function, CALLS);
    unregister(ops);
    print(bench, cost, base);
}

fn print(bench: &str, cost: Cost, base: Cost) {
    if virt::pmu::has_instructions() {
        let overhead = per_call(cost) - per_call(base);
        // The loop of one of the two may count an instruction more; no sign before a zero.
        let overhead = if overhead.abs() < 0.05 { 0.0 } else { overhead };
        println!(
            r#"{{"bench":"{bench}","target":"{TARGET}","insns_per_call":{:.1},"overhead_insns":{overhead:.1}}}"#,
            per_call(cost),
        );
    }
    wall(bench, cost);
}
