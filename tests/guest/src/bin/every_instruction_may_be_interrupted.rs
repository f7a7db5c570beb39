//@ cpu: cortex-a53, neoverse-n1, max
//@ profile: release
//@ virtualization: yes
//@ icount: yes
//@ emu-check: writes BLs by hand, to a veneer and without an ops
//! Every instruction of the trampoline, of every entry and of every return handler is interrupted: by a synchronous exception, an
//! IRQ, an FIQ and an SError, whose handlers are traced by the same tracers and call the same function. The ledger of
//! docs/architecture.md is measured on the way.
#![no_std]
#![no_main]

use aarch64_ftrace::insn::Insn;
use aarch64_ftrace::{
    ARGUMENTS_MAX, Count, Cover, Filter, Fprobe, Fregs, GraphOptions, KernelStack, Mode, Ops,
    Profile, ReturnStack, StackSlot, StackTracer,
};
use core::hint::black_box;
use guest::keeper::{Keeper, Trash};
use guest::record::{EVENTS, RECORDER, begin_at, install, sure};
use guest::returns::{frames, lines};
use guest::step::ledger;
use guest::step::nest::{self, Case};
use guest::{FTRACE, callsite, probe, raw, register, unregister};
use virt::println;

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);
aarch64_ftrace::veneer!(".text.ftrace_veneer");

static U1: Ops = Ops::unguarded(probe::TRASH);
static U2: Ops = Ops::unguarded(probe::TRASH);
static G1: Ops = Ops::new(probe::TRASH);
static G2: Ops = Ops::new(probe::TRASH);
// SAFETY: written as Ops::direct asks for.
static DIRECT: Ops = unsafe { Ops::direct(probe::DIRECT_TRASH) };
// SAFETY: as above; it does not read x11.
static STRAIGHT: Ops = unsafe { Ops::straight(probe::DIRECT_TRASH) };
static HITS: Count = Count::new();
static TIMES: Profile = Profile::new();
static COVER: Cover = Cover::new();

static STACK: ReturnStack = ReturnStack::new();
static SLOTS: [StackSlot; 1] = [const { StackSlot::new() }; 1];
static STACKS: StackTracer = StackTracer::new(&FTRACE, &SLOTS);
static BOUNDS: KernelStack = KernelStack::new();

/// Enters the window from inside, with the guard taken.
static HOLDER: Ops = Ops::new(hold);

aarch64_ftrace::notrace! {
    extern "C" fn hold(_: usize, _: usize, _: &Ops, _: &mut Fregs) {
        nest::window();
    }
}

#[inline(never)]
fn held(n: u64) -> u64 {
    black_box(n)
}

unsafe extern "C" {
    static __start_ftrace_veneers: i64;
}

/// The slot that `veneer!` reserved.
fn veneer() -> usize {
    let start = &raw const __start_ftrace_veneers;
    // SAFETY: the section is there, as `veneer!` was used.
    let distance = unsafe { start.read() };
    (start as usize).wrapping_add_signed(distance as isize)
}

/// Steps through a case whose callsite has a BL written by hand.
fn by_hand(to: usize, case: &Case) {
    let at = callsite(probe::entry() as *const ()).layout().branch();
    let before = raw::insn(at);
    match Insn::bl(at, to) {
        Ok(bl) => raw::overwrite_insn(at, bl),
        Err(error) => panic!("{error:?}"),
    }
    nest::through(case);
    raw::overwrite_insn(at, before);
}

fn calls() {
    let tracers = Case::tracers;
    nest::through(&tracers("disabled", 0, 0));
    by_hand(raw::trampoline(), &tracers("nop", 0, 0));
    nest::with(&[&U1], &tracers("call", 1, 0));
    nest::with(&[&G1], &tracers("call_guarded", 0, 1));
    nest::with(&[&U1, &U2], &tracers("set", 2, 0));
    nest::with(&[&G1, &G2], &tracers("set_guarded", 0, 2));
    nest::with(&[&U1, &G1, &U2, &G2], &tracers("set_mixed", 2, 2));
    nest::with(&[&DIRECT], &tracers("direct", 1, 0));
    nest::with(&[&STRAIGHT], &tracers("straight", 1, 0));
    register(&U1, &Filter::at(&nest::functions()));
    by_hand(veneer(), &tracers("call by a veneer", 1, 0));
    unregister(&U1);
}

/// Where the guard is taken by whoever calls the function.
fn refused() {
    let inside = |case| Case {
        enter: || assert_eq!(held(1), 1),
        ..case
    };
    register(&HOLDER, &Filter::at(&[held as *const () as usize]));
    let tracers = Case::tracers;
    nest::with(&[&G1], &inside(tracers("call_guarded, refused", 0, 1)));
    nest::with(&[&G1, &G2], &inside(tracers("set_guarded, refused", 0, 2)));
    nest::with(&[&U1, &G1], &inside(tracers("set_mixed, refused", 1, 1)));
    unregister(&HOLDER);
}

