//! Counting exactly while tracing changes: functions, tracers that check what they are given, a worker that knows for each call
//! whether a tracer must, must not, or may be called, and a writer that changes tracing at random.
//!
//! The writer announces each change: before it begins, the callsites that it concerns are unsure; when it has returned they
//! are sure, in a new generation. A worker reads the announcement before and after its call. The same sure word on both
//! sides: exactly one callback of that ops, or none. Another word: at most one.

mod writer;

pub use writer::Writer;

use crate::{FTRACE, raw};
use aarch64_ftrace::insn::Insn;
use aarch64_ftrace::{CpuArea, Fregs, Ops};
use core::arch::global_asm;
use core::hint::black_box;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use virt::board::MAX_CORES;
use virt::{cores, println, quiescent};

/// Functions that are traced. The last two belong to the direct ops, which share with nobody.
pub const FUNCTIONS: usize = 6;
/// Ops: two of each kind that share, a direct one through the literal, a direct one straight.
pub const OPS: usize = 6;
/// The ops that always traces the functions of [`ANCHORED`].
const ANCHOR: usize = 0;
const ANCHORED: u32 = 0b0011;
/// What each ops may trace.
const MAY: [u32; OPS] = [0b1111, 0b1111, 0b1111, 0b1111, 0b01_0000, 0b10_0000];

#[inline(never)]
fn traced<const I: u64>(n: u64) -> u64 {
    black_box(n.wrapping_mul(3)) ^ (I + 1)
}

const TRACED: [fn(u64) -> u64; FUNCTIONS] = [
    traced::<0>,
    traced::<1>,
    traced::<2>,
    traced::<3>,
    traced::<4>,
    traced::<5>,
];

/// One core's own: what it calls now, what arrived, and what was wrong.
#[repr(C, align(128))]
struct Core {
    function: AtomicU32,
    argument: AtomicU64,
    received: [AtomicU64; OPS],
    /// Received by calls whose worker has looked.
    accounted: [AtomicU64; OPS],
    sure: [AtomicU64; 2],
    unsure: AtomicU64,
    /// Bits of [`WRONG`].
    wrong: AtomicU32,
    bursts: AtomicU64,
    area: CpuArea,
}

static CORES: [Core; MAX_CORES] = [const {
    Core {
        function: AtomicU32::new(u32::MAX),
        argument: AtomicU64::new(0),
        received: [const { AtomicU64::new(0) }; OPS],
        accounted: [const { AtomicU64::new(0) }; OPS],
        sure: [const { AtomicU64::new(0) }; 2],
        unsure: AtomicU64::new(0),
        wrong: AtomicU32::new(0),
        bursts: AtomicU64::new(0),
        area: CpuArea::new(),
    }
}; MAX_CORES];

/// What can be wrong, a bit each.
pub const WRONG: [&str; 9] = [
    "a call was lost",
    "a callback although the ops was not registered",
    "two callbacks for one call",
    "a result changed",
    "an argument changed",
    "a callback for another function",
    "a callback of another ops",
    "a callback outside of any call",
    "a callback after unregister and the grace period",
];
const LOST: u32 = 0;
const UNREGISTERED: u32 = 1;
const TWICE: u32 = 2;
const RESULT: u32 = 3;
const ARGUMENT: u32 = 4;
const FUNCTION: u32 = 5;
const OTHER_OPS: u32 = 6;
const OUTSIDE: u32 = 7;
const DEAD: u32 = 8;

impl Core {
    fn wrong(&self, what: u32) {
        self.wrong.fetch_or(1 << what, Ordering::Relaxed);
    }
}

/// Counts of the direct tracers, by core.
#[unsafe(no_mangle)]
static SMP_DIRECT: [AtomicU64; MAX_CORES] = [const { AtomicU64::new(0) }; MAX_CORES];
#[unsafe(no_mangle)]
static SMP_STRAIGHT: [AtomicU64; MAX_CORES] = [const { AtomicU64::new(0) }; MAX_CORES];

// Each adds one to its core's word of a table. MPIDR_EL1's lowest byte is the core.
global_asm!(
    ".macro SMP_COUNT name, table",
    ".global \\name",
    "\\name:",
    "bti c",
    "mov x10, x30",
    "mov x30, x9",
    "mrs x12, mpidr_el1",
    "and x12, x12, #0xff",
    "adrp x13, \\table",
    "add x13, x13, :lo12:\\table",
    "add x13, x13, x12, lsl #3",
    "ldr x14, [x13]",
    "add x14, x14, #1",
    "str x14, [x13]",
    "ret x10",
    ".endm",
    ".pushsection .text.ftrace_notrace.smp, \"ax\", %progbits",
    ".balign 8",
    "SMP_COUNT smp_direct, SMP_DIRECT",
    "SMP_COUNT smp_straight, SMP_STRAIGHT",
    ".popsection",
    ".purgem SMP_COUNT",
);

