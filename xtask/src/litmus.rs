//! `cargo xtask litmus`: the patch sequences of tests/litmus, each judged by herd7 in the Arm memory model.
//!
//! A test says on top what herd7 has to answer. One that expects `Never` counts only with a twin that is broken on
//! purpose and gets another answer: a test that cannot fail proves nothing.

mod file;
mod herd;

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::proc;
use crate::setup::repo;
use crate::test::Tally;
use crate::ui::{heading, say, took};
use file::{Answer, Litmus};
use herd::Herd;

const LIMIT: Duration = Duration::from_secs(60);

/// Runs the tests whose name contains `only`, and closes with their count.
///
/// # Errors
/// When one has another outcome than it expects, or none ran.
pub fn run(only: Option<&str>) -> Result<()> {
    let mut tally = Tally::default();
    check(&mut tally, only);
    tally.conclude()
}

/// Runs the tests as a part of a longer run.
pub fn check(tally: &mut Tally, only: Option<&str>) {
    heading("litmus tests: the Arm memory model with instruction fetch");
    let start = Instant::now();
    let tests = match read(only) {
        Ok(tests) => tests,
        Err(error) => {
            say(format!("{error:#}"));
            return tally.fail("litmus tests");
        }
    };
    let herd = match herd::ready() {
        Ok(herd) => herd,
        Err(error) => {
            let why = crate::setup::brief(&format!("{error:#}"));
            return tally.skip(format!("{} litmus tests", tests.len()), why);
        }
    };
    let passed = AtomicUsize::new(0);
    // herd7 has one thread, so two of it run.
    let halves = tests.split_at(tests.len() / 2);
    tally.lanes(&[halves.0, halves.1], |tally, half| {
        for test in *half {
            match judge(&herd, test) {
                Ok(()) => {
                    passed.fetch_add(1, Ordering::Relaxed);
                    tally.pass(1);
                }
                Err(error) => {
                    say(format!("{}: {error:#}", test.name));
                    tally.fail(format!("litmus {}", test.name));
                }
            }
        }
    });
    let passed = passed.into_inner();
    let twins = tests.iter().filter(|test| !test.twin_of.is_empty()).count();
    say(format!(
        "{passed} of {} as expected, {twins} of them broken twins; herd7 {} ({})",
        tests.len(),
        herd.version,
        took(start)
    ));
}

fn folder() -> PathBuf {
    repo().join("tests/litmus")
}

fn read(only: Option<&str>) -> Result<Vec<Litmus>> {
    let folder = folder();
    let mut tests = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("no {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|tail| tail == "litmus") {
            let text = fs::read_to_string(&path)?;
            let test = Litmus::parse(path.clone(), &text);
            tests.push(test.with_context(|| path.display().to_string())?);
        }
    }
    tests.sort_by(|a, b| a.name.cmp(&b.name));
    let toothless = file::without_twin(&tests);
    if !toothless.is_empty() {
        bail!(
            "no broken twin shows that these can fail: {}",
            toothless.join(", ")
        );
    }
    let gone = file::gone(&tests, |file| fs::read_to_string(repo().join(file)).ok());
    if !gone.is_empty() {
        bail!("these model code that is not there:\n{}", gone.join("\n"));
    }
    if let Some(word) = only {
        tests.retain(|test| test.name.contains(word));
    }
    if tests.is_empty() {
        bail!("no such test in {}", folder.display());
    }
    Ok(tests)
}

fn judge(herd: &Herd, test: &Litmus) -> Result<()> {
    let mut command = herd.command();
    command
        .args(["-variant", "ifetch", "-model", "aarch64.cat"])
        .arg(&test.path);
    let captured = proc::capture(&mut command, LIMIT)?;
    let Some(answer) = Answer::parse(&test.name, &captured.stdout) else {
        bail!("herd7 gave no observation:\n{}", captured.tail(10));
    };
    if answer != test.expected {
        bail!(
            "expected {}, herd7 says {}\n{}",
            test.expected,
            answer,
            captured.stdout.trim_end()
        );
    }
    Ok(())
}
