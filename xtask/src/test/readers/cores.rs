//! Traces of a kernel whose tasks change cores all the time: calls that begin on one core and return on another, once in rings that
//! hold all, once in rings that hold the last of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::facts::Sample;
use super::real::sample;
use crate::kernel::{self, Profile, Target};
use crate::qemu::{self, Machine, Outcome};
use crate::setup::Ready;

const GUEST: &str = "tasks_that_change_cores_are_whole";
const LIMIT: Duration = Duration::from_secs(60);
const CORES: u32 = 4;
/// What the kernel calls its file.
const FILE: &str = "cores.aft";

/// Both traces, written below `folder`.
///
/// # Errors
/// The kernel does not boot, or does not send what it should.
pub fn samples(ready: &Ready, folder: &Path) -> Result<[Sample; 2]> {
    let (target, profile) = (Target::Softfloat, Profile::Release);
    let kernels = kernel::build(&ready.toolchain, &["guest"], Some(GUEST), target, profile)?;
    let kernel = kernels.into_iter().next().context("nothing was built")?;
    let elf = fs::read(&kernel.elf)?;
    let place = tempfile::tempdir()?;
    let boot = |name, word: &str| -> Result<(Sample, u64)> {
        let machine = Machine {
            cpu: "neoverse-n1".to_owned(),
            cores: CORES,
            words: vec![word.to_owned()],
            ..Machine::default()
        };
        let mut command = qemu::command(&machine, &kernel.elf);
        command.current_dir(place.path());
        let finished = qemu::watch(command, LIMIT, None)?;
        ensure!(
            finished.outcome == Outcome::Exit(0),
            "{}",
            finished.explain()
        );
        let said = finished.console.lines().find_map(|line| {
            let (what, number) = line.split_once(": ")?;
            number.trim().parse().ok().filter(|_| what == "events")
        });
        let sent = fs::read(place.path().join(FILE))?;
        let sample = sample(folder, name, sent, &elf)?;
        Ok((sample, said.context("it does not say how many events")?))
    };
    let (whole, events) = boot("tasks on four cores", "send")?;
    is_all(&whole, events)?;
    let (full, events) = boot("full rings of four cores", "more")?;
    is_counted(&full, events)?;
    Ok([whole, full])
}

/// Events that the rings have no room for are missing, and only they.
fn is_counted(sample: &Sample, events: u64) -> Result<()> {
    let entered = sample.calls.iter().filter(|call| call.caller.is_some());
    let (returned, open) = sample.counted();
    let others = sample.functions.len() + sample.switches.len();
    let shown = (entered.count() + returned + others) as u64;
    let missing = sample.missing.values().sum::<u64>();
    ensure!(
        shown + missing == events && missing > events / 2 && open > 0,
        "{shown} events are shown and {:?} missing of {events}; {returned} calls have returned, {open} have not",
        sample.missing
    );
    Ok(())
}

/// Everything that the kernel says it has recorded is in the trace, as the calls that it made.
fn is_all(sample: &Sample, events: u64) -> Result<()> {
    let (returned, open) = sample.counted();
    let found = 2 * returned + sample.functions.len() + sample.switches.len();
    ensure!(
        found as u64 == events && open == 0 && sample.missing.is_empty(),
        "{found} events of {events}, {open} calls open, missing {:?}",
        sample.missing
    );
    let mut calls = BTreeMap::<&str, usize>::new();
    for call in &sample.calls {
        let name = call.name.rsplit("::").next().unwrap_or_default();
        *calls.entry(name).or_default() += 1;
    }
    // Of 6 tasks, each has 8 jobs that go 0 to 3 deeper by turns, and 9 slices.
    let expected = [
        ("fetch", 6 * 20 + 54),
        ("job", 48),
        ("look_for_work", 54),
        ("parse", 6 * 20),
        ("wait_for_the_disk", 48),
    ];
    ensure!(calls == BTreeMap::from(expected), "{calls:?}");
    let cores: Vec<u16> = sample.trace.cores.keys().copied().collect();
    ensure!(cores.len() == CORES as usize, "cores {cores:?}");
    Ok(())
}