unsafe extern "C" {
    fn smp_direct();
    fn smp_straight();
}

static ALL: [Ops; OPS] = [
    Ops::unguarded(tracer::<0>).with_data(0),
    Ops::new(tracer::<1>).with_data(1),
    Ops::unguarded(tracer::<2>).with_data(2),
    Ops::new(tracer::<3>).with_data(3),
    // SAFETY: asm as `Ops::direct` asks for, above.
    unsafe { Ops::direct(smp_direct) },
    // SAFETY: as above.
    unsafe { Ops::straight(smp_straight) },
];

/// Not zero from before an ops is registered until after it is unregistered and the grace period has passed.
static LIVE: [AtomicU32; OPS] = [const { AtomicU32::new(0) }; OPS];
/// The announcement of each ops: generation, functions it traces, functions that are unsure.
static STATE: [AtomicU64; OPS] = [const { AtomicU64::new(0) }; OPS];
static STOP: AtomicBool = AtomicBool::new(false);

const fn word(generation: u64, on: u32, unsure: u32) -> u64 {
    generation << 32 | (on as u64) << 16 | unsure as u64
}

fn on(word: u64) -> u32 {
    (word >> 16) as u32 & 0xffff
}

aarch64_ftrace::notrace! {
    extern "C" fn tracer<const K: usize>(ip: usize, _parent: usize, ops: &Ops, fregs: &mut Fregs) {
        let core = &CORES[cores::index()];
        if !core::ptr::eq(ops, &ALL[K]) || ops.data() != K {
            core.wrong(OTHER_OPS);
        }
        if LIVE[K].load(Ordering::Relaxed) == 0 {
            core.wrong(DEAD);
        }
        let function = core.function.load(Ordering::Relaxed);
        match TRACED.get(function as usize) {
            None => core.wrong(OUTSIDE),
            // The BL is the entry's second or, behind a BTI, third instruction.
            Some(&entry) if ![4, 8].contains(&ip.wrapping_sub(entry as usize)) => core.wrong(FUNCTION),
            Some(_) => {}
        }
        if fregs.arg(0) != Some(core.argument.load(Ordering::Relaxed)) {
            core.wrong(ARGUMENT);
        }
        core.received[K].fetch_add(1, Ordering::Relaxed);
    }
}

/// What has arrived on a core so far.
fn received(core: usize) -> [u64; OPS] {
    core::array::from_fn(|ops| match ops {
        4 => SMP_DIRECT[core].load(Ordering::Relaxed),
        5 => SMP_STRAIGHT[core].load(Ordering::Relaxed),
        _ => CORES[core].received[ops].load(Ordering::Relaxed),
    })
}

fn announced() -> [u64; OPS] {
    core::array::from_fn(|ops| STATE[ops].load(Ordering::Acquire))
}

/// One call, and what must have come of it.
fn call(me: usize, function: usize, argument: u64) {
    let core = &CORES[me];
    let before = received(me);
    core.argument.store(argument, Ordering::Relaxed);
    core.function.store(function as u32, Ordering::Relaxed);
    let first = announced();
    let result = TRACED[function](argument);
    core::sync::atomic::fence(Ordering::Acquire);
    let second = announced();
    core.function.store(u32::MAX, Ordering::Relaxed);
    if result != argument.wrapping_mul(3) ^ (function as u64 + 1) {
        core.wrong(RESULT);
    }
    let after = received(me);
    for ops in 0..OPS {
        let came = after[ops] - before[ops];
        core.accounted[ops].fetch_add(came, Ordering::Relaxed);
        if came > 1 {
            core.wrong(TWICE);
        }
        if first[ops] != second[ops] || first[ops] >> function & 1 == 1 {
            core.unsure.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        let wanted = u64::from(on(first[ops]) >> function & 1);
        core.sure[wanted as usize].fetch_add(1, Ordering::Relaxed);
        if came < wanted {
            core.wrong(LOST);
        } else if came > wanted {
            core.wrong(UNREGISTERED);
        }
    }
}

/// Numbers as they come; the same in each run.
pub struct Random(u64);

impl Random {
    /// Begins anywhere.
    pub const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(2).wrapping_add(1))
    }

    /// Below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        // Knuth's MMIX; the high bits are the good ones.
        self.0 = self
            .0
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(0x1405_7b7e_f767_814f);
        (self.0 >> 33) % end
    }
}

