//! Init with records that lie: each is left alone with its reason, and the good ones among them work. Calls in the wrong
//! order get their error.
#![no_std]
#![no_main]

use aarch64_ftrace::{Filter, Fregs, Ftrace, Image, Ops};
use core::hint::black_box;
use guest::{raw, take_counts};
use virt::platform::Virt;
use virt::println;

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

static EMPTY: Ftrace = Ftrace::new(&Virt);
static HOSTILE: Ftrace = Ftrace::new(&Virt);
static TRACER: Ops = Ops::new(guest::count);
static NESTED: Ops = Ops::new(nested);

aarch64_ftrace::notrace! {
    /// A tracer that changes tracing.
    extern "C" fn nested(_: usize, _: usize, _: &Ops, _: &mut Fregs) {
        println!("  from the tracer: {:?}", HOSTILE.unregister(&TRACER).map(|applied| applied.disabled));
    }
}

#[inline(never)]
fn good(n: u64) -> u64 {
    black_box(n + 1)
}

#[inline(never)]
fn fine(n: u64) -> u64 {
    black_box(n + 2)
}

fn image(records: &'static mut [u64], names: &'static [u8]) -> Image {
    // SAFETY: what is not a record of this kernel is what this test is about; the text is described truly.
    unsafe { Image::new(records, raw::ranges(), names) }
}

fn leak(records: &[u64]) -> &'static mut [u64] {
    extern crate alloc;
    alloc::boxed::Box::leak(alloc::boxed::Box::<[u64]>::from(records))
}

fn main() {
    let ranges = raw::ranges();
    let record = |function: *const ()| {
        let at = function as u64 - 8;
        assert!(raw::records().contains(&at), "the function has a record");
        at
    };
    let (good_at, fine_at) = (record(good as *const ()), record(fine as *const ()));
    println!(
        "before init: {:?}",
        HOSTILE.register(&TRACER, &Filter::ALL).map(|_| ())
    );
    println!(
        "no records: {:?}",
        EMPTY.init_with(image(leak(&[]), &[])).map(|_| ())
    );
    let hostile = leak(&[
        fine_at,
        u64::MAX,
        good_at + 4,
        0,
        good_at,
        u64::MAX - 7,
        fine_at,
        ranges.text.end as u64 - 8,
        ranges.text.start as u64,
        ranges.notrace.start as u64,
        good_at,
        1 << 63,
    ]);
    match HOSTILE.init_with(image(hostile, &[])) {
        Ok(report) => println!(
            "{} callsites, {} left alone, names {:?}",
            report.callsites, report.rejected, report.names
        ),
        Err(error) => panic!("{error}"),
    }
    for reject in HOSTILE.rejects() {
        println!("  {:?}", reject.reason);
    }
    println!(
        "again: {:?}",
        HOSTILE.init_with(image(leak(&[good_at]), &[])).map(|_| ())
    );
    let at = [good as *const () as usize, fine as *const () as usize];
    println!(
        "by name: {:?}",
        HOSTILE
            .register(&TRACER, &Filter::new(&["good"]))
            .map(|_| ())
    );
    println!(
        "by address: {:?}",
        HOSTILE
            .register(&TRACER, &Filter::at(&at))
            .map(|applied| applied.enabled)
    );
    println!(
        "results {} {}, counted {:?}",
        good(1),
        fine(1),
        take_counts::<1>()
    );
    println!(
        "a tracer that unregisters: {:?}",
        HOSTILE
            .register(&NESTED, &Filter::at(&at[..1]))
            .map(|applied| applied.swapped)
    );
    println!(
        "results {} {}, counted {:?}",
        good(1),
        fine(1),
        take_counts::<1>()
    );
    println!(
        "after: {:?}",
        HOSTILE.unregister(&NESTED).map(|applied| applied.disabled)
    );
    println!(
        "results {} {}, counted {:?}",
        good(1),
        fine(1),
        take_counts::<1>()
    );
}
