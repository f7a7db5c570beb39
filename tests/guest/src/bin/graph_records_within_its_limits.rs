//@ cpu: cortex-a53, max
//@ profile: release
//@ icount: yes
//! Release builds only: the entries are asm, the same in every build, and short calls are to be short.
//! The limits of the function graph: what they leave out leaves no event and no frame, and every function returns as it would.
#![no_std]
#![no_main]

extern crate alloc;

use aarch64_ftrace::record::Item;
use aarch64_ftrace::{DEPTH_MAX, Filter, GraphOptions, Mode, Ops, ReturnStack};
use core::hint::black_box;
use guest::record::{RECORDER, brackets, install, sure};
use guest::returns::{deep, frames, interrupted};
use guest::{FTRACE, count, irq, register, take_counts, unregister};
use virt::println;
use virt::timer::ticks as ticks_now;

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

static STACK: ReturnStack = ReturnStack::new();
static BESIDE: Ops = Ops::unguarded(count);

/// Ticks that only a call takes that is made to.
const LONG: u64 = 1000;
/// Ticks that calls take that go round more or less often.
const SHORT: u64 = 40;
/// So many of them.
const CALLS: u64 = 250;

/// No limit.
const ALL: GraphOptions = GraphOptions::new();

fn handler() {
    assert_eq!(deep(2), 2);
}

fn show(what: &str, call: impl Fn()) {
    brackets(what, &STACK, call);
}

fn five() {
    assert_eq!(deep(5), 5);
}

fn depth(graph: &Ops) {
    let limit = |depth| {
        let options = GraphOptions { depth, ..ALL };
        let same: &Ops = sure(RECORDER.graph_ops_with(options));
        assert!(core::ptr::eq(same, graph));
    };
    for depth in [1, 3, 6, 7, 0] {
        limit(depth);
        show(&alloc::format!("  depth {depth}"), five);
    }
    limit(3);
    show("  interrupted", || assert_eq!(interrupted(1), 4));
    limit(DEPTH_MAX);
    show("  the greatest", five);
    for depth in [DEPTH_MAX + 1, u32::MAX] {
        let refused = RECORDER.graph_ops_with(GraphOptions { depth, ..ALL });
        println!("  {depth}: {:?}", refused.err());
    }
    show("  as before", five);
}

/// Takes so many ticks, or a little more.
#[inline(never)]
fn takes(ticks: u64) {
    let until = ticks_now() + ticks;
    while ticks_now() < until {}
}

/// Short, without the two calls that it makes.
#[inline(never)]
fn both(ticks: u64) {
    takes(0);
    takes(ticks);
    black_box(());
}

/// Is to leave out short calls, or not any more, while it is under way.
#[inline(never)]
fn changes(minimum: u64) {
    sure(RECORDER.graph_ops_with(GraphOptions { minimum, ..ALL }));
    takes(LONG);
}

/// The shortest call that leaves an event, of many of which each is a little longer.
fn shortest(minimum: u64) -> u32 {
    sure(RECORDER.graph_ops_with(GraphOptions { minimum, ..ALL }));
    sure(RECORDER.reset(0));
    for n in 0..CALLS {
        assert_eq!(round(n), n);
    }
    let exits = sure(RECORDER.read(0)).filter_map(|item| match item {
        Item::Event { event, .. } => Some(event),
        _ => None,
    });
    exits.map(|event| event.upper()).min().unwrap_or(0)
}

/// So many times round.
#[inline(never)]
fn round(n: u64) -> u64 {
    let mut sum = 0;
    for _ in 0..n {
        sum = black_box(sum + 1);
    }
    sum
}

fn minimum(graph: &Ops) {
    let limit = |minimum, result| {
        let options = GraphOptions {
            minimum,
            result,
            ..ALL
        };
        let same: &Ops = sure(RECORDER.graph_ops_with(options));
        assert!(core::ptr::eq(same, graph));
    };
    limit(u64::MAX, true);
    show("  none is so long", || both(LONG));
    limit(LONG, false);
    show("  long ones", || both(LONG));
    show("  short ones", || both(0));
    limit(LONG, true);
    show("  with results", || both(LONG));
    limit(u64::MAX, false);
    show("  interrupted", || {
        assert_eq!(interrupted(1), 4);
    });
    limit(0, false);
    show("  from all to long ones", || changes(LONG));
    show("  from long ones to all", || changes(0));
    show("  all", || both(0));
    let least = shortest(SHORT);
    let [same, longer] = [0, 1].map(|more| shortest(u64::from(least) + more));
    println!(
        "  a call as long as the minimum leaves an event {}, a shorter one {}",
        same == least,
        longer == least
    );
    let options = GraphOptions {
        minimum: 1,
        arguments: 2,
        ..ALL
    };
    println!("  {:?}", RECORDER.graph_ops_with(options).err());
}

fn main() {
    guest::init();
    virt::irq::handle(irq::SGI, handler);
    virt::irq::unmask();
    install(Mode::Overwrite, 1);
    assert_eq!(STACK.set_frames(frames(16)), Ok(()));
    // SAFETY: no function has been hijacked yet.
    unsafe { FTRACE.switch_return_stack(&STACK) };
    let at = [
        deep as *const () as usize,
        interrupted as *const () as usize,
        takes as *const () as usize,
        both as *const () as usize,
        changes as *const () as usize,
        round as *const () as usize,
    ];
    let graph = sure(RECORDER.graph_ops_with(ALL));
    register(graph, &Filter::at(&at));
    println!("alone");
    depth(graph);
    minimum(graph);
    register(&BESIDE, &Filter::at(&at));
    println!("beside another tracer");
    depth(graph);
    minimum(graph);
    unregister(&BESIDE);
    println!("which was called {} times", take_counts::<1>()[0]);
    unregister(graph);
}
