//@ variant: plain, high, relocated
//! A filter takes exactly the functions that it says: globs of every form, what `!` and notrace take away, addresses,
//! indices, each name of a function with two names. For each filter: what it takes, and the hits of each pattern.
#![no_std]
#![no_main]

extern crate alloc;

use aarch64_ftrace::{Filter, Ops};
use alloc::format;
use alloc::string::String;
use core::arch::global_asm;
use core::ops::Range;
use guest::{FTRACE, callsite, count, register, take_counts, unregister};
use virt::println;

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

#[allow(
    non_snake_case,
    reason = "a pair that differs in its first letter only"
)]
mod things {
    use core::hint::black_box;

    #[inline(never)]
    pub fn set(n: u64) -> u64 {
        black_box(n + 1)
    }

    #[inline(never)]
    pub fn Set(n: u64) -> u64 {
        black_box(n + 2)
    }

    #[inline(never)]
    pub fn get(n: u64) -> u64 {
        black_box(n + 3)
    }

    pub mod deep {
        use core::hint::black_box;

        #[inline(never)]
        pub fn set(n: u64) -> u64 {
            black_box(n + 4)
        }
    }

    pub struct Pipe;

    impl Drop for Pipe {
        #[inline(never)]
        fn drop(&mut self) {
            black_box(5);
        }
    }

    #[inline(never)]
    pub fn drop_pipe(n: u64) -> u64 {
        drop(Pipe);
        black_box(n + 6)
    }
}

// One function with two names, as merged functions have. The record is what the compiler writes for its own functions.
global_asm!(
    ".pushsection .text.twins, \"ax\"",
    ".balign 8",
    "2: nop",
    "nop",
    ".global guest_twin_left, guest_twin_right",
    ".type guest_twin_left, %function",
    ".type guest_twin_right, %function",
    "guest_twin_left:",
    "guest_twin_right:",
    "nop",
    "nop",
    "add x0, x0, #7",
    "ret",
    ".size guest_twin_left, . - guest_twin_left",
    ".size guest_twin_right, . - guest_twin_right",
    ".popsection",
    ".pushsection __patchable_function_entries, \"awo\", %progbits, .text.twins",
    ".balign 8",
    ".quad 2b",
    ".popsection",
);

unsafe extern "C" {
    safe fn guest_twin_left(n: u64) -> u64;
}

fn twin(n: u64) -> u64 {
    guest_twin_left(n)
}

macro_rules! path {
    ($rest:literal) => {
        concat!("filters_take_what_they_say::", $rest)
    };
}

macro_rules! not {
    ($rest:literal) => {
        concat!("!filters_take_what_they_say::", $rest)
    };
}

static OPS: Ops = Ops::new(count);

