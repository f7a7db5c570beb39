//! uftrace replay, report and dump on its data directory.

use std::collections::BTreeMap;
use std::path::Path;

use aftrace::trace::calls::Task;
use aftrace::trace::dump::Omitted;
use aftrace::trace::dump::uftrace::write;
use aftrace::trace::filter::Filter;
use aftrace::trace::replay::duration;
use anyhow::{Context as _, Result, ensure};

use super::facts::{Call, Sample, number_of, task_of};
use super::{fresh, same};
use crate::setup::tools::Tool;

/// Task, depth, name, start, duration.
type Shown = (Task, usize, String, u64, Option<u64>);

/// `[TID] SECONDS.NANOSECONDS | NAME() {` and the like.
fn line(text: &str) -> Option<(Task, u64, usize, &str)> {
    let (head, call) = text.split_once(" | ")?;
    let (task, time) = head.rsplit_once(']')?;
    let task = task.rsplit_once('[')?.1.trim().parse().ok()?;
    let (seconds, fraction) = time.trim().split_once('.')?;
    let time = seconds.parse::<u64>().ok()? * 1_000_000_000 + fraction.parse::<u64>().ok()?;
    let depth = (call.len() - call.trim_start().len()) / 2;
    Some((task_of(task), time, depth, call.trim()))
}

/// `replay --no-merge`: a line for each entry and each exit.
fn read(replay: &str) -> Result<Vec<Shown>> {
    let mut calls = Vec::<Shown>::new();
    let mut open = BTreeMap::<Task, Vec<usize>>::new();
    for text in replay.lines().skip(1).take_while(|text| !text.is_empty()) {
        let (task, time, depth, call) =
            line(text).with_context(|| format!("not understood: {text}"))?;
        let open = open.entry(task).or_default();
        if call.starts_with("/* LOST") {
            continue;
        }
        if let Some((name, _)) = call.strip_suffix(") {").and_then(|c| c.rsplit_once('(')) {
            open.push(calls.len());
            calls.push((task, depth, name.to_owned(), time, None));
            continue;
        }
        // `} = 1; /* name */`
        let name = call
            .strip_suffix(" */")
            .and_then(|call| call.strip_prefix('}')?.split_once("/* "));
        let name = name.map(|(_, name)| name);
        let name = name.with_context(|| format!("not understood: {text}"))?;
        let begun = open
            .pop()
            .with_context(|| format!("nothing to end: {text}"))?;
        let begun = &mut calls[begun];
        ensure!(
            (depth, name) == (begun.1, begun.2.as_str()),
            "{begun:?} is ended by {text}"
        );
        begun.4 = Some(time - begun.3);
    }
    calls.sort_by_key(|call| call.0);
    Ok(calls)
}

/// Calls by name as `report` has them, with the time of their own as it is printed.
fn reported(report: &str) -> BTreeMap<String, (u64, String)> {
    report
        .lines()
        .skip(2)
        .filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let (own, calls, name) = match words.as_slice() {
                [_, "us" | "ms" | "s", own, unit, calls, name @ ..] => {
                    (format!("{own} {unit}"), calls, name)
                }
                // Functions of which only calls are recorded have no times.
                [calls, name @ ..] => (String::new(), calls, name),
                [] => return None,
            };
            Some((name.join(" "), (calls.parse().ok()?, own)))
        })
        .collect()
}

