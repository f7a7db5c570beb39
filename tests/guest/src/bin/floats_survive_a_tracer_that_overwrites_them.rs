//@ variant: plain
//@ target: hardfloat
//! Arguments in d0-d7 reach the function, and its result the caller, although a tracer overwrites every vector register; a
//! tracer may also read and change them.
#![no_std]
#![no_main]

use aarch64_ftrace::{Filter, Fregs, Ops};
use core::hint::black_box;
use guest::{probe, register, unregister};
use virt::println;

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

#[inline(never)]
extern "C" fn weigh(a: f64, b: f64, c: f64, d: f64, e: f64, f: f64, g: f64, h: f64) -> f64 {
    black_box(a + 2.0 * b + 3.0 * c + 4.0 * d + 5.0 * e + 6.0 * f + 7.0 * g + 8.0 * h)
}

static TRASH: Ops = Ops::new(probe::TRASH);
static TRASH_TOO: Ops = Ops::unguarded(probe::TRASH);
static CHANGE: Ops = Ops::new(change);

aarch64_ftrace::notrace! {
    extern "C" fn change(_: usize, _: usize, _: &Ops, fregs: &mut Fregs) {
        #[cfg(target_feature = "neon")]
        {
            let second = f64::from_bits(fregs.vectors()[1] as u64);
            fregs.vectors()[0] = u128::from((second * 100.0).to_bits());
        }
        #[cfg(not(target_feature = "neon"))]
        let _ = fregs;
    }
}

fn call(what: &str) {
    let kept = black_box(0.125_f64);
    let result = weigh(1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, black_box(8.5));
    println!("{what}: {result}, kept {kept}");
}

fn main() {
    guest::init();
    let at = [weigh as *const () as usize];
    call("untraced");
    register(&TRASH, &Filter::at(&at));
    call("overwritten");
    register(&TRASH_TOO, &Filter::at(&at));
    call("overwritten twice");
    unregister(&TRASH);
    unregister(&TRASH_TOO);
    register(&CHANGE, &Filter::at(&at));
    call("changed");
    unregister(&CHANGE);
    call("untraced");
}
