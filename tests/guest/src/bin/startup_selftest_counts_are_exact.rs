//! Linux checks its tracer when it starts with three static ops and a dynamic one on two functions. The same, as a table of
//! exact counts, for guarded tracers and for those that guard themselves: after each registration, change of filter and
//! removal both functions are called once, and the counters stand beneath each other.
#![no_std]
#![no_main]

extern crate alloc;

use aarch64_ftrace::{Filter, Ops, TracerFn};
use alloc::boxed::Box;
use guest::{FTRACE, count, register, subject, take_counts, unregister};
use virt::println;

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

const FIRST: &str = "guest::subject::first";
const SECOND: &str = "guest::subject::second";
const BOTH: &str = "guest::subject::[fs]*";

static GUARDED: [Ops; 3] = [
    Ops::new(count),
    Ops::new(count).with_data(1),
    Ops::new(count).with_data(2),
];
static UNGUARDED: [Ops; 3] = [
    Ops::unguarded(count),
    Ops::unguarded(count).with_data(1),
    Ops::unguarded(count).with_data(2),
];

type MakeOps = fn(TracerFn) -> Ops;

fn main() {
    guest::init();
    selftest("guarded", &GUARDED, Ops::new);
    selftest("unguarded", &UNGUARDED, Ops::unguarded);
    println!("sets left: {:?}", FTRACE.sets());
}

fn selftest(kind: &str, [one, two, three]: &'static [Ops; 3], make: MakeOps) {
    println!("{kind:<31} one two three dynamic");
    calls("nothing registered");
    register(one, &Filter::new(&[FIRST]));
    calls("one on first");
    register(two, &Filter::new(&[SECOND]));
    calls("two on second");
    register(three, &Filter::new(&[FIRST, SECOND]));
    calls("three on both");
    let dynamic: &'static Ops = Box::leak(Box::new(make(count).with_data(3)));
    register(dynamic, &Filter::new(&[BOTH]));
    calls("dynamic on both");
    change(three, &Filter::new(&[BOTH]).notrace(&["*::first"]));
    calls("three no longer on first");
    change(one, &Filter::new(&[SECOND]));
    calls("one moved to second");
    change(two, &Filter::new(&[FIRST, SECOND]));
    calls("two on both");
    change(dynamic, &Filter::new(&[BOTH, "!*::second"]));
    calls("dynamic only on first");
    unregister(one);
    calls("one removed");
    unregister(three);
    calls("three removed");
    register(one, &Filter::new(&[BOTH]));
    calls("one on both again");
    unregister(two);
    calls("two removed");
    unregister(dynamic);
    calls("dynamic removed");
    unregister(one);
    calls("all removed");
}

fn change(ops: &'static Ops, filter: &Filter<'_>) {
    if let Err(error) = FTRACE.set_filter(ops, filter) {
        panic!("set_filter: {error}");
    }
}

fn calls(step: &str) {
    for (name, function) in [
        ("first", subject::first as fn(u64) -> u64),
        ("second", subject::second),
    ] {
        let added = if name == "first" { 1 } else { 2 };
        assert_eq!(function(40), 40 + added, "the function itself is unharmed");
        let [one, two, three, dynamic] = take_counts();
        println!("{step:<24} {name:<6} {one:>3} {two:>3} {three:>5} {dynamic:>7}");
    }
}
