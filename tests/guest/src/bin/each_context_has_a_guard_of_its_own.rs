//@ virtualization: yes
//@ cpu: cortex-a53, max
//@ profile: release
//! A guarded tracer is interrupted by an SVC, a BRK, an IRQ, an FIQ and an SError. What the handler calls is traced, because an
//! exception is taken with more of DAIF set; inside that call and after it the tracer is not entered again. Where the mask is
//! the same (a synchronous exception while all four are masked, a handler that unmasks) calls are refused, and counted.
#![no_std]
#![no_main]

use aarch64_ftrace::{Filter, Fregs, Ops};
use core::hint::black_box;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use guest::context::{ALL, Context, daif, raise, set_daif};
use guest::{AREA, bump, raw, register, take_counts, unregister};
use virt::println;

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

const MASKED: u64 = 0b1111 << 6;
const DAIF_SHIFT: u32 = 6;
const NO_FIQ: u64 = 0b1110 << 6;

/// What the tracers raise, from the outermost on, each in 4 bits: 1 + the context, 0 for nothing.
static RAISE: AtomicUsize = AtomicUsize::new(0);
/// What the next handler sets DAIF to before it calls traced functions.
static HANDLER_MASK: AtomicU64 = AtomicU64::new(MASKED);

const DELIVERED: usize = 0;
const HANDLED: usize = 1;

#[inline(never)]
fn outer(n: u64) -> u64 {
    black_box(n + 1)
}

#[inline(never)]
fn in_handler(n: u64) -> u64 {
    black_box(n + 2)
}

#[inline(never)]
fn helper(n: u64) -> u64 {
    black_box(n + 3)
}

aarch64_ftrace::notrace! {
    extern "C" fn tracer(_: usize, _: usize, _: &Ops, _: &mut Fregs) {
        bump(DELIVERED);
        assert_eq!(helper(1), 4);
        let todo = RAISE.load(Ordering::Relaxed);
        RAISE.store(todo >> 4, Ordering::Relaxed);
        if let Some(&context) = (todo & 0xf).checked_sub(1).and_then(|index| ALL.get(index)) {
            raise(context);
        }
        assert_eq!(helper(2), 5);
    }
}

/// Every context's handler.
fn handler(_: Context) {
    bump(HANDLED);
    let mask = daif();
    set_daif(HANDLER_MASK.swap(MASKED, Ordering::Relaxed));
    assert_eq!(in_handler(1), 3);
    set_daif(mask);
}

static TRACER: Ops = Ops::new(tracer);
static LOOKER: Ops = Ops::new(look);

/// Calls the traced function with `mask`, its tracer raising `contexts` one in the other.
fn call(mask: u64, contexts: &[Context]) {
    let refused = AREA.refused();
    let todo = contexts
        .iter()
        .rev()
        .fold(0, |todo, &context| todo << 4 | (context as usize + 1));
    RAISE.store(todo, Ordering::Relaxed);
    set_daif(mask);
    assert_eq!(outer(1), 2);
    set_daif(MASKED);
    virt::print!("  ");
    for context in contexts {
        virt::print!("{}, ", context.name());
    }
    let [delivered, handled] = take_counts();
    println!(
        "delivered {delivered}, handled {handled}, refused {}",
        AREA.refused() - refused
    );
    // What was held back arrives outside of any tracer, and is traced.
    let refused = AREA.refused();
    set_daif(0);
    set_daif(MASKED);
    let late: [u32; 2] = take_counts();
    if late != [0, 0] {
        println!(
            "    afterwards: delivered {}, handled {}, refused {}",
            late[DELIVERED],
            late[HANDLED],
            AREA.refused() - refused
        );
    }
}

const MASKS: u64 = 16;

/// The guard's slots that are taken, a bit for each: with them an area begins (docs/architecture.md, "The guard").
fn slots_taken() -> u64 {
    let area = raw::area_register();
    let taken = |mask: u64| u64::from(raw::literal((area + mask * 8) as usize) != 0);
    (0..MASKS).fold(0, |all, mask| all | taken(mask) << mask)
}

aarch64_ftrace::notrace! {
    /// Bit by bit: which slot is taken by a tracer that runs with this mask.
    extern "C" fn look(_: usize, _: usize, _: &Ops, _: &mut Fregs) {
        if slots_taken() == 1 << (daif() >> DAIF_SHIFT) {
            bump(DELIVERED);
        }
    }
}

/// Each mask has its slot.
fn each_mask() {
    register(&LOOKER, &Filter::at(&[outer as *const () as usize]));
    for mask in 0..MASKS {
        set_daif(mask << DAIF_SHIFT);
        assert_eq!(outer(1), 2);
    }
    set_daif(MASKED);
    unregister(&LOOKER);
    let [right] = take_counts();
    println!(
        "slots of {MASKS} masks: {right} as they must be, {} left",
        slots_taken().count_ones()
    );
}

fn main() {
    guest::init();
    each_mask();
    println!("entered at EL{}", virt::boot_el());
    guest::context::handle(handler);
    let at = [outer, in_handler, helper].map(|function| function as *const () as usize);
    register(&TRACER, &Filter::at(&at));

    println!("no exception");
    call(0, &[]);
    println!("nothing masked");
    for context in ALL {
        call(0, &[context]);
    }
    println!("all masked");
    for context in ALL {
        call(MASKED, &[context]);
    }
    println!("the handler masks all, its tracer raises a second one");
    for context in ALL {
        call(0, &[context, Context::Svc]);
        call(0, &[context, Context::Brk]);
    }
    println!("the handler lets FIQs in, its tracer is interrupted by one");
    for context in [Context::Svc, Context::Brk, Context::Irq, Context::SError] {
        HANDLER_MASK.store(NO_FIQ, Ordering::Relaxed);
        call(0, &[context, Context::Fiq]);
    }
    println!("the handler lets everything in, as what it interrupted");
    for context in ALL {
        HANDLER_MASK.store(0, Ordering::Relaxed);
        call(0, &[context]);
    }
}
