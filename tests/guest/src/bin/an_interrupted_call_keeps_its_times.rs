//@ cpu: cortex-a53, max
//@ icount: yes
//@ profile: release
//! The times of graph and profiler, where a call is interrupted before each instruction of the entries and return handlers in
//! turn. The handler calls traced functions, on the same return stack, then on another task's: each EXIT still closes its ENTRY
//! to the tick, each call is counted once, and no time is longer than what it is part of.
#![no_std]
#![no_main]

extern crate alloc;

use aarch64_ftrace::record::Item;
use aarch64_ftrace::trace::{Event, Type};
use aarch64_ftrace::{Filter, GraphOptions, Mode, Ops, Profile, ReturnStack};
use alloc::vec::Vec;
use core::arch::asm;
use core::hint::black_box;
use core::sync::atomic::{AtomicU64, Ordering};
use guest::record::{RECORDER, install, sure};
use guest::returns::{frames, lines};
use guest::{FTRACE, callsite, register, unregister};
use virt::println;

virt::entry!(main);

static TIMES: Profile = Profile::new();
static STACK: ReturnStack = ReturnStack::new();
static OTHER: ReturnStack = ReturnStack::new();

/// Instructions between the start of the timer and its interrupt, about: of one nanosecond each.
const INSNS: u64 = 320;
/// Instructions of a tick, at most: so many sweeps, each an instruction later within the tick, meet every one.
const SWEEPS: u64 = 16;
/// Bytes of an instruction.
const INSN: u64 = 4;

#[inline(never)]
extern "C" fn subject(n: u64) -> u64 {
    // A tick, at least: what takes no time is no longest call.
    // SAFETY: instructions without effect.
    unsafe { asm!(".rept 20", "nop", ".endr") };
    black_box(n + 1)
}

#[inline(never)]
extern "C" fn outer(n: u64) -> u64 {
    black_box(inner(n) * 2)
}

#[inline(never)]
extern "C" fn inner(n: u64) -> u64 {
    black_box(n + 3)
}

unsafe extern "C" {
    safe fn ftrace_entry_graph_lse();
    safe fn ftrace_entry_graph();
    safe fn ftrace_entry_profile();
    safe fn ftrace_return_handlers();
}

/// Which instructions from an address on were interrupted, one bit each.
struct Interrupted {
    from: AtomicU64,
    bits: [AtomicU64; 8],
}

static ENTRY: Interrupted = Interrupted::new();
static RETURN: Interrupted = Interrupted::new();
static TAKEN: AtomicU64 = AtomicU64::new(0);

impl Interrupted {
    const fn new() -> Self {
        Self {
            from: AtomicU64::new(u64::MAX),
            bits: [const { AtomicU64::new(0) }; 8],
        }
    }

    fn begin(&self, from: usize) {
        self.from.store(from as u64, Ordering::Relaxed);
        self.bits
            .iter()
            .for_each(|bits| bits.store(0, Ordering::Relaxed));
    }

    fn at(&self, elr: u64) {
        let insn = elr.wrapping_sub(self.from.load(Ordering::Relaxed)) / INSN;
        if let Some(bits) = self.bits.get((insn / 64) as usize) {
            bits.fetch_or(1 << (insn % 64), Ordering::Relaxed);
        }
    }

    fn has(&self, insn: u64) -> bool {
        let bits = self.bits.get((insn / 64) as usize);
        bits.is_some_and(|bits| bits.load(Ordering::Relaxed) >> (insn % 64) & 1 == 1)
    }

    /// All of one entry or handler, which stands on a line of 64 bytes and is executed from its first instruction to its RET:
    /// before each was an interrupt.
    fn all(&self) -> bool {
        let from = self.from.load(Ordering::Relaxed);
        let address = |insn: u64| from + insn * INSN;
        let first = (0..512).find(|&insn| self.has(insn));
        let end = first.and_then(|first| (first..512).find(|&insn| !self.has(insn)));
        let (Some(first), Some(end)) = (first, end) else {
            return false;
        };
        let last = guest::raw::insn(address(end - 1) as usize);
        // RET Xn (Arm ARM DDI 0487, "RET"): bits 9:5 are the register.
        address(first).is_multiple_of(64) && last.0 & !(0x1f << 5) == 0xd65f_0000
    }
}

