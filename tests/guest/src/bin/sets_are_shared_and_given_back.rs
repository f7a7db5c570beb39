//! Interned sets: functions with the same tracers share one, in whatever order they came to it; calling order is unguarded
//! first, then registration; sets are given back; exhaustion is an error that changes nothing.
#![no_std]
#![no_main]

extern crate alloc;

use aarch64_ftrace::{Error, Filter, Ops};
use guest::subject::{first, second, third};
use guest::{FTRACE, note, register, take_log, unregister};
use virt::println;

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

const fn guarded(name: u8) -> Ops {
    Ops::new(note).with_data(name as usize)
}

const fn unguarded(name: u8) -> Ops {
    Ops::unguarded(note).with_data(name as usize)
}

static A: Ops = guarded(b'A');
static B: Ops = unguarded(b'b');
static C: Ops = guarded(b'C');
static D: Ops = unguarded(b'd');
static MANY: [Ops; 600] = [const { guarded(b'.') }; 600];

fn calls(what: &str) {
    first(0);
    let one = take_log();
    second(0);
    let two = take_log();
    third(0);
    println!(
        "{what}: {one} | {two} | {}, sets {:?}",
        take_log(),
        FTRACE.sets()
    );
}

fn main() {
    guest::init();
    let [one, two, three] = [
        first as *const () as usize,
        second as *const () as usize,
        third as *const () as usize,
    ];
    register(&A, &Filter::at(&[one, two]));
    register(&B, &Filter::at(&[three, one]));
    calls("A b, b on third");
    register(&C, &Filter::at(&[one, two, three]));
    calls("and C on all");
    register(&D, &Filter::at(&[two, three]));
    calls("and d on second and third");
    for ops in [&A, &B, &C, &D] {
        if let Err(error) = FTRACE.set_filter(ops, &Filter::at(&[three, two, one])) {
            panic!("{error}");
        }
    }
    calls("all on all");
    unregister(&B);
    calls("without b");
    register(&B, &Filter::at(&[one, two, three]));
    calls("b again, now the last of its kind");
    for ops in [&C, &A, &D, &B] {
        unregister(ops);
    }
    calls("none");

    register(&A, &Filter::at(&[one]));
    for round in 0..500 {
        let (x, y) = if round % 2 == 0 { (&B, &C) } else { (&C, &D) };
        register(x, &Filter::at(&[one, two]));
        register(y, &Filter::at(&[two, one, three]));
        unregister(x);
        unregister(y);
    }
    calls("after 1000 registrations");
    unregister(&A);

    let mut registered = 0;
    let refused = loop {
        match FTRACE.register(&MANY[registered], &Filter::at(&[one])) {
            Ok(_) => registered += 1,
            Err(error) => break error,
        }
    };
    first(0);
    let marks = alloc::format!("{}", take_log()).len();
    println!(
        "out of memory: {}, after more than 100: {}, all called: {}",
        matches!(refused, Error::SetMemory { .. }),
        registered > 100,
        marks == registered
    );
    println!(
        "  the refused one is not registered: {}",
        !MANY[registered].is_registered()
    );
    let more = alloc::boxed::Box::leak(alloc::boxed::Box::new(
        [core::mem::MaybeUninit::uninit(); 64 * 1024],
    ));
    println!(
        "more memory: {:?}, then {:?}",
        FTRACE.add_set_memory(more),
        FTRACE
            .register(&MANY[registered], &Filter::at(&[one]))
            .map(|applied| applied.swapped)
    );
    for ops in MANY[..=registered].iter().rev() {
        unregister(ops);
    }
    calls("none");
}
