//! babeltrace2 on a folder in the Common Trace Format.

use std::collections::BTreeMap;
use std::path::Path;

use aftrace::trace::calls::Task;
use aftrace::trace::dump::ctf::write;
use aftrace::trace::filter::Filter;
use anyhow::{Context as _, Result, ensure};

use super::facts::{Sample, task_of};
use super::{fresh, same};
use crate::setup::tools::Tool;

/// Task, name, caller, start, duration; arguments and result; the cores that it began and returned on.
type Call = (
    Task,
    String,
    String,
    u64,
    Option<u64>,
    Vec<u64>,
    (u16, Option<u16>),
);

/// `NAME_length = 1, NAME = [ [0] = 0x7 ]`: the values.
fn values(line: &str, name: &str) -> Option<Vec<u64>> {
    let (_, rest) = line.split_once(&format!("{name}_length = "))?;
    let (count, rest) = rest.split_once(", ")?;
    let (list, _) = rest
        .strip_prefix(&format!("{name} = ["))?
        .rsplit_once(" ]")?;
    let value = |each: &str| u64::from_str_radix(each.split_once("] = 0x")?.1, 16).ok();
    let values = list.split(", ").filter(|each| !each.trim().is_empty());
    let values = values.map(|each| value(each.trim()));
    let values = values.collect::<Option<Vec<_>>>()?;
    (count.parse() == Ok(values.len())).then_some(values)
}

/// `NAME = ( "LABEL" : container = NUMBER )`: label, without the backslashes that it prints before quotes, and number.
fn label(line: &str, name: &str) -> Option<(String, u32)> {
    let (_, rest) = line.split_once(&format!("{name} = ( \""))?;
    let (label, rest) = rest.split_once("\" : container = ")?;
    let (number, _) = rest.split_once(' ')?;
    let mut is_escaped = false;
    let label = label.chars().filter(|&c| {
        is_escaped = c == '\\' && !is_escaped;
        !is_escaped
    });
    Some((label.collect(), number.parse().ok()?))
}

#[derive(Default)]
struct Seen {
    calls: Vec<Call>,
    functions: Vec<String>,
    switches: Vec<(u16, u64, Task)>,
    names: BTreeMap<Task, String>,
}

/// `[SECONDS.NANOSECONDS] KIND: { cpu_id = N }, { thread = .. }, { FIELDS }`
fn read(text: &str, sample: &Sample) -> Result<Seen> {
    let mut seen = Seen::default();
    let mut open = BTreeMap::<Task, Vec<usize>>::new();
    let mut last = 0;
    for line in text.lines() {
        let parts = || {
            let (time, rest) = line.strip_prefix('[')?.split_once("] ")?;
            let (seconds, fraction) = time.split_once('.')?;
            let time =
                seconds.parse::<u64>().ok()? * 1_000_000_000 + fraction.parse::<u64>().ok()?;
            let (kind, rest) = rest.split_once(": ")?;
            let (name, number) = label(rest, "thread")?;
            Some((time, kind, (task_of(number), name), rest))
        };
        let (time, kind, (task, name), fields) =
            parts().with_context(|| format!("not understood: {line}"))?;
        ensure!(time >= last, "time goes back: {line}");
        last = time;
        seen.names.insert(task, name);
        let core = fields
            .split_once("cpu_id = ")
            .and_then(|(_, rest)| rest.split(' ').next());
        let core = core.and_then(|core| core.parse().ok());
        let core = core.with_context(|| format!("no core: {line}"))?;
        if kind == "switch" {
            let next = label(fields, "next").with_context(|| format!("no task: {line}"))?;
            seen.switches.push((core, time, task_of(next.1)));
            continue;
        }
        let function = label(fields, "function")
            .with_context(|| format!("no function: {line}"))?
            .0;
        let open = open.entry(task).or_default();
        match (kind, label(fields, "caller")) {
            ("entry", Some((caller, _))) => {
                open.push(seen.calls.len());
                let values = values(fields, "arguments");
                let values = values.with_context(|| format!("no arguments: {line}"))?;
                seen.calls
                    .push((task, function, caller, time, None, values, (core, None)));
            }
            ("function", Some((caller, _))) => seen
                .functions
                .push(format!("{core} {time} {function} <- {caller}")),
            ("exit", None) => {
                let ticks = fields
                    .split_once("duration = ")
                    .and_then(|(_, rest)| rest.split(',').next());
                let ticks = ticks.and_then(|ticks| ticks.parse().ok());
                let ticks = ticks.with_context(|| format!("no duration: {line}"))?;
                // Calls whose return is missing have no exit.
                while open
                    .pop_if(|index| seen.calls[*index].1 != function)
                    .is_some()
                {}
                let index = open
                    .pop()
                    .with_context(|| format!("nothing to end: {line}"))?;
                let duration = sample.symbols.nanoseconds(ticks);
                ensure!(
                    seen.calls[index].3 + duration == time,
                    "another duration: {line}"
                );
                seen.calls[index].4 = Some(duration);
                seen.calls[index].6.1 = Some(core);
                let result = values(fields, "result");
                let result = result.with_context(|| format!("no result: {line}"))?;
                seen.calls[index].5.extend(result);
            }
            _ => anyhow::bail!("not understood: {line}"),
        }
    }
    seen.calls.sort_by_key(|call| call.0);
    Ok(seen)
}

