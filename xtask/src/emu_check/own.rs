//! The plug-in's own test: a kernel that leaves out one step must be reported with that step, and one that measures a call by
//! the PMU must be counted alike.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use super::paths::{Counted, Recorded};
use super::{NAME, Watched, machine, scratch, watch};
use crate::kernel::Kernel;
use crate::qemu::Machine;
use crate::test::Tally;

/// What the guest does without a fault: all steps; before them a store, without any step, of the word that stands there; a
/// DSB where a DMB is enough; and behind all steps the line cleaned once more, as for a neighbour.
const RIGHT: [&str; 4] = ["none", "same-word", "order-by-dsb", "clean-again"];

/// What the guest leaves out, on how many cores at least, and what every violation must then say (one of these).
const FAULTS: [(&str, u32, &[&str]); 34] = [
    ("clean", 1, &["missing DC CVAU"]),
    ("clean-dsb", 1, &["missing DSB between DC CVAU and IC IVAU"]),
    ("invalidate", 1, &["missing IC IVAU"]),
    ("invalidate-dsb", 1, &["missing DSB after IC IVAU"]),
    ("line", 1, &["missing DC CVAU of its line"]),
    ("invalidate-line", 1, &["missing IC IVAU of its line"]),
    (
        "invalidate-first",
        1,
        &["missing IC IVAU of its line after"],
    ),
    ("near-dsb", 1, &["missing DSB between DC CVAU and IC IVAU"]),
    ("store-dsb", 1, &["missing DSB between DC CVAU and IC IVAU"]),
    ("by-another", 2, &["missing DC CVAU of its line"]),
    (
        "isb-early",
        1,
        &["missing a context synchronisation event on core"],
    ),
    (
        "isb",
        1,
        &["missing a context synchronisation event on core"],
    ),
    (
        "other-core",
        2,
        &["missing a context synchronisation event on core 1"],
    ),
    ("order", 1, &["missing DMB ISHST"]),
    ("load-dmb", 1, &["missing DMB ISHST"]),
    ("literal-first", 1, &["BL written before its literal"]),
    (
        "literal-halves",
        1,
        &["literal written by a store of 4 bytes"],
    ),
    (
        "literal-wide",
        1,
        &["literal written by a store of 8 bytes: one aligned"],
    ),
    (
        "ops",
        1,
        &["is no initialised ops", "BL written before its literal"],
    ),
    (
        "half-patched",
        1,
        &["half-patched callsite executed", "is no initialised ops"],
    ),
    (
        "literal-compiled",
        1,
        &["literal 0xd503201fd503201f is no initialised ops"],
    ),
    ("literal-run", 1, &["literal executed as an instruction"]),
    ("word", 1, &["only NOP and BL may stand here"]),
    (
        "word-wide",
        1,
        &["instruction word written by a store of 8 bytes"],
    ),
    ("target", 1, &["neither ftrace_caller nor the entry"]),
    ("late-mov", 1, &["written after init"]),
    ("mov-word", 1, &["only MOV X9, X30 and NOP may stand here"]),
    ("mov-back", 1, &["half-patched callsite executed"]),
    (
        "mov-back-unsynchronised",
        1,
        &["executed without a context synchronisation event"],
    ),
    (
        "mov-early",
        1,
        &["executed before its maintenance: missing DC CVAU"],
    ),
    (
        "mov-other-core",
        2,
        &["executed without a context synchronisation event"],
    ),
    ("mov-missing", 1, &["MOV X9, X30 is missing before it"]),
    (
        "mov-unsynchronised",
        1,
        &["executed without a context synchronisation event"],
    ),
    (
        "elsewhere",
        1,
        &["bytes of text written that are no callsite's"],
    ),
];

pub fn check(tally: &mut Tally, plugin: &Path, kernel: &Kernel) {
    let name = format!(
        "{NAME}: instructions and paths of a call, {}",
        kernel.profile
    );
    tally.step(&name, || counts(plugin, kernel));
    let mut boots: Vec<(u32, &str, &[&str])> = Vec::new();
    for cores in [1, 2] {
        boots.extend(RIGHT.map(|right| (cores, right, &[][..])));
        let possible = FAULTS.into_iter().filter(|(_, least, _)| cores >= *least);
        boots.extend(possible.map(|(fault, _, expected)| (cores, fault, expected)));
    }
    tally.steps(
        boots,
        |(cores, word, expected)| {
            let left_out = match expected {
                [] => "nothing left out, ",
                _ => "",
            };
            format!("{NAME}: {left_out}{word}, {} {cores} cores", kernel.profile)
        },
        |&(cores, word, expected)| {
            let watched = watch(plugin, &kernel.elf, &machine(cores, word), "")?;
            match expected {
                [] => watched.passes(0),
                _ => watched.names(expected),
            }
        },
    );
}

/// The plug-in's count of a call is what the PMU counts under `-icount`, and the NOP that the BL replaced; the file of paths
/// has as many instructions.
fn counts(plugin: &Path, kernel: &Kernel) -> Result<()> {
    let machine = Machine {
        icount: true,
        ..machine(1, "count")
    };
    let file = scratch("path")?;
    let more = format!(",count=on,path={}", file.display());
    let watched = watch(plugin, &kernel.elf, &machine, &more)?;
    watched.passes(0)?;
    let Watched {
        report, console, ..
    } = watched;
    let counted = Counted::all(&report)?;
    let paths = Recorded::all(&fs::read_to_string(&file)?)?;
    let _ = fs::remove_file(&file);
    let measured = measured(&console)?;
    for entry in ["ftrace_entry_nop", "ftrace_entry_call"] {
        let mut more: Vec<u64> = measured
            .iter()
            .filter(|(name, _)| name == entry)
            .map(|&(_, more)| more + 1)
            .collect();
        more.sort_unstable();
        let by_pmu = more
            .first()
            .zip(more.last())
            .with_context(|| format!("no figure of {entry}:\n{console}"))?;
        let count = counted.iter().find(|count| count.entry == entry);
        let count = count.with_context(|| format!("{entry} was not counted:\n{}", report))?;
        ensure!(
            (count.calls, &count.least, &count.most) == (more.len() as u64, by_pmu.0, by_pmu.1),
            "{count:?}, but the PMU says {more:?}"
        );
        let written: Vec<u64> = paths
            .iter()
            .filter(|path| path.entry == entry)
            .map(|path| path.steps.len() as u64)
            .collect();
        ensure!(
            written.iter().all(|len| more.contains(len)) && !written.is_empty(),
            "{entry}: paths of {written:?}, PMU {more:?}"
        );
    }
    Ok(())
}

/// Lines `NAME COUNT` of the guest.
fn measured(console: &str) -> Result<Vec<(String, u64)>> {
    let lines = console
        .lines()
        .filter(|line| line.starts_with("ftrace_entry_"));
    lines
        .map(|line| {
            let (name, count) = line
                .trim()
                .split_once(' ')
                .with_context(|| format!("no count in `{line}`"))?;
            Ok((name.to_owned(), count.parse()?))
        })
        .collect()
}
