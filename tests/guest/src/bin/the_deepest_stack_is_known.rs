//@ cpu: cortex-a53, max
//@ smp: 3
//! The deepest stack of each core, frame by frame: what the stack tracer says of each is what SP itself has said in it. Of functions
//! with hijacked returns, in a set, in an interrupt, below a frame that no compiler made; on a stack that was not named nothing is
//! seen, and what is forgotten is forgotten; on a core without a slot what is not kept is counted, on one without an area nothing is
//! looked at.
#![no_std]
#![no_main]

use aarch64_ftrace::record::RecordError;
use aarch64_ftrace::{
    Applied, CpuArea, DeepStack, Error, Filter, KernelStack, Mode, Ops, ReturnStack, StackSlot,
    StackTracer,
};
use core::arch::global_asm;
use core::hint::{black_box, spin_loop};
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use guest::record::{Place, RECORDER, install, sure};
use guest::returns::{frames, interrupted};
use guest::{FTRACE, irq, probe, register, unregister, without_area};
use virt::{board, cores, println};

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

const CORES: usize = 2;
static SLOTS: [StackSlot; CORES] = [const { StackSlot::new() }; CORES];
static STACKS: StackTracer = StackTracer::new(&FTRACE, &SLOTS);
static FEW: [StackSlot; 0] = [];
static WITHOUT_MEMORY: StackTracer = StackTracer::new(&FTRACE, &FEW);
static ANOTHER: StackTracer = StackTracer::new(&FTRACE, &SLOTS);
static BESIDE: Ops = Ops::unguarded(probe::TRASH);

/// One more core than there are slots.
static BOUNDS: [KernelStack; CORES + 1] = [const { KernelStack::new() }; CORES + 1];
static ELSEWHERE: KernelStack = KernelStack::new();
static RETURNS: ReturnStack = ReturnStack::new();
static AREAS: [CpuArea; CORES + 1] = [const { CpuArea::new() }; CORES + 1];

/// What SP was in each function when it called the next: the outermost first.
const NOTED: usize = 16;
static SP: [AtomicU64; NOTED] = [const { AtomicU64::new(0) }; NOTED];
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// Notes SP as it is here, in the function itself.
macro_rules! note {
    () => {{
        let sp: u64;
        // SAFETY: a read of a register.
        unsafe { core::arch::asm!("mov {}, sp", out(reg) sp, options(nomem, nostack)) };
        SP[NEXT.fetch_add(1, SeqCst)].store(sp, SeqCst);
    }};
}

#[inline(never)]
extern "C" fn leaf(n: u64) -> u64 {
    black_box(n + 1)
}

/// Keeps little.
#[inline(never)]
extern "C" fn small(n: u64) -> u64 {
    note!();
    black_box(leaf(n) + 1)
}

/// Keeps a kilobyte.
#[inline(never)]
extern "C" fn large(n: u64) -> u64 {
    let mut bytes = [0_u8; 1024];
    black_box(&mut bytes);
    note!();
    let result = small(n);
    black_box(result + u64::from(bytes[n as usize]))
}

/// Keeps floats in registers that are its caller's, too, where there are such.
#[inline(never)]
extern "C" fn floats(a: f64, b: f64) -> f64 {
    let (x, y) = (black_box(a * b), black_box(a - b));
    note!();
    let n = large(3);
    x + y + n as f64
}

/// More than a page: LLVM touches each page on the way down.
#[inline(never)]
extern "C" fn pages(n: u64) -> u64 {
    let mut bytes = [0_u8; 40_000];
    black_box(&mut bytes);
    note!();
    let result = floats(1.5, n as f64) as u64;
    black_box(result + u64::from(bytes[n as usize]))
}

/// Where the frame of the next function ends.
#[inline(never)]
extern "C" fn outer(n: u64) -> u64 {
    note!();
    black_box(pages(n) + 1)
}

const ASM_FRAME: u64 = 0x150;

