//! A guarded tracer that calls traced functions is not called for them: the calls are counted as refused and the functions
//! run untraced. All guarded tracers of a core share the guard. A tracer's own function is never attached to itself.
#![no_std]
#![no_main]

use aarch64_ftrace::{Filter, Fregs, Ops};
use core::hint::black_box;
use guest::{AREA, FTRACE, note, say, take_log, unregister, write};
use virt::println;

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

/// Traced, and called by the tracers.
#[inline(never)]
fn helper(n: u64) -> u64 {
    write(b'h');
    black_box(n + 1)
}

/// Traced, and called by this kernel.
#[inline(never)]
fn outer(n: u64) -> u64 {
    write(b'o');
    black_box(n + 2)
}

/// A tracer that may be traced itself and calls what is traced, twice.
#[inline(never)]
extern "C" fn careless(_: usize, _: usize, ops: &Ops, _: &mut Fregs) {
    write(ops.data() as u8);
    assert_eq!(helper(1), 2);
    assert_eq!(helper(2), 3);
}

static A: Ops = Ops::new(careless).with_data(b'A' as usize);
static B: Ops = Ops::new(careless).with_data(b'B' as usize);
static N: Ops = Ops::new(note).with_data(b'N' as usize);
static U: Ops = Ops::unguarded(note).with_data(b'U' as usize);

fn calls(what: &str) {
    let refused = AREA.refused();
    assert_eq!(outer(1), 3);
    let outer = take_log();
    let by_outer = AREA.refused() - refused;
    assert_eq!(helper(1), 2);
    let by_helper = AREA.refused() - refused - by_outer;
    println!(
        "{what}: outer {outer} refused {by_outer}, helper {} refused {by_helper}",
        take_log()
    );
}

fn main() {
    guest::init();
    let both = [outer as *const () as usize, helper as *const () as usize];
    let outer_only = [both[0]];
    let helper_only = [both[1]];
    let own = careless as *const () as usize;

    say("A on both", FTRACE.register(&A, &Filter::at(&both)));
    calls("A on both");
    say("B on both", FTRACE.register(&B, &Filter::at(&both)));
    calls("A and B on both");
    say(
        "B on helper",
        FTRACE.set_filter(&B, &Filter::at(&helper_only)),
    );
    say(
        "A on outer",
        FTRACE.set_filter(&A, &Filter::at(&outer_only)),
    );
    calls("A on outer, B on helper");
    unregister(&B);

    say(
        "A on both and itself",
        FTRACE.set_filter(&A, &Filter::at(&[both[0], both[1], own])),
    );
    calls("A on both and itself");
    say("A on itself", FTRACE.set_filter(&A, &Filter::at(&[own])));
    calls("A on itself");
    unregister(&A);

    say("A on outer", FTRACE.register(&A, &Filter::at(&outer_only)));
    say("N on the tracer", FTRACE.register(&N, &Filter::at(&[own])));
    calls("A on outer, N on the tracer");
    say(
        "N on all three",
        FTRACE.set_filter(&N, &Filter::at(&[both[0], both[1], own])),
    );
    calls("A on outer, N on all three");
    unregister(&N);
    say(
        "U on the tracer",
        FTRACE.register(&U, &Filter::at(&[own, both[1]])),
    );
    calls("A on outer, U on tracer and helper");
    say(
        "N on helper",
        FTRACE.register(&N, &Filter::at(&helper_only)),
    );
    calls("and N on helper");
    unregister(&U);
    unregister(&N);
    unregister(&A);
    calls("none");
}
