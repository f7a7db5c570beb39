//! The traces that the readers are given, and what aftrace itself finds in them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use aarch64_ftrace::trace::{Event, FrameKind, Type, events_head};
use aftrace::trace::brackets::{self, Mark};
use aftrace::trace::calls::Task;
use aftrace::trace::dump::threads::OF_CORES;
use aftrace::trace::file::Trace;
use aftrace::trace::filter::Filter;
use aftrace::trace::ram::FrameWriter;
use aftrace::trace::report::Report;
use aftrace::trace::symbols::Symbols;
use anyhow::{Result, ensure};

#[path = "../../../../aftrace/tests/kernel/mod.rs"]
mod synthetic;

use synthetic::{Core, RETURN, callsite, entry, event};

/// A call that ENTRY and EXIT are recorded of, or only one of them. Times are nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub task: Task,
    pub depth: u32,
    pub name: String,
    /// `None`: its ENTRY is not recorded.
    pub caller: Option<String>,
    pub start: u64,
    /// `None`: its return is not recorded.
    pub duration: Option<u64>,
    /// Then: how long it was seen, until a function around it went on; `None` if until the end.
    pub seen: Option<u64>,
}

/// A FUNCTION event: a call without an end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    pub task: Task,
    pub depth: u32,
    pub name: String,
    pub caller: String,
    pub time: u64,
    /// Calls of the trace that began before.
    pub after: usize,
}

/// A trace.
pub struct Sample {
    pub name: &'static str,
    pub trace: Trace,
    pub symbols: Symbols,
    /// In the order in which they began.
    pub calls: Vec<Call>,
    /// FUNCTION events, in the order of time.
    pub functions: Vec<Function>,
    /// By core.
    pub missing: BTreeMap<u16, u64>,
    /// A core goes on to another task: core, nanoseconds, task.
    pub switches: Vec<(u16, u64, Task)>,
}

impl Sample {
    /// What aftrace finds in the trace.
    ///
    /// # Errors
    /// It does not agree with itself.
    pub fn new(name: &'static str, trace: Trace, symbols: Symbols) -> Result<Self> {
        let mut sample = Self {
            name,
            calls: Vec::new(),
            functions: Vec::new(),
            missing: BTreeMap::new(),
            switches: Vec::new(),
            symbols,
            trace,
        };
        sample.look()?;
        Ok(sample)
    }

    /// Where a reader's file or folder for this trace goes.
    pub fn output(&self, folder: &Path, name: &str) -> PathBuf {
        folder
            .join("traces")
            .join(format!("{}.{name}", self.name.replace(' ', "-")))
    }

    fn look(&mut self) -> Result<()> {
        let mut open = BTreeMap::<Task, Vec<usize>>::new();
        let (symbols, calls) = (&self.symbols, &mut self.calls);
        let all = Filter::default();
        let rest = brackets::play(&self.trace, symbols, &all, |mark| {
            match mark {
                Mark::Begin(call) => {
                    open.entry(call.task).or_default().push(calls.len());
                    calls.push(Call {
                        task: call.task,
                        depth: call.depth,
                        name: symbols.name(call.callsite),
                        caller: (call.parent != 0).then(|| symbols.caller(call.parent)),
                        start: symbols.nanoseconds(call.time),
                        duration: None,
                        seen: None,
                    });
                }
                Mark::End(end) => {
                    let index = open.entry(end.call.task).or_default().pop();
                    let ticks = end.time - end.call.time;
                    let ticks = Some(symbols.nanoseconds(ticks));
                    match index {
                        Some(index) if end.returned => calls[index].duration = ticks,
                        Some(index) => calls[index].seen = ticks,
                        None => {}
                    }
                }
                Mark::Function(call) => self.functions.push(Function {
                    task: call.task,
                    depth: call.depth,
                    name: symbols.name(call.callsite),
                    caller: symbols.caller(call.parent),
                    time: symbols.nanoseconds(call.time),
                    after: calls.len(),
                }),
                Mark::Missing(core, _, events) => *self.missing.entry(core).or_default() += events,
                Mark::Switch(core, time, task) => {
                    self.switches.push((core, symbols.nanoseconds(time), task))
                }
                Mark::Other(..) => {}
            }
            Ok(())
        })?;
        ensure!(rest.left_out == 0, "{} calls were left out", rest.left_out);
        self.is_what_is_reported()
    }

    /// The report comes by its sums in another way.
    fn is_what_is_reported(&self) -> Result<()> {
        let mut sums = BTreeMap::<&str, (u64, u64)>::new();
        for call in &self.calls {
            if let Some(duration) = call.duration {
                let sum = sums.entry(&call.name).or_default();
                *sum = (sum.0 + 1, sum.1 + duration);
            }
        }
        let report = self.report()?;
        let rows = report.rows.iter().filter(|(_, row)| row.timed > 0);
        let reported: BTreeMap<_, _> = rows
            .map(|(name, row)| {
                (
                    name.as_str(),
                    (row.timed, self.symbols.nanoseconds(row.total)),
                )
            })
            .collect();
        ensure!(
            sums == reported && !sums.is_empty(),
            "{}: the calls are {sums:?}, the report has {reported:?}",
            self.name
        );
        Ok(())
    }