// No record, so whoever asks for its name gets that of another function.
global_asm!(
    ".section .text.asm_frame, \"ax\", %progbits",
    "asm_frame:",
    "hint #34",
    "sub sp, sp, #{frame}",
    "stp x29, x30, [sp, #32]",
    "add x29, sp, #32",
    "bl {large}",
    "ldp x29, x30, [sp, #32]",
    "add sp, sp, #{frame}",
    "ret",
    ".previous",
    frame = const ASM_FRAME,
    large = sym large,
);

unsafe extern "C" {
    fn asm_frame(n: u64) -> u64;
}

#[inline(never)]
fn around_asm(n: u64) -> u64 {
    note!();
    // SAFETY: as its ABI says.
    black_box(unsafe { asm_frame(n) } + 1)
}

/// As many calls, each inside the one before, and a leaf.
#[inline(never)]
fn down(n: u64) -> u64 {
    if n == 0 {
        leaf(0)
    } else {
        black_box(down(n - 1) + 1)
    }
}

#[inline(never)]
fn on_interrupt() {
    note!();
    black_box(leaf(9));
}

fn deepest(core: usize) -> DeepStack {
    match STACKS.deepest(core) {
        Some(deep) => deep,
        None => panic!("core {core} has seen no stack"),
    }
}

fn fine(applied: Result<Applied, Error>) -> Applied {
    sure(applied.map_err(RecordError::from))
}

/// Compares the innermost frames of the deepest stack with what was noted, and forgets both.
fn compare(what: &str, all_exact: bool) {
    let deep = deepest(cores::index());
    let count = NEXT.swap(0, SeqCst);
    // From the innermost outwards: at each call, and so at the lower end of the callee's caller.
    let mut noted = SP[..count].iter().rev().map(|sp| sp.load(SeqCst));
    let Some(mut low) = noted.next() else {
        panic!("{what}: nothing was noted");
    };
    let bounds = cores::stack(cores::index());
    assert_eq!(deep.bytes(), bounds.end as u64 - low, "{what}");
    assert_eq!(deep.stack_bytes(), board::STACK_BYTES as u64);
    assert_eq!(
        deep.frames().map(|frame| frame.size).sum::<u64>(),
        deep.bytes()
    );
    println!("{what}: at the entry of {}", Place(deep.ip()));
    for (high, frame) in noted.zip(deep.frames()) {
        assert_eq!(frame.size, high - low, "{what}: {frame:?}\n{deep}");
        assert_eq!(frame.depth, bounds.end as u64 - low, "{what}: {frame:?}");
        assert!(frame.is_exact || !all_exact, "{what}: {frame:?}\n{deep}");
        println!(
            "  {} is as large as SP says",
            Place(frame.return_address - 4)
        );
        low = high;
    }
    STACKS.clear();
    assert!(STACKS.deepest(0).is_none() && STACKS.max_bytes(0) == Some(0));
}

/// The frame below which asm stands, whose caller has noted SP; and the asm's own.
fn compare_asm() {
    let deep = deepest(0);
    let count = NEXT.swap(0, SeqCst);
    assert_eq!(count, 3);
    let [around, large, small] = [0, 1, 2].map(|i: usize| SP[i].load(SeqCst));
    let sizes = [large - small, around - ASM_FRAME - large, ASM_FRAME];
    for (frame, size) in deep.frames().zip(sizes) {
        assert_eq!(frame.size, size, "{frame:?}\n{deep}");
    }
    println!("asm_frame is as large as it says");
    STACKS.clear();
}

fn other_core(me: usize) {
    FTRACE.cpu_online(&AREAS[me]);
    // SAFETY: the stack that this core runs on.
    unsafe { FTRACE.switch_kernel_stack(&BOUNDS[me]) };
    small(black_box(3));
    DONE.store(me, SeqCst);
}

fn start(core: usize) {
    if let Err(error) = cores::start_core(core, other_core) {
        panic!("core {core}: {error}");
    }
    while DONE.load(SeqCst) != core {
        spin_loop();
    }
}

static DONE: AtomicUsize = AtomicUsize::new(0);

