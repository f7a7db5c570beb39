//! `cargo xtask cycles`: what llvm-mca estimates for the executed path of each entry, as a ratio to the plain call entry.
//!
//! The paths are those that QEMU executed, seen by the plug-in of emu-check/, in a guest that takes each entry alone.

mod mca;

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};

use crate::demo;
use crate::emu_check::{self, paths::Recorded};
use crate::kernel::{Profile, Target};
use crate::setup::Ready;
use crate::setup::setup_dir;
use crate::setup::tools::Debian;
use crate::ui::{bold, say};
use mca::Mca;

const GUEST: &str = "each_entry_is_taken_alone";
/// What the others are compared with.
const BASE: &str = "ftrace_entry_call";
/// Where the paths are executed: a core without atomic adds, and one with.
const EXECUTED: [&str; 2] = ["cortex-a53", "neoverse-n1"];
/// The models, and whether the core has FEAT_LSE. Others share a model or have an old one.
const MODELS: [(&str, bool); 6] = [
    ("neoverse-n1", true),
    ("neoverse-v1", true),
    ("neoverse-v2", true),
    ("cortex-a53", false),
    ("cortex-a55", true),
    ("cortex-a510", true),
];

const LIMITS: &str = "\
Limits: llvm-mca is a model of the core's front end, ports and latencies, not the core. It repeats the path as if
calls followed each other without end, with every load and store in the first cache, every branch predicted, and no
store in the way of a later load; a branch costs one cycle of latency (-call-latency=1); system registers, the counter
and barriers have made-up latencies; an exclusive pair never fails. No model of LLVM 22 knows an atomic add: it stands
as load, add and store, so the rows of `_lse` entries are lower bounds. The traced function, its caller and the return
handler of the graph and the profiler are not in the path; an fprobe does half of its work in that handler, so it has
no row. Compare columns from top to bottom, never with each other, and do not read them as cycles: a ratio of 0.5 says that the model expects half the time of the plain call entry on
that core.";

/// Prints the table, or why there is none.
///
/// # Errors
/// When the guest cannot be watched, or llvm-mca does not take a path.
pub fn run(ready: &Ready) -> Result<()> {
    let mca = match Mca::ready(&Debian::new(&setup_dir().join("llvm"))) {
        Ok(mca) => mca,
        Err(error) => {
            say(format!("skipped: no estimates: {error:#}"));
            return Ok(());
        }
    };
    let kernel = demo::build(ready, GUEST, Target::Softfloat, Profile::Release)?;
    let mut found = BTreeMap::new();
    for cpu in EXECUTED {
        say(format!("executing {GUEST} on {cpu}"));
        keep_usual(&mut found, emu_check::paths(ready, &kernel, cpu)?);
    }
    for line in table(&found, |path, model| mca.cycles(path, model))? {
        say(line);
    }
    say(format!("\n{LIMITS}"));
    Ok(())
}

/// One path an entry: the one that most calls took (the first call of a stack tracer is deeper than all others, and that of a
/// function that is covered takes it away), and of those the longest, which neither finds its memory missing nor returns early.
fn keep_usual(found: &mut BTreeMap<String, Recorded>, paths: Vec<Recorded>) {
    let weight = |path: &Recorded| (path.calls, path.steps.len());
    for path in paths {
        let known = found.get(&path.entry).map_or((0, 0), weight);
        if weight(&path) > known {
            found.insert(path.entry.clone(), path);
        }
    }
}

/// The lines of the table; `cycles` estimates a path on a model.
///
/// # Errors
/// Those of `cycles`; a plain call entry that was not executed.
fn table(
    found: &BTreeMap<String, Recorded>,
    cycles: impl Fn(&Recorded, &str) -> Result<f64>,
) -> Result<Vec<String>> {
    let base = found
        .get(BASE)
        .with_context(|| format!("{BASE} was not executed"))?;
    let mut head = format!("{:34}{:>6}", "entry", "insns");
    for (model, _) in MODELS {
        head.push_str(&format!("{model:>13}"));
    }
    let mut lines = vec![bold(&head)];
    let bases = MODELS
        .iter()
        .map(|(model, _)| cycles(base, model))
        .collect::<Result<Vec<_>>>()?;
    for (entry, path) in found {
        let mut line = format!("{entry:34}{:>6}", path.steps.len());
        for ((model, lse), base) in MODELS.iter().zip(&bases) {
            // What the core never executes has no estimate.
            let cell = if entry.ends_with("_lse") && !lse {
                "-".to_owned()
            } else {
                format!("{:.2}", cycles(path, model)? / base)
            };
            line.push_str(&format!("{cell:>13}"));
        }
        lines.push(line);
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emu_check::paths::Step;

    fn path(entry: &str, count: usize, calls: u64) -> Recorded {
        let step = Step {
            address: 0,
            word: 0,
            text: String::new(),
        };
        Recorded {
            entry: entry.to_owned(),
            calls,
            steps: vec![step; count],
        }
    }

    #[test]
    fn every_entry_is_a_ratio_to_the_plain_call() {
        let mut found = BTreeMap::new();
        keep_usual(
            &mut found,
            vec![
                path("x_lse", 5, 8),
                path(BASE, 30, 8),
                path("x_lse", 15, 8),
                path("x_lse", 7, 8),
                path("x_lse", 99, 1),
            ],
        );
        // Two cycles an instruction on one model, one on the others.
        let cycles = |path: &Recorded, model: &str| {
            let each = if model == "cortex-a55" { 2 } else { 1 };
            Ok((path.steps.len() * each) as f64)
        };
        let lines = table(&found, cycles).unwrap();
        let words =
            |line: &str| -> Vec<String> { line.split_whitespace().map(str::to_owned).collect() };
        assert_eq!(
            words(&lines[1]),
            [BASE, "30", "1.00", "1.00", "1.00", "1.00", "1.00", "1.00"]
        );
        assert_eq!(
            words(&lines[2]),
            ["x_lse", "15", "0.50", "0.50", "0.50", "-", "0.50", "0.50"]
        );
        found.remove(BASE);
        assert!(table(&found, cycles).is_err());
    }
}
