//@ cpu: neoverse-n1
//@ target: softfloat
//@ profile: release
//@ args: 20000
//@ long-args: 1000000
//@ emu-check-args: 200
//! Registered and removed again and again, two boxed ops on one function at a time, so that a set is made and given back in each
//! round, in a heap with room for little more: nothing is left behind. A million by `cargo xtask test --long --guest a_million`.
#![no_std]
#![no_main]

extern crate alloc;

use aarch64_ftrace::{Filter, Ops, Registered};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::hint::black_box;
use guest::{FTRACE, count, take_counts};
use virt::{heap, println};

virt::entry!(main);

/// Room for the ops and sets of some rounds at the most, were none given back.
const ROOM: usize = 16 * 1024;

#[inline(never)]
fn subject(n: u64) -> u64 {
    black_box(n + 1)
}

fn add(counter: usize, guarded: bool) -> Registered {
    let ops = if guarded {
        Ops::new(count)
    } else {
        Ops::unguarded(count)
    };
    let at = [subject as *const () as usize];
    match FTRACE.register_boxed(Box::new(ops.with_data(counter)), &Filter::at(&at)) {
        Ok((ops, _)) => ops,
        Err(error) => panic!("register_boxed: {error}"),
    }
}

fn remove(ops: Registered) {
    match FTRACE.unregister_boxed(ops) {
        Ok((Some(ops), _)) => drop(ops),
        Ok((None, _)) => panic!("one core: nobody can be running it"),
        Err(error) => panic!("unregister_boxed: {error}"),
    }
}

fn main() {
    let mut buffer = [0; 64];
    let asked: u32 = match virt::words::command_line(&mut buffer).parse() {
        Ok(count) => count,
        Err(_) => panic!("how many registrations?"),
    };
    guest::init();
    let rest: Vec<u8> = Vec::with_capacity(heap::usage().1 - ROOM);
    let (used, free) = heap::usage();
    println!("a fixed heap of at most {ROOM} bytes: {}", free <= ROOM);
    let (mut registered, mut removed, mut most) = (0, 0, 0);
    let mut exact = true;
    while registered < asked {
        let round = registered / 2;
        // All kinds of sets; the older goes first, then the younger.
        let a = add(0, round & 1 == 0);
        let b = add(1, round & 2 == 0);
        registered += 2;
        most = most.max(heap::usage().0 - used);
        exact &= FTRACE.sets() == Ok(1) && subject(1) == 2;
        let (first, second) = if round & 4 == 0 { (a, b) } else { (b, a) };
        remove(first);
        exact &= FTRACE.sets() == Ok(0) && subject(2) == 3;
        remove(second);
        removed += 2;
        exact &= subject(3) == 4 && heap::usage().0 == used;
        let mut counts = take_counts::<2>();
        counts.sort_unstable();
        exact &= counts == [1, 2];
    }
    println!("registered {registered}, removed {removed}");
    println!("each called while it was there, no set and no memory left after each round: {exact}");
    println!(
        "in use at the most, ops and set: less than a kilobyte {}, now {}",
        most < 1024,
        heap::usage().0 - used
    );
    println!(
        "sets {:?}, callsites left on: {}",
        FTRACE.sets(),
        FTRACE.callsites().filter(|c| c.is_enabled()).count()
    );
    drop(rest);
}
