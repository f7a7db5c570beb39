//@ cpu: cortex-a53
//@ profile: release
//@ smp: 2
//! A profile and a coverage, sent: each function that has returned is in one frame of its core with the numbers that the kernel
//! reads itself, each that was called is in the coverage, no other is, however many frames it takes; each begins with a header; and a
//! stream that is full says so.
#![no_std]
#![no_main]

use aarch64_ftrace::record::{RecordError, SendError};
use aarch64_ftrace::sink::{MemorySink, SinkError, Stream};
use aarch64_ftrace::trace::{
    EndReason, Frame, FrameKind, NO_CORE, ProfileEntry, coverage_entries, profile_entries,
};
use aarch64_ftrace::{Callsite, Cover, CpuArea, Filter, Mode, Profile, ReturnStack};
use core::hint::{black_box, spin_loop};
use core::sync::atomic::{AtomicBool, Ordering};
use guest::record::{RECORDER, install};
use guest::returns::{frames, lines};
use guest::{FTRACE, register, unregister};
use virt::{cores, println};

virt::entry!(main);
aarch64_ftrace::reserve_names!(256 * 1024);

static TIMES: Profile = Profile::new();
static COVER: Cover = Cover::new();
const CORES: usize = 2;
static RETURNS: [ReturnStack; CORES] = [const { ReturnStack::new() }; CORES];
static OTHER_AREA: CpuArea = CpuArea::new();
static DONE: AtomicBool = AtomicBool::new(false);

/// Functions that differ: they fill a COVERAGE frame, and as many PROFILE frames; one more is left for another.
#[inline(never)]
fn many<const N: u64>(n: u64) -> u64 {
    black_box(n * 2 + N)
}

macro_rules! call {
    ($($n:literal)*) => { [$(many::<$n> as fn(u64) -> u64),*] };
}

const MANY: [fn(u64) -> u64; 128] = call!(
    0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63 64 65 66 67 68 69 70 71 72 73 74 75 76 77 78 79 80 81 82 83 84 85 86 87 88 89 90 91 92 93 94 95 96 97 98 99 100 101 102 103 104 105 106 107 108 109 110 111 112 113 114 115 116 117 118 119 120 121 122 123 124 125 126 127
);

#[inline(never)]
fn never(n: u64) -> u64 {
    black_box(n + 1)
}

/// Its own time is not all of its time.
#[inline(never)]
fn nested(n: u64) -> u64 {
    black_box(MANY[0](n) + MANY[1](n))
}

/// Calls others, and others so often.
fn other_core(me: usize) {
    FTRACE.cpu_online(&OTHER_AREA);
    // SAFETY: this core runs this one function, with this one stack.
    unsafe { FTRACE.switch_return_stack(&RETURNS[me]) };
    black_box(nested(black_box(1)));
    (0..3).for_each(|n| _ = black_box(MANY[2](black_box(n))));
    DONE.store(true, Ordering::Release);
}

/// Calls each of them, and the first more often.
fn work() {
    for (i, function) in MANY.iter().enumerate() {
        for _ in 0..=(MANY.len() - i) / 20 {
            black_box(function(black_box(i as u64)));
        }
    }
}

fn low(callsite: &Callsite) -> u32 {
    (callsite.layout().branch() + 4) as u32 & !7
}

type Out<'a> = Stream<MemorySink<'a>>;

fn send(stream: &mut Out<'_>) -> Result<(), SendError> {
    RECORDER.send_profile(stream, &TIMES)?;
    RECORDER.send_coverage(stream, &COVER)?;
    RECORDER.send(stream, EndReason::Asked)
}

/// Each with its core.
fn expected() -> impl Iterator<Item = (u16, ProfileEntry)> {
    (0..CORES).flat_map(|core| {
        FTRACE.callsites().filter_map(move |callsite| {
            let times = TIMES.times(&callsite, core)?;
            let entry = ProfileEntry {
                callsite: low(&callsite),
                hits: times.hits,
                total: times.total,
                own: times.own,
                longest: times.longest,
                squares: times.squares,
            };
            (times.hits > 0).then_some((core as u16, entry))
        })
    })
}