fn tick() {
    let elr: u64;
    // SAFETY: reads where the interrupt came from, and switches the timer off, which is this guest's alone.
    unsafe {
        asm!("mrs {elr}, elr_el1", "msr cntv_ctl_el0, xzr", "isb", elr = out(reg) elr, options(nostack));
    };
    TAKEN.fetch_add(1, Ordering::Relaxed);
    ENTRY.at(elr);
    RETURN.at(elr);
    assert_eq!(outer(1), 8);
    // SAFETY: what is entered on the other stack returns on it.
    unsafe { FTRACE.switch_return_stack(&OTHER) };
    assert_eq!(outer(2), 10);
    // SAFETY: the interrupted code's own.
    unsafe { FTRACE.switch_return_stack(&STACK) };
}

/// Begins a little later for each more of `phase`, starts the timer, waits for about `delay` instructions, one more for each
/// more, and calls `subject`.
fn call_after(phase: u64, delay: u64) -> u64 {
    // SAFETY: instructions without effect.
    unsafe {
        asm!(
            "tbz {n}, #0, 2f",
            "nop",
            "2: lsr {n}, {n}, #1",
            "3: sub {n}, {n}, #1",
            "cbnz {n}, 3b",
            n = inout(reg) phase + 2 => _,
        );
    }
    let deadline = virt::timer::ticks() + INSNS * virt::timer::frequency() / 1_000_000_000;
    let result: u64;
    // SAFETY: the timer is this guest's; the rest is a call of an `extern "C"` function.
    unsafe {
        asm!(
            "msr cntv_cval_el0, {deadline}",
            "msr cntv_ctl_el0, {one}",
            "isb",
            "tbz x9, #0, 2f",
            "nop",
            "2: lsr x9, x9, #1",
            "3: sub x9, x9, #1",
            "cbnz x9, 3b",
            "blr {subject}",
            deadline = in(reg) deadline,
            one = in(reg) 1_u64,
            inout("x9") delay => _,
            subject = in(reg) subject as *const (),
            inout("x0") 41_u64 => result,
            clobber_abi("C"),
        );
    }
    result
}

/// The events that one call and one interrupt leave are brackets, of this many pairs; behind each ENTRY are so many arguments, and
/// behind each EXIT the result that belongs to the first of them.
fn paired(delay: u64, arguments: usize) -> usize {
    let mut open: Vec<(Event, Vec<u64>)> = Vec::new();
    let mut closed: Vec<(Event, Vec<u64>)> = Vec::new();
    let mut last_is_exit = false;
    for item in sure(RECORDER.read(0)) {
        let Item::Event { event, .. } = item else {
            panic!("delay {delay}: {item:?}");
        };
        match event.kind() {
            Some(Type::Entry) => open.push((event, Vec::new())),
            Some(Type::Exit) => {
                let Some((entry, values)) = open.pop() else {
                    panic!("delay {delay}: an exit without entry")
                };
                let begun = event.time() - u64::from(event.upper());
                if (entry.callsite_low(), entry.time()) != (event.callsite_low(), begun) {
                    panic!("delay {delay}: {entry:?} is not closed by {event:?}");
                }
                closed.push((event, values));
            }
            Some(Type::Data) => {
                let of = if last_is_exit { &mut closed } else { &mut open };
                let value = event.data().map(|data| data.value);
                let belongs = of.last_mut().zip(value);
                belongs.map_or_else(
                    || panic!("delay {delay}: data of nothing"),
                    |((_, values), value)| values.push(value),
                );
                continue;
            }
            other => panic!("delay {delay}: {other:?}"),
        }
        last_is_exit = event.kind() == Some(Type::Exit);
    }
    assert!(open.is_empty(), "delay {delay}: {open:?}");
    for (exit, values) in &closed {
        let results = usize::from(arguments > 0);
        assert_eq!(
            values.len(),
            arguments + results,
            "delay {delay}: {values:?}"
        );
        if let (Some(first), Some(result)) = (values.first(), values.last()) {
            assert_eq!(
                returned(*exit, *first),
                *result,
                "delay {delay}: {values:?}"
            );
        }
    }
    sure(RECORDER.reset(0));
    closed.len()
}

