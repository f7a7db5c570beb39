//@ variant: high
//! Linked in the upper half (TTBR1): names, filters by name and by address, literals, BLs and symbols work there; records of
//! the lower half, 2^63 away, are left alone.
#![no_std]
#![no_main]

extern crate alloc;

use aarch64_ftrace::{Filter, Fregs, Ftrace, Image, Ops};
use alloc::boxed::Box;
use core::hint::black_box;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use guest::{FTRACE, callsite, raw, register, take_counts, unregister};
use virt::platform::Virt;
use virt::println;

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

const UPPER: usize = 0xffff_0000_0000_0000;

const LOWER: usize = 0x4020_0000;

static TRACER: Ops = Ops::new(noted);
static IP: AtomicUsize = AtomicUsize::new(0);
static PARENT: AtomicUsize = AtomicUsize::new(0);
static SECOND: Ftrace = Ftrace::new(&Virt);

aarch64_ftrace::notrace! {
    extern "C" fn noted(ip: usize, parent: usize, _: &Ops, _: &mut Fregs) {
        IP.store(ip, Relaxed);
        PARENT.store(parent, Relaxed);
        guest::bump(0);
    }
}

#[inline(never)]
fn subject(n: u64) -> u64 {
    black_box(n + 1)
}

fn main() {
    let at = subject as *const () as usize;
    println!("function in the upper half: {}", at >= UPPER);
    println!(
        "where it is loaded: {:#x}",
        virt::mmu::physical(virt::mmu::text().start).unwrap_or(0)
    );
    let records = [at as u64 - 8, LOWER as u64, 8, 1 << 63];
    // SAFETY: what is not a record is what this is about; the range is empty, so that nothing is changed.
    let image = unsafe {
        let nothing = at..at;
        let ranges = aarch64_ftrace::TextRanges {
            text: nothing.clone(),
            notrace: nothing,
        };
        Image::new(Box::leak(Box::new(records)), ranges, &[])
    };
    println!(
        "foreign: {:?}",
        SECOND
            .init_with(image)
            .map(|report| (report.callsites, report.rejected))
    );
    let kept = SECOND.rejects().map(|reject| reject.address);
    println!(
        "their addresses: {}",
        kept.clone().any(|each| each == LOWER) && kept.clone().any(|each| each == at - 8)
    );
    let upper = raw::records().iter().all(|&each| each as usize >= UPPER);
    let report = guest::init();
    println!("names: {}, records {upper}", report.names.is_ok());
    register(&TRACER, &Filter::new(&["*::subject"]));
    let layout = callsite(at as *const ()).layout();
    println!("{} counted {:?}", subject(1), take_counts::<1>());
    let name = |at: usize| FTRACE.symbol(at).map(|symbol| symbol.name);
    match (name(IP.load(Relaxed)), name(PARENT.load(Relaxed))) {
        (Some(own), Some(parent)) => println!("{own} from {parent}"),
        _ => println!("no names"),
    }
    println!("ip is the BL: {}", IP.load(Relaxed) == layout.branch());
    println!(
        "literal: {}",
        raw::literal(layout.literal()) == &raw const TRACER as u64
    );
    println!(
        "BL: {}",
        raw::insn(layout.branch()).branch_target(layout.branch()) == Some(raw::trampoline())
    );
    unregister(&TRACER);
    register(&TRACER, &Filter::at(&[at]));
    println!(
        "by address: {} counted {:?}",
        subject(1),
        take_counts::<1>()
    );
    unregister(&TRACER);
    println!("{} counted {:?}", subject(1), take_counts::<1>());
    println!(
        "host: {at:#x}, in text at {:#x}, is a_kernel_in_the_upper_half_is_traced::subject",
        virt::mmu::text().start
    );
}
