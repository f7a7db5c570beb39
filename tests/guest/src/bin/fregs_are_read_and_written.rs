//! A tracer reads a function's arguments, changes them, returns in its place, and sends its caller to another function.
#![no_std]
#![no_main]

use aarch64_ftrace::{Filter, Fregs, Ops, TracerFn};
use core::hint::black_box;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use guest::{register, unregister};
use virt::println;

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

static RAN: AtomicU64 = AtomicU64::new(0);

#[inline(never)]
extern "C" fn eight(a: u64, b: u64, c: u64, d: u64, e: u64, f: u64, g: u64, h: u64) -> u64 {
    RAN.fetch_add(1, Relaxed);
    black_box(
        [a, b, c, d, e, f, g, h]
            .iter()
            .fold(0, |sum, digit| sum * 10 + digit),
    )
}

#[inline(never)]
extern "C" fn replacement(a: u64, b: u64, _: u64, _: u64, _: u64, _: u64, _: u64, h: u64) -> u64 {
    black_box(a * 100 + b * 10 + h)
}

/// More than two words: returned through x8.
#[repr(C)]
struct Large([u64; 6]);

#[inline(never)]
extern "C" fn large(n: u64) -> Large {
    Large(core::array::from_fn(|i| black_box(n) + i as u64))
}

/// Reads the stack pointer behind its callsite; the frame it has built by then is known from the difference to another call.
#[inline(never)]
extern "C" fn caller(n: u64) -> u64 {
    black_box(eight(n, 2, 3, 4, 5, 6, 7, 8))
}

static SP: AtomicU64 = AtomicU64::new(0);
static LR: AtomicU64 = AtomicU64::new(0);
static PC: AtomicU64 = AtomicU64::new(0);
static FP: AtomicU64 = AtomicU64::new(0);
static IP: AtomicU64 = AtomicU64::new(0);
static PARENT: AtomicU64 = AtomicU64::new(0);

aarch64_ftrace::notrace! {
    extern "C" fn read(ip: usize, parent: usize, ops: &Ops, fregs: &mut Fregs) {
        println!("  {:?} {:?}, data {}", [0, 1, 2, 3, 4, 5, 6, 7].map(|n| fregs.arg(n).unwrap_or(99)), fregs.arg(9), ops.data());
        SP.store(fregs.sp(), Relaxed);
        LR.store(fregs.lr(), Relaxed);
        PC.store(fregs.pc(), Relaxed);
        FP.store(fregs.fp(), Relaxed);
        IP.store(ip as u64, Relaxed);
        PARENT.store(parent as u64, Relaxed);
    }
    extern "C" fn change(_: usize, _: usize, _: &Ops, fregs: &mut Fregs) {
        assert!(fregs.set_arg(0, 9) && fregs.set_arg(7, 0) && !fregs.set_arg(9, 0));
    }
    extern "C" fn early(_: usize, _: usize, _: &Ops, fregs: &mut Fregs) {
        fregs.return_early(fregs.arg(1).unwrap_or(0) + 40);
    }
    extern "C" fn redirect(_: usize, _: usize, _: &Ops, fregs: &mut Fregs) {
        // SAFETY: the same signature.
        unsafe { fregs.redirect(replacement as *const () as u64) };
    }
}

fn with(what: &str, tracers: &[TracerFn]) {
    extern crate alloc;
    let at = [eight as *const () as usize, large as *const () as usize];
    let filter = Filter::at(&at[..1]);
    let all: alloc::vec::Vec<&'static Ops> = tracers
        .iter()
        .map(|tracer| {
            &*alloc::boxed::Box::leak(alloc::boxed::Box::new(Ops::new(*tracer).with_data(7)))
        })
        .collect();
    for ops in &all {
        register(ops, &filter);
    }
    let result = caller(1);
    println!("{what}: {result}, body ran {} times", RAN.swap(0, Relaxed));
    for ops in all {
        unregister(ops);
    }
}

static COUNT: Ops = Ops::new(guest::count);

fn main() {
    guest::init();
    with("untraced", &[]);
    with("read", &[read]);
    let callsite = guest::callsite(eight as *const ());
    println!(
        "  ip is the BL: {}",
        IP.load(Relaxed) as usize == callsite.layout().branch()
    );
    println!(
        "  pc is behind it: {}",
        PC.load(Relaxed) as usize == callsite.layout().end()
    );
    println!(
        "  lr is the parent: {}",
        LR.load(Relaxed) == PARENT.load(Relaxed)
    );
    let (in_call, in_set) = (SP.load(Relaxed), {
        with("read twice", &[read, read]);
        SP.load(Relaxed)
    });
    println!(
        "  sp is the same in a call and in a set: {}, aligned: {}",
        in_call == in_set,
        in_call % 16 == 0
    );
    println!(
        "  fp is the caller's: {}",
        FP.load(Relaxed) >= in_call && FP.load(Relaxed) - in_call < 256
    );
    with("changed", &[change]);
    with("changed, then read", &[change, read]);
    with("returned early", &[early]);
    with("returned early, then changed", &[early, change]);
    with("redirected", &[redirect]);
    with("changed and redirected", &[change, redirect]);
    register(&COUNT, &Filter::at(&[large as *const () as usize]));
    println!("large: {:?}", large(black_box(5)).0.iter().sum::<u64>());
    unregister(&COUNT);
}