fn written() -> u64 {
    sure(RECORDER.counts(0)).written
}

fn hits() -> u64 {
    let at = |at: usize| HITS.hits(&callsite(at as *const ()), 0);
    nest::functions().into_iter().filter_map(at).sum()
}

fn timed() -> u64 {
    let at = |at: usize| TIMES.times(&callsite(at as *const ()), 0);
    nest::functions()
        .into_iter()
        .filter_map(at)
        .map(|times| times.hits)
        .sum()
}

/// Whether the times are such as they can be.
fn times_are_possible() -> bool {
    let at = |at: usize| TIMES.times(&callsite(at as *const ()), 0);
    let mut times = nest::functions().into_iter().filter_map(at);
    times.all(|each| each.own <= each.total && each.longest <= each.total)
        && TIMES
            .times(&callsite(probe::entry() as *const ()), 0)
            .is_some_and(|each| each.longest > 0)
}

/// All that a graph can record of a call.
const WHOLE: GraphOptions = GraphOptions {
    arguments: ARGUMENTS_MAX,
    result: true,
    ..GraphOptions::new()
};

/// Calls the window from inside.
#[inline(never)]
fn outer() {
    nest::window();
    black_box(());
}

/// Where the graph's options leave a call out.
fn limited() {
    let options = GraphOptions { depth: 1, ..WHOLE };
    let more = sure(RECORDER.graph_ops_with(options));
    let [probe, irq, fiq, serror] = nest::functions();
    let at = [outer as *const () as usize, probe, irq, fiq, serror];
    register(more, &Filter::at(&at));
    let case = Case {
        enter: outer,
        prepare: || sure(RECORDER.reset(0)),
        // The outer call's alone.
        intact: || written() == 3 + u64::from(ARGUMENTS_MAX),
        ..Case::builtin("graph with options, too deep", || 0, 0)
    };
    nest::through(&case);
    unregister(more);
}

/// What marks what it calls: no event, and the state is as it was.
fn marked() {
    for (name, mark) in [
        ("graph root", RECORDER.graph_roots()),
        ("graph notrace", RECORDER.graph_notrace()),
    ] {
        let case = Case {
            hijacked: true,
            ..Case::builtin(name, || 0, 0)
        };
        nest::with(&[mark], &case);
    }
    nest::with(
        &[RECORDER.graph_roots()],
        &Case::no_room("graph root, no room"),
    );
}

/// Where only long calls leave an event, which the probe's are, and then no call is.
fn of_a_least_duration() {
    let hijacked = |case| Case {
        hijacked: true,
        ..case
    };
    let of = |minimum| GraphOptions {
        result: true,
        minimum,
        ..GraphOptions::new()
    };
    let more = sure(RECORDER.graph_ops_with(of(1)));
    let case = hijacked(Case::builtin("graph of long calls", written, 2));
    nest::with(&[more], &case);
    let more = sure(RECORDER.graph_ops_with(of(u64::MAX)));
    let case = hijacked(Case::builtin("graph of long calls, short", written, 0));
    nest::with(&[more], &case);
}

static KEEPERS: [Keeper; 2] = [Keeper::new(1, 0x5a5a), Keeper::new(1, 0xa5a5)];
static PROBES: [Fprobe; 2] = [Fprobe::new(&KEEPERS[0]), Fprobe::new(&KEEPERS[1])];

static TRASH_ENTRY: Fprobe = Fprobe::new(&Trash { at_exit: false });
static TRASH_EXIT: Fprobe = Fprobe::new(&Trash { at_exit: true });

/// Calls at entry and return: one, two of them, and beside the graph; refused and without room.
fn probes() {
    let guarded = |name, guarded| Case {
        hijacked_guarded: true,
        ..Case::tracers(name, 0, guarded)
    };
    let kept = |name, each| Case {
        counted: || KEEPERS.iter().map(Keeper::calls).sum(),
        intact: || KEEPERS.iter().all(Keeper::is_intact),
        ..guarded(name, each)
    };
    let graph = sure(RECORDER.graph_ops());
    let [first, second]: [&Ops; 2] = [&PROBES[0], &PROBES[1]];
    nest::with(&[&TRASH_ENTRY], &guarded("fprobe", 1));
    nest::with(&[&TRASH_EXIT], &guarded("fprobe, its exit", 1));
    nest::with(&[first], &kept("fprobe that keeps words", 2));
    let two = Case {
        from_set: true,
        ..kept("two fprobes", 4)
    };
    nest::with(&[first, second], &two);
    // Hijacked by the graph, whether the probe is refused or not.
    let beside = Case {
        hijacked: true,
        from_set: true,
        ..kept("graph and fprobe", 2)
    };
    nest::with(&[graph, first], &beside);
    register(&HOLDER, &Filter::at(&[held as *const () as usize]));
    let refused = Case {
        enter: || assert_eq!(held(1), 1),
        ..kept("fprobe, refused", 2)
    };
    nest::with(&[first], &refused);
    unregister(&HOLDER);
    let no_room = Case {
        each: 0,
        guarded: 1,
        tracers: true,
        ..Case::no_room("fprobe, no room")
    };
    nest::with(&[first], &no_room);
}

