//@ cpu: cortex-a53, max
//@ variant: plain, bti
//! Several users of entry and exit on the same functions, beside the recorder's graph and a tracer: each call's words come back
//! as its entry left them, through recursion, interrupts, tasks that change and exceptions to the rule.
#![no_std]
#![no_main]

extern crate alloc;

use aarch64_ftrace::{Filter, Fprobe, Fregs, Mode, Ops, PROBE_WORDS, Probe, ReturnStack};
use core::hint::black_box;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use guest::keeper::Keeper;
use guest::record::{RECORDER, brackets, counts, install, sure};
use guest::returns::{deep, frames, interrupted, weigh};
use guest::task::{self, Task};
use guest::{AREA, FTRACE, count, irq, probe, register, take_counts, unregister, unwind};
use virt::println;

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

static TASKS: [(Task, ReturnStack); 2] = [const { (Task::new(), ReturnStack::new()) }; 2];
const MAIN: usize = 0;
const OTHER: usize = 1;
static SMALL: ReturnStack = ReturnStack::new();
static PAIR: ReturnStack = ReturnStack::new();
static BESIDE: Ops = Ops::unguarded(count);

static ALL: Keeper = Keeper::new(1, 0x1234);
static EVEN: Keeper = Keeper::new(2, 0xabcd);
static FIRST: Fprobe = Fprobe::new(&ALL);
static SECOND: Fprobe = Fprobe::new(&EVEN);

fn report() {
    ALL.report("of all");
    EVEN.report("of even ones");
}

/// Changes what its function is given and what it returns; calls traced functions itself, which are not for it.
struct Doubler(AtomicU64);

static DOUBLER: Doubler = Doubler(AtomicU64::new(0));
static DOUBLES: Fprobe = Fprobe::new(&DOUBLER);

aarch64_ftrace::notrace! {
    impl Probe for Doubler {
        fn entry(&self, _: usize, _: usize, fregs: &mut Fregs, words: &mut [u64; PROBE_WORDS]) -> bool {
            words[3] = fregs.arg(0).unwrap_or(0);
            self.0.fetch_add(deep(1), Relaxed);
            fregs.set_arg(0, words[3] * 2)
        }

        fn exit(&self, _: usize, _: usize, fregs: &mut Fregs, words: &[u64; PROBE_WORDS]) {
            self.0.fetch_add(deep(1), Relaxed);
            fregs.set_arg(0, fregs.arg(0).unwrap_or(0) * 100 + words[3]);
        }
    }
}

/// Answers in its function's place, and still asks for the exit.
struct Answer;

static ANSWERS: Fprobe = Fprobe::new(&Answer);

aarch64_ftrace::notrace! {
    impl Probe for Answer {
        fn entry(&self, _: usize, _: usize, fregs: &mut Fregs, _: &mut [u64; PROBE_WORDS]) -> bool {
            fregs.return_early(55);
            true
        }

        fn exit(&self, _: usize, _: usize, fregs: &mut Fregs, _: &[u64; PROBE_WORDS]) {
            fregs.set_arg(0, 0);
        }
    }
}

/// Prints whom its function returns to, from within both.
struct Walker;

static WALKS: Fprobe = Fprobe::new(&Walker);

aarch64_ftrace::notrace! {
    impl Probe for Walker {
        fn entry(&self, _: usize, _: usize, fregs: &mut Fregs, _: &mut [u64; PROBE_WORDS]) -> bool {
            println!("  at its entry");
            // SAFETY: what asm/frame.S makes: the function's and its caller's.
            unsafe { unwind::print_from_above(core::ptr::from_ref(fregs) as usize, 2) };
            true
        }

        fn exit(&self, _: usize, _: usize, fregs: &mut Fregs, _: &[u64; PROBE_WORDS]) {
            println!("  at its exit");
            // SAFETY: its caller's, which asm/fprobe.S makes; then the callers' of that, up to main's. One record too many would come
            // before that.
            unsafe { unwind::print_from_above(core::ptr::from_ref(fregs) as usize, 3) };
            black_box(());
        }
    }
}

#[inline(never)]
extern "C" fn twice(n: u64) -> u64 {
    black_box(n + 1)
}

#[inline(never)]
fn walked() {
    println!("  inside");
    // SAFETY: this one's, its caller's, and main's.
    unsafe { unwind::print(2) };
    black_box(());
}

