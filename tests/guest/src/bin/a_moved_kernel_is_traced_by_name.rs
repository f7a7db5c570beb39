//@ variant: relocated, elsewhere
//@ cpu: cortex-a53, max
//! Loaded elsewhere than linked: the records are where the kernel runs, the names are this build's by their layout and build
//! id, filters by name and by running address work, and the host finds the link address.
#![no_std]
#![no_main]

use aarch64_ftrace::names::Names;
use aarch64_ftrace::{Filter, Ops};
use core::hint::black_box;
use guest::{FTRACE, raw, register, take_counts, unregister};
use virt::{mmu, println};

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

unsafe extern "C" {
    static __build_id_start: u8;
    static __build_id_end: u8;
}

static TRACER: Ops = Ops::new(guest::count);

#[inline(never)]
fn subject(n: u64) -> u64 {
    black_box(n + 1)
}

/// The note in memory: a head and the name "GNU", then the build id.
fn note() -> &'static [u8] {
    let start = &raw const __build_id_start;
    let len = &raw const __build_id_end as usize - start as usize;
    // SAFETY: the linker placed the note between the symbols, in read-only data.
    unsafe { core::slice::from_raw_parts(start, len) }
}

fn main() {
    let text = mmu::text();
    println!("linked at {:#x}", text.start - mmu::slide());
    println!("running elsewhere: {}", mmu::slide() != 0);
    let inside = raw::records()
        .iter()
        .filter(|&&record| text.contains(&(record as usize)));
    println!(
        "records in the running text: {}",
        inside.count() == raw::records().len()
    );
    let report = guest::init();
    println!("names: {}", report.names.is_ok_and(|names| names > 0));
    let id = Names::parse(raw::names()).map_or(&[][..], |names| names.build_id());
    println!(
        "build id: {} bytes, the note's {}",
        id.len(),
        note().ends_with(id)
    );
    register(&TRACER, &Filter::new(&["*::subject"]));
    println!("by name: {} counted {:?}", subject(1), take_counts::<1>());
    unregister(&TRACER);
    let at = subject as *const () as usize;
    register(&TRACER, &Filter::at(&[at]));
    println!(
        "by address: {} counted {:?}",
        subject(1),
        take_counts::<1>()
    );
    unregister(&TRACER);
    println!("{} counted {:?}", subject(1), take_counts::<1>());
    match FTRACE.symbol(at) {
        Some(symbol) => println!(
            "host: {at:#x}, in text at {:#x}, is {}",
            text.start, symbol.name
        ),
        None => println!("no symbol"),
    }
}
