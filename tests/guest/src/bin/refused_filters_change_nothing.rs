//! A filter that is refused leaves everything as it was: which functions call which tracers, the counts, the sets. Each
//! error is shown whole.
#![no_std]
#![no_main]

extern crate alloc;

use aarch64_ftrace::{Error, Filter, Ops};
use alloc::string::String;
use alloc::vec::Vec;
use guest::{FTRACE, callsite, count, register, take_counts};
use virt::println;

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

mod subject {
    use core::hint::black_box;

    #[inline(never)]
    pub fn one(n: u64) -> u64 {
        black_box(n + 1)
    }

    #[inline(never)]
    pub fn two(n: u64) -> u64 {
        black_box(n + 2)
    }

    #[inline(never)]
    pub fn three(n: u64) -> u64 {
        black_box(n + 3)
    }
}

const ONE: &str = "refused_filters_change_nothing::subject::one";
const ALL: &str = "refused_filters_change_nothing::subject::*";
/// A pattern of one character more than any name in this kernel has.
const NOTHING: &str = "no::such::function";

static LEFT: Ops = Ops::new(count);
static RIGHT: Ops = Ops::new(count).with_data(1);
static REFUSED: Ops = Ops::new(count).with_data(2);

/// Everything that a refused filter could have changed.
#[derive(Debug, PartialEq)]
struct State {
    on: Vec<usize>,
    counts: [u32; 3],
    callsites: [usize; 3],
    registered: [bool; 3],
    sets: Result<usize, Error>,
    order: String,
}

fn state() -> State {
    assert_eq!(
        [subject::one(0), subject::two(0), subject::three(0)],
        [1, 2, 3]
    );
    let all = [&LEFT, &RIGHT, &REFUSED];
    let mut order = String::new();
    for function in [
        subject::one as *const (),
        subject::two as _,
        subject::three as _,
    ] {
        let listed = FTRACE.ops_of(callsite(function).index(), |ops| {
            order.push(if ops.data() == 0 { 'l' } else { 'r' });
        });
        assert_eq!(listed, Ok(()));
        order.push(' ');
    }
    State {
        on: FTRACE
            .callsites()
            .filter(|c| c.is_enabled())
            .map(|c| c.index())
            .collect(),
        counts: take_counts(),
        callsites: all.map(Ops::callsites),
        registered: all.map(Ops::is_registered),
        sets: FTRACE.sets(),
        order,
    }
}

fn main() {
    guest::init();
    register(&LEFT, &Filter::new(&[ALL, "!*::three"]));
    register(&RIGHT, &Filter::new(&[ALL, "!*::one"]));
    let before = state();
    println!("counts {:?}, order {}", before.counts, before.order);

    let records = FTRACE.memory().records;
    let refuse = |what: &str, filter: &Filter<'_>| {
        let new = FTRACE.register(&REFUSED, filter);
        assert_eq!(state(), before, "{what}: register");
        let old = FTRACE.set_filter(&LEFT, filter);
        assert_eq!(state(), before, "{what}: set_filter");
        assert_eq!(new, old, "{what}: both are refused alike");
        match new {
            // The number of records is the build's own.
            Err(Error::NoSuchIndex { index, count }) if count == records => {
                println!("{what}: NoSuchIndex {{ index: {index}, count: all }}");
            }
            Err(Error::NoCallsiteAt(at)) if at >= virt::mmu::text().start => {
                println!("{what}: NoCallsiteAt(in text)")
            }
            Err(error) => println!("{what}: {error:?}"),
            Ok(applied) => panic!("{what}: {applied:?}"),
        }
    };
    refuse("no match", &Filter::new(&[NOTHING]));
    refuse("no match, second", &Filter::new(&[ALL, NOTHING]));
    refuse(
        "no match, third",
        &Filter::new(&[ALL, "!*::one", NOTHING]).notrace(&["*::two"]),
    );
    refuse("no `]`", &Filter::new(&[ALL, "subject::[ot"]));
    refuse("backwards", &Filter::new(&["subject::[z-a]*"]));
    refuse("nothing after `\\`", &Filter::new(&["subject::one\\"]));
    refuse("empty", &Filter::new(&[ALL, ""]));
    refuse("only `!`", &Filter::new(&[ALL, "!"]));
    refuse(
        "notrace is no glob",
        &Filter::new(&[ALL]).notrace(&["*::two", "x[a"]),
    );
    refuse("address without digits", &Filter::new(&[ALL, "0x"]));
    refuse("address with others", &Filter::new(&[ALL, "0x4020z"]));
    refuse("index without digits", &Filter::new(&[ALL, "#"]));
    refuse("index with others", &Filter::new(&[ALL, "#1x"]));
    refuse("index too large", &Filter::new(&[ALL, "#99999999"]));
    refuse(
        "index of notrace too large",
        &Filter::new(&[ALL]).notrace(&["#99999998"]),
    );
    refuse("address of nothing", &Filter::new(&[ALL, "0x10"]));
    refuse(
        "at nothing",
        &Filter::new(&[ALL]).and_at(&[subject::two as *const () as usize, 0x18]),
    );
    let inside = callsite(subject::two as *const ()).layout().end() + 4;
    refuse(
        "at the middle of a function",
        &Filter::at(&[subject::one as *const () as usize, inside]),
    );
    refuse(
        "at the tracer's own code",
        &Filter::at(&[guest::raw::trampoline()]),
    );
    refuse("33 patterns", &Filter::new(&[ONE; 33]));
    refuse(
        "32 and notrace",
        &Filter::new(&[ONE; 32]).notrace(&["*::two"]),
    );

    refuse_state(
        "registered twice",
        FTRACE.register(&LEFT, &Filter::new(&[ONE])),
        &before,
    );
    refuse_state(
        "not registered",
        FTRACE.set_filter(&REFUSED, &Filter::new(&[ONE])),
        &before,
    );
    refuse_state("not registered", FTRACE.unregister(&REFUSED), &before);

    // 32 patterns are not too many, and what was refused works afterwards.
    guest::say(
        "32 patterns",
        FTRACE.register(&REFUSED, &Filter::new(&[ONE; 32])),
    );
    println!("counts {:?}", state().counts);
}

fn refuse_state(what: &str, answer: Result<aarch64_ftrace::Applied, Error>, before: &State) {
    assert_eq!(&state(), before, "{what}");
    guest::say(what, answer);
}
