//@ cpu: cortex-a53, max
//@ profile: release
//! Release builds only: the entries are asm, the same in every build.
//! Roots and their opposite in the function graph: what is recorded depends on what the task is inside of, alone on a callsite
//! and beside other tracers, through recursion, interrupts, other tasks and stacks without room.
#![no_std]
#![no_main]

extern crate alloc;

use aarch64_ftrace::{Filter, GraphOptions, Mode, Ops, ReturnStack};
use core::hint::black_box;
use guest::record::{RECORDER, brackets, install, sure};
use guest::returns::{frames, interrupted};
use guest::{FTRACE, count, irq, register, take_counts, unregister, without_area};
use virt::println;

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

static STACK: ReturnStack = ReturnStack::new();
/// Another task's.
static OTHER: ReturnStack = ReturnStack::new();
static SMALL: ReturnStack = ReturnStack::new();
static BESIDE: Ops = Ops::unguarded(count);

const ROOTED: GraphOptions = GraphOptions {
    rooted: true,
    ..GraphOptions::new()
};

#[inline(never)]
fn leaf() {
    black_box(());
}

#[inline(never)]
fn middle() {
    leaf();
    black_box(());
}

/// Calls itself, and `middle` innermost.
#[inline(never)]
fn root(deeper: u64) {
    match deeper {
        0 => middle(),
        _ => root(deeper - 1),
    }
    leaf();
    black_box(());
}

#[inline(never)]
fn silent() {
    middle();
    root(0);
    black_box(());
}

/// All of them.
#[inline(never)]
fn outer() {
    leaf();
    root(0);
    leaf();
    silent();
    leaf();
    black_box(());
}

/// A root around it all, in which a part is silent.
#[inline(never)]
fn whole() {
    leaf();
    silent();
    middle();
    black_box(());
}

/// A root whose task gives another one the core.
#[inline(never)]
fn waits() {
    leaf();
    // SAFETY: what is called on the other stack returns on it.
    unsafe { FTRACE.switch_return_stack(&OTHER) };
    middle();
    // SAFETY: as above.
    unsafe { FTRACE.switch_return_stack(&STACK) };
    leaf();
    black_box(());
}

/// A root that is interrupted.
#[inline(never)]
fn holds() {
    interrupted(1);
    leaf();
    black_box(());
}

/// Changes what is asked for under way.
#[inline(never)]
fn changes() {
    leaf();
    sure(RECORDER.graph_ops_with(GraphOptions {
        depth: 1,
        ..GraphOptions::new()
    }));
    middle();
    sure(RECORDER.graph_ops_with(ROOTED));
    leaf();
    black_box(());
}

fn handler() {
    middle();
}

fn show(what: &str, call: impl Fn()) {
    brackets(what, &STACK, call);
}

fn all(functions: &[*const ()]) -> alloc::vec::Vec<usize> {
    functions.iter().map(|at| *at as usize).collect()
}

fn cases() {
    let options = |options| {
        sure(RECORDER.graph_ops_with(options));
    };
    options(GraphOptions::new());
    show("  without roots", outer);
    options(ROOTED);
    show("  rooted", outer);
    show("  a root in itself", || root(2));
    show("  a root around", whole);
    show("  interrupted outside", || {
        interrupted(1);
    });
    show("  interrupted inside", holds);
    show("  waiting", waits);
    assert_eq!((OTHER.depth(), OTHER.overruns()), (0, 0));
    show("  while it changes", changes);
    options(GraphOptions { depth: 2, ..ROOTED });
    show("  no deeper than two", || root(2));
    options(GraphOptions {
        minimum: u64::MAX,
        ..ROOTED
    });
    show("  none is so long", outer);
    options(ROOTED);
    small();
}

/// Roots that find no room mark nothing, and what they call returns.
fn small() {
    sure(RECORDER.reset(0));
    // SAFETY: nothing is open, here and below.
    unsafe { FTRACE.switch_return_stack(&SMALL) };
    root(5);
    assert_eq!(SMALL.depth(), 0);
    println!("  overruns {}", SMALL.overruns() > 0);
    // SAFETY: as above.
    unsafe { FTRACE.switch_return_stack(&STACK) };
    show("  as before", || root(0));
}

fn main() {
    guest::init();
    virt::irq::handle(irq::SGI, handler);
    virt::irq::unmask();
    let roots = all(&[
        root as *const (),
        whole as *const (),
        waits as *const (),
        changes as *const (),
        holds as *const (),
        interrupted as *const (),
    ]);
    println!(
        "without a stack: {:?}",
        FTRACE
            .register(RECORDER.graph_roots(), &Filter::at(&roots))
            .err()
    );
    install(Mode::Overwrite, 1);
    for (stack, room) in [(&STACK, 16), (&OTHER, 16), (&SMALL, 3)] {
        assert_eq!(stack.set_frames(frames(room)), Ok(()));
    }
    // SAFETY: no function has been hijacked yet.
    unsafe { FTRACE.switch_return_stack(&STACK) };
    let graph = sure(RECORDER.graph_ops_with(ROOTED));
    let some = all(&[leaf as *const (), middle as *const (), outer as *const ()]);
    let every = [&some[..], &roots[..], &[silent as *const () as usize]].concat();
    // The graph first: marks count before it all the same.
    register(graph, &Filter::at(&every));
    register(RECORDER.graph_roots(), &Filter::at(&roots[..5]));
    register(
        RECORDER.graph_notrace(),
        &Filter::at(&[silent as *const () as usize]),
    );
    println!("roots that are recorded");
    cases();
    without_area(|| root(0));
    unregister(graph);
    register(graph, &Filter::at(&some));
    println!("roots that are not");
    cases();
    // `root` has the mark alone: its entry finds no area.
    without_area(|| root(0));
    register(&BESIDE, &Filter::at(&every));
    println!("beside another tracer");
    cases();
    unregister(&BESIDE);
    println!("which was called {} times", take_counts::<1>()[0]);
    unregister(RECORDER.graph_roots());
    show("no root any more", outer);
    unregister(RECORDER.graph_notrace());
    sure(RECORDER.graph_ops_with(GraphOptions::new()));
    show("not rooted any more", outer);
    unregister(graph);
}
