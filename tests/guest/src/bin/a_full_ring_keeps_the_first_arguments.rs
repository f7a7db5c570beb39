//@ cpu: cortex-a53, max
//! Arguments and results in a ring that stops when it is full: what came first is kept, up to the last slot, wherever in an
//! event that is; the rest is counted slot by slot, and every call returns what it must.
#![no_std]
#![no_main]

use aarch64_ftrace::{Filter, GraphOptions, Mode, Ops, ReturnStack};
use guest::arguments::{self, eight};
use guest::record::{RECORDER, counts, install, sure, tally};
use guest::returns::frames;
use guest::{FTRACE, count, register, unregister};
use virt::println;

virt::entry!(main);

static STACK: ReturnStack = ReturnStack::new();
static BESIDE: Ops = Ops::unguarded(count);

/// Fills the ring and more, behind so many events of another kind, and says how it ends.
fn fill(arguments: u8, result: bool, before: u32) {
    sure(RECORDER.graph_ops_with(GraphOptions {
        arguments,
        result,
        ..GraphOptions::default()
    }));
    sure(RECORDER.reset(0));
    (0..before).for_each(|task| RECORDER.task_switch(task));
    for n in 0..200 {
        arguments::call(n);
    }
    let (mut all, mut last) = (0, None);
    let other = arguments::events(|whole| {
        all += 1;
        last = Some(whole);
    });
    let slots = last.map_or(0, |last| last.data.iter().flatten().count());
    println!(
        "{arguments} arguments, result {result}: {all} events, the last {:?} with {slots} slots, {other} others",
        last.and_then(|last| last.event.kind()),
    );
    counts("  slots", 0);
    println!("  can be read, cannot: {:?}", tally(0));
}

fn main() {
    guest::init();
    install(Mode::StopWhenFull, 1);
    let ops = sure(RECORDER.graph_ops_with(GraphOptions::default()));
    assert_eq!(STACK.set_frames(frames(4)), Ok(()));
    // SAFETY: no function has been hijacked yet.
    unsafe { FTRACE.switch_return_stack(&STACK) };
    let at = [eight as *const () as usize];
    register(ops, &Filter::at(&at));
    for what in ["alone", "beside another tracer"] {
        println!("{what}");
        for arguments in [0, 1, 4, 6, 7, 8] {
            fill(arguments, false, 0);
            fill(arguments, true, 0);
        }
        // An EXIT in the last slot, its result behind it.
        fill(1, true, 1);
        if what == "alone" {
            register(&BESIDE, &Filter::at(&at));
        }
    }
    unregister(&BESIDE);
    unregister(ops);
    println!("open {}", STACK.depth());
}
