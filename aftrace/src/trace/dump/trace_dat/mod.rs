//! trace.dat, version 6: what trace-cmd and KernelShark read (man page trace-cmd.dat.v6, of Debian's package trace-cmd).
//!
//! The file has the trace of each core in one piece, in sub-buffers of 4096 bytes as Linux's ring buffer has them. As events come in
//! the order of their time, full sub-buffers go to a scratch file and are put together at the end.

mod head;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use self::head::{ENTRY, EXIT, FUNCTION, SWITCH, is_known_of_some};
use super::threads::Threads;
use super::{Omitted, cut, in_one_line, marks_knowing};
use crate::trace::brackets::{Mark, Values};
use crate::trace::calls::Task;
use crate::trace::file::Trace;
use crate::trace::filter::Filter;
use crate::trace::symbols::Symbols;

const PAGE: usize = 4096;
/// Before the events of a sub-buffer: its time and the bytes of its events.
const PAGE_HEAD: usize = 16;
/// Behind the events, how many were missed.
const MISSED_BYTES: usize = 8;
/// In the bytes of the events: some were missed before, and how many stands behind.
const MISSED: u64 = 1 << 31 | 1 << 30;
/// Width of the time in an event's head, above five bits of length or type.
const DELTA_BITS: u32 = 27;
const LENGTH_BITS: u32 = 5;
const TIME_EXTEND: u32 = 30;
/// A task's name in a switch, with the zero behind it.
const COMM_BYTES: usize = 16;

/// A name without blanks and ends of lines, at which trace-cmd ends one: `<A as B>::f` is `<A_as_B>::f`.
#[must_use]
pub fn joined(name: &str) -> String {
    in_one_line(name)
        .replace(", ", ",")
        .replace(" -> ", "->")
        .replace(' ', "_")
}

/// The sub-buffer that a core's events go to.
#[derive(Default)]
struct Page {
    /// Nanoseconds of its first and of its last event.
    first: u64,
    last: u64,
    events: Vec<u8>,
    missed: u64,
    /// Those that are full, by their number in the scratch file.
    full: Vec<u32>,
    /// Which task the core runs.
    task: Option<Task>,
}

struct Writer<'a> {
    values: Values,
    trace: &'a Trace,
    threads: Threads<'a>,
    symbols: &'a Symbols,
    scratch: File,
    /// The scratch file's.
    folder: &'a Path,
    written: u32,
    cores: BTreeMap<u16, Page>,
    /// Functions by the address that stands in the events.
    names: BTreeMap<u64, String>,
    tasks: BTreeSet<Task>,
}

/// Writes the trace; `scratch` is a directory with room for as much again.
///
/// Times are nanoseconds, rounded down. An ENTRY without its return has no exit.
///
/// # Errors
/// Those of the files and of `out`.
pub fn write(
    trace: &Trace,
    symbols: &Symbols,
    filter: &Filter,
    scratch: &Path,
    out: impl Write,
) -> io::Result<Omitted> {
    let mut writer = Writer {
        values: Values::default(),
        trace,
        threads: Threads::new(trace),
        symbols,
        scratch: tempfile::tempfile_in(scratch).map_err(in_scratch(scratch))?,
        folder: scratch,
        written: 0,
        cores: BTreeMap::new(),
        names: BTreeMap::new(),
        tasks: BTreeSet::new(),
    };
    let omitted = marks_knowing(trace, symbols, filter, |values| {
        writer.values = values;
        |mark| writer.mark(mark)
    })?;
    writer.finish(out)?;
    Ok(omitted)
}

fn in_scratch(folder: &Path) -> impl Fn(io::Error) -> io::Error {
    move |error| {
        io::Error::other(format!(
            "{}, where the events of each core are put together: {error}: make room for twice the file there",
            folder.display()
        ))
    }
}

