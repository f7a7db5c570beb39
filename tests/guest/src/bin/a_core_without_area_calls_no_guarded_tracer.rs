//! A core whose area is not set yet (TPIDRRO_EL0 is zero) runs no guarded tracer, harms no function, and goes on with
//! those that guard themselves. An area that the kernel sets before init is kept.
#![no_std]
#![no_main]

use aarch64_ftrace::{CpuArea, Filter, Ops};
use core::hint::black_box;
use guest::{AREA, FTRACE, note, raw, register, take_log, unregister};
use virt::println;

virt::entry!(main);

#[inline(never)]
fn subject(n: u64) -> u64 {
    black_box(n + 1)
}

static G: Ops = Ops::new(note).with_data(b'G' as usize);
static H: Ops = Ops::new(note).with_data(b'H' as usize);
static U: Ops = Ops::unguarded(note).with_data(b'U' as usize);
static LATER: CpuArea = CpuArea::new();

fn call(what: &str) {
    raw::clear_area_register();
    assert_eq!(subject(1), 2);
    let without = take_log();
    FTRACE.cpu_online(&AREA);
    assert_eq!(subject(2), 3);
    println!("{what}: without {without}, with {}", take_log());
}

fn main() {
    println!("before init: {:#x}", raw::area_register());
    guest::init();
    let own = core::ptr::from_ref(&AREA) as u64;
    println!("init keeps the area: {}", raw::area_register() == own);
    let at = [subject as *const () as usize];
    register(&G, &Filter::at(&at));
    call("one guarded");
    register(&H, &Filter::at(&at));
    call("two guarded");
    register(&U, &Filter::at(&at));
    call("mixed");
    unregister(&G);
    unregister(&H);
    call("unguarded");
    unregister(&U);
    call("none");
    FTRACE.cpu_online(&LATER);
    println!(
        "another area: {}",
        raw::area_register() == core::ptr::from_ref(&LATER) as u64
    );
    println!("refused {} {}", AREA.refused(), LATER.refused());
}
