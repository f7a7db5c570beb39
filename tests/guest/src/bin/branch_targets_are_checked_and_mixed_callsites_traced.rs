//@ variant: bti
//@ cpu: max
//! BTI and PAC are live: a call of what is no landing pad and a damaged return address fault. Functions with and without a
//! landing pad in one binary are both traced, with return addresses that are not signed yet.
#![no_std]
#![no_main]

use aarch64_ftrace::{Filter, Fregs, Ops};
use core::arch::global_asm;
use core::hint::black_box;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use guest::fault::{self, Fault};
use guest::{FTRACE, register, take_counts, unregister};
use virt::mmu::{self, Mapping};
use virt::println;

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

global_asm!(
    ".pushsection .text.ftrace_notrace.pads, \"ax\", %progbits",
    "with_pad: bti c",
    "ret",
    "without_pad: nop",
    "ret",
    ".popsection",
    ".global with_pad",
    ".global without_pad",
);

unsafe extern "C" {
    fn with_pad();
    fn without_pad();
}

const POINTED_AT: &str =
    "branch_targets_are_checked_and_mixed_callsites_traced::subject::pointed_at";
const DEEPER: &str = "branch_targets_are_checked_and_mixed_callsites_traced::subject::deeper";

static TRACER: Ops = Ops::new(noted);
/// Calls whose parent is not signed and is what the function will return to.
static PLAIN: AtomicUsize = AtomicUsize::new(0);

aarch64_ftrace::notrace! {
    extern "C" fn noted(_: usize, parent: usize, _: &Ops, fregs: &mut Fregs) {
        if mmu::text().contains(&parent) && fregs.lr() == parent as u64 {
            PLAIN.fetch_add(1, Relaxed);
        }
        guest::bump(0);
    }
}

mod subject {
    use core::hint::black_box;

    /// Its address is taken.
    #[inline(never)]
    pub fn pointed_at(n: u64) -> u64 {
        black_box(deeper(n) + 1)
    }

    /// Only ever called by BL.
    #[inline(never)]
    fn deeper(n: u64) -> u64 {
        black_box(super::leaf(n) + 1)
    }
}

#[inline(never)]
fn leaf(n: u64) -> u64 {
    black_box(n)
}

fn say(what: &str, fault: Option<Fault>) {
    match fault {
        Some(fault) => println!("{what}: {fault}"),
        None => println!("{what}: done"),
    }
}

fn main() {
    let guarded = Mapping::of(mmu::text().start).map(|mapping| mapping.bits() & mmu::GUARDED != 0);
    println!("text guarded: {guarded:?}");
    say(
        "call of a landing pad",
        fault::call(with_pad as *const () as usize),
    );
    say(
        "call of none",
        fault::call(without_pad as *const () as usize),
    );
    say("damaged return address", fault::damaged_return());
    guest::init();
    let [with, without] = [true, false].map(|bti| {
        FTRACE
            .callsites()
            .filter(|callsite| callsite.layout().bti() == bti)
            .count()
    });
    println!(
        "callsites with a pad: {}, without: {}",
        with > 0,
        without > 0
    );
    for callsite in FTRACE.callsites() {
        let path = |function: &str| callsite.names().any(|name| name == *function);
        if path(POINTED_AT) || path(DEEPER) {
            println!("  {callsite}: {}", callsite.layout().bti());
        }
    }
    let applied = register(&TRACER, &Filter::new(&["*::subject::*"]));
    println!("on: {}", applied.enabled);
    let pointer: fn(u64) -> u64 = black_box(subject::pointed_at);
    println!(
        "{} counted {:?}, plain {}",
        pointer(1),
        take_counts::<1>(),
        PLAIN.load(Relaxed)
    );
    unregister(&TRACER);
    println!("{} counted {:?}", pointer(1), take_counts::<1>());
    let all = register(&TRACER, &Filter::ALL);
    println!("all on: {}", all.enabled == with + without);
    println!(
        "all off: {}",
        unregister(&TRACER).disabled == with + without
    );
}