fn name_stacks() {
    for (core, stack) in BOUNDS.iter().enumerate() {
        assert_eq!(stack.set_bounds(cores::stack(core)), Ok(()));
    }
    let bounds = cores::stack(0);
    let below = bounds.start - board::STACK_BYTES..bounds.start;
    assert_eq!(ELSEWHERE.set_bounds(below), Ok(()));
    // SAFETY: the stack that this core runs on.
    unsafe { FTRACE.switch_kernel_stack(&BOUNDS[0]) };
}

fn refusals(all: &Filter<'_>) {
    assert_eq!(STACKS.set(all), Err(Error::NoKernelStack));
    name_stacks();
    let refused = Err(Error::StackSlots { slots: 0, core: 0 });
    assert_eq!(WITHOUT_MEMORY.set(all), refused);
    println!("set: {}", fine(STACKS.set(all)));
    assert_eq!(ANOTHER.set(all), Err(Error::AnotherStackTracer));
    assert_eq!(STACKS.set(all), Err(Error::AlreadyRegistered));
}

fn main() {
    guest::init();
    install(Mode::Overwrite, CORES);
    let at = [leaf as *const () as usize, down as *const () as usize];
    refusals(&Filter::at(&at));

    outer(1);
    compare("alone", true);

    // What is no deeper changes nothing.
    down(black_box(20));
    let deep = deepest(0);
    leaf(1);
    outer(black_box(0));
    NEXT.store(0, SeqCst);
    down(black_box(19));
    let again = deepest(0);
    assert!(again.bytes() > deep.bytes() && again.time() > deep.time());
    println!("what is less deep changes nothing, what is deeper is kept");
    STACKS.clear();

    around_asm(1);
    compare_asm();

    assert_eq!(RETURNS.set_frames(frames(64)), Ok(()));
    // SAFETY: no function has been hijacked yet.
    unsafe { FTRACE.switch_return_stack(&RETURNS) };
    let graph = sure(RECORDER.graph_ops());
    let hijacked = [leaf, small, large, outer].map(|f| f as *const () as usize);
    register(graph, &Filter::at(&hijacked));
    outer(1);
    compare("in a set, with hijacked returns", true);
    unregister(graph);

    register(&BESIDE, &Filter::at(&at));
    virt::irq::handle(irq::SGI, on_interrupt);
    virt::irq::unmask();
    interrupted(1);
    compare("in an interrupt, in a set", false);
    unregister(&BESIDE);

    down(black_box(aarch64_ftrace::STACK_FRAMES as u64 + 10));
    let deep = deepest(0);
    assert!(deep.is_cut());
    let whole: u64 = deep.frames().map(|frame| frame.size).sum();
    assert_eq!(
        (deep.frames().count(), whole),
        (aarch64_ftrace::STACK_FRAMES, deep.bytes())
    );
    assert!(deep.frames().last().is_some_and(|frame| !frame.is_exact));
    println!("more than there is room for is cut");
    STACKS.clear();

    // SAFETY: no memory is read there, as this core never runs on it.
    unsafe { FTRACE.switch_kernel_stack(&ELSEWHERE) };
    outer(3);
    NEXT.store(0, SeqCst);
    assert!(STACKS.deepest(0).is_none());
    // SAFETY: the stack that this core runs on.
    unsafe { FTRACE.switch_kernel_stack(&BOUNDS[0]) };
    println!("on another stack nothing is seen");

    start(1);
    assert!(STACKS.deepest(0).is_none());
    let deep = deepest(1);
    assert_eq!((deep.core(), STACKS.missed()), (1, 0));
    assert_eq!(STACKS.max_bytes(1), Some(deep.bytes()));
    println!("the other core's: at the entry of {}", Place(deep.ip()));
    start(2);
    assert!(STACKS.deepest(2).is_none() && STACKS.max_bytes(2).is_none());
    println!("without a slot: {} missed", STACKS.missed());
    let result = without_area(|| small(black_box(1)));
    println!("without an area: {result}");
    println!("unset: {}", fine(STACKS.unset()));
    outer(1);
    assert!(STACKS.deepest(0).is_none());
}