fn builtin() {
    let (record, graph) = (sure(RECORDER.ops()), sure(RECORDER.graph_ops()));
    let hijacking = |case| Case {
        hijacked: true,
        // The path through the longest time depends on what was measured before.
        prepare: || TIMES.clear(),
        ..case
    };
    let timing = |case| Case {
        intact: times_are_possible,
        ..hijacking(case)
    };
    let builtin = Case::builtin;
    nest::with(&[record], &builtin("record", written, 1));
    nest::with(&[&HITS], &builtin("count", hits, 1));
    // Whoever comes first takes the entry away; what interrupts gives it back, so that the interrupted call meets it.
    let covering = Case {
        prepare: || COVER.clear(),
        after_each: || COVER.clear(),
        ..builtin("cover", || 0, 0)
    };
    nest::with(&[&COVER], &covering);
    nest::with(&[graph], &hijacking(builtin("graph", written, 2)));
    nest::with(&[&TIMES], &timing(builtin("profile", timed, 1)));
    // With all that there is, one slot behind the other, and where the ring ends among them; whoever interrupts leaves it so.
    let more = sure(RECORDER.graph_ops_with(WHOLE));
    let at_begin = || begin_at(0, 1);
    let before_end = || begin_at(EVENTS - 4, 1);
    for (name, begin) in [
        ("graph with arguments", at_begin as fn()),
        ("graph with arguments, slot by slot", before_end),
    ] {
        let case = Case {
            hijacked: true,
            prepare: begin,
            after_each: begin,
            ..builtin(name, || 0, 0)
        };
        nest::with(&[more], &case);
    }
    limited();
    marked();
    of_a_least_duration();
    probes();
    let all = || written() + hits() + timed();
    let four = Case {
        measured: false,
        ..timing(builtin("a set of these four", all, 5))
    };
    nest::with(&[record, &HITS, graph, &TIMES], &four);
    nest::with(&[graph], &Case::no_room("graph, no room"));
    nest::with(&[more], &Case::no_room("graph with arguments, no room"));
    nest::with(&[&TIMES], &Case::no_room("profile, no room"));
    println!("open: {}", STACK.depth());
}

/// What the stack tracer looks at is deeper here than anything that follows.
#[inline(never)]
fn deeper() {
    let mut bytes = [0_u8; 8192];
    black_box(&mut bytes);
    nest::window();
    black_box(&mut bytes);
}

/// A deeper one is not stepped: the tracer's Rust has exclusive stores, which never succeed where each instruction is interrupted.
fn stacks() {
    assert_eq!(BOUNDS.set_bounds(virt::cores::stack(0)), Ok(()));
    // SAFETY: the stack that this core runs on.
    unsafe { FTRACE.switch_kernel_stack(&BOUNDS) };
    if let Err(error) = STACKS.set(&Filter::at(&nest::functions())) {
        panic!("{error}");
    }
    let stack = |name| Case::builtin(name, || 0, 0);
    nest::through(&Case {
        prepare: deeper,
        ..stack("stack")
    });
    nest::through(&Case::offline("stack, not online", || 0));
    if let Err(error) = STACKS.unset() {
        panic!("{error}");
    }
}

/// On a core that is not online.
fn without_area() {
    let offline = |name| Case::offline(name, || written() + hits() + timed());
    let (record, graph) = (sure(RECORDER.ops()), sure(RECORDER.graph_ops()));
    let more = sure(RECORDER.graph_ops_with(WHOLE));
    nest::with(&[&G1], &offline("call_guarded, not online"));
    nest::with(&[&PROBES[0]], &offline("fprobe, not online"));
    nest::with(&[record], &offline("record, not online"));
    nest::with(&[&HITS], &offline("count, not online"));
    nest::with(&[graph], &offline("graph, not online"));
    nest::with(&[more], &offline("graph with arguments, not online"));
    nest::with(
        &[RECORDER.graph_roots()],
        &offline("graph root, not online"),
    );
    nest::with(&[&TIMES], &offline("profile, not online"));
}

fn main() {
    guest::init();
    install(Mode::Overwrite, 1);
    assert_eq!(STACK.set_frames(frames(16)), Ok(()));
    // SAFETY: no function has been hijacked yet.
    unsafe { FTRACE.switch_return_stack(&STACK) };
    let memory = lines(FTRACE.count_lines(1));
    assert_eq!(FTRACE.place_count(&HITS, memory, 1), Ok(()));
    let memory = lines(FTRACE.profile_lines(1));
    assert_eq!(FTRACE.place_profile(&TIMES, memory, 1), Ok(()));
    let memory = lines(FTRACE.cover_lines());
    assert_eq!(FTRACE.place_cover(&COVER, memory), Ok(()));
    nest::install();
    calls();
    refused();
    builtin();
    without_area();
    stacks();
    ledger::report(Mode::Overwrite);
}