    /// The calls by task, and in the order in which they began.
    pub fn by_task(&self) -> Vec<&Call> {
        let mut calls: Vec<_> = self.calls.iter().collect();
        calls.sort_by_key(|call| call.task);
        calls
    }

    /// The calls by task, FUNCTION events among them as calls that last no time.
    pub fn shown(&self) -> Vec<Call> {
        let mut functions = self.functions.iter().peekable();
        let mut all = Vec::new();
        for number in 0..=self.calls.len() {
            while let Some(function) = functions.next_if(|function| function.after == number) {
                all.push(Call {
                    task: function.task,
                    depth: function.depth,
                    name: function.name.clone(),
                    caller: Some(function.caller.clone()),
                    start: function.time,
                    duration: Some(0),
                    seen: None,
                });
            }
            all.extend(self.calls.get(number).cloned());
        }
        all.sort_by_key(|call| call.task);
        all
    }

    /// aftrace's own report.
    pub fn report(&self) -> Result<Report> {
        Ok(Report::new(&self.trace, &self.symbols, &Filter::default())?)
    }

    /// Calls that returned, and those that did not.
    pub fn counted(&self) -> (usize, usize) {
        let returned = self.calls.iter().filter(|call| call.duration.is_some());
        let returned = returned.count();
        (returned, self.calls.len() - returned)
    }
}

/// The task that readers know by this number.
pub fn task_of(number: u32) -> Task {
    match number.checked_sub(OF_CORES) {
        Some(core) => Task::Core(core as u16),
        None => Task::Id(number),
    }
}

/// All traces, written below `folder`.
///
/// # Errors
/// They cannot be written, or aftrace does not agree with itself.
pub fn samples(folder: &Path) -> Result<Vec<Sample>> {
    let traces = folder.join("traces");
    let mut samples = Vec::new();
    for (name, bytes) in [("a whole trace", whole()), ("a trace with gaps", gaps())] {
        let path = traces.join(format!("{}.aft", name.replace(' ', "-")));
        fs::write(&path, bytes)?;
        let trace = Trace::open(&path)?;
        let symbols = Symbols::of_trace(&trace);
        samples.push(Sample::new(name, trace, symbols)?);
    }
    let (whole, gaps) = (&samples[0], &samples[1]);
    // What the readers are to be tried with is there.
    ensure!(whole.missing.is_empty() && whole.functions.len() == 3 && whole.counted().1 == 2);
    ensure!(gaps.missing.values().sum::<u64>() == 85 && gaps.counted().1 > 2);
    Ok(samples)
}

/// Two cores and three tasks; interrupts in the one that no task runs on; at the end a call that does not return.
fn cores() -> [Vec<Event>; 2] {
    let mut first = Core::new(1);
    first.task(7);
    let mut first = first.run(20);
    first.task(4100);
    let mut first = first.run(15);
    first.task(7);
    let mut first = first.run(5).events;
    let second = Core::new(2).run(40).events;
    // Half a second later, which some formats need more bits for.
    let last = first.last().map_or(0, |event| event.time()) + 30_000_000;
    let caller = (entry(4) + 0x20) as u32;
    // All within a tick of the clock: what stands in what is told by the order alone.
    let short =
        |kind, time, function, upper| event(kind, last - 1000 + time, callsite(function), upper);
    first.extend([
        short(Type::Entry, 0, 1, caller),
        short(Type::Entry, 0, 2, caller),
        short(Type::Exit, 0, 2, 0),
        short(Type::Entry, 0, 5, caller),
        short(Type::Exit, 1, 5, 1),
        short(Type::Exit, 1, 1, 1),
        short(Type::Entry, 1, 1, caller),
        short(Type::Exit, 1, 1, 0),
    ]);
    // From the middle of functions, one of which is the last that the readers are given a name of.
    let callers = [entry(4) + 0x20, entry(5) + 0x20, RETURN + 8];
    let called = |(n, caller)| event(Type::Function, last + 100 + n, callsite(3), caller as u32);
    first.extend((0..).zip(callers).map(called));
    first.push(event(Type::Entry, last + 200, callsite(0), caller));
    first.push(event(Type::Entry, last + 250, callsite(2), caller));
    [first, second]
}

fn whole() -> Vec<u8> {
    synthetic::file(&cores(), 100)
}

/// Of the first core the first 37 events are overwritten, of the second 48 in the middle lost.
fn gaps() -> Vec<u8> {
    let [first, second] = cores();
    let mut bytes = synthetic::file(&[Vec::new(), second[..200].to_vec()], 60);
    let parts = [(0, 37, &first[37..]), (1, 48, &second[248..])];
    let mut out = FrameWriter::new(&mut bytes);
    for (core, lost, events) in parts {
        let slots: Vec<u8> = events.iter().flat_map(|event| event.to_bytes()).collect();
        let number = if core == 0 { 37 } else { 248 };
        let head = events_head(number, lost);
        let written = out.frame(FrameKind::Events, core, &[&head, &slots]);
        written.expect("a vector takes all");
    }
    bytes
}
