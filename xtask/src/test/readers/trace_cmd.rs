//! trace-cmd report on trace.dat.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use aftrace::trace::calls::Task;
use aftrace::trace::dump::trace_dat::{joined, write};
use aftrace::trace::filter::Filter;
use anyhow::{Context as _, Result, ensure};

use super::facts::{Sample, task_of};
use super::same;
use crate::setup::tools::Tool;

/// A line that the report has of an event.
struct Line<'a> {
    task: Task,
    name: &'a str,
    core: u16,
    nanoseconds: u64,
    kind: &'a str,
    text: &'a str,
}

/// `NAME-PID [CPU] SECONDS.NANOSECONDS: KIND: TEXT`
fn line(line: &str) -> Option<Line<'_>> {
    let (head, rest) = line.split_once("] ")?;
    let (task, core) = head.rsplit_once('[')?;
    let core = core.parse().ok()?;
    let (name, pid) = task.trim().rsplit_once('-')?;
    let pid = pid.parse().ok()?;
    let (time, rest) = rest.split_once(": ")?;
    let (seconds, fraction) = time.trim().split_once('.')?;
    let (kind, text) = rest.split_once(':')?;
    Some(Line {
        task: task_of(pid),
        name,
        core,
        nanoseconds: seconds.parse::<u64>().ok()? * 1_000_000_000 + fraction.parse::<u64>().ok()?,
        kind: kind.trim(),
        text,
    })
}

/// `+ 44.208 us  |        name();`: the duration in nanoseconds, the depth, the rest.
fn graph(text: &str) -> Option<(Option<u64>, usize, &str)> {
    let (duration, call) = text.split_once('|')?;
    let number = duration
        .split_whitespace()
        .find_map(|word| word.parse::<f64>().ok());
    let call = call.strip_prefix("  ")?;
    let depth = (call.len() - call.trim_start().len()) / 2;
    Some((
        number.map(|us| (us * 1000.0).round() as u64),
        depth,
        call.trim(),
    ))
}

/// What is printed of a duration: of a second and more whole microseconds.
fn printed(nanoseconds: u64) -> u64 {
    match nanoseconds {
        0..1_000_000_000 => nanoseconds,
        _ => nanoseconds / 1000 * 1000,
    }
}

type Call = (Task, usize, String, u64, Option<u64>, (u16, Option<u16>));

#[derive(Default)]
struct Seen {
    /// Task, depth, name, start, duration, the cores that it began and returned on.
    calls: Vec<Call>,
    functions: Vec<String>,
    missing: BTreeMap<u16, u64>,
    switches: Vec<(u16, u64, Task)>,
    names: BTreeMap<Task, String>,
}

fn read(report: &str) -> Result<Seen> {
    let mut seen = Seen::default();
    let mut open = BTreeMap::<Task, Vec<usize>>::new();
    for text in report.lines().skip_while(|text| text.starts_with("cpus=")) {
        if let Some(rest) = text.strip_prefix("CPU:") {
            let (core, rest) = rest
                .split_once(" [")
                .context("no count of what is missing")?;
            let events = rest.split_whitespace().next().context("no number")?;
            *seen.missing.entry(core.parse()?).or_default() += events.parse::<u64>()?;
            continue;
        }
        let line = line(text).with_context(|| format!("not understood: {text}"))?;
        seen.names.insert(line.task, line.name.to_owned());
        match line.kind {
            "funcgraph_entry" => {
                let (duration, depth, call) =
                    graph(line.text).with_context(|| format!("not understood: {text}"))?;
                let name = call.strip_suffix("();").or(call.strip_suffix("() {"));
                let name = name.with_context(|| format!("not understood: {text}"))?;
                if duration.is_none() {
                    open.entry(line.task).or_default().push(seen.calls.len());
                }
                seen.calls.push((
                    line.task,
                    depth,
                    name.to_owned(),
                    line.nanoseconds,
                    duration,
                    (line.core, duration.map(|_| line.core)),
                ));
            }
            "funcgraph_exit" => {
                let (duration, depth, call) =
                    graph(line.text).with_context(|| format!("not understood: {text}"))?;
                ensure!(call.starts_with('}'), "not understood: {text}");
                let open = open.entry(line.task).or_default();
                // Calls whose return is missing have no line.
                while open.pop_if(|index| seen.calls[*index].1 > depth).is_some() {}
                let index = open
                    .pop()
                    .with_context(|| format!("nothing to end: {text}"))?;
                seen.calls[index].4 = duration;
                seen.calls[index].5.1 = Some(line.core);
            }
            "function" => {
                let (core, time) = (line.core, line.nanoseconds);
                let text = line.text.split_whitespace().collect::<Vec<_>>().join(" ");
                seen.functions.push(format!("{core} {time} {text}"));
            }
            "sched_switch" => {
                // `NAME:PID [PRIORITY] ==> NAME:PID [PRIORITY]`, without priorities where no plug-in prints it.
                let next = line.text.rsplit_once(':').map(|(_, next)| next.trim());
                let next = next.and_then(|next| next.split(' ').next()?.parse().ok());
                let next = next.with_context(|| format!("no task: {text}"))?;
                seen.switches
                    .push((line.core, line.nanoseconds, task_of(next)));
            }
            other => anyhow::bail!("core {}: an event {other}", line.core),
        }
    }
    seen.calls.sort_by_key(|call| call.0);
    Ok(seen)
}

