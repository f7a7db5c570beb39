//! The Fuchsia trace format (fuchsia.dev, "Fuchsia trace format"), for Perfetto and Fuchsia's own tools: words of 8 bytes, names once.

use std::io::{self, Write};

use rustc_hash::{FxHashMap, FxHashSet};

use super::functions::Functions;
use super::threads::Threads;
use super::{Omitted, cut, marks, register};
use crate::trace::brackets::Mark;
use crate::trace::calls::Task;
use crate::trace::file::Trace;
use crate::trace::filter::Filter;
use crate::trace::symbols::Symbols;
use crate::trace::values::error;

/// The first word: a metadata record of its own.
const MAGIC: u64 = 0x0016_5478_4604_0010;
const INITIALIZATION: u64 = 1;
const STRING: u64 = 2;
const THREAD: u64 = 3;
const EVENT: u64 = 4;
const KERNEL_OBJECT: u64 = 7;
const SCHEDULING: u64 = 8;

const INSTANT: u64 = 0;
const BEGIN: u64 = 2;
const END: u64 = 3;
const CONTEXT_SWITCH: u64 = 1;
/// The state of a task that another one takes turns with: it could go on.
const RUNNABLE: u64 = 1;

const PROCESS_OBJECT: u64 = 1;
const THREAD_OBJECT: u64 = 2;
const ARGUMENT_SIGNED: u64 = 3;
const ARGUMENT_UNSIGNED: u64 = 4;
const ARGUMENT_POINTER: u64 = 7;
const ARGUMENT_KOID: u64 = 8;

/// References to strings have 15 bits, and the highest number of all says that the text stands in the record itself.
const STRINGS_MAX: u32 = 0x7fff;
const INLINE: u64 = 0x8000;
/// References to threads have 8 bits; 0 is a thread that stands in the record itself.
const THREADS_MAX: usize = 255;
/// Bytes of a text in a record. Readers take no more, and with all that may stand beside it the record has less than the 4095 words
/// that a head can say.
const TEXT_MAX: usize = 32_000;
/// All tasks are threads of the kernel.
const PROCESS: u64 = 1;

/// Type, name, value.
type Argument<'n> = (u64, &'n str, u64);

struct Writer<'a, W> {
    out: W,
    threads: Threads<'a>,
    functions: Functions<'a>,
    /// Functions whose name has been written.
    known: FxHashSet<u32>,
    /// Where a task stands in the table of threads, 0 for those that do not.
    places: FxHashMap<Task, u64>,
    running: FxHashMap<u16, Task>,
    cut_names: u64,
}

/// Writes the trace.
///
/// Times are the recorder's ticks, and the file says how many a second has. A call whose return is missing ends where a function around
/// it went on; calls that have not returned do not end.
///
/// # Errors
/// Those of the file and of `out`.
pub fn write(
    trace: &Trace,
    symbols: &Symbols,
    filter: &Filter,
    out: impl Write,
) -> io::Result<Omitted> {
    let mut writer = Writer {
        out,
        threads: Threads::new(trace),
        functions: Functions::new(symbols),
        known: FxHashSet::default(),
        places: FxHashMap::default(),
        running: FxHashMap::default(),
        cut_names: 0,
    };
    writer.words(&[MAGIC])?;
    writer.record(INITIALIZATION, &[trace.header.frequency.max(1)])?;
    writer.object(PROCESS_OBJECT, PROCESS, "kernel", &[])?;
    let omitted = marks(trace, symbols, filter, |mark| writer.mark(mark))?;
    writer.out.flush()?;
    let names = writer.cut_names;
    Ok(Omitted { names, ..omitted })
}

/// Text in whole words.
fn padded(text: &str) -> Vec<u64> {
    let word = |bytes: &[u8]| {
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        u64::from_le_bytes(word)
    };
    cut(text, TEXT_MAX).as_bytes().chunks(8).map(word).collect()
}

/// A reference to a text that stands in the record.
fn inline(text: &str) -> u64 {
    INLINE | cut(text, TEXT_MAX).len() as u64
}

