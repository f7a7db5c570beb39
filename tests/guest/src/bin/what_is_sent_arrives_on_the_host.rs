//@ cpu: neoverse-n1
//@ smp: 2
//@ target: softfloat
//@ profile: release
//! What `cargo xtask test --only command` reads on the host. Told `file`, it sends its trace to a file of the host's by
//! semihosting. Told `line`, it sends it on the console while the other core prints there; told `lossy`, one byte of a frame is
//! lost on the way. Told nothing, it says what it would send.
#![no_std]
#![no_main]

use aarch64_ftrace::sink::{HostFile, Sink, SinkError, Stream};
use aarch64_ftrace::trace::EndReason;
use aarch64_ftrace::{Filter, Mode};
use core::hint::black_box;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use guest::record::{RECORDER, counts, install, sure};
use guest::register;
use virt::console::TraceLine;
use virt::println;

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

/// Calls of `outer`; each is two events.
const CALLS: u64 = 100;
/// Between two bytes, so that the other core has the time to print there.
const PAUSE: u32 = 300;
/// Which frame loses a byte, and which of its writes that is the last byte of: of the events' second frame.
const LOST: (u32, u32) = (3, 10);

static SENT: AtomicBool = AtomicBool::new(false);
static PRINTED: AtomicU32 = AtomicU32::new(0);

#[inline(never)]
fn outer(n: u64) -> u64 {
    black_box(inner(n) + 1)
}

#[inline(never)]
fn inner(n: u64) -> u64 {
    black_box(n * 2)
}

/// Slow, and ready to lose a byte.
struct Line {
    line: TraceLine,
    frames: u32,
    writes: u32,
    lossy: bool,
}

fn pause() {
    (0..PAUSE).for_each(|_| core::hint::spin_loop());
}

impl Sink for Line {
    fn write(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        self.writes += 1;
        let lost = self.lossy && (self.frames, self.writes) == LOST;
        for byte in bytes[..bytes.len() - usize::from(lost)].chunks(1) {
            self.line.write(byte)?;
            pause();
        }
        Ok(())
    }

    fn frame_begins(&mut self) {
        self.line.frame_begins();
        self.frames += 1;
        self.writes = 0;
    }

    fn frame_ends(&mut self) {
        self.line.frame_ends();
        let before = PRINTED.load(Ordering::Acquire);
        while PRINTED.load(Ordering::Acquire) == before {
            core::hint::spin_loop();
        }
    }
}

fn other_core(_: usize) {
    for line in 1.. {
        println!("line {line} of the other core");
        PRINTED.store(line, Ordering::Release);
        if SENT.load(Ordering::Acquire) {
            break;
        }
        (0..100).for_each(|_| pause());
    }
    SENT.store(false, Ordering::Release);
}

fn on_the_console(lossy: bool) {
    if let Err(error) = virt::start_core(1, other_core) {
        panic!("{error}");
    }
    let line = Line {
        line: TraceLine::new(),
        frames: 0,
        writes: 0,
        lossy,
    };
    if let Err(error) = RECORDER.send(&mut Stream::serial(line), EndReason::Asked) {
        panic!("{error}");
    }
    SENT.store(true, Ordering::Release);
    while SENT.load(Ordering::Acquire) {
        core::hint::spin_loop();
    }
}

fn to_a_file() {
    let nowhere = HostFile::create(c"no/such/folder/trace.aft").err();
    println!("a folder that is not there: {nowhere:?}");
    let full = HostFile::create(c"/dev/full").and_then(|mut file| file.write(b"a byte"));
    println!("a device that is full: {full:?}");
    let file = match HostFile::create(c"sent.aft") {
        Ok(file) => file,
        Err(error) => panic!("{error}"),
    };
    if let Err(error) = RECORDER.send(&mut Stream::file(file), EndReason::Asked) {
        panic!("{error}");
    }
}

fn main() {
    guest::init();
    install(Mode::Overwrite, 1);
    let both = [outer as *const () as usize, inner as *const () as usize];
    register(sure(RECORDER.ops()), &Filter::at(&both));
    (0..CALLS).for_each(|n| {
        outer(n);
    });
    counts("recorded", 0);
    match virt::words::command_line(&mut [0; 64]) {
        "file" => to_a_file(),
        "line" => on_the_console(false),
        "lossy" => on_the_console(true),
        _ => {}
    }
    println!("done");
}
