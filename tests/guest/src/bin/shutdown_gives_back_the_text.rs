//@ cpu: cortex-a53, max
//@ variant: plain, relocated
//@ profile: dev, release
//@ emu-check: gives back the compiled NOPs, which nobody may do while other cores run
//! Shutdown takes every patch out again: the functions run untraced, and with the compiled NOPs given back the text is, byte
//! for byte, what was loaded. Init starts anew each time.
#![no_std]
#![no_main]

extern crate alloc;

use aarch64_ftrace::trace::crc32;
use aarch64_ftrace::{Filter, Ops, Shutdown};
use alloc::vec::Vec;
use core::hint::black_box;
use guest::{FTRACE, register, take_counts};
use virt::println;

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

static A: Ops = Ops::new(guest::count);
static B: Ops = Ops::unguarded(guest::count).with_data(1);
static C: Ops = Ops::new(guest::count).with_data(2);

#[inline(never)]
fn one(n: u64) -> u64 {
    black_box(n + 1)
}

#[inline(never)]
fn two(n: u64) -> u64 {
    black_box(n + 2)
}

fn words() -> &'static [u32] {
    let text = virt::mmu::text();
    // SAFETY: the kernel's text, mapped and readable; while a slice of it is looked at, nothing patches.
    unsafe { core::slice::from_raw_parts(text.start as *const u32, text.len() / 4) }
}

fn bytes() -> &'static [u8] {
    let words = words();
    // SAFETY: the same memory, and any bytes are bytes.
    unsafe { core::slice::from_raw_parts(words.as_ptr().cast(), size_of_val(words)) }
}

/// How many words of the text are not as loaded. A plain loop: an iterator's closures are traced here, each a word, where
/// nothing is optimised.
fn changed(loaded: &[u32]) -> usize {
    let now = words();
    let (mut i, mut changed) = (0, 0);
    while i < loaded.len() {
        changed += usize::from(now[i] != loaded[i]);
        i += 1;
    }
    changed
}

fn busy() {
    let at = [one as *const () as usize, two as *const () as usize];
    register(&A, &Filter::at(&at));
    register(&B, &Filter::at(&at[..1]));
    register(
        &C,
        &Filter::ALL.notrace(&["*::println", "core::*", "virt::*", "alloc::*", "guest::*"]),
    );
    take_counts::<3>();
    let sum = one(0) + two(0);
    let counts = take_counts::<3>();
    println!("  busy: results {sum}, counted {:?}", &counts[..2]);
    println!("  C counted at least as often: {}", counts[2] >= counts[0]);
}

fn idle(what: &str, done: Shutdown) {
    take_counts::<3>();
    let sum = one(0) + two(0);
    println!(
        "{what}: {} ops, {} left; results {sum}, counted {:?}",
        done.ops,
        done.left,
        take_counts::<3>()
    );
    println!(
        "  registered: {:?}, enabled: {}",
        [&A, &B, &C].map(|ops| ops.is_registered()),
        FTRACE.callsites().filter(|c| c.is_enabled()).count()
    );
    println!(
        "  register: {:?}",
        FTRACE.register(&A, &Filter::ALL).map(|_| ())
    );
}

fn main() {
    let loaded: Vec<u32> = words().to_vec();
    println!("before init: {} words changed", changed(&loaded));
    let report = guest::init();
    // Both words of the literal, and the NOP that is MOV X9, X30 now.
    println!(
        "init: three words each: {}",
        changed(&loaded) == 3 * report.callsites
    );
    busy();
    println!("  more: {}", changed(&loaded) > 3 * report.callsites);
    match FTRACE.shutdown() {
        Ok(done) => {
            println!("all callsites: {}", done.callsites == report.callsites);
            idle("shutdown", done);
        }
        Err(error) => panic!("{error}"),
    }
    println!(
        "  three words each: {}",
        changed(&loaded) == 3 * report.callsites
    );
    for _ in 0..2 {
        println!("init again: {}", guest::init() == report);
        busy();
        // SAFETY: one core, no tasks.
        match unsafe { FTRACE.shutdown_to_compiled() } {
            Ok(done) => idle("shutdown to compiled", done),
            Err(error) => panic!("{error}"),
        }
        println!("  {} words changed", changed(&loaded));
    }
    let text = virt::mmu::text();
    println!(
        "host: text at {:#x}, {} bytes, has CRC {:#010x}",
        text.start,
        text.len(),
        crc32(bytes())
    );
}
