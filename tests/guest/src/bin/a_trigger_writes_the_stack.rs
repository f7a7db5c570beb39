//@ cpu: cortex-a53, max
//! A trigger that writes the stack: the functions that are open, innermost first, with the real return addresses of those that the
//! graph and the profiler trace; in a set, in an interrupt, as deep as is written; where no stack is known it is refused, and off
//! the known one only the caller is told. Without spare rings a snapshot is refused.
#![no_std]
#![no_main]

use aarch64_ftrace::record::{Action, Item, RecordError, STACK_DEPTH, Trigger};
use aarch64_ftrace::trace::{Event, Type};
use aarch64_ftrace::{Error, Filter, KernelStack, Mode, Profile, ReturnStack, glob};
use core::hint::black_box;
use guest::record::{RECORDER, install, name, sure};
use guest::returns::{frames, interrupted, lines};
use guest::{FTRACE, irq, register, unregister};
use virt::{board, cores, println};

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

static TRACE: Trigger = Trigger::new(&RECORDER, Action::Stack);
static SNAPSHOT: Trigger = Trigger::new(&RECORDER, Action::Snapshot);
static TIMES: Profile = Profile::new();
static RETURNS: ReturnStack = ReturnStack::new();
static STACK: KernelStack = KernelStack::new();
static ELSEWHERE: KernelStack = KernelStack::new();

#[inline(never)]
fn leaf(n: u64) -> u64 {
    black_box(n + 1)
}

#[inline(never)]
fn middle(n: u64) -> u64 {
    black_box(leaf(n) + 1)
}

#[inline(never)]
fn outer(n: u64) -> u64 {
    black_box(middle(n) + 1)
}

/// As many calls, each inside the one before, and a leaf.
#[inline(never)]
fn down(n: u64) -> u64 {
    if n == 0 {
        leaf(0)
    } else {
        black_box(down(n - 1) + 1)
    }
}

/// Where a handler calls it.
#[inline(never)]
fn on_interrupt() {
    black_box(leaf(9));
}

/// The address of a slot of a stack trace.
fn address(event: Event) -> Option<u64> {
    let data = event.data()?;
    assert_eq!(data.kind, aarch64_ftrace::trace::DATA_RETURN_ADDRESS);
    Some(data.value)
}

/// Prints the traces, each as the functions of its addresses down to main, and forgets them.
fn show(what: &str) {
    println!("{what}: fired {}, failed {}", TRACE.fired(), TRACE.failed());
    let mut left = 0;
    for item in sure(RECORDER.read(0)) {
        let Item::Event { event, .. } = item else {
            panic!("{item:?}");
        };
        match event.kind() {
            Some(Type::Stack) => {
                assert_eq!(left, 0, "the trace before is whole");
                left = event.upper();
                println!("  {}", name(event.callsite_low()));
            }
            Some(Type::Data) => {
                left -= 1;
                let Some(address) = address(event) else {
                    panic!("{event:?}");
                };
                // Asm has no name: vectors, return handlers.
                let Some(symbol) = FTRACE.symbol(address as usize - 4) else {
                    continue;
                };
                // Of board support each build inlines something else.
                let ours = ["a_trigger_writes_the_stack::*", "guest::returns::*"]
                    .iter()
                    .any(|glob| glob::matches(glob, symbol.name.bytes()));
                if ours {
                    println!("    {}", symbol.name);
                }
            }
            _ => {}
        }
    }
    assert_eq!(left, 0, "the last trace is whole");
    sure(RECORDER.switch(false));
    sure(RECORDER.reset(0));
    sure(RECORDER.switch(true));
}

fn at(functions: &[fn(u64) -> u64]) -> [usize; 2] {
    [
        functions[0] as usize,
        functions[functions.len() - 1] as usize,
    ]
}

fn main() {
    guest::init();
    install(Mode::Overwrite, 1);
    let here = at(&[leaf]);
    let here = Filter::at(&here[..1]);
    let refused = Err(RecordError::Ftrace(Error::NoKernelStack));
    assert_eq!(TRACE.set(&here), refused);
    assert_eq!(SNAPSHOT.set(&here), Err(RecordError::NoSpare));
    let bounds = cores::stack(0);
    assert_eq!(STACK.set_bounds(bounds.clone()), Ok(()));
    let below = bounds.start - board::STACK_BYTES..bounds.start;
    assert_eq!(ELSEWHERE.set_bounds(below), Ok(()));
    // SAFETY: the stack that this core runs on.
    unsafe { FTRACE.switch_kernel_stack(&STACK) };
    println!("set: {}", sure(TRACE.set(&here)));

    outer(1);
    show("alone");

    assert_eq!(RETURNS.set_frames(frames(64)), Ok(()));
    // SAFETY: no function has been hijacked yet.
    unsafe { FTRACE.switch_return_stack(&RETURNS) };
    let memory = lines(FTRACE.profile_lines(1));
    assert_eq!(FTRACE.place_profile(&TIMES, memory, 1), Ok(()));
    let graph = sure(RECORDER.graph_ops());
    register(graph, &Filter::at(&at(&[leaf, middle])));
    register(&TIMES, &Filter::at(&at(&[middle, outer])));
    outer(2);
    show("with hijacked returns");
    unregister(&TIMES);
    unregister(graph);
    println!("open: {}", RETURNS.depth());

    virt::irq::handle(irq::SGI, on_interrupt);
    virt::irq::unmask();
    interrupted(1);
    show("in an interrupt");

    down(black_box(40));
    show("no more than it may");

    // SAFETY: no memory is read there, as this core never runs on it.
    unsafe { FTRACE.switch_kernel_stack(&ELSEWHERE) };
    outer(3);
    show("on another stack");
    println!("at most {STACK_DEPTH} addresses");
}