/// What `WARNING: Tracer discarded N events between ..` adds up to, by core.
fn discarded(complaints: &str) -> Result<BTreeMap<u16, u64>> {
    let mut all = BTreeMap::new();
    for line in complaints.lines().filter(|line| !line.is_empty()) {
        let parts = || {
            let (_, rest) = line.split_once("Tracer discarded ")?;
            let (events, rest) = rest.split_once(' ')?;
            let (_, core) = rest.split_once("/core_")?;
            Some((
                core.split('"').next()?.parse().ok()?,
                events.parse::<u64>().ok()?,
            ))
        };
        let (core, events) = parts().with_context(|| format!("it complains: {line}"))?;
        *all.entry(core).or_default() += events;
    }
    Ok(all)
}

pub fn check(tool: &Tool, sample: &Sample, folder: &Path) -> Result<()> {
    let data = sample.output(folder, "ctf");
    fresh(&data)?;
    let omitted = write(&sample.trace, &sample.symbols, &Filter::default(), &data)?;
    ensure!(omitted == sample.besides_calls(), "{omitted}");
    let captured = tool.run(&["--no-delta", "--clock-seconds", &data.to_string_lossy()])?;
    let seen = read(&captured.stdout, sample)?;
    let calls: Vec<String> = seen.calls.iter().map(|call| format!("{call:?}")).collect();
    let expected = sample.by_task().into_iter().map(|call| {
        let caller = call.caller.as_deref().unwrap_or("unknown").to_owned();
        let call: Call = (
            call.task,
            call.name.clone(),
            caller,
            call.start,
            call.duration,
            call.values().map(|(_, value)| value).collect(),
            call.cores,
        );
        format!("{call:?}")
    });
    same("calls", &calls, &expected.collect::<Vec<_>>())?;
    let functions = sample
        .functions
        .iter()
        .map(|f| format!("{} {} {} <- {}", f.core, f.time, f.name, f.caller));
    same(
        "FUNCTION events",
        &seen.functions,
        &functions.collect::<Vec<_>>(),
    )?;
    sample.are_names(&seen.names)?;
    let missing = discarded(&captured.stderr)?;
    ensure!(
        missing == sample.missing,
        "discarded by core: {missing:?}, in the trace {:?}",
        sample.missing
    );
    ensure!(
        seen.switches == sample.switches,
        "switches of tasks: {:?} shown, {:?} in the trace",
        seen.switches,
        sample.switches
    );
    Ok(())
}
