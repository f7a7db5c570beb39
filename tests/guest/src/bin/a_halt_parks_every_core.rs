//@ cpu: neoverse-n1
//@ smp: 5
//! A trigger that halts: four cores count, one of them enters the function, and no core's counter moves any more, whatever interrupts
//! are sent to it; each is parked where the halt met it, on its own stack. A fifth core, which nobody interrupts, stands in for the
//! debugger that looks.
#![no_std]
#![no_main]

use aarch64_ftrace::record::{Action, Item, Trigger, park};
use aarch64_ftrace::trace::trigger_name;
use aarch64_ftrace::{CpuArea, Filter, Mode};
use core::arch::asm;
use core::hint::{black_box, spin_loop};
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use guest::FTRACE;
use guest::record::{RECORDER, install, sure};
use virt::{cores, gic, irq, println, timer};

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

/// The cores that count; the one behind them looks.
const COUNTING: usize = 4;
const HALT_SGI: u32 = 2;
const OTHER_SGI: u32 = 3;

static HALT: Trigger = Trigger::new(&RECORDER, Action::Halt { stop_others });
static AREAS: [CpuArea; COUNTING] = [const { CpuArea::new() }; COUNTING];
static COUNTS: [AtomicU64; COUNTING] = [const { AtomicU64::new(0) }; COUNTING];
/// Where the halt's interrupt met each core, and on which stack.
static PLACES: [AtomicUsize; COUNTING] = [const { AtomicUsize::new(0) }; COUNTING];
static STACKS: [AtomicUsize; COUNTING] = [const { AtomicUsize::new(0) }; COUNTING];
/// Interrupts that were taken behind the halt, and returns from the function that halts.
static WOKEN: AtomicUsize = AtomicUsize::new(0);
static SEEN_MOVING: AtomicUsize = AtomicUsize::new(0);

#[inline(never)]
fn fatal(n: u64) -> u64 {
    black_box(n + 1)
}

aarch64_ftrace::notrace! {
    fn stop_others() {
        gic::sgi_all_others(HALT_SGI);
    }
}

/// What the kernel supplies: the interrupt's handler parks the core.
fn on_halt() {
    let (place, stack): (usize, usize);
    // SAFETY: reads of registers.
    unsafe {
        asm!("mrs {}, elr_el1", "mov {}, sp", out(reg) place, out(reg) stack, options(nomem, nostack))
    };
    STACKS[cores::index()].store(stack, SeqCst);
    PLACES[cores::index()].store(place, SeqCst);
    park()
}

fn on_other() {
    WOKEN.fetch_add(1, SeqCst);
}

fn arrive(me: usize) {
    FTRACE.cpu_online(&AREAS[me]);
    RECORDER.cpu_online();
    irq::handle(HALT_SGI, on_halt);
    irq::handle(OTHER_SGI, on_other);
    irq::unmask();
}

/// In asm, so that it is this function that the halt meets, in every build.
#[inline(never)]
fn count_for_ever(me: usize) {
    // SAFETY: no other core stores to this counter, and the loop never ends.
    unsafe {
        asm!("2: ldr {n}, [{at}]", "add {n}, {n}, #1", "str {n}, [{at}]", "b 2b",
            n = out(reg) _, at = in(reg) COUNTS[me].as_ptr(), options(nostack))
    };
}

fn counting(me: usize) {
    arrive(me);
    count_for_ever(me);
}

fn counts() -> [u64; COUNTING] {
    COUNTS.each_ref().map(|count| count.load(SeqCst))
}

/// How many counters move within a while.
fn moving() -> usize {
    let before = counts();
    let until = timer::ticks() + timer::frequency() / 50;
    while timer::ticks() < until {
        spin_loop();
    }
    let pairs = before.into_iter().zip(counts());
    pairs.filter(|(before, now)| before != now).count()
}

/// With its interrupts masked, as a core starts.
fn looking(_: usize) {
    // As long as it takes: the machine may be busy.
    let first = counts();
    while counts()
        .into_iter()
        .zip(first)
        .any(|(now, first)| now == first)
    {
        spin_loop();
    }
    println!("before the halt each counter moves");
    SEEN_MOVING.store(1, SeqCst);
    while PLACES[1..].iter().any(|place| place.load(SeqCst) == 0) || HALT.fired() == 0 {
        spin_loop();
    }
    println!("counters that move behind it: {}", moving());
    gic::sgi_all_others(OTHER_SGI);
    println!("when they are interrupted once more: {}", moving());
    println!("interrupts that were taken: {}", WOKEN.load(SeqCst));
    for core in 1..COUNTING {
        let place = PLACES[core].load(SeqCst);
        match FTRACE.symbol(place) {
            Some(symbol) => println!("core {core} is parked in {}", symbol.name),
            None => println!("core {core} is parked at {place:#x}"),
        }
        let stack = STACKS[core].load(SeqCst);
        println!("  on its stack: {}", cores::stack(core).contains(&stack));
    }
    println!("recording is on: {}", RECORDER.is_on());
    let Some(Item::Event { event, .. }) = sure(RECORDER.read(0)).last(1).next() else {
        panic!("core 0 has no event");
    };
    let action = trigger_name(event.upper());
    println!("the last event: {:?} {action}", event.kind());
    virt::exit(0)
}

fn main() {
    guest::init();
    install(Mode::Overwrite, COUNTING);
    arrive(0);
    sure(HALT.set(&Filter::at(&[fatal as *const () as usize])));
    for core in 1..=COUNTING {
        let main = if core < COUNTING { counting } else { looking };
        if let Err(error) = cores::start_core(core, main) {
            panic!("core {core}: {error}");
        }
    }
    while SEEN_MOVING.load(SeqCst) == 0 {
        COUNTS[0].fetch_add(1, SeqCst);
    }
    fatal(1);
    // Nobody comes here.
    loop {
        COUNTS[0].fetch_add(1, SeqCst);
    }
}