pub fn check(tool: &Tool, sample: &Sample, folder: &Path) -> Result<()> {
    let data = sample.output(folder, "uftrace");
    fresh(&data)?;
    let omitted = write(&sample.trace, &sample.symbols, &Filter::default(), &data)?;
    // It is told once how many arguments calls have.
    let most = sample.calls.iter().map(|call| call.arguments.len()).max();
    let is_told = |call: &&Call| Some(call.arguments.len()) == most;
    let untold = sample.calls.iter().filter(|call| !is_told(call));
    let expected = Omitted {
        values: untold.map(|call| call.arguments.len() as u64).sum(),
        ..sample.besides_tasks()
    };
    ensure!(omitted == expected, "{omitted}");
    let data = data.to_string_lossy();
    let run = |arguments: &[&str]| tool.text(&[&["--no-pager", "-d", &data], arguments].concat());
    let seen = read(&run(&["replay", "--no-merge", "-f", "time,tid"])?)?;
    let seen: Vec<String> = seen.iter().map(|call| format!("{call:?}")).collect();
    // Calls whose return is missing last until they are known to be over.
    let expected = sample.shown().into_iter().map(|call| {
        let duration = call.duration.or(call.seen);
        let call: Shown = (
            call.task,
            call.depth as usize,
            call.name,
            call.start,
            duration,
        );
        format!("{call:?}")
    });
    same("calls", &seen, &expected.collect::<Vec<_>>())?;

    let seen = reported(&run(&["report"])?);
    let mut functions = BTreeMap::<&str, u64>::new();
    for function in &sample.functions {
        *functions.entry(&function.name).or_default() += 1;
    }
    let report = sample.report()?;
    // Of a call that began before the ring's first event, nobody knows what it called.
    let begun = sample.calls.iter().any(|call| call.caller.is_none());
    let is_whole = sample.missing.is_empty() && !begun;
    for (name, row) in &report.rows {
        let (calls, own) = seen
            .get(name)
            .with_context(|| format!("report has no {name}"))?;
        let expected = row.calls + row.unfinished;
        ensure!(
            *calls == expected,
            "report has {calls} calls of {name}, there are {expected}"
        );
        // uftrace adds up what was seen of calls that did not return.
        let expected = duration(sample.symbols.nanoseconds(row.own)).replace("  ", " ");
        let is_known = is_whole && row.timed > 0 && row.unfinished == 0;
        ensure!(
            *own == expected || !is_known,
            "report has {own} of {name} itself, it took {expected}"
        );
    }
    ensure!(
        seen.len() == report.rows.len(),
        "report has {} functions, there are {}",
        seen.len(),
        report.rows.len()
    );

    let info = run(&["info"])?;
    let list = info
        .lines()
        .find_map(|line| line.strip_prefix("# task list"));
    let list = list.and_then(|list| Some(list.split_once(": ")?.1));
    let mut names = sample.calls.iter().map(|call| {
        let mut name = sample.name_of(call.task).replace('"', "'");
        // As those of Linux.
        name.truncate(15);
        format!("{}({name})", number_of(call.task))
    });
    let list = list.context("no list of tasks")?;
    let nameless = names.find(|name| !format!("{list}, ").contains(&format!("{name}, ")));
    ensure!(nameless.is_none(), "no task {nameless:?} in {list}");

    let dump = run(&["dump"])?;
    let lost = dump.lines().filter_map(|line| {
        let (_, rest) = line.split_once("[lost ] <")?;
        u64::from_str_radix(rest.split_once('>')?.0, 16).ok()
    });
    let (lost, expected) = (lost.sum::<u64>(), sample.missing.values().sum::<u64>());
    ensure!(
        lost == expected,
        "{lost} events are lost, it should be {expected}"
    );
    let expected = sample.by_task().into_iter().filter_map(|call| {
        let told = if is_told(&call) {
            &call.arguments[..]
        } else {
            &[]
        };
        let values: Vec<u64> = told.iter().copied().chain(call.result).collect();
        let values = format!("{} {values:x?}", call.name);
        (!told.is_empty() || call.result.is_some()).then_some(values)
    });
    let mut expected: Vec<_> = expected.collect();
    let mut seen = values(&dump)?;
    expected.sort();
    seen.sort();
    same("values", &seen, &expected)
}

/// What `dump` has of arguments and results: a line for each call with values.
fn values(dump: &str) -> Result<Vec<String>> {
    let mut open = Vec::<(String, Vec<u64>)>::new();
    let mut seen = Vec::new();
    let mut take = |(name, values): (String, Vec<u64>)| {
        if !values.is_empty() {
            seen.push(format!("{name} {values:x?}"));
        }
    };
    let mut ended = None;
    for line in dump.lines() {
        let call = |word: &str| {
            let (_, rest) = line.split_once(word)?;
            Some(rest.rsplit_once('(')?.0.to_owned())
        };
        // `  args[0] x64: 0x..`, `  retval d64: 0x..`
        if let Some((_, value)) = line.strip_prefix("  ").and_then(|l| l.split_once("64: 0x")) {
            let value = u64::from_str_radix(value, 16)?;
            let call = ended.as_mut().or(open.last_mut());
            call.with_context(|| format!("of no call: {line}"))?
                .1
                .push(value);
            continue;
        }
        if line.contains("[retval]") || line.contains("[args ]") {
            continue;
        }
        ended.take().map(&mut take);
        if let Some(name) = call("[entry] ") {
            let depth = line.rsplit_once("depth: ").map(|(_, depth)| depth);
            ensure!(
                depth == Some(open.len().to_string().as_str()),
                "in {} calls: {line}",
                open.len()
            );
            open.push((name, Vec::new()));
        } else if let Some(name) = call("[exit ] ") {
            ended = open.pop();
            let is_its = ended.as_ref().is_some_and(|(begun, _)| *begun == name);
            ensure!(is_its, "nothing to end: {line}");
        } else if line.starts_with("reading ") {
            open.drain(..).for_each(&mut take);
        }
    }
    ended.into_iter().chain(open).for_each(&mut take);
    Ok(seen)
}
