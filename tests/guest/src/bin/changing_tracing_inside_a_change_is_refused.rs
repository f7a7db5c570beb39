//! While a change is under way on this core, whoever interrupts it (an interrupt handler, a tracer on a function that the
//! platform's own code calls) gets `Reentrant` instead of a wait for ever, and the change under way is not harmed.
#![no_std]
#![no_main]

use aarch64_ftrace::{AliasError, Filter, Fregs, Ftrace, Ops, Platform};
use core::hint::black_box;
use core::sync::atomic::{AtomicBool, Ordering};
use guest::{count, irq, take_counts};
use virt::platform::Virt;
use virt::println;

virt::entry!(main);

/// The board's platform, which is interrupted and calls traced functions.
struct Busy;

// SAFETY: as the board's own; what it does besides happens between its parts.
unsafe impl Platform for Busy {
    fn patch_begin(&self) -> Result<isize, AliasError> {
        Virt.patch_begin()
    }

    fn sync_cores(&self) {
        Virt.sync_cores();
        if DISTURB.load(Ordering::Relaxed) {
            in_platform(1);
            irq::send();
        }
    }

    fn cpu_index(&self) -> usize {
        Virt.cpu_index()
    }
}

static DISTURB: AtomicBool = AtomicBool::new(false);
static FTRACE: Ftrace = Ftrace::new(&Busy);
static CURIOUS: Ops = Ops::new(curious);
static COUNTER: Ops = Ops::new(count);
static OTHER: Ops = Ops::new(count).with_data(1);

aarch64_ftrace::notrace! {
    extern "C" fn curious(_: usize, _: usize, _: &Ops, _: &mut Fregs) {
        if DISTURB.load(Ordering::Relaxed) {
            attempts("  a tracer");
        }
    }
}

fn handler() {
    attempts("  an interrupt");
}

fn attempts(who: &str) {
    let at = [subject as *const () as usize];
    let nothing = |applied: aarch64_ftrace::Applied| applied.matched;
    println!(
        "{who} registers: {:?}",
        FTRACE.register(&OTHER, &Filter::at(&at)).map(nothing)
    );
    println!(
        "{who} changes: {:?}",
        FTRACE.set_filter(&COUNTER, &Filter::ALL).map(nothing)
    );
    println!(
        "{who} unregisters: {:?}",
        FTRACE.unregister(&CURIOUS).map(nothing)
    );
    println!(
        "{who} asks: {:?}, {:?}",
        FTRACE.sets(),
        FTRACE.for_each_ops(|_| {})
    );
    println!("{who} lists: {}", FTRACE.callsites().count() > 100);
}

#[inline(never)]
fn in_platform(n: u64) -> u64 {
    black_box(n + 1)
}

#[inline(never)]
fn subject(n: u64) -> u64 {
    black_box(n + 2)
}

fn disturbed(
    what: &str,
    change: impl FnOnce() -> Result<aarch64_ftrace::Applied, aarch64_ftrace::Error>,
) {
    println!("{what}");
    DISTURB.store(true, Ordering::Relaxed);
    let answer = change();
    DISTURB.store(false, Ordering::Relaxed);
    guest::say(what, answer);
    assert_eq!(subject(1), 3);
    println!(
        "counted {:?}, other registered: {}",
        take_counts::<2>(),
        OTHER.is_registered()
    );
}

fn main() {
    if let Err(error) = FTRACE.init() {
        panic!("init: {error}");
    }
    virt::irq::handle(irq::SGI, handler);
    virt::irq::unmask();
    let at = [subject as *const () as usize];
    let within = [in_platform as *const () as usize];
    guest::say("curious", FTRACE.register(&CURIOUS, &Filter::at(&within)));
    disturbed("register", || FTRACE.register(&COUNTER, &Filter::at(&at)));
    disturbed("set_filter", || {
        FTRACE.set_filter(&COUNTER, &Filter::at(&[at[0], within[0]]))
    });
    disturbed("unregister", || FTRACE.unregister(&COUNTER));
}
