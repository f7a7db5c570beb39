//! Ops from the heap are called as static ones are: alone on a function its literal holds the box's own address, with others
//! a set does, and nothing else is called. On one core the box comes back when its ops is taken away, and serves again.
//@ cpu: neoverse-n1
#![no_std]
#![no_main]

extern crate alloc;

use aarch64_ftrace::{Error, Filter, Ops, Registered};
use alloc::boxed::Box;
use guest::{FTRACE, callsite, note, raw, register, subject, take_log, unregister};
use virt::println;

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

const FIRST: &str = "guest::subject::first";
const BOTH: &str = "guest::subject::[fs]*";

static STATIC: Ops = Ops::new(note).with_data(b's' as usize);

fn boxed(name: u8) -> Box<Ops> {
    Box::new(Ops::new(note).with_data(name.into()))
}

fn add(ops: Box<Ops>, filter: &Filter<'_>) -> Registered {
    match FTRACE.register_boxed(ops, filter) {
        Ok((registered, _)) => registered,
        Err(error) => panic!("register_boxed: {error}"),
    }
}

fn take(what: &str, ops: Registered) -> Option<Box<Ops>> {
    match FTRACE.unregister_boxed(ops) {
        Ok((ops, applied)) => {
            println!(
                "{what}: off {}, swapped {}, the box is back: {}",
                applied.disabled,
                applied.swapped,
                ops.is_some()
            );
            ops
        }
        Err(error) => panic!("unregister_boxed: {error}"),
    }
}

/// What the literal before `first` holds.
fn literal() -> u64 {
    raw::literal(callsite(subject::first as *const ()).layout().literal())
}

fn calls(what: &str) {
    assert_eq!(subject::first(40), 41);
    let first = take_log();
    assert_eq!(subject::second(40), 42);
    println!("{what}: {first} | {}", take_log());
}

fn main() {
    guest::init();
    let unused = virt::heap::usage().0;

    let a = add(boxed(b'a'), &Filter::new(&[BOTH]));
    calls("a on both");
    println!("  literal is the box: {}", literal() == address(&a));
    println!("  callsites of a: {}", a.callsites());

    let b = add(boxed(b'b'), &Filter::new(&[FIRST]));
    calls("and b on first");
    println!(
        "  literal is a set: {}",
        literal() != address(&a) && literal() != address(&b) && FTRACE.sets() == Ok(1)
    );
    register(&STATIC, &Filter::new(&[FIRST]));
    calls("and a static one on first");

    match FTRACE.register_boxed(boxed(b'x'), &Filter::new(&["no::such::function"])) {
        Ok(_) => println!("a filter without a match was taken"),
        Err(refused) => println!(
            "refused: {}, the box is back: {}",
            matches!(refused.error, Error::NoMatch { .. }),
            refused
                .ops
                .is_some_and(|ops| ops.data() == usize::from(b'x'))
        ),
    }

    let a = take("a taken away", a);
    calls("b and the static one on first");
    unregister(&STATIC);
    calls("b on first");
    println!("  literal is the box: {}", literal() == address(&b));
    drop(take("b taken away", b));
    calls("none");

    match a {
        Some(a) => {
            println!("a is registered: {}", a.is_registered());
            let a = add(a, &Filter::new(&[FIRST]));
            calls("a again, on first");
            drop(take("a taken away", a));
        }
        None => println!("the box of a is lost"),
    }
    calls("none");
    println!(
        "sets {:?}, heap as before: {}",
        FTRACE.sets(),
        virt::heap::usage().0 == unused
    );
}

fn address(ops: &Ops) -> u64 {
    core::ptr::from_ref(ops) as u64
}