/// Reads a stream and checks the sums in it. How many HEADER, PROFILE and COVERAGE frames there were.
fn check(stream: &[u8]) -> [usize; 3] {
    let (mut at, mut number, mut counts) = (0, 0, [0; 3]);
    let (mut profile, mut covered) = (expected(), FTRACE.covered(&COVER));
    let mut last = None;
    while at < stream.len() {
        let (frame, bytes) = match Frame::parse(&stream[at..]) {
            Ok(frame) => frame,
            Err(error) => panic!("at {at}: {error}"),
        };
        assert_eq!(frame.number, number);
        (at, number) = (at + bytes, number + 1);
        last = FrameKind::from_code(frame.kind);
        match last {
            Some(FrameKind::Header) => counts[0] += 1,
            Some(FrameKind::Profile) => {
                assert_eq!((counts[0], counts[2]), (1, 0), "behind the first header");
                counts[1] += 1;
                let Some(entries) = profile_entries(frame.payload) else {
                    panic!("{} bytes", frame.payload.len());
                };
                for entry in entries {
                    assert_eq!(Some((frame.core, entry)), profile.next());
                }
            }
            Some(FrameKind::Coverage) => {
                assert_eq!(counts[0], 2, "behind the second header");
                counts[2] += 1;
                assert_eq!(frame.core, NO_CORE);
                let Some(entries) = coverage_entries(frame.payload) else {
                    panic!("{} bytes", frame.payload.len());
                };
                for entry in entries {
                    assert_eq!(Some(entry), covered.next().map(|callsite| low(&callsite)));
                }
            }
            _ => assert_eq!(counts[0], 3, "behind the last header"),
        }
    }
    assert_eq!((profile.next(), last), (None, Some(FrameKind::End)));
    assert!(covered.next().is_none());
    counts
}

fn main() {
    guest::init();
    let mut memory = [0; 32 * 1024];
    let mut stream = Stream::file(MemorySink::new(&mut memory));
    let refused = Err(SendError::Record(RecordError::NotInstalled));
    assert_eq!(RECORDER.send_profile(&mut stream, &TIMES), refused);
    assert_eq!(RECORDER.send_coverage(&mut stream, &COVER), refused);
    install(Mode::Overwrite, 1);
    for stack in &RETURNS {
        assert_eq!(stack.set_frames(frames(64)), Ok(()));
    }
    // SAFETY: no function has been hijacked yet.
    unsafe { FTRACE.switch_return_stack(&RETURNS[0]) };
    let memory_of_times = lines(FTRACE.profile_lines(CORES));
    let placed = FTRACE.place_profile(&TIMES, memory_of_times, CORES);
    assert_eq!(placed, Ok(()));
    assert_eq!(
        FTRACE.place_cover(&COVER, lines(FTRACE.cover_lines())),
        Ok(())
    );

    // Nothing yet: no frame.
    let mut empty = [0; 1024];
    let mut stream = Stream::file(MemorySink::new(&mut empty));
    assert_eq!(send(&mut stream), Ok(()));
    println!(
        "frames of nothing: {:?}",
        check(stream.into_inner().written())
    );

    let all = Filter::new(&["*::many*", "*::never", "*::nested"]);
    register(&TIMES, &all);
    register(&COVER, &all);
    work();
    if let Err(error) = cores::start_core(1, other_core) {
        panic!("core 1: {error}");
    }
    while !DONE.load(Ordering::Acquire) {
        spin_loop();
    }
    unregister(&COVER);
    unregister(&TIMES);
    let hits: u64 = expected().map(|(_, entry)| entry.hits).sum();
    let functions = expected().count();
    println!(
        "{functions} functions, {hits} calls, {} covered",
        FTRACE.covered(&COVER).count()
    );
    println!(
        "squares and sums: {}",
        expected().all(|(_, entry)| {
            let most =
                u128::from(entry.longest) * u128::from(entry.longest) * u128::from(entry.hits);
            entry.own <= entry.total && entry.longest <= entry.total && entry.squares <= most
        })
    );
    let has_inner = |(_, entry): (u16, ProfileEntry)| entry.own < entry.total;
    println!(
        "of one the time is not all its own: {}",
        expected().any(has_inner)
    );
    let mut stream = Stream::file(MemorySink::new(&mut memory));
    assert_eq!(send(&mut stream), Ok(()));
    let frames = check(stream.into_inner().written());
    println!("HEADER, PROFILE and COVERAGE frames: {frames:?}");

    let mut small = [0; 2000];
    let mut stream = Stream::file(MemorySink::new(&mut small));
    match RECORDER.send_profile(&mut stream, &TIMES) {
        Err(SendError::Sink(SinkError::Full { .. })) => println!("too small: said"),
        other => panic!("{other:?}"),
    }
    never(1);
}
