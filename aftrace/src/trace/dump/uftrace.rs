//! A data directory of uftrace, version 4 (uftrace's libmcount and utils/session.c; tried with 0.13): `info`, `task.txt`, a map and
//! symbols for all tasks, and the records of each task in a file of its own.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use rustc_hash::FxHashMap;

use super::threads::Threads;
use super::{Omitted, in_one_line, marks_knowing};
use crate::trace::brackets::{Mark, Values};
use crate::trace::calls::{Call, Task};
use crate::trace::file::Trace;
use crate::trace::filter::Filter;
use crate::trace::symbols::Symbols;

/// Records have 48 bits for an address, which those of a kernel's upper half are not: the text begins here instead.
const BASE: u64 = 0x1000_0000;
const ADDRESS_SHIFT: u32 = 16;
/// Records have 10 bits for the depth.
const DEPTH_MAX: u32 = 1 << 10;
const DEPTH_SHIFT: u32 = 6;
const MAGIC: u64 = 5 << 3;
/// Bytes of records that are held for each task.
const HELD: usize = 4096;
/// Each has a file.
const TASKS_MAX: usize = 1 << 16;

const ENTRY: u64 = 0;
const EXIT: u64 = 1;
const LOST: u64 = 2;

/// The task's session and its threads stand in task.txt; symbols are relative to their map; `info` has the deepest stack.
const FEATURES: u64 = 1 << 1 | 1 << 5 | 1 << 6;
/// There are arguments; there are results.
const ARGUMENTS: u64 = 1 << 3;
const RESULTS: u64 = 1 << 4;
/// In `info` stand the program's name, its command line and the tasks.
const INFOS: u64 = 1 << 0 | 1 << 3 | 1 << 7;
/// And what arguments and results there are of functions, and that those are named by a regular expression.
const SPECIFIED: u64 = 1 << 10 | 1 << 12;
/// Behind the record stand its arguments, or its result.
const MORE: u64 = 1 << 2;
/// By where the stack is, uftrace guesses which addresses are the kernel's below the program: none of ours.
const STACK: &str =
    "7ffffffde000-7ffffffff000 rw-p 00000000 00:00 0                          [stack]\n";
/// All tasks have the same map.
const SESSION: &str = "aft0000000000001";

struct Writer<'a> {
    folder: &'a Path,
    threads: Threads<'a>,
    symbols: &'a Symbols,
    held: BTreeMap<Task, Vec<u8>>,
    /// Functions by their distance from the text's start.
    names: BTreeMap<u64, String>,
    running: FxHashMap<u16, Task>,
    values: Values,
    /// Beside what no mark is given of: calls further in than uftrace goes, switches of tasks, and arguments where there are fewer
    /// than of other calls.
    omitted: Omitted,
}

/// Writes the trace into an empty folder.
///
/// Times are nanoseconds, rounded down. FUNCTION events, of which there is no end, are calls of no duration; a call whose return is
/// missing ends where a function around it went on. uftrace has no cores. It is told once how many arguments calls have: those of a
/// call that has fewer than others are left out.
///
/// # Errors
/// Those of the files; more than 65536 tasks.
pub fn write(
    trace: &Trace,
    symbols: &Symbols,
    filter: &Filter,
    folder: &Path,
) -> io::Result<Omitted> {
    let mut writer = Writer {
        folder,
        threads: Threads::new(trace),
        symbols,
        held: BTreeMap::new(),
        names: BTreeMap::new(),
        running: FxHashMap::default(),
        values: Values::default(),
        omitted: Omitted::default(),
    };
    let mut omitted = marks_knowing(trace, symbols, filter, |values| {
        writer.values = values;
        |mark| writer.mark(mark)
    })?;
    omitted.calls += writer.omitted.calls;
    omitted.events += writer.omitted.events;
    omitted.values += writer.omitted.values;
    writer.finish()?;
    Ok(omitted)
}

