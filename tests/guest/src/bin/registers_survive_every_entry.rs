//@ emu-check: writes a BL over a callsite without a tracer by hand
//! Whatever way a callsite is entered, the function sees the registers that its caller set, although the tracers destroy all
//! that they may: x0-x8, x19-x29, lr, sp, and on hard-float q0-q7 and d8-d15.
#![no_std]
#![no_main]

use aarch64_ftrace::insn::Insn;
use aarch64_ftrace::{Filter, Fregs, Ops};
use guest::{AREA, FTRACE, callsite, probe, raw, register, unregister};
use virt::println;

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

static U1: Ops = Ops::unguarded(probe::TRASH);
static U2: Ops = Ops::unguarded(probe::TRASH);
static G1: Ops = Ops::new(probe::TRASH);
static G2: Ops = Ops::new(probe::TRASH);
// SAFETY: written as Ops::direct asks for.
static DIRECT: Ops = unsafe { Ops::direct(probe::DIRECT_TRASH) };
// SAFETY: as above; it does not read x11.
static STRAIGHT: Ops = unsafe { Ops::straight(probe::DIRECT_TRASH) };

/// Calls the probe from inside, so that the guard is taken when the probe's callsite asks for it.
static HOLDER: Ops = Ops::new(hold);

aarch64_ftrace::notrace! {
    extern "C" fn hold(_: usize, _: usize, _: &Ops, _: &mut Fregs) {
        probe::run("  inside a guarded tracer");
    }
}

#[inline(never)]
fn held(n: u64) -> u64 {
    core::hint::black_box(n)
}

fn with(what: &str, all: &[&'static Ops]) {
    let at = [probe::entry()];
    for ops in all {
        register(ops, &Filter::at(&at));
    }
    probe::run(what);
    let before = AREA.refused();
    held(1);
    println!("  refused: {}", AREA.refused() - before);
    for ops in all {
        unregister(ops);
    }
}

fn main() {
    guest::init();
    register(&HOLDER, &Filter::at(&[held as *const () as usize]));
    with("disabled", &[]);
    with("call", &[&U1]);
    with("call_guarded", &[&G1]);
    with("set", &[&U1, &U2]);
    with("set_guarded", &[&G1, &G2]);
    with("set_mixed", &[&U1, &G1, &U2, &G2]);
    with("direct", &[&DIRECT]);
    with("straight", &[&STRAIGHT]);

    // A callsite in transition: the BL is there, the literal already NOP_OPS.
    let layout = callsite(probe::entry() as *const ()).layout();
    let Ok(bl) = Insn::bl(layout.branch(), raw::trampoline()) else {
        panic!("the trampoline is near")
    };
    raw::overwrite_insn(layout.branch(), bl);
    probe::run("nop");
    raw::overwrite_insn(layout.branch(), Insn::NOP);
    probe::run("disabled again");
    println!(
        "left on: {}",
        FTRACE
            .callsites()
            .filter(|callsite| callsite.is_enabled())
            .count()
    );
}
