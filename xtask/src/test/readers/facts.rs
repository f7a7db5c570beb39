//! The traces that the readers are given, and what aftrace itself finds in them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use aftrace::trace::brackets::{self, Mark};
use aftrace::trace::calls::Task;
use aftrace::trace::dump::Omitted;
use aftrace::trace::dump::threads::{OF_CORES, OTHERS};
use aftrace::trace::file::Trace;
use aftrace::trace::filter::Filter;
use aftrace::trace::replay::{Style, replay};
use aftrace::trace::report::Report;
use aftrace::trace::symbols::Symbols;
use aftrace::trace::values::result;
use anyhow::{Result, ensure};

use super::same;

/// A call that ENTRY and EXIT are recorded of, or only one of them. Times are nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub task: Task,
    /// The cores that it began and returned on.
    pub cores: (u16, Option<u16>),
    pub depth: u32,
    pub name: String,
    /// `None`: its ENTRY is not recorded.
    pub caller: Option<String>,
    pub start: u64,
    /// `None`: its return is not recorded.
    pub duration: Option<u64>,
    /// Then: how long it was seen, until a function around it went on; `None` if until the end.
    pub seen: Option<u64>,
    /// What it was given and what it returned, where that is recorded.
    pub arguments: Vec<u64>,
    pub result: Option<u64>,
}

impl Call {
    /// Its arguments and its result, by name; none of those that are not recorded.
    pub fn values(&self) -> impl Iterator<Item = (String, u64)> + '_ {
        let arguments = self.arguments.iter().enumerate();
        let arguments = arguments.map(|(index, value)| (format!("x{index}"), *value));
        let result = self.result.map(|value| ("result".to_owned(), value));
        arguments.chain(result)
    }
}

