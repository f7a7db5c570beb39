//! A trace from a kernel's boot on, with arguments and results, as `aftrace record` makes it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

use super::facts::Sample;
use super::real;
use crate::demo::build;
use crate::kernel::{self, Profile, Target};
use crate::pictures::typed;
use crate::setup::Ready;

/// The registers that are recorded at each entry.
const ARGUMENTS: usize = 3;
const WORKLOAD: &str = "run disk\nexit\n";
/// What is recorded: no more of it than the ring has room for. Of calls without an end, callers are known and no values.
const FILTERS: [&str; 6] = [
    "--graph",
    "disk::*",
    "--graph",
    "workload::disk",
    "--function",
    "sched::*",
];
const MACHINE: [&str; 4] = ["-cpu", "cortex-a72", "-icount", "shift=0"];

/// The trace, written below `folder`.
///
/// # Errors
/// It cannot be recorded, or is without what the readers are to be tried with.
pub fn sample(ready: &Ready, folder: &Path) -> Result<Sample> {
    let kernel = build(ready, "demo", Target::Softfloat, Profile::Release)?;
    let place = tempfile::tempdir()?;
    let trace = place.path().join("booted.aft");
    let mut record = Command::new(kernel::program()?);
    record.args(["record", "--time", "60", "--result"]);
    record.args(["--arguments", &ARGUMENTS.to_string()]);
    record.args(FILTERS).arg("-o").arg(&trace);
    record.arg(&kernel.elf).arg("--").args(MACHINE);
    typed(&mut record, WORKLOAD)?;
    let elf = fs::read(&kernel.elf)?;
    let sample = real::sample(folder, "the demo from boot on", fs::read(&trace)?, &elf)?;
    let (returned, _) = sample.counted();
    ensure!(
        returned > 70 && sample.functions.len() > 5 && sample.missing.is_empty(),
        "{returned} calls, {} without an end, missing: {:?}",
        sample.functions.len(),
        sample.missing
    );
    for call in &sample.calls {
        ensure!(
            call.arguments.len() == ARGUMENTS && call.result.is_some() == call.duration.is_some(),
            "{call:?}"
        );
    }
    let named = |end: &str| {
        let calls = sample.calls.iter();
        let calls = calls.filter(|call| call.name.ends_with(end));
        calls.collect::<Vec<_>>()
    };
    // What is written to and digested is one volume, the first argument; where a write ends differs.
    let volumes: BTreeSet<u64> = [named("Volume::write"), named("Volume::digest")]
        .concat()
        .iter()
        .map(|call| call.arguments[0])
        .collect();
    let ends: BTreeSet<_> = named("Volume::write")
        .iter()
        .map(|call| call.result)
        .collect();
    ensure!(
        volumes.len() == 1 && ends.len() > 1 && named("workload::disk").len() == 1,
        "volumes {volumes:x?}, results {ends:x?}"
    );
    Ok(sample)
}
