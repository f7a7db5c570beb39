//@ cpu: cortex-a53, max
//@ smp: 2
//! Hits alone and the profiler: every call is counted, on its core, alone on its callsite and beside others; profiled
//! functions return where they would, with what they would, from a depth of a thousand, by tail calls, with interrupts
//! inside, and where the return stack is full.
#![no_std]
#![no_main]

use aarch64_ftrace::{Count, CpuArea, Error, Filter, Ops, Profile, ReturnStack, Times};
use core::hint::black_box;
use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use guest::returns::{deep, frames, interrupted, lines, weigh};
use guest::{
    FTRACE, callsite, irq, probe, register, take_counts, unregister, unwind, without_area,
};
use virt::println;

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

static HITS: Count = Count::new();
static TIMES: Profile = Profile::new();
static PLAIN: Ops = Ops::new(guest::count);
static STACKS: [ReturnStack; 2] = [const { ReturnStack::new() }; 2];
static SMALL: ReturnStack = ReturnStack::new();
static OTHER_AREA: CpuArea = CpuArea::new();
static STEP: AtomicU32 = AtomicU32::new(0);

#[inline(never)]
extern "C" fn leaf(n: u64) -> u64 {
    black_box(n + 1)
}

#[inline(never)]
extern "C" fn twice(n: u64) -> u64 {
    black_box(leaf(n) + leaf(n))
}

/// Ends in a branch to `leaf` where the compiler optimises.
#[inline(never)]
extern "C" fn tail(n: u64) -> u64 {
    leaf(black_box(n) + 10)
}

/// More than two words: returned through x8.
#[repr(C)]
struct Large([u64; 6]);

#[inline(never)]
extern "C" fn large(n: u64) -> Large {
    Large(core::array::from_fn(|i| black_box(n) + i as u64))
}

/// Takes a thousand ticks or more.
#[inline(never)]
fn slow() {
    let begin = virt::timer::ticks();
    while virt::timer::ticks() - begin < 1000 {
        core::hint::spin_loop();
    }
}

#[inline(never)]
fn slower() {
    slow();
    slow();
    black_box(0);
}

/// With interrupts masked: what they would take is the function's own.
fn say_own_time() {
    let [outer, inner] = virt::irq::masked(|| {
        slower();
        [slower as *const (), slow as *const ()]
            .map(|at| TIMES.times(&callsite(at), 0).unwrap_or_default())
    });
    println!(
        "slower {}, slow {}: its own time is all but slow's: {}, that is enough: {}, varies by less than its square: {}",
        outer.hits,
        inner.hits,
        outer.total - outer.own == inner.total,
        inner.total >= 2000 && inner.longest >= 1000 && inner.mean() >= 1000,
        inner.variance() < inner.squares
    );
}

#[inline(never)]
fn inside(n: u64) -> u64 {
    // SAFETY: main's is the third.
    unsafe { unwind::print(2) };
    black_box(n + 1)
}

#[inline(never)]
fn around(n: u64) -> u64 {
    black_box(inside(n) + 1)
}

fn handler() {
    assert_eq!(twice(1), 4);
}

const FUNCTIONS: usize = 8;

