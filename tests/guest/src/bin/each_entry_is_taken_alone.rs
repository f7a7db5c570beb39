//@ cpu: cortex-a53, neoverse-n1
//@ profile: release
//! One ops at a time on an empty function, with a tracer that only returns: what `cargo xtask cycles` takes the executed path of
//! each entry from. Here it is held that the built-in ones did their work, each call once.
#![no_std]
#![no_main]

use aarch64_ftrace::{
    ARGUMENTS_MAX, Count, Cover, Filter, Fregs, GraphOptions, KernelStack, Mode, Ops, Profile,
    ReturnStack, StackSlot, StackTracer,
};
use core::arch::global_asm;
use guest::record::{RECORDER, counts, install, sure};
use guest::returns::{frames, lines};
use guest::{FTRACE, callsite, register, unregister};
use virt::println;

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

const CALLS: usize = 8;

// In asm: what a Rust function does before it returns is not the entry's.
global_asm!(
    ".pushsection .text.ftrace_notrace.path, \"ax\", %progbits",
    ".balign 8",
    ".global path_tracer",
    "path_tracer: ret",
    ".popsection",
);

unsafe extern "C" {
    safe fn path_tracer(ip: usize, parent_ip: usize, ops: &Ops, fregs: &mut Fregs);
}

static PLAIN: [Ops; 2] = [const { Ops::unguarded(path_tracer) }; 2];
static GUARDED: [Ops; 2] = [const { Ops::new(path_tracer) }; 2];
static COUNT: Count = Count::new();
static COVER: Cover = Cover::new();
static PROFILE: Profile = Profile::new();
static STACK: ReturnStack = ReturnStack::new();
static BOUNDS: KernelStack = KernelStack::new();
static SLOTS: [StackSlot; 1] = [const { StackSlot::new() }; 1];
static DEEPEST: StackTracer = StackTracer::new(&FTRACE, &SLOTS);

#[inline(never)]
extern "C" fn traced() {
    core::hint::black_box(());
}

#[inline(never)]
fn calls() {
    for _ in 0..CALLS {
        core::hint::black_box(traced as extern "C" fn())();
    }
}

fn calls_under(all: &[&'static Ops]) {
    for ops in all {
        register(ops, &Filter::at(&[traced as *const () as usize]));
    }
    calls();
    for ops in all {
        unregister(ops);
    }
}

fn main() {
    guest::init();
    let placed = [
        FTRACE.place_count(&COUNT, lines(FTRACE.count_lines(1)), 1),
        FTRACE.place_profile(&PROFILE, lines(FTRACE.profile_lines(1)), 1),
        STACK.set_frames(frames(4)),
    ];
    assert_eq!(placed, [Ok(()); 3]);
    // SAFETY: one core, one stack, nothing is hijacked yet.
    unsafe { FTRACE.switch_return_stack(&STACK) };
    calls_under(&[&PLAIN[0]]);
    calls_under(&[&GUARDED[0]]);
    calls_under(&[&PLAIN[0], &PLAIN[1]]);
    calls_under(&[&GUARDED[0], &GUARDED[1]]);
    let callsite = callsite(traced as *const ());
    calls_under(&[&COUNT]);
    println!("counted {:?}", COUNT.hits(&callsite, 0));
    calls_under(&[&PROFILE]);
    println!(
        "timed {:?}",
        PROFILE.times(&callsite, 0).map(|times| times.hits)
    );
    install(Mode::Overwrite, 1);
    calls_under(&[sure(RECORDER.ops())]);
    counts("recorded", 0);
    calls_under(&[sure(RECORDER.graph_ops())]);
    counts("with entries and exits", 0);
    let whole = GraphOptions {
        arguments: ARGUMENTS_MAX,
        result: true,
        ..GraphOptions::new()
    };
    calls_under(&[sure(RECORDER.graph_ops_with(whole))]);
    counts("with arguments and results", 0);
    calls_under(&[RECORDER.graph_roots()]);
    // Taken away at the first call: what a path is, is the call that has it.
    let lines = lines(FTRACE.cover_lines());
    assert_eq!(FTRACE.place_cover(&COVER, lines), Ok(()));
    calls_under(&[&COVER]);
    println!("covered {:?}", COVER.is_hit(&callsite));
    deepest();
}

/// The first call is the deepest; all others find that they are no deeper.
fn deepest() {
    assert_eq!(BOUNDS.set_bounds(virt::cores::stack(0)), Ok(()));
    // SAFETY: the stack that this core runs on.
    unsafe { FTRACE.switch_kernel_stack(&BOUNDS) };
    let set = DEEPEST.set(&Filter::at(&[traced as *const () as usize]));
    assert!(set.is_ok(), "{set:?}");
    calls();
    println!("deepest {}", DEEPEST.deepest(0).is_some());
    assert!(DEEPEST.unset().is_ok());
}
