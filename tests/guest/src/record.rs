//! What the guests of the recorder share: the recorder, its memory, and events in words.

extern crate alloc;

use crate::FTRACE;
use aarch64_ftrace::record::{Item, RecordError, RecordMemory, Recorder, Sizes, Survivor};
use aarch64_ftrace::trace::{Event, Type};
use aarch64_ftrace::{Counts, Mode, ReturnStack};
use alloc::string::ToString as _;
use core::fmt::{self, Display};
use virt::{print, println};

/// The recorder under test.
pub static RECORDER: Recorder = Recorder::new(&FTRACE);

/// Least bytes of a ring.
pub const RING_BYTES: u64 = 4096;
/// Events that fit.
pub const EVENTS: u64 = RING_BYTES / 16;

const CORES: usize = 8;
/// They stand in the page of the header, which is otherwise half empty.
const TASK_NAMES: usize = 16;
static MEMORY: RecordMemory<{ (2 * CORES + 1) * 4096 }> = RecordMemory::new();

/// Gives [`RECORDER`] its memory: the smallest rings that are allowed, for up to eight cores.
///
/// # Panics
/// Where that is refused.
pub fn install(mode: Mode, cores: usize) {
    install_with(mode, cores, false);
}

/// The same, with spare rings for snapshots where they are asked for.
///
/// # Panics
/// As [`install`].
pub fn install_with(mode: Mode, cores: usize, spare: bool) {
    install_sizes(Sizes {
        cores,
        ring_bytes: RING_BYTES,
        mode,
        spare,
        task_names: TASK_NAMES,
    });
}

/// As [`install`], with rings of any size that there is memory for.
///
/// # Panics
/// As [`install`].
pub fn install_sizes(sizes: Sizes) {
    let Some(memory) = MEMORY.take() else {
        panic!("the memory is given once")
    };
    if let Err(error) = RECORDER.install(memory, sizes) {
        panic!("install: {error}");
    }
}

/// What a recorder answers where it must.
///
/// # Panics
/// On an error.
pub fn sure<T>(answer: Result<T, RecordError>) -> T {
    match answer {
        Ok(value) => value,
        Err(error) => panic!("recorder: {error}"),
    }
}

/// Prints the counts of a core.
pub fn counts(what: &str, core: usize) {
    let Counts {
        written,
        overwritten,
        dropped,
        refused,
    } = sure(RECORDER.counts(core));
    println!(
        "{what}: written {written}, overwritten {overwritten}, dropped {dropped}, refused {refused}"
    );
}

/// Prints each event of a core: function and caller, and whether time went on.
pub fn events(core: usize) {
    let mut before = 0;
    for item in sure(RECORDER.read(core)) {
        let Item::Event { event, .. } = item else {
            println!("  {item:?}");
            continue;
        };
        let order = if event.time() >= before {
            ""
        } else {
            ", earlier than the one before"
        };
        before = event.time();
        println!(
            "  {:?} {} <- {}{order}",
            kind(event),
            name(event.callsite_low()),
            name(event.upper())
        );
    }
}

/// Prints the last events of each core that an earlier boot has recorded.
pub fn print(survivor: &Survivor, count: usize) {
    struct Console;
    impl core::fmt::Write for Console {
        fn write_str(&mut self, text: &str) -> core::fmt::Result {
            print!("{text}");
            Ok(())
        }
    }
    if survivor.print(&mut Console, count).is_err() {
        println!("not printed");
    }
}

/// Counts the events of a core that are whole, and those that are not.
pub fn tally(core: usize) -> (u64, u64) {
    sure(RECORDER.read(core)).fold((0, 0), |(whole, other), item| match item {
        Item::Event { .. } => (whole + 1, other),
        Item::Overwritten(count) => (whole, other + count),
        Item::Unfinished { .. } => (whole, other + 1),
    })
}

/// Forgets what core 0 has recorded, and has it go on at this slot of the ring of [`EVENTS`] times `rings`.
pub fn begin_at(slot: u64, rings: u64) {
    sure(RECORDER.reset(0));
    RECORDER.task_switch(0);
    let last = sure(RECORDER.read(0)).next();
    let Some(Item::Event { number, .. }) = last else {
        panic!("the event just written is {last:?}")
    };
    let slots = rings * EVENTS;
    for _ in 0..(slot + slots - (number + 1) % slots) % slots {
        RECORDER.task_switch(0);
    }
    sure(RECORDER.reset(0));
}

/// Whether all events of a core are whole, none was lost, and each EXIT closes the ENTRY that is open, with the time between them.
/// So many may be open inside each other.
pub fn is_intact<const DEPTH: usize>(core: usize) -> bool {
    let mut open: [Option<Event>; DEPTH] = [None; DEPTH];
    let mut depth = 0;
    for item in sure(RECORDER.read(core)) {
        let Item::Event { event, .. } = item else {
            return false;
        };
        match event.kind() {
            Some(Type::Function) => {}
            Some(Type::Entry) if depth < DEPTH => {
                open[depth] = Some(event);
                depth += 1;
            }
            Some(Type::Exit) if depth > 0 => {
                depth -= 1;
                let closes = open[depth].is_some_and(|entry| {
                    entry.callsite_low() == event.callsite_low()
                        && event.time() - entry.time() == u64::from(event.upper())
                });
                if !closes {
                    return false;
                }
            }
            _ => return false,
        }
    }
    depth == 0
}

/// Calls, and prints what it left: `(` with the function's name, `)`, and a dot for each value.
///
/// # Panics
/// Where something is left on the return stack, or was not recorded for want of room there.
pub fn brackets(what: &str, stack: &ReturnStack, call: impl Fn()) {
    sure(RECORDER.reset(0));
    call();
    print!("{what}:");
    for item in sure(RECORDER.read(0)) {
        let Item::Event { event, .. } = item else {
            panic!("{item:?}")
        };
        match event.kind() {
            Some(Type::Entry) => {
                let name = name(event.callsite_low()).to_string();
                print!(" {}(", name.rsplit("::").next().unwrap_or_default());
            }
            Some(Type::Exit) => print!(")"),
            Some(Type::Data) => print!("."),
            other => panic!("{other:?}"),
        }
    }
    println!();
    assert_eq!((stack.depth(), stack.overruns()), (0, 0), "{what}");
}

fn kind(event: Event) -> Type {
    match event.kind() {
        Some(kind) => kind,
        None => panic!("an event of type {}", event.code()),
    }
}

/// The function that an address of the text, given by its low 32 bits, lies in; Display prints it.
pub fn name(low: u32) -> impl Display {
    Place(sure(RECORDER.header()).text_address(low) as usize)
}

/// An address of the text: as the function that it lies in, where it lies in one.
pub struct Place(pub usize);

impl Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match FTRACE.symbol(self.0) {
            Some(symbol) => symbol.name.fmt(f),
            None => write!(f, "no function, {:#x}", self.0),
        }
    }
}