impl Writer<'_> {
    fn mark(&mut self, mark: Mark) -> io::Result<()> {
        match mark {
            Mark::Begin(call) => {
                let mut fields = self.function(call.callsite).to_le_bytes().to_vec();
                fields.extend((call.depth as i32).to_le_bytes());
                if self.values.most() > 0 {
                    fields.extend(0_u32.to_le_bytes());
                    let arguments = call.arguments.as_slice().iter();
                    fields.extend(arguments.flat_map(|value| value.to_le_bytes()));
                }
                self.event(call.core, call.time, call.task, ENTRY, &fields)
            }
            Mark::End(end) if end.returned => {
                let call = end.call;
                let mut fields = self.function(call.callsite).to_le_bytes().to_vec();
                if self.values.results > 0 {
                    fields.extend(end.result.unwrap_or_default().to_le_bytes());
                }
                fields.extend((call.depth as i32).to_le_bytes());
                fields.extend(0_u32.to_le_bytes());
                fields.extend(self.symbols.nanoseconds(call.time).to_le_bytes());
                fields.extend(self.symbols.nanoseconds(end.time).to_le_bytes());
                if is_known_of_some(self.values) {
                    fields.extend(u32::from(end.result.is_some()).to_le_bytes());
                }
                self.event(end.core, end.time, call.task, EXIT, &fields)
            }
            Mark::Function(call) => {
                let mut fields = self.function(call.callsite).to_le_bytes().to_vec();
                fields.extend(self.caller(call.parent).to_le_bytes());
                self.event(call.core, call.time, call.task, FUNCTION, &fields)
            }
            Mark::Switch(core, time, next) => {
                let page = self.cores.entry(core).or_default();
                let before = page.task.replace(next).unwrap_or(Task::Core(core));
                let mut fields = self.switched(before);
                // prev_state: it could go on.
                fields.extend(0_u64.to_le_bytes());
                fields.extend(self.switched(next));
                self.event(core, time, before, SWITCH, &fields)
            }
            Mark::Missing(core, _, events) => {
                self.flush(core)?;
                let missed = &mut self.cores.entry(core).or_default().missed;
                *missed = missed.saturating_add(events);
                Ok(())
            }
            Mark::End(_) | Mark::Other(..) => Ok(()),
        }
    }

    /// Name, id and priority of a task, as a switch has them. There are no priorities: it is Linux's usual one.
    fn switched(&mut self, task: Task) -> Vec<u8> {
        self.tasks.insert(task);
        // The whole name stands before the events.
        let name = self.threads.name(task);
        let mut fields = cut(&name, COMM_BYTES - 1).as_bytes().to_vec();
        fields.resize(COMM_BYTES, 0);
        fields.extend(self.threads.number(task).to_le_bytes());
        fields.extend(120_u32.to_le_bytes());
        fields
    }

    /// The address of the function, whose name is then in the file.
    fn function(&mut self, callsite: u32) -> u64 {
        let symbols = self.symbols;
        let address = symbols.entry(callsite);
        self.names
            .entry(address)
            .or_insert_with(|| joined(&symbols.name(callsite)));
        address
    }

    /// An address in the caller, whose name is then in the file.
    fn caller(&mut self, parent: u32) -> u64 {
        if self.symbols.is_tail(parent) {
            let header = self.symbols.header();
            self.names
                .insert(header.return_start, "return_to_handler".to_owned());
            return header.text_address(parent);
        }
        // The return address may be another function's first.
        let (call, symbols) = (parent.wrapping_sub(4), self.symbols);
        self.names
            .entry(symbols.entry(call))
            .or_insert_with(|| joined(&symbols.caller(parent)));
        symbols.header().text_address(call)
    }

    fn event(
        &mut self,
        core: u16,
        ticks: u64,
        task: Task,
        kind: u16,
        fields: &[u8],
    ) -> io::Result<()> {
        self.tasks.insert(task);
        let time = self.symbols.nanoseconds(ticks);
        let pid = self.threads.number(task);
        let bytes = 8 + fields.len();
        let page = self.cores.entry(core).or_default();
        let mut delta = time.saturating_sub(page.last);
        let is_long = delta >> DELTA_BITS != 0;
        let needed = 4 + bytes + if is_long { 8 } else { 0 };
        let room = PAGE - PAGE_HEAD - MISSED_BYTES - page.events.len();
        if page.events.is_empty() || needed > room || delta >> DELTA_BITS > u64::from(u32::MAX) {
            self.flush(core)?;
            let page = self.cores.entry(core).or_default();
            page.first = time;
            delta = 0;
        }
        let page = self.cores.entry(core).or_default();
        page.last = time;
        let low = |delta: u64| (delta as u32 & ((1 << DELTA_BITS) - 1)) << LENGTH_BITS;
        if delta >> DELTA_BITS != 0 {
            page.events.extend((low(delta) | TIME_EXTEND).to_le_bytes());
            page.events
                .extend(((delta >> DELTA_BITS) as u32).to_le_bytes());
            delta = 0;
        }
        // All events are whole words, and short enough for their length to stand in the head.
        let words = (bytes / 4) as u32;
        page.events.extend((low(delta) | words).to_le_bytes());
        page.events.extend(kind.to_le_bytes());
        page.events.extend([0, 0]);
        page.events.extend(pid.to_le_bytes());
        page.events.extend(fields);
        Ok(())
    }

    /// Puts the sub-buffer of the core into the scratch file, and begins a new one.
    fn flush(&mut self, core: u16) -> io::Result<()> {
        let page = self.cores.entry(core).or_default();
        if page.events.is_empty() {
            return Ok(());
        }
        let missed = std::mem::take(&mut page.missed);
        let flags = if missed > 0 { MISSED } else { 0 };
        let mut bytes = Vec::with_capacity(PAGE);
        bytes.extend(page.first.to_le_bytes());
        bytes.extend((page.events.len() as u64 | flags).to_le_bytes());
        bytes.append(&mut page.events);
        if missed > 0 {
            bytes.extend(missed.to_le_bytes());
        }
        bytes.resize(PAGE, 0);
        self.scratch
            .write_all_at(&bytes, u64::from(self.written) * PAGE as u64)
            .map_err(in_scratch(self.folder))?;
        page.full.push(self.written);
        self.written += 1;
        Ok(())
    }

    fn finish(mut self, mut out: impl Write) -> io::Result<()> {
        let cores: Vec<u16> = self.cores.keys().copied().collect();
        cores.iter().try_for_each(|core| self.flush(*core))?;
        // A reader takes what a name covers to end at the next one: behind the last, no address has a name but the very first.
        let header = self.symbols.header();
        let end = header.text_start.wrapping_add(header.text_bytes);
        self.names.entry(end).or_insert_with(|| "_etext".to_owned());
        let last = cores.last().map_or(0, |core| u64::from(*core) + 1);
        let cpus = last.max(u64::from(self.trace.header.cpus).min(1 << 16));
        let names = self
            .names
            .iter()
            .map(|(address, name)| format!("{address:016x} t {name}\n"));
        let threads = &mut self.threads;
        let tasks = self.tasks.iter().map(|task| {
            let name = in_one_line(&threads.name(*task));
            format!("{} {name}\n", threads.number(*task))
        });
        let mut head = head::head(
            &names.collect::<String>(),
            &tasks.collect::<String>(),
            cpus as u32,
            self.values,
        );
        let begin = (head.len() as u64 + 16 * cpus).next_multiple_of(PAGE as u64);
        let mut offset = begin;
        for core in 0..cpus {
            let page = u16::try_from(core)
                .ok()
                .and_then(|core| self.cores.get(&core));
            let bytes = page.map_or(0, |page| page.full.len() * PAGE) as u64;
            head.extend(offset.to_le_bytes());
            head.extend(bytes.to_le_bytes());
            offset += bytes;
        }
        head.resize(begin as usize, 0);
        out.write_all(&head)?;
        let mut bytes = [0; PAGE];
        for number in self.cores.values().flat_map(|page| &page.full) {
            self.scratch
                .read_exact_at(&mut bytes, u64::from(*number) * PAGE as u64)
                .map_err(in_scratch(self.folder))?;
            out.write_all(&bytes)?;
        }
        out.flush()
    }
}
