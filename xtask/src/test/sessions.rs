//! The demo kernel's sessions, typed at its shell: what it answers is compared line by line.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use aftrace::trace::file::Trace;
use aftrace::trace::symbols::Symbols;
use aftrace::trace::uart::{Output, extract};
use anyhow::{Context as _, Result, bail, ensure};

use super::Tally;
use crate::demo::{self, PROMPT};
use crate::expect;
use crate::kernel::{Kernel, Profile, Target};
use crate::qemu::{self, Machine, Outcome, Script};
use crate::setup::{Ready, repo};
use crate::ui::heading;

/// A session: the name of its two files, and how it ends.
const SESSIONS: [(&str, Outcome); 3] = [
    ("session", Outcome::Exit(0)),
    ("wrong", Outcome::Exit(0)),
    // What virt's panic handler leaves QEMU with.
    ("panic", Outcome::Exit(101)),
];

/// All of them, on one build.
pub fn check(tally: &mut Tally, ready: &Ready) {
    heading("the demo kernel's sessions");
    let mut built = None;
    tally.step("build demo", || {
        built = Some(demo::build(
            ready,
            "demo",
            Target::Softfloat,
            Profile::Release,
        )?);
        Ok(())
    });
    let Some(kernel) = built else { return };
    let folder = repo().join("examples/demo");
    for (name, outcome) in SESSIONS {
        tally.step(&format!("demo: {name}"), || {
            session(&kernel, &folder.join(name), &outcome)
        });
    }
    tally.step("demo: what is sent is what the shell shows", || {
        sent(&kernel)
    });
}

/// The profile and the coverage that `trace send` sends have the numbers and names that the shell has shown before.
fn sent(kernel: &Kernel) -> Result<()> {
    let lines = [
        "trace profile demo::index::*",
        "trace cover demo::workload::*",
        "run index",
        "trace profile off",
        "trace profile",
        "trace cover",
        "trace send",
        "exit",
    ];
    let script = Script {
        prompt: PROMPT,
        lines: &lines.map(str::to_owned),
    };
    let finished = qemu::boot(&Machine::default(), &kernel.elf, Some(script))?;
    let mut frames = Vec::new();
    extract(&finished.bytes[..], |each| {
        if let Output::Frame(frame) = each {
            frames.extend(frame);
        }
        Ok(())
    })?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("sent.aft");
    fs::write(&path, frames)?;
    let trace = Trace::open(&path)?;
    let symbols = Symbols::of_kernel(&fs::read(&kernel.elf)?, &trace.header, false)?;
    ensure!(!trace.is_damaged(), "{}", finished.explain());

    let digits = |text: &str| text.replace([',', '.'], "");
    let shown: BTreeSet<(String, String, String)> = finished
        .console
        .lines()
        .filter_map(|line| {
            let mut columns = line.split_whitespace();
            let (hits, total) = (digits(columns.next()?), digits(columns.next()?));
            let at = line.find("demo::index::")?;
            let row = hits.parse::<u64>().is_ok() && total.parse::<u64>().is_ok();
            row.then(|| (line[at..].to_owned(), hits, total))
        })
        .collect();
    let profiled = trace.added.profile.values().map(|entry| {
        let total = symbols.nanoseconds(entry.total).to_string();
        let name = symbols.name(entry.callsite).to_string();
        (name, entry.hits.to_string(), total)
    });
    let profiled: BTreeSet<_> = profiled.collect();
    ensure!(
        shown.len() > 3 && profiled == shown,
        "{profiled:?}, and shown: {shown:?}"
    );

    let covered = trace.added.coverage.context("no coverage")?;
    let says = format!("  {} of ", covered.len());
    let names: Vec<String> = covered
        .iter()
        .map(|low| symbols.name(*low).to_string())
        .collect();
    let never = finished
        .console
        .lines()
        .skip_while(|line| !line.ends_with("since the last look; never:"))
        .skip(1)
        .map_while(|line| line.strip_prefix("      "));
    let never: Vec<&str> = never.collect();
    ensure!(
        finished.console.lines().any(|line| line.starts_with(&says))
            && names.iter().any(|name| name == "demo::workload::index")
            && never.contains(&"demo::workload::grep")
            && never
                .iter()
                .all(|name| !names.iter().any(|covered| covered == name)),
        "covered: {names:?}, shown as never called: {never:?}"
    );
    Ok(())
}

fn session(kernel: &Kernel, files: &Path, outcome: &Outcome) -> Result<()> {
    let read = |tail: &str| {
        let path = files.with_extension(tail);
        fs::read_to_string(&path).with_context(|| format!("no {}", path.display()))
    };
    let lines = demo::lines(&read("txt")?);
    let machine = Machine {
        limit: demo::LIMIT,
        ..Machine::default()
    };
    let script = Script {
        prompt: PROMPT,
        lines: &lines,
    };
    let finished = qemu::boot(&machine, &kernel.elf, Some(script))?;
    if finished.outcome != *outcome {
        bail!("it should end with {outcome}: {}", finished.explain());
    }
    if let Err(difference) = expect::compare(&read("expected")?, &finished.console) {
        bail!("{difference}\n{}", finished.console);
    }
    Ok(())
}
