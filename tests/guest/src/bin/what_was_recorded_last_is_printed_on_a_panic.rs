//@ cpu: neoverse-n1
//@ smp: 2
//@ profile: release
//@ exit: 101
//@ emu-check: ends inside a change, before the other core has synchronised
//! The flight recorder on the panic path: the last events of both cores, merged in order of time, with names; what happens
//! while they are printed is counted and not recorded. The kernel panics in a tracer, inside a change of tracing, with the
//! tracer's lock taken: a dump that wanted it would have no names. There is no allocator here.
#![no_std]
#![no_main]

use aarch64_ftrace::{CpuArea, Filter, Fregs, Mode, Ops};
use core::fmt::{self, Write};
use core::hint::black_box;
use core::sync::atomic::{AtomicU32, Ordering};
use guest::record::{RECORDER, install, sure};
use guest::{FTRACE, register};
use virt::println;

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

static SECOND_AREA: CpuArea = CpuArea::new();
/// Whose turn it is: the cores call one after the other.
static TURN: AtomicU32 = AtomicU32::new(0);

#[inline(never)]
fn first(n: u64) -> u64 {
    black_box(n + 1)
}

#[inline(never)]
fn second(n: u64) -> u64 {
    black_box(n + 2)
}

#[inline(never)]
fn while_printing() {
    black_box(());
}

/// Called by the first change of tracing that takes it in, at its end: it is on the platform's part in that.
static PANICS: Ops = Ops::new(panics);

aarch64_ftrace::notrace! {
    extern "C" fn panics(_: usize, _: usize, _: &Ops, _: &mut Fregs) {
        println!("a change inside a change: {:?}", FTRACE.unregister(&PANICS).err());
        panic!("the end");
    }
}

fn wait(turn: u32) {
    while TURN.load(Ordering::Acquire) != turn {
        core::hint::spin_loop();
    }
}

fn other(_: usize) {
    FTRACE.cpu_online(&SECOND_AREA);
    RECORDER.cpu_online();
    virt::irq::unmask();
    for turn in [1, 3] {
        wait(turn);
        second(1);
        second(2);
        TURN.store(turn + 1, Ordering::Release);
    }
}

/// Prints lines without their times and offsets, which differ from run to run and between targets, and says where time goes back.
struct Untimed<'a> {
    out: &'a mut dyn Write,
    line: [u8; 256],
    len: usize,
    before: [u8; 14],
}

impl Write for Untimed<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        while_printing();
        for byte in text.bytes() {
            if byte != b'\n' {
                self.line[self.len] = byte;
                self.len += 1;
                continue;
            }
            let line = &self.line[..core::mem::take(&mut self.len)];
            let text = str::from_utf8(line).map_err(|_| fmt::Error)?;
            let Some((time, rest)) = line
                .split_first_chunk::<14>()
                .filter(|_| text.contains(" [0"))
            else {
                writeln!(self.out, "{text}")?;
                continue;
            };
            let order = if *time < self.before { " EARLIER" } else { "" };
            self.before = *time;
            let rest = str::from_utf8(rest).map_err(|_| fmt::Error)?;
            let caller = rest.rsplit_once("+0x").map_or(rest, |(caller, _)| caller);
            writeln!(self.out, "{order}{caller}")?;
        }
        Ok(())
    }
}

fn last_words(out: &mut dyn Write) {
    let mut out = Untimed {
        out,
        line: [0; 256],
        len: 0,
        before: [0; 14],
    };
    if aarch64_ftrace::dump_on_panic(&mut out, 5).is_err() {
        println!("not printed");
    }
    let counts = sure(RECORDER.counts(0));
    println!(
        "core 0 afterwards: {} events, more than 10 refused: {}",
        counts.written,
        counts.refused > 10
    );
}

fn main() {
    guest::init();
    virt::irq::unmask();
    install(Mode::Overwrite, 2);
    let functions = [
        first as *const () as usize,
        second as *const () as usize,
        while_printing as *const () as usize,
    ];
    register(sure(RECORDER.ops()), &Filter::at(&functions));
    virt::on_panic(last_words);
    if let Err(error) = virt::start_core(1, other) {
        panic!("{error}");
    }
    for turn in [1, 3] {
        (0..3).for_each(|n| {
            first(n);
        });
        TURN.store(turn, Ordering::Release);
        wait(turn + 1);
    }
    first(9);
    println!("recording is on: {}", RECORDER.is_on());
    // The platform's part in each change, behind the stores.
    let synchronizes = virt::cores::synchronize as *const () as usize;
    register(&PANICS, &Filter::at(&[synchronizes]));
    println!("nobody panicked");
}