pub fn check(tool: &Tool, sample: &Sample, folder: &Path) -> Result<()> {
    let path = sample.output(folder, "dat");
    let omitted = write(
        &sample.trace,
        &sample.symbols,
        &Filter::default(),
        folder,
        File::create(&path)?,
    )?;
    ensure!(omitted == sample.besides_calls(), "{omitted}");
    let seen = read(&tool.text(&[
        "report",
        "-t",
        "-O",
        "parent",
        "-i",
        &path.to_string_lossy(),
    ])?)?;
    let calls: Vec<String> = seen.calls.iter().map(|call| format!("{call:?}")).collect();
    let expected: Vec<String> = sample
        .by_task()
        .into_iter()
        .map(|call| {
            let (name, depth) = (joined(&call.name), call.depth as usize);
            let duration = call.duration.map(printed);
            format!(
                "{:?}",
                (call.task, depth, name, call.start, duration, call.cores)
            )
        })
        .collect();
    same("calls", &calls, &expected)?;
    let functions: Vec<String> = sample
        .functions
        .iter()
        .map(|function| {
            format!(
                "{} {} {} <-- {}",
                function.core,
                function.time,
                joined(&function.name),
                joined(&function.caller)
            )
        })
        .collect();
    same("FUNCTION events", &seen.functions, &functions)?;
    ensure!(
        seen.missing == sample.missing,
        "missing by core: shown {:?}, in the trace {:?}",
        seen.missing,
        sample.missing
    );
    ensure!(
        seen.switches == sample.switches,
        "switches of tasks: {:?} shown, {:?} in the trace",
        seen.switches,
        sample.switches
    );
    sample.are_names(&seen.names)?;
    compare_values(tool, sample, &path)
}

/// `report -R`, which prints all fields: Debian's trace-cmd is older than the arguments and results of Linux's tracer.
fn compare_values(tool: &Tool, sample: &Sample, path: &Path) -> Result<()> {
    let counts = || sample.calls.iter().map(|call| call.arguments.len());
    // Where not all calls have as many, the number is that of the record's bytes, which it does not go by.
    let are_shown = counts().min() == counts().max();
    let report = tool.text(&["report", "-t", "-R", "-i", &path.to_string_lossy()])?;
    let (mut seen, mut expected) = (Vec::new(), Vec::new());
    for text in report.lines() {
        let Some(line) = line(text) else { continue };
        let field = |name: &str| {
            let (_, rest) = line.text.split_once(&format!(" {name}="))?;
            rest.split(' ').next()
        };
        let function = line.text.trim().strip_prefix("func=");
        let function =
            function.and_then(|rest| rest.split_once(" retval=").or(rest.split_once(" depth=")));
        let name = function.map_or("", |(name, _)| name);
        match line.kind {
            "funcgraph_entry" if are_shown => {
                let bytes = line
                    .text
                    .split_once(" args=ARRAY[")
                    .map_or("", |(_, list)| list);
                let bytes = bytes
                    .trim_end_matches(']')
                    .split(", ")
                    .filter(|each| !each.is_empty());
                let bytes = bytes.map(|byte| u8::from_str_radix(byte, 16));
                let bytes = bytes.collect::<Result<Vec<_>, _>>()?;
                let words = bytes.chunks(8).map(|word| {
                    word.iter()
                        .rev()
                        .fold(0, |all, byte| all << 8 | u64::from(*byte))
                });
                let values: Vec<u64> = words.collect();
                seen.push(format!("{} {name} {values:x?}", line.nanoseconds));
            }
            "funcgraph_exit" if field("retval_known") != Some("0") => {
                if let Some(value) = field("retval") {
                    let value = value.trim_start_matches("0x");
                    let value = u64::from_str_radix(value, 16)?;
                    seen.push(format!("{} {name} = {value:x}", line.nanoseconds));
                }
            }
            _ => {}
        }
    }
    for call in &sample.calls {
        let name = joined(&call.name);
        if are_shown {
            expected.push(format!("{} {name} {:x?}", call.start, call.arguments));
        }
        if let (Some(value), Some(duration)) = (call.result, call.duration) {
            expected.push(format!("{} {name} = {value:x}", call.start + duration));
        }
    }
    seen.sort();
    expected.sort();
    same("values", &seen, &expected)
}
