//! Traces of a kernel: the demo records what its tasks do, and then more than its ring holds, and sends both over its console.

use std::fs;
use std::path::Path;
use std::time::Duration;

use aftrace::trace::file::Trace;
use aftrace::trace::symbols::Symbols;
use aftrace::trace::uart::{Output, extract};
use anyhow::{Context as _, Result, ensure};

use super::facts::Sample;
use crate::demo::{PROMPT, build};
use crate::kernel::{Profile, Target};
use crate::qemu::{self, Machine, Outcome, Script};
use crate::setup::Ready;

const LIMIT: Duration = Duration::from_secs(60);
/// The number of a frame in its stream, in its head.
const NUMBER: std::ops::Range<usize> = 12..16;

/// Of tasks that take turns: the scheduler's own functions are left in one task and gone on with in another.
const TASKS: &str = "trace graph demo::sched::* demo::disk::* demo::index::Tree*";
/// Calls without an end, among them.
const CALLS: &str = "trace record demo::klog::*";
/// Ticks that they have: far more than the switches that are asked for, because ticks are lost where the host is busy.
const WAIT: &str = "wait 120";
/// Some ten times as many events as the ring has room for.
const FLOOD: &str = "trace graph demo::index::* demo::workload::*";

/// Both traces, written below `folder`.
///
/// # Errors
/// The demo does not boot, or does not send what it should.
pub fn samples(ready: &Ready, folder: &Path) -> Result<[Sample; 2]> {
    let kernel = build(ready, "demo", Target::Softfloat, Profile::Release)?;
    let lines = [
        TASKS,
        CALLS,
        WAIT,
        "trace graph off",
        "trace record off",
        "trace send",
        FLOOD,
        "run index",
        "trace graph off",
        "trace send",
        "exit",
    ];
    let machine = Machine {
        limit: LIMIT,
        ..Machine::default()
    };
    let script = Script {
        prompt: PROMPT,
        lines: &lines.map(str::to_owned),
    };
    let finished = qemu::boot(&machine, &kernel.elf, Some(script))?;
    ensure!(
        finished.outcome == Outcome::Exit(0),
        "{}",
        finished.explain()
    );
    let streams = streams(&finished.bytes)?;
    let [tasks, flood] = streams.try_into().map_err(|streams: Vec<_>| {
        anyhow::anyhow!("{} streams on the console, not two", streams.len())
    })?;
    let elf = fs::read(&kernel.elf)?;
    let (tasks, flood) = (
        sample(folder, "tasks of the demo", tasks, &elf)?,
        sample(folder, "a full ring of the demo", flood, &elf)?,
    );
    // What the readers are to be tried with is there.
    let (returned, open) = tasks.counted();
    ensure!(
        returned > 100 && open > 0 && tasks.switches.len() > 30,
        "{returned} calls, {open} open, {} switches",
        tasks.switches.len()
    );
    ensure!(
        tasks
            .calls
            .iter()
            .any(|call| call.name == "demo::sched::reschedule" && call.duration > Some(1_000_000)),
        "no task lost the core"
    );
    let counts = flood
        .trace
        .cores
        .get(&0)
        .and_then(|core| core.counts)
        .context("no counts")?;
    ensure!(
        counts.overwritten > 10_000 && flood.counted().0 > 2000,
        "{counts:?}"
    );
    let begun = flood
        .calls
        .iter()
        .filter(|call| call.caller.is_none())
        .count();
    ensure!(begun > 0, "no call began before the ring's first event");
    Ok([tasks, flood])
}

/// A trace that a kernel has sent, written below `folder`.
///
/// # Errors
/// It is no trace of this kernel, or aftrace does not agree with itself.
pub fn sample(folder: &Path, name: &'static str, bytes: Vec<u8>, elf: &[u8]) -> Result<Sample> {
    let file = format!("{}.aft", name.replace(' ', "-"));
    let path = folder.join("traces").join(file);
    fs::write(&path, bytes)?;
    let trace = Trace::open(&path)?;
    let symbols = Symbols::of_kernel(elf, &trace.header, false)?;
    Sample::new(name, trace, symbols)
}

/// The frames on a console, a file for each stream.
fn streams(console: &[u8]) -> Result<Vec<Vec<u8>>> {
    let mut streams = Vec::<Vec<u8>>::new();
    let mut bad = 0;
    extract(console, |each| {
        match each {
            Output::Text(_) => {}
            Output::Frame(frame) => {
                if frame.get(NUMBER) == Some(&[0; 4]) {
                    streams.push(Vec::new());
                }
                if let Some(stream) = streams.last_mut() {
                    stream.extend(frame);
                }
            }
            Output::Bad { .. } => bad += 1,
        }
        Ok(())
    })?;
    ensure!(bad == 0, "{bad} frames of the console are damaged");
    Ok(streams)
}
