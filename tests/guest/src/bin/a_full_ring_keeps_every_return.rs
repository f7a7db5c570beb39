//@ cpu: cortex-a53, neoverse-n1
//! The function graph into a ring that stops when it is full: what came first is kept, what comes later is counted, and every
//! function returns where it would.
#![no_std]
#![no_main]

use aarch64_ftrace::{Filter, Mode, Ops, ReturnStack};
use core::hint::black_box;
use guest::record::{EVENTS, RECORDER, counts, install, sure, tally};
use guest::returns::{deep, frames};
use guest::{FTRACE, count, register, unregister};
use virt::println;

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

static STACK: ReturnStack = ReturnStack::new();
static BESIDE: Ops = Ops::unguarded(count);

fn main() {
    guest::init();
    install(Mode::StopWhenFull, 1);
    assert_eq!(STACK.set_frames(frames(EVENTS as usize)), Ok(()));
    // SAFETY: no function has been hijacked yet.
    unsafe { FTRACE.switch_return_stack(&STACK) };
    let ops = sure(RECORDER.graph_ops());
    let at = [deep as *const () as usize];
    register(ops, &Filter::at(&at));
    for what in ["alone", "beside another tracer"] {
        println!("{what}: {} {}", deep(black_box(199)), deep(black_box(19)));
        counts("  full", 0);
        println!(
            "  can be read, cannot: {:?}, on the stack {}",
            tally(0),
            STACK.depth()
        );
        sure(RECORDER.reset(0));
        println!("  {}", deep(black_box(9)));
        counts("  room again", 0);
        sure(RECORDER.reset(0));
        if what == "alone" {
            register(&BESIDE, &Filter::at(&at));
        }
    }
    unregister(&BESIDE);
    unregister(ops);
}
