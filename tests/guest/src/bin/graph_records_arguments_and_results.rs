//@ cpu: cortex-a53, max
//@ variant: plain, bti
//@ profile: release
//! Release builds only: the entries are asm, the same in every build, and a build that is not optimised takes a minute to check them.
//! The function graph with arguments and results: each ENTRY is followed by so many of x0 to x7 as was asked for, each EXIT by
//! the result, wherever the ring ends among them; alone on its callsite and beside other tracers, with an interrupt inside.
#![no_std]
#![no_main]

use aarch64_ftrace::record::RecordError;
use aarch64_ftrace::{Filter, GraphOptions, Mode, Ops, ReturnStack};
use guest::arguments::{self, eight};
use guest::record::{RECORDER, counts, install, sure};
use guest::returns::{frames, interrupted};
use guest::{FTRACE, count, irq, probe, register, take_counts, unregister, without_area};
use virt::println;

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

static STACK: ReturnStack = ReturnStack::new();
static BESIDE: Ops = Ops::unguarded(count);

fn handler() {
    arguments::call(77);
}

fn options(arguments: u8, result: bool) -> GraphOptions {
    GraphOptions {
        arguments,
        result,
        ..GraphOptions::default()
    }
}

/// Calls until the ring has been filled several times, with every count of arguments.
fn sweep(what: &str, mut prepare: impl FnMut(GraphOptions)) {
    let mut whole = 0;
    for arguments in 0..=8 {
        for result in [false, true] {
            prepare(options(arguments, result));
            sure(RECORDER.reset(0));
            for n in 0..300 {
                arguments::call(n);
                // What the last call left, wherever it stands in the ring.
                arguments::check_last(n, usize::from(arguments), result);
            }
            whole += arguments::check(usize::from(arguments), result).whole;
        }
    }
    println!("{what}: {whole} whole calls were left in the ring");
}

fn main() {
    guest::init();
    virt::irq::handle(irq::SGI, handler);
    virt::irq::unmask();
    let early = RECORDER.graph_ops_with(options(1, true));
    println!("before install: {:?}", early.err());
    install(Mode::Overwrite, 1);
    let refused = RECORDER.graph_ops_with(options(9, false));
    println!("nine arguments: {:?}", refused.err());
    let ops = sure(RECORDER.graph_ops_with(GraphOptions::default()));
    let at = [
        eight as *const () as usize,
        interrupted as *const () as usize,
        probe::entry(),
    ];
    println!(
        "without a stack: {:?}",
        FTRACE.register(ops, &Filter::at(&at)).err()
    );
    assert_eq!(STACK.set_frames(frames(16)), Ok(()));
    // SAFETY: no function has been hijacked yet.
    unsafe { FTRACE.switch_return_stack(&STACK) };
    register(ops, &Filter::at(&at));

    let change = |options| {
        let same: &Ops = sure(RECORDER.graph_ops_with(options));
        assert!(core::ptr::eq(same, ops));
    };
    sweep("alone", change);
    change(options(8, true));
    probe::run_hijacked("registers");
    sure(RECORDER.reset(0));
    println!("result {}", interrupted(5));
    arguments::print();
    change(options(1, false));
    sure(RECORDER.reset(0));
    println!("result {}", interrupted(6));
    arguments::print();

    register(&BESIDE, &Filter::at(&at));
    sweep("beside another tracer", change);
    println!("  which was called {} times", take_counts::<1>()[0]);
    unregister(&BESIDE);

    change(options(8, true));
    sure(RECORDER.switch(false));
    sure(RECORDER.reset(0));
    arguments::call(1);
    counts("off", 0);
    sure(RECORDER.switch(true));
    without_area(|| arguments::call(2));
    counts("without an area", 0);
    // Both graphs on one function: each with its own events.
    let plain = sure(RECORDER.graph_ops());
    register(plain, &Filter::at(&at));
    sure(RECORDER.reset(0));
    println!("result {}", interrupted(7));
    arguments::print();
    unregister(plain);
    unregister(ops);
    let refused = matches!(
        RECORDER.graph_ops_with(options(255, true)),
        Err(RecordError::Arguments(255))
    );
    println!("255 arguments: refused {refused}, open {}", STACK.depth());
}
