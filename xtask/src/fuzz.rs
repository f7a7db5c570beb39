//! `cargo xtask fuzz`: libFuzzer on every parser (fuzz/), for some time each, and how many inputs each was given.
//!
//! What cargo-fuzz does, without cargo-fuzz and without a nightly compiler: coverage counters are an LLVM pass. There is no
//! address sanitizer, because the parsers forbid unsafe code; overflows and broken assertions panic.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::kernel;
use crate::proc::{self, Captured};
use crate::setup::repo;
use crate::ui::{heading, say, took};

/// What `cargo xtask fuzz` is asked for.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Only these targets.
    targets: Vec<String>,
    /// Seconds for each target.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Inputs for each target at most; 0: as many as the time allows.
    #[arg(long, default_value_t = 0)]
    runs: u64,
    /// Targets that run at a time.
    #[arg(long, default_value_t = 1)]
    jobs: usize,
}

/// The package of the fuzz targets.
pub const PACKAGE: &str = "aarch64-ftrace-fuzz";
const PROGRAM: &str = "fuzz";
const PROFILE: &str = "fuzz";
/// The harnesses of what is not public are there with it; counters at each edge, and what is compared with what
/// (libFuzzer's "SanitizerCoverage").
const FLAGS: [&str; 6] = [
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];
const BUILD_LIMIT: Duration = Duration::from_secs(3600);
/// For one input; a parser that takes longer hangs.
const INPUT_SECONDS: u64 = 10;
/// Of the process. An input has 4 KiB, or what the largest seed has.
const MEMORY_MIB: u64 = 512;
/// A target with a bug on purpose, and what it says.
const PLANTED: &str = "planted";
const PLANTED_SAYS: &str = "out of range for slice";

/// Builds the targets, shows that they can fail, runs them, and ends with a table.
///
/// # Errors
/// When something is missing, a target cannot be built, the planted bug is not found, or any other is.
pub fn run(options: &Options) -> Result<()> {
    let start = Instant::now();
    heading("fuzz targets");
    let program = build()?;
    say(format!("build {}", took(start)));
    let chosen = choose(targets(&program)?, &options.targets)?;
    let planted = fuzz(&program, PLANTED, options)?;
    match &planted.failure {
        Some(why) if why.contains(PLANTED_SAYS) => say(format!(
            "the planted bug was found by input {}",
            planted.inputs
        )),
        other => bail!(
            "the bug that was planted was not found in {} inputs: this would find no other ({other:?})",
            planted.inputs
        ),
    }
    say(format!("\n{HEADINGS}"));
    let jobs = Mutex::new(VecDeque::from(chosen));
    let done = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..options.jobs.max(1) {
            scope.spawn(|| {
                while let Some(name) = jobs.lock().ok().and_then(|mut jobs| jobs.pop_front()) {
                    let found = fuzz(&program, &name, options);
                    if let Ok(found) = &found {
                        say(found.line(&name));
                    }
                    if let Ok(mut done) = done.lock() {
                        done.push((name, found));
                    }
                }
            });
        }
    });
    let (mut inputs, mut failed) = (0, Vec::new());
    for (name, found) in done.into_inner().unwrap_or_default() {
        let found = found?;
        inputs += found.inputs;
        if let Some(why) = found.failure {
            say(format!("\n{name}: FAILED\n{why}"));
            failed.push(name);
        }
    }
    say(format!("\nin all {inputs} inputs, {}", took(start)));
    if !failed.is_empty() {
        bail!("{} failed: {}", failed.len(), failed.join(", "));
    }
    Ok(())
}

/// Names of the targets but for the planted one.
fn targets(program: &Path) -> Result<Vec<String>> {
    let names = proc::text_of(&mut Command::new(program), Duration::from_secs(60))?;
    let names = names.lines().filter(|name| *name != PLANTED);
    Ok(names.map(str::to_owned).collect())
}

/// All, or those that are named.
fn choose(all: Vec<String>, named: &[String]) -> Result<Vec<String>> {
    if let Some(unknown) = named.iter().find(|name| !all.contains(name)) {
        bail!("no target {unknown}; there are {}", all.join(", "));
    }
    let wanted = |name: &String| named.is_empty() || named.contains(name);
    Ok(all.into_iter().filter(wanted).collect())
}

fn folder() -> PathBuf {
    repo().join("target/fuzz")
}

/// Builds the program; says where it is.
fn build() -> Result<PathBuf> {
    if proc::which("c++").is_none() {
        bail!("no C++ compiler, which libFuzzer is built with: apt-get install g++");
    }
    let host = host()?;
    let mut command = kernel::host_cargo();
    // With a target named, build scripts and macros are left without counters.
    command
        .args(["build", "-p", PACKAGE, "--profile", PROFILE])
        .args(["--target", &host, "--target-dir"])
        .arg(folder())
        .env("RUSTFLAGS", FLAGS.join(" "));
    proc::text_of(&mut command, BUILD_LIMIT)?;
    Ok(folder().join(host).join(PROFILE).join(PROGRAM))
}

/// The triple of this machine's compiler.
fn host() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let text = proc::text_of(Command::new(rustc).arg("-vV"), Duration::from_secs(60))?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc -vV names no host")?.to_owned())
}

/// What came of a target.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    inputs: u64,
    seconds: u64,
    /// Edges of the program that some input reached.
    edges: u64,
    /// Why it ended early, and by which input.
    failure: Option<String>,
}