impl<W: Write> Writer<'_, W> {
    fn words(&mut self, words: &[u64]) -> io::Result<()> {
        words
            .iter()
            .try_for_each(|word| self.out.write_all(&word.to_le_bytes()))
    }

    /// A record with the size in its head; `head` has its type and what else stands there.
    fn record(&mut self, head: u64, words: &[u64]) -> io::Result<()> {
        let size = words.len() as u64 + 1;
        self.words(&[head | size << 4])?;
        self.words(words)
    }

    fn object(&mut self, kind: u64, id: u64, name: &str, arguments: &[u64]) -> io::Result<()> {
        let count = u64::from(!arguments.is_empty());
        let head = KERNEL_OBJECT | kind << 16 | inline(name) << 24 | count << 40;
        let words = [&[id], padded(name).as_slice(), arguments].concat();
        self.record(head, &words)
    }

    /// The task's reference, and what must stand in the record with it.
    fn thread(&mut self, task: Task) -> io::Result<(u64, Vec<u64>)> {
        let number = u64::from(self.threads.number(task));
        let place = match self.places.get(&task) {
            Some(place) => *place,
            None => {
                let place = match self.places.len() {
                    others if others < THREADS_MAX => others as u64 + 1,
                    _ => 0,
                };
                self.places.insert(task, place);
                let name = self.threads.name(task);
                self.cut_names += u64::from(name.len() > TEXT_MAX);
                let argument = "process";
                let head = ARGUMENT_KOID | 3 << 4 | inline(argument) << 16;
                let words = [&[head], padded(argument).as_slice(), &[PROCESS]].concat();
                self.object(THREAD_OBJECT, number, &name, &words)?;
                if place != 0 {
                    self.record(THREAD | place << 16, &[PROCESS, number])?;
                }
                place
            }
        };
        Ok(match place {
            0 => (0, vec![PROCESS, number]),
            place => (place, Vec::new()),
        })
    }

    /// The function's reference, and its name where that must stand in the record.
    fn name(&mut self, callsite: u32) -> io::Result<(u64, Vec<u64>)> {
        let number = self.functions.number(callsite);
        if number <= STRINGS_MAX && self.known.contains(&number) {
            return Ok((number.into(), Vec::new()));
        }
        let name = self.functions.name(number);
        let (reference, text) = (inline(name), padded(name));
        let is_cut = name.len() > TEXT_MAX;
        self.cut_names += u64::from(self.known.insert(number) && is_cut);
        if number > STRINGS_MAX {
            return Ok((reference, text));
        }
        let length = reference & !INLINE;
        self.record(STRING | u64::from(number) << 16 | length << 32, &text)?;
        Ok((number.into(), Vec::new()))
    }

    fn event(
        &mut self,
        kind: u64,
        task: Task,
        time: u64,
        (name, name_words): (u64, Vec<u64>),
        arguments: &[Argument<'_>],
    ) -> io::Result<()> {
        let (thread, thread_words) = self.thread(task)?;
        let mut head = EVENT | kind << 16 | thread << 24 | name << 48;
        let mut words = [&[time], thread_words.as_slice(), &name_words].concat();
        head |= (arguments.len() as u64) << 20;
        for &(kind, name, value) in arguments {
            let text = padded(name);
            let size = 2 + text.len() as u64;
            words.push(kind | size << 4 | inline(name) << 16);
            words.extend(text);
            words.push(value);
        }
        self.record(head, &words)
    }

    fn mark(&mut self, mark: Mark) -> io::Result<()> {
        match mark {
            Mark::Begin(call) | Mark::Function(call) => {
                let kind = match mark {
                    Mark::Begin(_) => BEGIN,
                    _ => INSTANT,
                };
                let name = self.name(call.callsite)?;
                let arguments = call.arguments.as_slice().iter().enumerate();
                let arguments: Vec<_> = arguments
                    .map(|(index, value)| (ARGUMENT_POINTER, register(index), *value))
                    .collect();
                self.event(kind, call.task, call.time, name, &arguments)
            }
            Mark::End(end) => {
                let name = self.name(end.call.callsite)?;
                let argument = match end.result {
                    _ if !end.returned => Some((ARGUMENT_UNSIGNED, "return is missing", 1)),
                    Some(value) => Some(match error(value) {
                        Some(number) => (ARGUMENT_SIGNED, "result", number as u64),
                        None => (ARGUMENT_POINTER, "result", value),
                    }),
                    None => None,
                };
                let argument: Vec<_> = argument.into_iter().collect();
                self.event(END, end.call.task, end.time, name, &argument)
            }
            Mark::Switch(core, time, next) => {
                let before = self.running.insert(core, next);
                let before = before.unwrap_or(Task::Core(core));
                for task in [before, next] {
                    self.thread(task)?;
                }
                let tasks = [before, next].map(|task| u64::from(self.threads.number(task)));
                let head =
                    SCHEDULING | u64::from(core) << 20 | RUNNABLE << 36 | CONTEXT_SWITCH << 60;
                self.record(head, &[time, tasks[0], tasks[1]])
            }
            Mark::Missing(core, time, events) => {
                let name = "events are missing";
                let name = (inline(name), padded(name));
                self.event(
                    INSTANT,
                    Task::Core(core),
                    time,
                    name,
                    &[(ARGUMENT_UNSIGNED, "events", events)],
                )
            }
            Mark::Other(..) => Ok(()),
        }
    }
}