/// Gives this core its area and lets interrupts in.
pub fn arrive() {
    FTRACE.cpu_online(&CORES[cores::index()].area);
    virt::irq::unmask();
}

/// Some calls, of functions at random.
pub fn burst(random: &mut Random) {
    let me = cores::index();
    for _ in 0..=random.below(24) {
        let (function, argument) = (random.below(FUNCTIONS as u64), random.below(1 << 30));
        call(me, function as usize, argument);
    }
    CORES[me].bursts.fetch_add(1, Ordering::Relaxed);
}

/// Whether the writer is done.
pub fn stopped() -> bool {
    STOP.load(Ordering::Acquire)
}

/// A core that calls until the writer is done. Mostly it sleeps between two bursts, until a change interrupts it.
pub fn work(me: usize) {
    arrive();
    let mut random = Random::new(me as u64);
    while !stopped() {
        burst(&mut random);
        if random.below(8) == 0 {
            quiescent::point();
        } else {
            quiescent::idle();
        }
    }
}

/// The two words behind a function's entry and landing pad.
fn words(entry: usize) -> [Insn; 2] {
    let branch = branch(entry);
    [raw::insn(branch - 4), raw::insn(branch)]
}

fn branch(entry: usize) -> usize {
    entry + 4 + 4 * usize::from(raw::insn(entry).is_bti())
}

/// How many callsites of the kernel are not in the disabled state, word by word: one literal for all, MOV, NOP.
pub fn callsites_left() -> usize {
    let literal = FTRACE
        .callsites()
        .next()
        .map(|first| raw::literal(first.entry() - 8));
    FTRACE
        .callsites()
        .filter(|callsite| {
            Some(raw::literal(callsite.entry() - 8)) != literal
                || words(callsite.entry()) != [Insn::MOV_X9_X30, Insn::NOP]
        })
        .count()
}

/// What all cores have counted.
#[derive(Debug, Default)]
pub struct Totals {
    /// Pairs of call and ops that had to bring one callback, and none.
    pub sure: [u64; 2],
    /// Those where a change was under way.
    pub unsure: u64,
    /// Callbacks that no call accounts for.
    pub unaccounted: u64,
    /// Bits of [`WRONG`].
    pub wrong: u32,
}

/// Adds up.
pub fn totals() -> Totals {
    let mut totals = Totals::default();
    for (index, core) in CORES.iter().enumerate() {
        for (sum, sure) in totals.sure.iter_mut().zip(&core.sure) {
            *sum += sure.load(Ordering::Relaxed);
        }
        totals.unsure += core.unsure.load(Ordering::Relaxed);
        totals.wrong |= core.wrong.load(Ordering::Relaxed);
        for (received, accounted) in received(index).iter().zip(&core.accounted) {
            totals.unaccounted += received.abs_diff(accounted.load(Ordering::Relaxed));
        }
    }
    totals
}

/// Bursts that a core has made.
pub fn bursts(core: usize) -> u64 {
    CORES[core].bursts.load(Ordering::Relaxed)
}

/// `COUNT` of the command line, and whether `once` does not follow.
pub fn asked() -> (u32, bool) {
    let mut buffer = [0; 64];
    let mut words = virt::words::command_line(&mut buffer).split_whitespace();
    match words.next().map(str::parse) {
        Some(Ok(count)) => (count, words.next() != Some("once")),
        _ => panic!("how many changes?"),
    }
}

/// Prints what all cores have counted, when nobody calls any more.
pub fn report(least: u32) {
    let totals = totals();
    for (bit, what) in WRONG.iter().enumerate() {
        if totals.wrong >> bit & 1 == 1 {
            println!("wrong: {what}");
        }
    }
    let [none, one] = totals.sure.map(|count| count > u64::from(least));
    println!("calls that had to bring one callback, or none: {one}, {none}");
    println!("calls while a change was under way: {}", totals.unsure > 20);
    println!(
        "callbacks that no call accounts for: {}",
        totals.unaccounted
    );
    println!("callsites left in another state: {}", callsites_left());
    println!("sets left: {:?}", FTRACE.sets());
}