const HEADINGS: &str = "target       executions  seconds   edges  findings";

impl Found {
    fn line(&self, name: &str) -> String {
        let Self {
            inputs,
            seconds,
            edges,
            failure,
        } = self;
        let findings = u32::from(failure.is_some());
        format!("{name:<10} {inputs:>12} {seconds:>8} {edges:>7} {findings:>9}")
    }
}

/// Runs one target. What it learns stays in its corpus under target/, and the next run begins with that.
fn fuzz(program: &Path, name: &str, options: &Options) -> Result<Found> {
    let (corpus, artifacts) = (
        folder().join("corpus").join(name),
        folder().join("artifacts").join(name),
    );
    if name == PLANTED {
        // It begins with nothing each time.
        fs::remove_dir_all(&corpus).ok();
    }
    fs::create_dir_all(&corpus)?;
    fs::create_dir_all(&artifacts)?;
    // At low priority: it takes all that there is.
    let mut command = match proc::which("nice") {
        Some(nice) => {
            let mut command = Command::new(nice);
            command.arg(program);
            command
        }
        None => Command::new(program),
    };
    let seconds = options.seconds;
    command
        .arg(&corpus)
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-timeout={INPUT_SECONDS}"))
        .arg(format!("-rss_limit_mb={MEMORY_MIB}"))
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .arg("-print_final_stats=1")
        .env("FUZZ_TARGET", name)
        .env("FUZZ_SEEDS", &corpus)
        .env("RUST_BACKTRACE", "0");
    if options.runs > 0 && name != PLANTED {
        command.arg(format!("-runs={}", options.runs));
    }
    let start = Instant::now();
    let limit = Duration::from_secs(seconds + 10 * INPUT_SECONDS);
    let captured = proc::capture(&mut command, limit)?;
    Ok(read(&captured, start.elapsed()))
}

/// Reads what libFuzzer says.
fn read(captured: &Captured, took: Duration) -> Found {
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let statistic = |key: &str| {
        let mut lines = captured.stderr.lines();
        lines.find_map(|line| number(line.strip_prefix("stat::")?.strip_prefix(key)?))
    };
    let mut edges = captured
        .stderr
        .lines()
        .filter_map(|line| line.split_once(" cov: ")?.1.split(' ').next())
        .filter_map(number);
    let inputs = statistic("number_of_executed_units:");
    let why = |line: &&str| {
        [
            "panicked",
            "ERROR",
            "Test unit",
            "memory allocation",
            "stopped after",
        ]
        .iter()
        .any(|word| line.contains(word))
    };
    let failure = (!captured.ok || inputs.is_none_or(|inputs| inputs == 0)).then(|| {
        let lines: Vec<&str> = captured.stderr.lines().collect();
        let told = lines
            .iter()
            .enumerate()
            // The message stands below "panicked at".
            .filter(|(at, line)| why(line) || *at > 0 && lines[at - 1].contains("panicked"))
            .map(|(_, line)| *line);
        told.collect::<Vec<_>>().join("\n")
    });
    Found {
        inputs: inputs.unwrap_or(0),
        seconds: took.as_secs(),
        edges: edges.next_back().unwrap_or(0),
        failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(ok: bool, stderr: &str) -> Found {
        let captured = Captured {
            ok,
            code: None,
            stdout: String::new(),
            stderr: stderr.to_owned(),
        };
        read(&captured, Duration::from_secs(45))
    }

    #[test]
    fn a_run_without_a_failure_has_inputs_and_edges() {
        let found = said(
            true,
            "#2\tINITED cov: 9 ft: 9 corp: 1/40b\n#90\tDONE   cov: 12 ft: 9\n\
             stat::number_of_executed_units: 90\n",
        );
        let expected = Found {
            inputs: 90,
            seconds: 45,
            edges: 12,
            failure: None,
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn a_failure_says_why_and_by_which_input() {
        let found = said(
            false,
            "#3 NEW cov: 5 ft: 1\nthread '<unnamed>' panicked at a.rs:1:1:\nno such thing\n\
             ==1== ERROR: libFuzzer: deadly signal\nstat::number_of_executed_units: 7\n\
             artifact_prefix='x/'; Test unit written to x/crash-1\n",
        );
        assert_eq!((found.inputs, found.edges), (7, 5));
        let why = found.failure.unwrap();
        for part in [
            "panicked at a.rs",
            "no such thing",
            "deadly signal",
            "x/crash-1",
        ] {
            assert!(why.contains(part), "{why}");
        }
        // One that says nothing at all has not run.
        assert!(said(true, "").failure.is_some());
    }

    #[test]
    fn a_target_that_is_not_there_is_named_with_those_that_are() {
        let all = || vec!["boot".to_owned(), "tree".to_owned()];
        assert_eq!(choose(all(), &[]).unwrap(), all());
        assert_eq!(choose(all(), &all()[1..]).unwrap(), ["tree"]);
        let error = choose(all(), &["tre".to_owned()]).unwrap_err().to_string();
        assert_eq!(error, "no target tre; there are boot, tree");
    }

    #[test]
    fn the_table_has_its_columns_below_their_headings() {
        let found = said(true, "stat::number_of_executed_units: 1234567\n");
        assert_eq!(found.line("boot").len(), HEADINGS.len());
    }
}
