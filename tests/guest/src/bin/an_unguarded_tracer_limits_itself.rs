//! A tracer without guard is called again for every traced function that it calls, as documented: it must limit itself.
//! Its own function is left out, also where the filter takes everything.
#![no_std]
#![no_main]

use aarch64_ftrace::{Filter, Fregs, Ops};
use core::hint::black_box;
use core::sync::atomic::{AtomicU32, Ordering};
use guest::{AREA, FTRACE, register, say, take_log, unregister, write};
use virt::println;

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

static DEPTH: AtomicU32 = AtomicU32::new(0);
static DEEPEST: AtomicU32 = AtomicU32::new(0);

#[inline(never)]
fn helper(n: u64) -> u64 {
    write(b'h');
    black_box(n + 1)
}

#[inline(never)]
fn outer(n: u64) -> u64 {
    write(b'o');
    black_box(n + 2)
}

/// Calls a traced function, down to a depth of its own choice.
#[inline(never)]
extern "C" fn recursive(_: usize, _: usize, ops: &Ops, _: &mut Fregs) {
    let depth = DEPTH.fetch_add(1, Ordering::Relaxed) + 1;
    DEEPEST.fetch_max(depth, Ordering::Relaxed);
    write(b'0' + depth as u8);
    if depth < ops.data() as u32 {
        assert_eq!(helper(1), 2);
    }
    DEPTH.fetch_sub(1, Ordering::Relaxed);
}

/// Enters itself once, by the first traced function that it meets, whatever that is.
#[inline(never)]
extern "C" fn latch(_: usize, _: usize, _: &Ops, _: &mut Fregs) {
    if ENTERED.swap(1, Ordering::Relaxed) == 0 {
        assert_eq!(helper(1), 2);
        ENTERED.store(0, Ordering::Relaxed);
    }
}

static ENTERED: AtomicU32 = AtomicU32::new(0);
static FOUR: Ops = Ops::unguarded(recursive).with_data(4);
static ONE: Ops = Ops::unguarded(recursive).with_data(1);
static GUARDED: Ops = Ops::new(recursive).with_data(4);
static LATCH: Ops = Ops::unguarded(latch);

#[inline(never)]
fn calls(what: &str) {
    assert_eq!(outer(1), 3);
    let outer = take_log();
    assert_eq!(helper(1), 2);
    println!("{what}: outer {outer}, helper {}", take_log());
}

fn main() {
    guest::init();
    let both = [outer as *const () as usize, helper as *const () as usize];
    register(&FOUR, &Filter::at(&both));
    calls("four deep");
    say(
        "with itself",
        FTRACE.set_filter(
            &FOUR,
            &Filter::at(&[both[0], both[1], recursive as *const () as usize]),
        ),
    );
    calls("with itself");
    unregister(&FOUR);
    register(&ONE, &Filter::at(&both));
    calls("one deep");
    unregister(&ONE);
    register(&GUARDED, &Filter::at(&both));
    calls("guarded");
    // Under a guarded tracer the guard holds back only guarded ones.
    register(&ONE, &Filter::at(&[both[1]]));
    calls("guarded, and one deep on helper");
    unregister(&ONE);
    unregister(&GUARDED);
    println!(
        "deepest {}, refused {}",
        DEEPEST.load(Ordering::Relaxed),
        AREA.refused()
    );

    // In this kernel's own crate only: what the tracer itself uses of core it must not trace without a limit.
    let filter = Filter::new(&["an_unguarded_tracer_limits_itself::*"]);
    let applied = register(&LATCH, &filter);
    println!("its own function is left out: {}", applied.own_tracer);
    calls("all of this crate");
    unregister(&LATCH);
}