#[inline(never)]
fn walker() {
    walked();
    black_box(());
}

/// Takes the probes away while it is open.
#[inline(never)]
extern "C" fn leaves(n: u64) -> u64 {
    unregister(&FIRST);
    black_box(n + 2)
}

aarch64_ftrace::notrace! {
    extern "C" fn early(_: usize, _: usize, _: &Ops, fregs: &mut Fregs) {
        fregs.return_early(77);
    }
}

static EARLY: Ops = Ops::unguarded(early);

/// Calls, with interrupts masked, what returns with them unmasked: into this tracer's own context, whose guard is taken.
static MASKS: Ops = Ops::new(masks);

#[inline(never)]
extern "C" fn unmasks(n: u64) -> u64 {
    virt::irq::unmask();
    black_box(n + 3)
}

#[inline(never)]
fn masked() {
    black_box(());
}

/// Calls as its last act, by a branch where that is optimised: what it calls returns to the handler of who waits for this one.
#[inline(never)]
extern "C" fn tail(n: u64) -> u64 {
    twice(n)
}

aarch64_ftrace::notrace! {
    extern "C" fn masks(_: usize, _: usize, _: &Ops, _: &mut Fregs) {
        virt::irq::masked(|| assert_eq!(unmasks(black_box(4)), 7));
    }
}

fn handler() {
    assert_eq!(deep(2), 2);
}

/// What a context switch does.
fn give(from: usize, to: usize) {
    // SAFETY: `to` does not run, and what it has entered returns on its stack.
    unsafe { FTRACE.switch_return_stack(&TASKS[to].1) };
    // SAFETY: `from` is the task that runs; `to` has begun.
    unsafe { task::switch(&TASKS[from].0, &TASKS[to].0) };
}

/// Gives the core away at the bottom of a recursion.
#[inline(never)]
extern "C" fn relay(from: u64, depth: u64) -> u64 {
    if depth == 0 {
        give(from as usize, 1 - from as usize);
        return black_box(0);
    }
    black_box(relay(from, depth - 1) + 1)
}

fn other_task() -> ! {
    loop {
        let depth = relay(1, 4);
        println!("  other: came back through {depth}");
        give(OTHER, MAIN);
    }
}

fn tasks() {
    static mut STACK: [u128; 2048] = [0; 2048];
    let stack = (&raw mut STACK).cast();
    // SAFETY: nobody else has this stack.
    unsafe { TASKS[OTHER].0.begin(other_task, stack, 2048) };
    println!("  main: came back through {}", relay(0, 2));
    let depths = [MAIN, OTHER].map(|task| TASKS[task].1.depth());
    println!("  open: {depths:?}");
    give(MAIN, OTHER);
    let depths = [MAIN, OTHER].map(|task| TASKS[task].1.depth());
    println!("  open: {depths:?}");
}

/// With whatever shares the functions.
fn cases(what: &str) {
    println!("{what}");
    println!("  result {}", deep(black_box(10)));
    report();
    println!(
        "  result {}, {}",
        interrupted(1),
        weigh(1.5, black_box(0.25))
    );
    report();
    probe::run_hijacked("  registers");
    report();
    tasks();
    report();
    assert_eq!((TASKS[MAIN].1.depth(), TASKS[MAIN].1.overruns()), (0, 0));
}

fn without_room(functions: &[usize]) {
    println!("with room for three frames");
    // SAFETY: main is not traced: nothing is open, here and below.
    unsafe { FTRACE.switch_return_stack(&SMALL) };
    println!("  result {}", deep(black_box(4)));
    report();
    println!("  overruns {}, open {}", SMALL.overruns(), SMALL.depth());
    // SAFETY: as above.
    unsafe { FTRACE.switch_return_stack(&TASKS[MAIN].1) };
    assert_eq!(functions.len(), FIRST.callsites());
}

