//! `cargo xtask bench`: the seed patch's table out of our own kernels, beside Linux's.

pub mod log;
mod reference;
mod sustained;
mod table;

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::kernel::{self, Kernel, Profile, Target};
use crate::qemu::{self, Machine, Outcome};
use crate::setup::Ready;
use crate::setup::toolchain::Toolchain;
use crate::ui::{bold, heading, say, took};
use table::{Row, Table};

const PACKAGE: &str = "bench-table";
/// The model that BASELINE.md compares on.
const CPU: &str = "neoverse-n1";
/// For what is measured with other cores running.
const CORES: u32 = 4;
const LIMIT: Duration = Duration::from_secs(600);

/// Runs the bench kernels and prints either their rows or the tables.
///
/// # Errors
/// When a kernel cannot be built, fails, leaves out a row, or a figure misses its limit.
pub fn run(ready: &Ready, json: bool) -> Result<()> {
    let mut rows = Vec::new();
    for target in Target::ALL {
        let start = Instant::now();
        say(format!("building {PACKAGE} for {target}, release"));
        let packages = [PACKAGE, sustained::PACKAGE];
        let kernels = kernel::build(&ready.toolchain, &packages, None, target, Profile::Release)?;
        say(format!("  built ({})", took(start)));
        for kernel in &kernels {
            if kernel.name == sustained::PACKAGE {
                for mode in sustained::MODES {
                    rows.push(sustained::join(&sustain(kernel, mode)?)?);
                }
            } else {
                for mode in ["insns", "wall"] {
                    rows.extend(measure(kernel, mode)?);
                }
            }
        }
    }
    table::join_times(&mut rows);
    if json {
        for row in &rows {
            println!("{}", serde_json::to_string(row)?);
        }
    }
    let mut missed = Vec::new();
    let mut absent = Vec::new();
    for target in Target::ALL {
        let name = target.to_string();
        let table = Table::of(&rows, &name);
        let sustained = sustained::text(&rows, &name)?;
        if !json {
            say(&table.text);
            say(sustained);
        }
        missed.extend(table.missed);
        absent.extend(table.absent);
        absent.extend(table::holes(&rows, &name));
    }
    if missed.is_empty() {
        say("every figure keeps within its limit (DESIGN.md, section 7)");
    } else {
        heading("figures that miss their limit (DESIGN.md, section 7)");
        for line in &missed {
            say(bold(line));
        }
    }
    if !absent.is_empty() {
        bail!(
            "the kernels left out {} rows:\n  {}",
            absent.len(),
            absent.join("\n  ")
        );
    }
    if !missed.is_empty() {
        bail!("{} figures miss their limit", missed.len());
    }
    Ok(())
}

/// Holds what has a limit against it, which is exact: the instructions and bytes of the kernel for soft-float.
///
/// # Errors
/// When the kernel cannot be built, fails, or a figure misses its limit or is absent.
pub fn limits_hold(toolchain: &Toolchain) -> Result<()> {
    let target = Target::Softfloat;
    let mut rows = Vec::new();
    for kernel in kernel::build(toolchain, &[PACKAGE], None, target, Profile::Release)? {
        rows.extend(measure(&kernel, "insns")?);
    }
    let table = Table::of(&rows, &target.to_string());
    let faults = [table.missed, table.unjudged].concat();
    if !faults.is_empty() {
        bail!(
            "  missed or absent (DESIGN.md, section 7):\n  {}",
            faults.join("\n  ")
        );
    }
    Ok(())
}

/// Boots one kernel in one mode: `insns` counts instructions, `wall` takes the time.
fn measure(kernel: &Kernel, mode: &str) -> Result<Vec<Row>> {
    let counts = mode == "insns";
    let machine = Machine {
        cpu: CPU.to_owned(),
        // All but one are off until the bench's last rows. Time is that of one core.
        cores: if counts { CORES } else { 1 },
        icount: counts,
        words: vec![mode.to_owned()],
        limit: LIMIT,
        ..Machine::default()
    };
    // Under -icount the guest's time is made up, and without it there is no counter of instructions.
    boot(kernel, &machine, mode, |row| {
        table::is_timed(row) == (mode == "wall")
    })
}

/// Boots the kernel of many cores, which records in this mode.
fn sustain(kernel: &Kernel, mode: &str) -> Result<Vec<Row>> {
    let machine = Machine {
        cpu: CPU.to_owned(),
        cores: sustained::WRITERS as u32 + 1,
        words: vec![mode.to_owned()],
        limit: LIMIT,
        ..Machine::default()
    };
    boot(kernel, &machine, mode, |_| true)
}

fn boot(
    kernel: &Kernel,
    machine: &Machine,
    mode: &str,
    counts: impl Fn(&Row) -> bool,
) -> Result<Vec<Row>> {
    let start = Instant::now();
    let finished = qemu::boot(machine, &kernel.elf, None)?;
    if finished.outcome != Outcome::Exit(0) {
        bail!(
            "{} {} {mode}: {}",
            kernel.name,
            kernel.target,
            finished.explain()
        );
    }
    let mut rows: Vec<Row> = finished.console.lines().filter_map(table::row_in).collect();
    rows.retain(counts);
    if rows.is_empty() {
        bail!(
            "{} {} {mode} printed no row: {}",
            kernel.name,
            kernel.target,
            finished.explain()
        );
    }
    for row in &mut rows {
        if !row.contains_key("target") {
            row.insert("target".to_owned(), kernel.target.to_string().into());
        }
        if row.get("bench").is_some_and(|bench| bench == "memory")
            && !row.contains_key("bytes_per_name")
            && let Some(names) = &kernel.names
        {
            let bytes = names.bytes_per_name();
            row.insert(
                "bytes_per_name".to_owned(),
                ((bytes * 100.0).round() / 100.0).into(),
            );
        }
    }
    say(format!(
        "  {} {} {mode}: {} rows ({})",
        kernel.name,
        kernel.target,
        rows.len(),
        took(start)
    ));
    Ok(rows)
}