impl Writer<'_> {
    fn mark(&mut self, mark: Mark) -> io::Result<()> {
        match mark {
            Mark::Begin(call) if call.depth < DEPTH_MAX => {
                self.running.insert(call.core, call.task);
                let arguments = call.arguments.as_slice();
                let is_told = arguments.len() == self.values.most();
                if !is_told {
                    self.omitted.values += arguments.len() as u64;
                }
                let arguments = if is_told { arguments } else { &[] };
                self.record(&call, call.time, ENTRY, arguments)
            }
            Mark::Begin(call) => {
                self.omitted.calls += 1;
                self.omitted.values += call.arguments.as_slice().len() as u64;
                Ok(())
            }
            Mark::End(end) if end.call.depth < DEPTH_MAX => {
                self.record(&end.call, end.time, EXIT, end.result.as_slice())
            }
            Mark::End(end) => {
                self.omitted.values += u64::from(end.result.is_some());
                Ok(())
            }
            Mark::Function(call) if call.depth < DEPTH_MAX => {
                self.record(&call, call.time, ENTRY, &[])?;
                self.record(&call, call.time, EXIT, &[])
            }
            Mark::Function(_) => {
                self.omitted.calls += 1;
                Ok(())
            }
            Mark::Switch(core, _, task) => {
                self.omitted.events += 1;
                self.running.insert(core, task);
                Ok(())
            }
            Mark::Missing(core, time, events) => {
                let task = self.running.get(&core).copied();
                let task = task.unwrap_or(Task::Core(core));
                self.append(task, time, LOST | events << ADDRESS_SHIFT, &[])
            }
            Mark::Other(..) => Ok(()),
        }
    }

    fn function(&mut self, callsite: u32) -> u64 {
        let symbols = self.symbols;
        let start = symbols.header().text_start;
        let distance = symbols.entry(callsite).wrapping_sub(start) & u64::from(u32::MAX);
        self.names
            .entry(distance)
            .or_insert_with(|| symbols.name(callsite));
        BASE + distance
    }

    /// A call's begin or end, and values that belong to it.
    fn record(&mut self, call: &Call, ticks: u64, kind: u64, values: &[u64]) -> io::Result<()> {
        let address = self.function(call.callsite);
        let more = if values.is_empty() { 0 } else { MORE };
        let depth = u64::from(call.depth) << DEPTH_SHIFT;
        let word = kind | more | depth | address << ADDRESS_SHIFT;
        self.append(call.task, ticks, word, values)
    }

    fn append(&mut self, task: Task, ticks: u64, word: u64, values: &[u64]) -> io::Result<()> {
        if self.held.len() >= TASKS_MAX && !self.held.contains_key(&task) {
            return Err(io::Error::other(
                "more than 65536 tasks, and uftrace has a file for each: take fewer with --core or --time-range",
            ));
        }
        let time = self.symbols.nanoseconds(ticks);
        let held = self.held.entry(task).or_default();
        held.extend(time.to_le_bytes());
        held.extend((word | MAGIC).to_le_bytes());
        held.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        if held.len() >= HELD {
            self.flush(task)?;
        }
        Ok(())
    }

    fn flush(&mut self, task: Task) -> io::Result<()> {
        let name = format!("{}.dat", self.threads.number(task));
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.join(name))?;
        if let Some(held) = self.held.get_mut(&task) {
            file.write_all(held)?;
            held.clear();
        }
        Ok(())
    }

    fn finish(mut self) -> io::Result<()> {
        let tasks: Vec<Task> = self.held.keys().copied().collect();
        tasks.iter().try_for_each(|task| self.flush(*task))?;
        let numbers: Vec<String> = tasks
            .iter()
            .map(|task| self.threads.number(*task).to_string())
            .collect();
        self.info(&numbers)?;
        let mut text = String::new();
        for (task, number) in tasks.iter().zip(&numbers) {
            // A process of its own for each, because uftrace names processes only.
            let name = in_one_line(&self.threads.name(*task)).replace('"', "'");
            text += &format!(
                "SESS timestamp=0.000000000 pid={number} sid={SESSION} exename=\"{name}\"\n\
                 TASK timestamp=0.000000000 tid={number} pid={number}\n"
            );
        }
        fs::write(self.folder.join("task.txt"), text)?;
        let end = BASE
            + self
                .symbols
                .header()
                .text_bytes
                .next_multiple_of(4096)
                .max(4096);
        fs::write(
            self.folder.join(format!("sid-{SESSION}.map")),
            format!(
                "{BASE:012x}-{end:012x} r-xp 00000000 00:00 0                          /kernel\n{STACK}"
            ),
        )?;
        let mut text = "# path name: /kernel\n".to_owned();
        for (distance, name) in &self.names {
            text += &format!("{distance:016x} T {name}\n");
        }
        text += &format!("{:016x} ? __sym_end\n", self.symbols.header().text_bytes);
        fs::write(self.folder.join("kernel.sym"), text)
    }

    fn info(&self, numbers: &[String]) -> io::Result<()> {
        let mut file = File::create(self.folder.join("info"))?;
        let mut head = b"Ftrace!\0".to_vec();
        // Version; bytes of the head; little-endian; 64-bit.
        head.extend(4_u32.to_le_bytes());
        head.extend(40_u16.to_le_bytes());
        head.extend([1, 2]);
        let (most, results) = (self.values.most(), self.values.results);
        let specified = [(most > 0, ARGUMENTS), (results > 0, RESULTS)];
        let specified = specified.into_iter().filter(|(is, _)| *is);
        let features = specified.fold(FEATURES, |all, (_, feature)| all | feature);
        let is_specified = features != FEATURES;
        head.extend(features.to_le_bytes());
        head.extend((INFOS | if is_specified { SPECIFIED } else { 0 }).to_le_bytes());
        head.extend((DEPTH_MAX as u16).to_le_bytes());
        head.extend([0; 6]);
        file.write_all(&head)?;
        writeln!(file, "exename:/kernel")?;
        writeln!(file, "cmdline:aftrace dump --uftrace")?;
        writeln!(file, "taskinfo:lines=2")?;
        writeln!(file, "taskinfo:nr_tid={}", numbers.len())?;
        writeln!(file, "taskinfo:tids={}", numbers.join(","))?;
        if is_specified {
            let lines = features.count_ones() - FEATURES.count_ones();
            writeln!(file, "argspec:lines={lines}")?;
        }
        if most > 0 {
            let each: Vec<_> = (1..=most)
                .map(|number| format!("arg{number}/x64"))
                .collect();
            writeln!(file, "argspec:.@{}", each.join(","))?;
        }
        if results > 0 {
            // Decimal where it is small, as error numbers are.
            writeln!(file, "retspec:.@retval/d64")?;
        }
        if is_specified {
            writeln!(file, "pattern_type:regex")?;
        }
        Ok(())
    }
}
