//! The demo kernel's sessions, typed at its shell: what it answers is compared line by line.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use super::Tally;
use crate::demo::{self, PROMPT};
use crate::expect;
use crate::kernel::{Kernel, Profile, Target};
use crate::qemu::{self, Machine, Outcome, Script};
use crate::setup::{Ready, repo};
use crate::ui::heading;

/// A session: the name of its two files, and how it ends.
const SESSIONS: [(&str, Outcome); 2] = [
    ("session", Outcome::Exit(0)),
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