fn functions() -> [(&'static str, usize); FUNCTIONS] {
    [
        ("leaf", leaf as *const () as usize),
        ("twice", twice as *const () as usize),
        ("tail", tail as *const () as usize),
        ("deep", deep as *const () as usize),
        ("weigh", weigh as *const () as usize),
        ("large", large as *const () as usize),
        ("interrupted", interrupted as *const () as usize),
        ("probe", probe::entry()),
    ]
}

fn work(what: &str) {
    println!(
        "{what}: {} {} {} {} {} {}",
        leaf(1),
        twice(black_box(2)),
        tail(3),
        deep(black_box(1000)),
        weigh(1.5, black_box(0.25)),
        large(4).0.iter().sum::<u64>(),
    );
    if TIMES.is_registered() {
        probe::run_hijacked("  probe");
    } else {
        probe::run("  probe");
    }
    println!("  interrupted: {}", interrupted(5));
}

fn say_hits(what: &str) {
    let hits = functions().map(|(_, at)| {
        let callsite = callsite(at as *const ());
        [0, 1, 2].map(|core| HITS.hits(&callsite, core))
    });
    println!("{what}: {hits:?}");
    HITS.clear();
}

/// Hits, and whether the times are such as they must be.
fn say_times(what: &str) {
    let mut hits = [[0; 2]; FUNCTIONS];
    for (i, (name, at)) in functions().into_iter().enumerate() {
        let callsite = callsite(at as *const ());
        let per_core = [0, 1].map(|core| TIMES.times(&callsite, core).unwrap_or_default());
        hits[i] = per_core.map(|times| times.hits);
        let Times {
            hits,
            total,
            own,
            longest,
            squares,
        } = per_core[0].plus(per_core[1]);
        let all = per_core[0].plus(per_core[1]);
        let fits = own <= total
            && longest <= total
            && u128::from(longest) * u128::from(longest) <= squares
            && squares <= u128::from(total) * u128::from(longest).max(1)
            && (hits > 0 || total == 0)
            && all.mean() <= longest
            && all.variance() <= squares;
        if !fits {
            println!("  {name}: {all:?}");
        }
    }
    println!("{what}: {hits:?}");
    TIMES.clear();
}

fn other_core(_: usize) {
    FTRACE.cpu_online(&OTHER_AREA);
    // SAFETY: this core runs this one function, with this one stack.
    unsafe { FTRACE.switch_return_stack(&STACKS[1]) };
    // Whoever patches waits for this core.
    virt::irq::unmask();
    for step in 1.. {
        while STEP.load(Ordering::Acquire) < step * 2 - 1 {
            core::hint::spin_loop();
        }
        for n in 0..250 {
            assert_eq!(twice(black_box(n)), n * 2 + 2);
        }
        STEP.store(step * 2, Ordering::Release);
    }
}

/// Both cores call at a time.
fn both(what: &str) {
    let step = STEP.fetch_add(1, Ordering::AcqRel) + 1;
    for n in 0..100 {
        assert_eq!(twice(black_box(n)), n * 2 + 2);
    }
    while STEP.load(Ordering::Acquire) == step {
        core::hint::spin_loop();
    }
    println!("{what}: done");
}

/// A core without an area counts nothing, and harms nothing.
fn without(what: &str) {
    let result = without_area(|| twice(black_box(4)));
    println!("{what} without an area: {result}");
}

/// Pokes the time of its entry: `LONGER` earlier.
#[inline(never)]
fn stretched() {
    let at = (FRAME_0.load(Ordering::Relaxed) + ENTRY_TIME) as *mut u64;
    // SAFETY: the frame of this call, in which only its own return handler looks.
    let time = unsafe { at.read_volatile() };
    let time = time.wrapping_sub(LONGER.load(Ordering::Relaxed));
    // SAFETY: as above.
    unsafe { at.write_volatile(time) };
}

/// Where the first frame of this core's stack is, and in it the time.
static FRAME_0: AtomicUsize = AtomicUsize::new(0);
const ENTRY_TIME: usize = 16;
static LONGER: AtomicU64 = AtomicU64::new(0);

/// Squares of long times, exact to the last bit: two that carry from the low word, one that does not fit in it.
fn long_times() {
    refilter(&[stretched as *const () as usize]);
    for (longer, calls) in [(0xe000_0000, 2_u64), (1 << 34, 1)] {
        LONGER.store(longer, Ordering::Relaxed);
        (0..calls).for_each(|_| stretched());
        let all = TIMES
            .times(&callsite(stretched as *const ()), 0)
            .unwrap_or_default();
        let [longest, other] = [all.longest, all.total - all.longest].map(u128::from);
        println!(
            "{} long: {}, squares exact: {}",
            all.hits,
            all.longest >= longer,
            all.squares == longest * longest + other * other
        );
        TIMES.clear();
    }
}

fn refilter(at: &[usize]) {
    if let Err(error) = FTRACE.set_filter(&TIMES, &Filter::at(at)) {
        panic!("set_filter: {error}");
    }
}

fn refused(what: &str, answer: Result<(), Error>) {
    match answer {
        Err(Error::CounterMemory { lines: 0 }) => println!("{what}: refused, none"),
        Err(Error::CounterMemory { .. }) => println!("{what}: refused, too few or again"),
        other => println!("{what}: {other:?}"),
    }
}

fn main() {
    refused("before init", FTRACE.place_count(&HITS, lines(1), 2));
    guest::init();
    virt::irq::handle(irq::SGI, handler);
    virt::irq::unmask();
    let at = functions().map(|(_, at)| at);
    let some = [at[0], at[1]];
    work("untraced");
    let [count, profile] = [FTRACE.count_lines(2), FTRACE.profile_lines(2)];
    println!(
        "four callsites share a line: {}",
        (profile / 4).abs_diff(count) <= 2
    );
    refused(
        "count without memory",
        FTRACE.register(&HITS, &Filter::at(&at)).map(|_| ()),
    );
    refused("too little", FTRACE.place_count(&HITS, lines(count - 1), 2));
    refused("count", FTRACE.place_count(&HITS, lines(count), 2));
    refused("count again", FTRACE.place_count(&HITS, lines(count), 2));
    refused("profile", FTRACE.place_profile(&TIMES, lines(profile), 2));
    refused(
        "profile without stack",
        FTRACE.register(&TIMES, &Filter::at(&at)).map(|_| ()),
    );
    println!("no frames: {:?}", STACKS[0].set_frames(frames(0)));
    let first = frames(1100);
    FRAME_0.store(first.as_ptr() as usize, Ordering::Relaxed);
    println!("frames: {:?}", STACKS[0].set_frames(first));
    println!("frames again: {:?}", STACKS[0].set_frames(frames(10)));
    assert_eq!(STACKS[1].set_frames(frames(1100)), Ok(()));
    assert_eq!(SMALL.set_frames(frames(10)), Ok(()));
    // SAFETY: no function has been hijacked yet.
    unsafe { FTRACE.switch_return_stack(&STACKS[0]) };
    if let Err(error) = virt::cores::start_core(1, other_core) {
        panic!("{error}");
    }
    while virt::cores::online() != 0b11 {
        core::hint::spin_loop();
    }

    register(&HITS, &Filter::at(&at));
    work("counted");
    say_hits("hits");
    both("on two cores");
    say_hits("hits");
    without("counted");
    say_hits("hits");
    register(&PLAIN, &Filter::at(&some));
    work("counted beside a tracer");
    println!("  the tracer: {:?}", take_counts::<1>());
    say_hits("hits");
    both("on two cores beside a tracer");
    println!("  the tracer: {:?}", take_counts::<1>());
    say_hits("hits");
    unregister(&PLAIN);
    work("counted alone again");
    say_hits("hits");

    register(&TIMES, &Filter::at(&at));
    work("counted and timed");
    say_hits("hits");
    say_times("times");
    unregister(&HITS);
    work("timed");
    say_times("times");
    both("on two cores");
    say_times("times");
    without("timed");
    say_times("times");
    let more = [
        slow as *const () as usize,
        slower as *const () as usize,
        inside as *const () as usize,
        around as *const () as usize,
    ];
    refilter(&more);
    say_own_time();
    register(&PLAIN, &Filter::at(&more));
    say_own_time();
    unregister(&PLAIN);
    long_times();
    refilter(&more);
    println!("unwound: {}", around(1));
    refilter(&at);
    println!(
        "open: {}, overruns {}",
        STACKS[0].depth(),
        STACKS[0].overruns()
    );
    // SAFETY: main is not traced: nothing is open.
    unsafe { FTRACE.switch_return_stack(&SMALL) };
    println!("on a small stack: {} {}", deep(black_box(1000)), twice(3));
    println!("open: {}, overruns {}", SMALL.depth(), SMALL.overruns());
    say_times("times");
    unregister(&TIMES);
    work("untraced");
    say_times("times");
}