/// What the function of this event returns.
fn returned(event: Event, argument: u64) -> u64 {
    let is = |function: extern "C" fn(u64) -> u64| {
        callsite(function as *const ()).layout().end() as u32 & !7 == event.callsite_low()
    };
    match (is(subject), is(outer)) {
        (true, _) => argument + 1,
        (_, true) => (argument + 3) * 2,
        _ => argument + 3,
    }
}

fn sweep(what: &str, entry: usize, after_each: impl FnMut(u64)) {
    ENTRY.begin(entry);
    RETURN.begin(ftrace_return_handlers as *const () as usize);
    calls(after_each);
    println!(
        "{what}: interrupted before each instruction of the entry {}, of the return handler {}",
        ENTRY.all(),
        RETURN.all()
    );
}

/// Calls with all delays, in all phases of a tick.
fn calls(mut after_each: impl FnMut(u64)) {
    TAKEN.store(0, Ordering::Relaxed);
    let delays = 2..INSNS + 32;
    let all = (0..SWEEPS).flat_map(|phase| delays.clone().map(move |delay| (phase, delay)));
    for (call, (phase, delay)) in (1..).zip(all) {
        assert_eq!(call_after(phase, delay), 42, "delay {delay}");
        // Whatever the delay, the interrupt has come when this ends.
        while TAKEN.load(Ordering::Relaxed) < call {
            core::hint::spin_loop();
        }
        assert_eq!((STACK.depth(), OTHER.depth()), (0, 0), "delay {delay}");
        after_each(delay);
    }
}

/// ID_AA64ISAR0_EL1.Atomic: which of the entries the recorder chooses.
fn has_lse() -> bool {
    let isar0: u64;
    // SAFETY: reading an identification register has no effect.
    unsafe { asm!("mrs {}, id_aa64isar0_el1", out(reg) isar0, options(nomem, nostack)) };
    isar0 >> 20 & 0xf != 0
}

fn give_frames(stack: &'static ReturnStack) {
    assert_eq!(stack.set_frames(frames(16)), Ok(()));
}

fn main() {
    guest::init();
    install(Mode::Overwrite, 1);
    give_frames(&STACK);
    give_frames(&OTHER);
    let lines = lines(FTRACE.profile_lines(1));
    assert_eq!(FTRACE.place_profile(&TIMES, lines, 1), Ok(()));
    // SAFETY: no function has been hijacked yet.
    unsafe { FTRACE.switch_return_stack(&STACK) };
    virt::irq::handle(virt::board::TIMER_IRQ, tick);
    virt::irq::unmask();
    let at = [subject, outer, inner].map(|function| function as *const () as usize);

    let ops: &'static Ops = sure(RECORDER.graph_ops());
    register(ops, &Filter::at(&at));
    let entry = if has_lse() {
        ftrace_entry_graph_lse as *const ()
    } else {
        ftrace_entry_graph as *const ()
    };
    sweep("graph", entry as usize, |delay| {
        assert_eq!(paired(delay, 0), 5, "delay {delay}");
    });
    unregister(ops);

    let options = GraphOptions {
        arguments: 2,
        result: true,
        ..GraphOptions::new()
    };
    let ops: &'static Ops = sure(RECORDER.graph_ops_with(options));
    register(ops, &Filter::at(&at));
    calls(|delay| assert_eq!(paired(delay, 2), 5, "delay {delay}"));
    println!("graph with two arguments and the result: each with its own");
    unregister(ops);

    register(&TIMES, &Filter::at(&at));
    sweep(
        "profile",
        ftrace_entry_profile as *const () as usize,
        |delay| {
            let times = [subject, outer, inner].map(|function| {
                let times = TIMES.times(&callsite(function as *const ()), 0);
                times.unwrap_or_default()
            });
            assert_eq!(times.map(|times| times.hits), [1, 2, 2], "delay {delay}");
            // No time is negative, which would be a very long one.
            let sane = times
                .iter()
                .all(|times| times.own <= times.total && times.total < virt::timer::frequency());
            assert!(sane, "delay {delay}: {times:?}");
            // So that each call is the longest: that path has instructions of its own.
            TIMES.clear();
        },
    );
    unregister(&TIMES);
}
