//@ variant: blocks
//! Text and rodata in blocks of 2 MiB: every level of access is a block's, and functions are traced.
#![no_std]
#![no_main]

use aarch64_ftrace::{Filter, Ops};
use core::hint::black_box;
use guest::{fault, raw, register, take_counts, unregister};
use virt::mmu::{self, Mapping};
use virt::println;

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

static TRACER: Ops = Ops::new(guest::count);

#[inline(never)]
fn subject(n: u64) -> u64 {
    black_box(n + 1)
}

fn show(what: &str, range: core::ops::Range<usize>) {
    let mapped = Mapping::of(range.start);
    let whole =
        range.start.is_multiple_of(mmu::BLOCK_BYTES) && range.end.is_multiple_of(mmu::BLOCK_BYTES);
    match mapped {
        Some(mapped) => println!(
            "{what}: blocks {}, whole {whole}, writable {}, executable {}",
            mapped.bytes == mmu::BLOCK_BYTES,
            mapped.writable(),
            mapped.executable()
        ),
        None => println!("{what}: not mapped"),
    }
}

fn main() {
    show("text", mmu::text());
    show("rodata", mmu::rodata());
    let at = subject as *const () as usize;
    match fault::store(at, raw::insn(at).0) {
        Some(fault) => println!("{fault}"),
        None => println!("stored"),
    }
    guest::init();
    register(&TRACER, &Filter::new(&["*::subject"]));
    println!("{} counted {:?}", subject(1), take_counts::<1>());
    unregister(&TRACER);
    println!("{} counted {:?}", subject(1), take_counts::<1>());
}