/// What can be called, with what it adds to its argument.
/// A function's name, the function, and what it adds.
type Call = (&'static str, fn(u64) -> u64, u64);

const CALLS: [Call; 6] = [
    ("set", things::set, 1),
    ("Set", things::Set, 2),
    ("get", things::get, 3),
    ("deep::set", things::deep::set, 4),
    ("drop_pipe", things::drop_pipe, 6),
    ("twin", twin, 7),
];

fn main() {
    guest::init();
    globs();
    taken_away();
    addresses_and_indices();
    two_names();
    println!(
        "{} left on",
        FTRACE.callsites().filter(|c| c.is_enabled()).count()
    );
}

fn globs() {
    println!("globs");
    takes(&[path!("things::set")]);
    takes(&[path!("things::*")]);
    takes(&[path!("things::?et")]);
    takes(&[path!("things::[Ss]et")]);
    takes(&[path!("things::[a-z]et")]);
    takes(&[path!("things::[!g]et")]);
    takes(&[path!("*::set")]);
    takes(&[path!("*set")]);
    takes(&[
        "*filters_take_what_they_say::things::get",
        path!("things::get"),
    ]);
    takes(&["<filters_take_what_they_say::things::Pipe as *>::drop"]);
    takes(&[
        "<filters_*::Pipe as core::ops::drop::Drop>::drop",
        path!("things::deep::*"),
    ]);
}

fn taken_away() {
    println!("taken away");
    takes(&[path!("things::*"), not!("things::deep::*")]);
    takes(&[
        path!("things::*"),
        not!("things::?et"),
        path!("things::get"),
    ]);
    takes(&[
        path!("things::?et"),
        not!("things::get"),
        "!*::no_such_function",
    ]);
    takes_not(
        &[path!("things::*")],
        &[path!("*::deep::*"), path!("*::drop_pipe")],
    );
    takes_not(
        &[path!("things::set"), path!("things::get")],
        &[path!("*::g?t")],
    );
    // Begins with all functions; how many `!*` takes away is the build's own.
    let filter = Filter::new(&["!*", path!("things::[sg]et")]).notrace(&[path!("things::get")]);
    show("notrace", &filter, 1..3);
}

fn addresses_and_indices() {
    println!("addresses and indices");
    let get = callsite(things::get as *const ());
    let deep = callsite(things::deep::set as *const ());
    let entry = format!("{:#x}", get.entry());
    let within = format!("{:#x}", get.layout().branch());
    let index = format!("#{}", deep.index());
    takes(&[&entry]);
    takes(&[&within]);
    takes(&[&index]);
    takes(&[&entry, &index, path!("things::Set")]);
    let not = format!("!{index}");
    takes(&[path!("*::set"), &not]);
    show("at", &Filter::at(&[get.entry(), deep.entry()]), 0..0);
    show(
        "at, one twice",
        &Filter::at(&[get.entry(), get.entry()]),
        0..0,
    );
    show(
        "at, with a glob",
        &Filter::new(&[path!("things::Set")]).and_at(&[get.entry()]),
        0..1,
    );
    show(
        "at, not",
        &Filter::at(&[get.entry(), deep.entry()]).notrace(&[path!("things::get")]),
        0..1,
    );
    show(
        "at, not by address",
        &Filter::at(&[get.entry(), deep.entry()]).notrace(&[&entry]),
        0..1,
    );
}

fn two_names() {
    println!("two names");
    takes(&["guest_twin_left"]);
    takes(&["guest_twin_right"]);
    takes(&["guest_twin_*"]);
    takes(&["guest_twin_left", "guest_twin_right"]);
    takes(&["guest_twin_*", "!guest_twin_right", path!("things::get")]);
    let mut names = String::new();
    for name in callsite(guest_twin_left as *const ()).names() {
        names += &format!(" {name}");
    }
    println!("  its names:{names}");
}

fn takes(patterns: &[&str]) {
    show("", &Filter::new(patterns), 0..patterns.len());
}

fn takes_not(patterns: &[&str], notrace: &[&str]) {
    show(
        "notrace",
        &Filter::new(patterns).notrace(notrace),
        0..patterns.len() + notrace.len(),
    );
}

/// Registers with the filter and calls everything: what is counted is what the filter takes.
fn show(what: &str, filter: &Filter<'_>, patterns: Range<usize>) {
    let applied = register(&OPS, filter);
    assert_eq!(
        applied.matched, applied.enabled,
        "nothing else is registered"
    );
    assert_eq!(applied.matched, OPS.callsites());
    let on = FTRACE.callsites().filter(|c| c.is_enabled()).count();
    assert_eq!(applied.matched, on, "exactly those are switched on");
    let mut taken = String::new();
    let mut counted = 0;
    for (name, function, added) in CALLS {
        assert_eq!(function(100), 100 + added);
        let [calls] = take_counts();
        counted += calls;
        if calls > 0 {
            taken += &format!(" {name}");
        }
        if calls > 1 {
            taken += "(and what it calls)";
        }
    }
    println!(
        "  {what}{}matched {}, hits {:?}, {counted} calls:{taken}",
        if what.is_empty() { "" } else { ": " },
        applied.matched,
        &applied.hits()[patterns]
    );
    unregister(&OPS);
}
