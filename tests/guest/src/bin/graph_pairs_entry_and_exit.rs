//@ cpu: cortex-a53, max
//@ variant: plain, bti
//! The function graph: each call leaves an ENTRY and, when it has returned, an EXIT, alone on its callsite and beside other
//! tracers; a thousand deep, by tail calls, with an interrupt inside, where the stack is full, and in a task that ends inside.
#![no_std]
#![no_main]

extern crate alloc;

use aarch64_ftrace::record::Item;
use aarch64_ftrace::trace::Type;
use aarch64_ftrace::{Filter, Mode, Ops, ReturnStack};
use alloc::vec::Vec;
use core::hint::black_box;
use guest::record::{RECORDER, counts, install, name, sure};
use guest::returns::{deep, frames, interrupted, weigh};
use guest::{FTRACE, count, irq, probe, register, take_counts, unregister, unwind, without_area};
use virt::println;

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

static BESIDE: Ops = Ops::unguarded(count);
static EARLY: Ops = Ops::unguarded(early);
static STACK: ReturnStack = ReturnStack::new();
static SMALL: ReturnStack = ReturnStack::new();

#[inline(never)]
fn outer(n: u64) -> u64 {
    black_box(inner(n) + 1)
}

#[inline(never)]
fn inner(n: u64) -> u64 {
    black_box(n * 2)
}

fn handler() {
    assert_eq!(inner(1), 2);
}

aarch64_ftrace::notrace! {
    extern "C" fn early(_: usize, _: usize, _: &Ops, fregs: &mut aarch64_ftrace::Fregs) {
        fregs.return_early(77);
    }
}

// A tail call whatever the compiler optimises: `tail` has a callsite of its own and ends in a branch to `inner`.
core::arch::global_asm!(
    ".pushsection .text.graph_tail, \"ax\", %progbits",
    ".balign 8",
    "7: nop",
    "nop",
    ".global graph_tail",
    ".type graph_tail, %function",
    "graph_tail: nop",
    "nop",
    "add x0, x0, #10",
    "b {to}",
    ".size graph_tail, . - graph_tail",
    ".popsection",
    ".pushsection __patchable_function_entries, \"awo\", %progbits, .text.graph_tail",
    ".balign 8",
    ".quad 7b",
    ".popsection",
    to = sym tail_end,
);

unsafe extern "C" {
    safe fn graph_tail(n: u64) -> u64;
}

#[inline(never)]
extern "C" fn tail_end(n: u64) -> u64 {
    // SAFETY: main's is the second.
    unsafe { unwind::print(1) };
    black_box(n + 1)
}

/// Prints each event; of an EXIT only whether it fits the ENTRY that it belongs to.
fn events(what: &str) {
    println!("{what}");
    let header = sure(RECORDER.header());
    let mut open = Vec::new();
    for item in sure(RECORDER.read(0)) {
        let Item::Event { event, .. } = item else {
            println!("  {item:?}");
            continue;
        };
        match event.kind() {
            Some(Type::Entry) => {
                let parent = header.text_address(event.upper());
                let handlers = header.return_start..header.return_start + header.return_bytes;
                let depth = open.len() * 2 + 2;
                let function = name(event.callsite_low());
                if handlers.contains(&parent) {
                    println!("{:depth$}{function} <- (tail call)", "");
                } else {
                    println!("{:depth$}{function} <- {}", "", name(event.upper()));
                }
                open.push(event);
            }
            Some(Type::Exit) => {
                let Some(entry) = open.pop() else {
                    println!("  an exit without entry");
                    continue;
                };
                let fits = entry.callsite_low() == event.callsite_low()
                    && event.time() - entry.time() == u64::from(event.upper());
                if !fits {
                    println!("  {entry:?} is not closed by {event:?}");
                }
            }
            other => println!("  {other:?}"),
        }
    }
    println!("  open: {}, on the stack {}", open.len(), STACK.depth());
    sure(RECORDER.reset(0));
}

fn main() {
    guest::init();
    virt::irq::handle(irq::SGI, handler);
    virt::irq::unmask();
    install(Mode::Overwrite, 1);
    let ops = sure(RECORDER.graph_ops());
    let at = [
        outer as *const () as usize,
        inner as *const () as usize,
        deep as *const () as usize,
        weigh as *const () as usize,
        interrupted as *const () as usize,
        graph_tail as *const () as usize,
        tail_end as *const () as usize,
        probe::entry(),
    ];
    println!(
        "without a stack: {:?}",
        FTRACE.register(ops, &Filter::at(&at)).err()
    );
    assert_eq!(STACK.set_frames(frames(1100)), Ok(()));
    assert_eq!(SMALL.set_frames(frames(10)), Ok(()));
    // SAFETY: no function has been hijacked yet.
    unsafe { FTRACE.switch_return_stack(&STACK) };
    register(ops, &Filter::at(&at));

    println!("result {} {}", outer(3), weigh(1.5, black_box(0.25)));
    events("nested, and a float");
    println!("result {}", graph_tail(1));
    events("a tail call");
    println!("result {}", interrupted(1));
    events("an interrupt inside");
    probe::run_hijacked("registers");
    counts("registers", 0);
    sure(RECORDER.reset(0));
    println!("result {}", deep(black_box(1000)));
    counts("a thousand deep", 0);
    println!(
        "  on the stack {}, overruns {}",
        STACK.depth(),
        STACK.overruns()
    );
    sure(RECORDER.reset(0));

    register(&BESIDE, &Filter::at(&at));
    println!("result {} {}", outer(4), weigh(1.5, black_box(0.5)));
    events("beside another tracer");
    println!("  which was called {} times", take_counts::<1>()[0]);
    unregister(&BESIDE);
    register(&EARLY, &Filter::at(&at[1..2]));
    println!("result {}", outer(4));
    events("a later tracer returns in its place");
    unregister(ops);
    register(ops, &Filter::at(&at));
    println!("result {}", outer(4));
    events("an earlier tracer returns in its place");
    unregister(&EARLY);

    // SAFETY: main is not traced: nothing is open.
    unsafe { FTRACE.switch_return_stack(&SMALL) };
    for what in [
        "with room for ten",
        "with room for ten, beside another tracer",
    ] {
        println!("result {}", deep(black_box(100)));
        counts(what, 0);
        println!(
            "  on the stack {}, overruns {}",
            SMALL.depth(),
            SMALL.overruns()
        );
        sure(RECORDER.reset(0));
        if !BESIDE.is_registered() {
            register(&BESIDE, &Filter::at(&at));
        }
    }
    unregister(&BESIDE);

    let result = without_area(|| outer(5));
    counts("without an area", 0);
    println!("  result {result}");

    sure(RECORDER.switch(false));
    println!("off: result {}", outer(5));
    counts("off", 0);
    sure(RECORDER.switch(true));
    unregister(ops);
    println!("taken away: result {}", outer(6));
    counts("taken away", 0);
}
