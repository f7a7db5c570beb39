//! The flight recorder's last words: the newest events of every core, in order of time, as text.
#![forbid(unsafe_code)]

use super::memory::Region;
use super::{Item, Recorder};
use crate::introspect::Symbol;
use crate::ring::Counts;
use crate::trace::{DATA_RETURN_ADDRESS, Event, Header, RegionError, TaskName, Type, trigger_name};
use core::fmt::{self, Write};
use core::ops::Range;

/// Cores whose events are merged with each other: so many as there is room for on a stack that may be nearly full.
const MERGED: usize = 32;
const MICROSECONDS: u64 = 1_000_000;

/// [`Recorder::dump_on_panic`] of the recorder that has this kernel's memory, whichever it is: for a panic handler that
/// knows of no recorder.
///
/// # Errors
/// Those of `out`. A kernel without a recorder that has memory says so in words.
///
/// # Context
/// As [`Recorder::dump_on_panic`].
pub fn dump_on_panic(out: &mut dyn Write, count: usize) -> fmt::Result {
    match super::owner() {
        Some(recorder) => recorder.dump_on_panic(out, count),
        None => nothing(out),
    }
}

fn nothing(out: &mut dyn Write) -> fmt::Result {
    writeln!(out, "ftrace: nothing recorded: the recorder has no memory")
}

impl Recorder {
    /// Prints the last `count` events of every core, the cores' events merged by time, with the names of functions; DATA slots
    /// count as events. Recording is switched off first, and stays off: what is shown does not run away from under it.
    ///
    /// More than 32 cores are printed 32 at a time. Of a core whose control blocks somebody has written over, a line says what is wrong
    /// with them, and its memory is not read.
    ///
    /// # Errors
    /// Those of `out`. A recorder without memory says so in words.
    ///
    /// # Context
    /// Any, made for the panic handler: takes no lock, allocates nothing, waits for nobody; about 2 KiB of stack. Other
    /// cores may go on.
    pub fn dump_on_panic(&'static self, out: &mut dyn Write, count: usize) -> fmt::Result {
        if self.installed.is_completed() {
            self.set_on(false);
        }
        self.print_last(out, count)
    }

    /// The same, whether recording is on or not.
    pub(super) fn print_last(&'static self, out: &mut dyn Write, count: usize) -> fmt::Result {
        let Some(installed) = self.installed.get() else {
            return nothing(out);
        };
        Printer(&Running(self, &installed.region)).print(out, count)
    }
}

/// A recording that can be printed.
pub(super) trait Recording {
    fn header(&self) -> &Header;

    /// Whether what is said of a core's ring can be believed.
    fn check(&self, core: usize) -> Result<(), RegionError>;

    fn counts(&self, core: usize) -> Option<Counts>;

    /// The newest items of a core, oldest first.
    fn newest(&self, core: usize, count: usize) -> Option<impl Iterator<Item = Item>>;

    /// The name of a task.
    fn task(&self, id: u32) -> Option<TaskName>;

    /// The function of this kernel in which an address of the recording's text lies.
    fn symbol(&self, address: u64) -> Option<Symbol>;
}

/// What is being recorded.
struct Running(&'static Recorder, &'static Region);

impl Recording for Running {
    fn header(&self) -> &Header {
        self.1.header()
    }

    fn check(&self, core: usize) -> Result<(), RegionError> {
        self.1.check(core)
    }

    fn counts(&self, core: usize) -> Option<Counts> {
        self.0.counts(core).ok()
    }

    fn newest(&self, core: usize, count: usize) -> Option<impl Iterator<Item = Item>> {
        Some(self.0.read(core).ok()?.last(count as u64))
    }

    fn task(&self, id: u32) -> Option<TaskName> {
        self.0.task_name(id)
    }

    fn symbol(&self, address: u64) -> Option<Symbol> {
        self.0.ftrace.symbol(address as usize)
    }
}

/// Prints a recording.
pub(super) struct Printer<'a, R>(pub(super) &'a R);