#[inline(never)]
fn exceptions(at: &[usize]) {
    register(&FIRST, &Filter::at(at));
    register(&SECOND, &Filter::at(at));
    without_room(at);
    println!("another tracer returns in its place");
    unregister(&FIRST);
    unregister(&SECOND);
    register(&EARLY, &Filter::at(&at[..1]));
    register(&FIRST, &Filter::at(at));
    println!("  result {}", deep(4));
    report();
    unregister(&EARLY);
    println!("taken away inside");
    println!("  result {}, open {}", leaves(4), TASKS[MAIN].1.depth());
    report();

    println!("what it changes");
    let refused = AREA.refused();
    register(&DOUBLES, &Filter::at(&[twice as *const () as usize, at[0]]));
    println!("  result {}", twice(black_box(21)));
    println!(
        "  in between {}, refused {}",
        DOUBLER.0.load(Relaxed),
        AREA.refused() - refused
    );
    unregister(&DOUBLES);

    println!("refused at its exit");
    let refused = AREA.refused();
    let at_once = [unmasks as *const () as usize, masked as *const () as usize];
    register(&FIRST, &Filter::at(&at_once[..1]));
    register(&MASKS, &Filter::at(&at_once[1..]));
    masked();
    println!(
        "  refused {}, open {}",
        AREA.refused() - refused,
        TASKS[MAIN].1.depth()
    );
    report();
    unregister(&MASKS);
    unregister(&FIRST);

    println!("backtraces");
    let graph = sure(RECORDER.graph_ops());
    let at = [walked as *const () as usize, walker as *const () as usize];
    register(graph, &Filter::at(&at));
    register(&WALKS, &Filter::at(&at[..1]));
    register(&FIRST, &Filter::at(&at));
    walker();
    report();
    for ops in [graph, &WALKS, &FIRST] {
        unregister(ops);
    }

    println!("called as a last act");
    register(graph, &Filter::at(&[tail as *const () as usize]));
    register(&FIRST, &Filter::at(&[twice as *const () as usize]));
    println!(
        "  result {}, open {}",
        tail(black_box(21)),
        TASKS[MAIN].1.depth()
    );
    report();
    unregister(graph);
    unregister(&FIRST);
}

/// A probe that has the function for itself: no exit, because it asks for none or has answered; room for one call exactly.
fn alone() {
    let functions = [twice as *const () as usize];
    let at = Filter::at(&functions);
    println!("one alone");
    register(&SECOND, &at);
    println!("  results {}, {}", twice(black_box(3)), twice(black_box(4)));
    report();
    unregister(&SECOND);
    register(&ANSWERS, &at);
    println!(
        "  result {}, open {}",
        twice(black_box(4)),
        TASKS[MAIN].1.depth()
    );
    unregister(&ANSWERS);
    // SAFETY: nothing is open, here and below.
    unsafe { FTRACE.switch_return_stack(&PAIR) };
    register(&FIRST, &at);
    println!(
        "  result {}, overruns {}",
        twice(black_box(5)),
        PAIR.overruns()
    );
    report();
    unregister(&FIRST);
    // SAFETY: as above.
    unsafe { FTRACE.switch_return_stack(&TASKS[MAIN].1) };
}

fn main() {
    guest::init();
    virt::irq::handle(irq::SGI, handler);
    virt::irq::unmask();
    FTRACE.cpu_online(&AREA);
    install(Mode::Overwrite, 1);
    let at = [
        deep as *const () as usize,
        interrupted as *const () as usize,
        weigh as *const () as usize,
        relay as *const () as usize,
        leaves as *const () as usize,
        probe::entry(),
    ];
    let refused = FTRACE.register(&FIRST, &Filter::at(&at)).err();
    println!("without a stack: {refused:?}");
    for (stack, count) in [
        (&TASKS[MAIN].1, 64),
        (&TASKS[OTHER].1, 64),
        (&SMALL, 3),
        (&PAIR, 2),
    ] {
        assert_eq!(stack.set_frames(frames(count)), Ok(()));
    }
    // SAFETY: no function has been hijacked yet.
    unsafe { FTRACE.switch_return_stack(&TASKS[MAIN].1) };

    register(&FIRST, &Filter::at(&at));
    cases("alone");
    register(&SECOND, &Filter::at(&at));
    cases("two of them");
    let graph = sure(RECORDER.graph_ops());
    register(graph, &Filter::at(&at));
    register(&BESIDE, &Filter::at(&at));
    cases("and the recorder's graph, and a tracer");
    println!("  which was called {} times", take_counts::<1>()[0]);
    brackets("  recorded", &TASKS[MAIN].1, || assert_eq!(deep(2), 2));
    report();
    counts("  recorded", 0);
    for ops in [&FIRST, &SECOND, graph, &BESIDE] {
        unregister(ops);
    }
    exceptions(&at);
    alone();
    println!("open: {}", TASKS[MAIN].1.depth());
}