/// A FUNCTION event: a call without an end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    pub task: Task,
    pub core: u16,
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
    /// Events that are none of this: stacks, triggers, values of no call.
    pub others: u64,
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
            others: 0,
            symbols,
            trace,
        };
        sample.look()?;
        sample.is_what_is_replayed()?;
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
                        cores: (call.core, None),
                        depth: call.depth,
                        name: symbols.name(call.callsite),
                        caller: (call.parent != 0).then(|| symbols.caller(call.parent)),
                        start: symbols.nanoseconds(call.time),
                        duration: None,
                        seen: None,
                        arguments: call.arguments.as_slice().to_vec(),
                        result: None,
                    });
                }
                Mark::End(end) => {
                    let index = open.entry(end.call.task).or_default().pop();
                    let ticks = end.time - end.call.time;
                    let ticks = Some(symbols.nanoseconds(ticks));
                    match index {
                        Some(index) if end.returned => {
                            calls[index].duration = ticks;
                            calls[index].result = end.result;
                            calls[index].cores.1 = Some(end.core);
                        }
                        Some(index) => calls[index].seen = ticks,
                        None => {}
                    }
                }
                Mark::Function(call) => self.functions.push(Function {
                    task: call.task,
                    core: call.core,
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
                Mark::Other(..) => self.others += 1,
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
        let mut all = BTreeMap::<&str, u64>::new();
        let functions = self.functions.iter().map(|function| &function.name);
        for name in self.calls.iter().map(|call| &call.name).chain(functions) {
            *all.entry(name).or_default() += 1;
        }
        let counted = report.rows.iter();
        let counted = counted.map(|(name, row)| (name.as_str(), row.calls + row.unfinished));
        let counted = counted.collect::<BTreeMap<_, _>>();
        ensure!(
            all == counted,
            "{}: of calls there are {all:?}, the report has {counted:?}",
            self.name
        );
        ensure!(
            sums == reported && !sums.is_empty(),
            "{}: the calls are {sums:?}, the report has {reported:?}",
            self.name
        );
        Ok(())
    }

    /// Arguments and results of calls are those that `aftrace replay` prints.
    fn is_what_is_replayed(&self) -> Result<()> {
        let mut text = Vec::new();
        let (trace, symbols, all) = (&self.trace, &self.symbols, Filter::default());
        replay(trace, symbols, &all, &Style::default(), &mut text)?;
        let text = String::from_utf8(text)?;
        let mut printed = Vec::new();
        for line in text.lines().take_while(|line| !line.is_empty()) {
            let Some((_, call)) = line.split_once(" | ") else {
                continue;
            };
            let call = call.trim();
            // `name(0x1) {`, `name(); /* = 0x2 */`, `} /* name = 0x2 */`
            if !call.starts_with('}')
                && let Some((name, values)) = call
                    .split_once(") {")
                    .or(call.split_once(");"))
                    .and_then(|(call, _)| call.rsplit_once('('))
                && !values.is_empty()
            {
                printed.push(format!("{name}({values})"));
            }
            if let Some((before, value)) =
                call.strip_suffix(" */").and_then(|c| c.rsplit_once(" = "))
            {
                let name = before.strip_prefix("} /* ");
                let name = name.or(before.rsplit_once('(').map(|(name, _)| name));
                let name = name.unwrap_or_default();
                let value = value.split(',').next().unwrap_or_default();
                printed.push(format!("{name} = {value}"));
            }
        }
        let mut known = Vec::new();
        for call in &self.calls {
            if !call.arguments.is_empty() {
                let values: Vec<_> = call.arguments.iter().map(|v| format!("{v:#x}")).collect();
                known.push(format!("{}({})", call.name, values.join(", ")));
            }
            known.extend(
                call.result
                    .map(|value| format!("{} = {}", call.name, result(value))),
            );
        }
        printed.sort();
        known.sort();
        same("values", &known, &printed)
    }

    /// What a task is called.
    pub fn name_of(&self, task: Task) -> String {
        match task {
            Task::Core(core) => format!("core-{core}"),
            Task::Id(id) => {
                let name = self.trace.tasks.get(&id).cloned();
                name.unwrap_or_else(|| format!("task-{id}"))
            }
        }
    }

    /// Tasks are called as they should be, and there are some.
    pub fn are_names(&self, names: &BTreeMap<Task, String>) -> Result<()> {
        for (task, name) in names {
            let expected = self.name_of(*task);
            ensure!(
                *name == expected,
                "{task:?} is called {name}, it should be {expected}"
            );
        }
        let tasks = self.calls.iter().map(|call| call.task);
        let nameless = tasks.filter(|task| !names.contains_key(task));
        let nameless: BTreeSet<Task> = nameless.collect();
        ensure!(nameless.is_empty(), "no name of {nameless:?}");
        Ok(())
    }

    /// What a format leaves out that has calls with their values and nothing else.
    pub fn besides_calls(&self) -> Omitted {
        Omitted {
            events: self.others,
            ..Omitted::default()
        }
    }

    /// As [`Self::besides_calls`], where there are no cores that could change tasks either.
    pub fn besides_tasks(&self) -> Omitted {
        Omitted {
            events: self.others + self.switches.len() as u64,
            ..Omitted::default()
        }
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
                    cores: (function.core, None),
                    depth: function.depth,
                    name: function.name.clone(),
                    caller: Some(function.caller.clone()),
                    start: function.time,
                    duration: Some(0),
                    seen: None,
                    arguments: Vec::new(),
                    result: None,
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

/// A task whose id is no number that readers take.
pub const LARGE: u32 = 0xC000_0001;

/// The task that readers know by this number.
pub fn task_of(number: u32) -> Task {
    match number {
        OTHERS => Task::Id(LARGE),
        OF_CORES.. => Task::Core((number - OF_CORES) as u16),
        _ => Task::Id(number),
    }
}

/// The number that readers know the task by.
pub fn number_of(task: Task) -> u32 {
    match task {
        Task::Core(core) => OF_CORES + u32::from(core),
        Task::Id(LARGE) => OTHERS,
        Task::Id(id) => id,
    }
}