impl<R: Recording> Printer<'_, R> {
    pub(super) fn print(&self, out: &mut dyn Write, count: usize) -> fmt::Result {
        let cores = self.0.header().cpus as usize;
        for first in (0..cores).step_by(MERGED) {
            self.merge(out, first..(first + MERGED).min(cores), count)?;
        }
        Ok(())
    }

    fn merge(&self, out: &mut dyn Write, cores: Range<usize>, count: usize) -> fmt::Result {
        let first = cores.start;
        let mut tails: [Option<Tail<_>>; MERGED] = core::array::from_fn(|i| {
            self.0.check(first + i).ok()?;
            Some(Tail::new(self.0.newest(first + i, count)?))
        });
        for core in cores {
            if let Err(error) = self.0.check(core) {
                writeln!(out, "ftrace: core {core}: {error}")?;
                continue;
            }
            let Some(counts) = self.0.counts(core) else {
                continue;
            };
            writeln!(
                out,
                "ftrace: core {core}: {} events, {} overwritten, {} dropped, {} while off",
                counts.written, counts.overwritten, counts.dropped, counts.refused
            )?;
        }
        loop {
            let times = tails
                .iter()
                .enumerate()
                .filter_map(|(i, tail)| Some((tail.as_ref()?.event?.time(), i)));
            let Some((_, i)) = times.min() else {
                break;
            };
            let Some(tail) = &mut tails[i] else {
                break;
            };
            let Some(event) = tail.event else {
                break;
            };
            self.line(out, first + i, event)?;
            tail.advance();
            // What belongs to the event stands with it.
            while let Some(data) = tail.event.filter(|event| event.kind() == Some(Type::Data)) {
                self.line(out, first + i, data)?;
                tail.advance();
            }
        }
        let unfinished: u64 = tails.iter().flatten().map(|tail| tail.unfinished).sum();
        if unfinished > 0 {
            writeln!(out, "ftrace: {unfinished} events were not finished")?;
        }
        Ok(())
    }

    fn line(&self, out: &mut dyn Write, core: usize, event: Event) -> fmt::Result {
        let header = self.0.header();
        if let Some(data) = event.data() {
            if data.kind == DATA_RETURN_ADDRESS {
                return writeln!(out, "{:22}{}", "", Place(self.0, data.value));
            }
            let kind = match data.kind {
                0 => "argument",
                1 => "return value",
                _ => "data",
            };
            return writeln!(out, "{:22}{kind} {}: {:#x}", "", data.index, data.value);
        }
        let (seconds, rest) = (
            event.time() / header.frequency,
            event.time() % header.frequency,
        );
        // In 128 bits: the frequency may be any.
        let micros = u128::from(rest) * u128::from(MICROSECONDS) / u128::from(header.frequency);
        write!(out, "{seconds:>7}.{micros:06} [{core:03}] ")?;
        let place = |low: u32| Place(self.0, header.text_address(low));
        let (site, upper) = (event.callsite_low(), event.upper());
        match event.kind() {
            Some(Type::Function) => writeln!(out, "{} <- {}", place(site).name(), place(upper)),
            Some(Type::Entry) => {
                writeln!(out, "{} entered <- {}", place(site).name(), place(upper))
            }
            Some(Type::Exit) => writeln!(out, "{} left after {upper} ticks", place(site).name()),
            Some(Type::Task) => match self.0.task(upper) {
                Some(name) => writeln!(out, "task {upper} {name}"),
                None => writeln!(out, "task {upper}"),
            },
            Some(Type::Stack) => writeln!(out, "{} with a stack of {upper}", place(site).name()),
            Some(Type::Trigger) => {
                let action = trigger_name(upper);
                writeln!(out, "{} fired trigger {action}", place(site).name())
            }
            Some(Type::Data) | None => writeln!(out, "an event of type {}", event.code()),
        }
    }
}

/// An address in the text: as function and offset, or as a number.
struct Place<'a, R>(&'a R, u64);

impl<'a, R> Place<'a, R> {
    /// The function only.
    fn name(self) -> Name<'a, R> {
        Name(self)
    }
}

impl<R: Recording> fmt::Display for Place<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.symbol(self.1) {
            Some(symbol) => symbol.fmt(f),
            None => write!(f, "{:#x}", self.1),
        }
    }
}

/// An address in the text: as its function.
struct Name<'a, R>(Place<'a, R>);

impl<R: Recording> fmt::Display for Name<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.0.symbol(self.0.1) {
            Some(symbol) => symbol.name.fmt(f),
            None => self.0.fmt(f),
        }
    }
}

/// The newest events of one core, and the one that is next.
struct Tail<I> {
    items: I,
    event: Option<Event>,
    /// What DATA that comes next belongs to is older than what is shown, or lost: it has no place in time.
    is_orphan: bool,
    unfinished: u64,
}

impl<I: Iterator<Item = Item>> Tail<I> {
    fn new(items: I) -> Self {
        let mut tail = Self {
            items,
            event: None,
            is_orphan: true,
            unfinished: 0,
        };
        tail.advance();
        tail
    }

    /// Takes the next event that is whole.
    fn advance(&mut self) {
        self.event = None;
        for item in &mut self.items {
            match item {
                Item::Event { event, .. } if self.is_orphan && event.kind() == Some(Type::Data) => {
                }
                Item::Event { event, .. } => {
                    self.is_orphan = false;
                    self.event = Some(event);
                    return;
                }
                Item::Unfinished { .. } => {
                    self.is_orphan = true;
                    self.unfinished += 1;
                }
                Item::Overwritten(_) => self.is_orphan = true,
            }
        }
    }
}
