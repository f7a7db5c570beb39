//! `cargo xtask test`: everything that has to hold, step by step, with one closing line.

mod boards;
mod boots;
mod command;
mod host;
pub mod readers;
mod sessions;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::{Result, bail};
use clap::ValueEnum;

use crate::setup::Ready;
use crate::ui::{heading, say, took};
use crate::{bench, emu_check, litmus, scale};

/// Works at the same time: boots of one part, or targets with a folder of their own.
const AT_ONCE: usize = 2;

/// A group of checks that can be run alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Formatting.
    Fmt,
    /// clippy without a warning, host crates and kernels.
    Clippy,
    /// Tests on the host.
    Host,
    /// The patch sequences in the Arm memory model.
    Litmus,
    /// Documentation without a warning.
    Doc,
    /// The library as it would be published.
    Package,
    /// The library without any unstable feature.
    Stable,
    /// What the built kernels' files must hold.
    Elf,
    /// The guest kernels, booted.
    Guests,
    /// The bench's counts keep within their limits.
    Limits,
    /// Images for boards, booted in QEMU.
    Boards,
    /// The demo kernel's sessions.
    Demo,
    /// The executed order of patching.
    EmuCheck,
    /// Programs of other people on converted traces.
    Readers,
    /// The host's command on kernels that run, or no longer do.
    Command,
    /// The host's command holds no more memory for more events.
    Scale,
}

impl Part {
    const ALL: [Self; 16] = [
        Self::Fmt,
        Self::Clippy,
        Self::Host,
        Self::Litmus,
        Self::Doc,
        Self::Package,
        Self::Stable,
        Self::Elf,
        Self::Guests,
        Self::Limits,
        Self::Boards,
        Self::Demo,
        Self::EmuCheck,
        Self::Readers,
        Self::Command,
        Self::Scale,
    ];
}

/// What was asked for.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Options {
    /// Only these parts.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// Only guests whose name contains this.
    #[arg(long)]
    guest: Option<String>,
    /// Guests that know a long run (`long-args` in their headers) make it; emu-check judges all of them not optimised, too.
    #[arg(long)]
    long: bool,
}

impl Options {
    /// Only the executed order of patching.
    pub fn emu_check(long: bool) -> Self {
        Self {
            only: vec![Part::EmuCheck],
            long,
            ..Self::default()
        }
    }
}

/// Counts, and what went wrong.
#[derive(Debug)]
pub struct Tally {
    passed: usize,
    failed: Vec<String>,
    skipped: Vec<(String, String)>,
    /// How many of [`steps`](Self::steps) at the same time.
    at_once: usize,
}

impl Default for Tally {
    fn default() -> Self {
        Self::of(AT_ONCE)
    }
}

impl Tally {
    fn of(at_once: usize) -> Self {
        Self {
            passed: 0,
            failed: Vec::new(),
            skipped: Vec::new(),
            at_once,
        }
    }

    /// Counts one that passed.
    pub fn pass(&mut self, count: usize) {
        self.passed += count;
    }

    /// Counts one that failed.
    pub fn fail(&mut self, what: impl Into<String>) {
        self.failed.push(what.into());
    }

    /// Counts one that this machine cannot run.
    pub fn skip(&mut self, what: impl Into<String>, why: impl Into<String>) {
        self.skipped.push((what.into(), why.into()));
    }

    /// Runs one check and prints its line; its own words only when it fails.
    pub fn step(&mut self, name: &str, check: impl FnOnce() -> Result<()>) {
        let start = Instant::now();
        let result = check();
        self.stepped(name, result, start);
    }

    /// Checks that stand in each other's way no more than two machines do: some at the same time.
    pub fn steps<T: Sync>(
        &mut self,
        jobs: Vec<T>,
        name: impl Fn(&T) -> String + Sync,
        check: impl Fn(&T) -> Result<()> + Sync,
    ) {
        let at_once = self.at_once;
        let shared = Mutex::new(self);
        let next = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..at_once {
                scope.spawn(|| {
                    while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let start = Instant::now();
                        let result = check(job);
                        let Ok(mut tally) = shared.lock() else { return };
                        tally.stepped(&name(job), result, start);
                    }
                });
            }
        });
    }

    /// Work that shares nothing, each beside the others and in itself one step after the other: rustc leaves a core idle for
    /// a third of a build.
    pub fn lanes<T: Sync>(&mut self, lanes: &[T], work: impl Fn(&mut Self, &T) + Sync) {
        let work = &work;
        thread::scope(|scope| {
            let running: Vec<_> = lanes
                .iter()
                .map(|lane| {
                    scope.spawn(move || {
                        let mut tally = Self::of(1);
                        work(&mut tally, lane);
                        tally
                    })
                })
                .collect();
            for lane in running {
                match lane.join() {
                    Ok(tally) => self.add(tally),
                    Err(_) => self.fail("a thread of the tests panicked"),
                }
            }
        });
    }

    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed.extend(other.failed);
        self.skipped.extend(other.skipped);
    }

    /// Counts and prints a check that began at `start`.
    fn stepped(&mut self, name: &str, result: Result<()>, start: Instant) {
        match result {
            Ok(()) => {
                self.pass(1);
                say(format!("{name:<46} ok      {}", took(start)));
            }
            Err(error) => {
                say(format!("{name:<46} FAILED  {}\n{error:#}", took(start)));
                self.fail(name);
            }
        }
    }

    /// The closing lines, and whether all went well.
    ///
    /// # Errors
    /// When a check failed or none ran.
    pub fn conclude(&self) -> Result<()> {
        self.close();
        if !self.failed.is_empty() {
            bail!("{} failed", self.failed.len());
        }
        if self.passed == 0 {
            bail!("nothing was tested");
        }
        Ok(())
    }

    /// The closing lines.
    pub fn close(&self) {
        if !self.skipped.is_empty() {
            heading("skipped");
            for (what, why) in &self.skipped {
                say(format!("{what}: {why}"));
            }
        }
        if !self.failed.is_empty() {
            heading("failed");
            for what in &self.failed {
                say(what);
            }
        }
        say(format!("\n{}", self.line()));
    }

    fn line(&self) -> String {
        format!(
            "{} passed, {} failed, {} skipped",
            self.passed,
            self.failed.len(),
            self.skipped.len()
        )
    }
}

/// Runs the parts and prints the closing line.
///
/// # Errors
/// When a check failed or none ran.
pub fn run(ready: &Ready, options: &Options) -> Result<()> {
    let start = Instant::now();
    let mut tally = Tally::default();
    let mut times = Vec::new();
    let parts: Vec<Part> = Part::ALL
        .into_iter()
        .filter(|part| match &options.guest {
            Some(_) => *part == Part::Guests,
            None => options.only.is_empty() || options.only.contains(part),
        })
        .collect();
    for part in parts {
        let began = Instant::now();
        match part {
            Part::Fmt => host::fmt(&mut tally),
            Part::Clippy => host::clippy(&mut tally, &ready.toolchain),
            Part::Host => host::tests(&mut tally),
            Part::Litmus => litmus::check(&mut tally, None),
            Part::Doc => host::doc(&mut tally, &ready.toolchain),
            Part::Package => host::package(&mut tally),
            Part::Stable => host::stable(&mut tally, &ready.toolchain),
            Part::Elf => boots::elf(&mut tally, &ready.toolchain),
            Part::Guests => {
                boots::guests(&mut tally, ready, options.guest.as_deref(), options.long)
            }
            Part::Limits => {
                heading("the bench's limits");
                let toolchain = &ready.toolchain;
                let what = "no count above its limit (DESIGN.md, section 7)";
                tally.step(what, || bench::limits_hold(toolchain));
            }
            Part::Boards => boards::check(&mut tally, ready),
            Part::Demo => sessions::check(&mut tally, ready),
            Part::EmuCheck => {
                emu_check::check(&mut tally, ready, &emu_check::WATCHED, options.long)
            }
            Part::Readers => readers::check(&mut tally, ready),
            Part::Command => command::check(&mut tally, ready),
            Part::Scale => scale::check(&mut tally),
        }
        let name = part
            .to_possible_value()
            .map(|value| value.get_name().to_owned());
        times.push(format!("{} {}", name.unwrap_or_default(), took(began)));
    }
    say(format!("\nin all {}: {}", took(start), times.join(", ")));
    tally.conclude()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lane_counts_and_none_is_lost() {
        let mut tally = Tally::default();
        tally.pass(1);
        tally.lanes(&[1, 2, 3], |tally, &lane| {
            tally.pass(lane);
            match lane {
                1 => tally.skip("a", "old QEMU"),
                2 => tally.fail("broken"),
                _ => panic!("on purpose"),
            }
        });
        assert_eq!(tally.line(), "4 passed, 2 failed, 1 skipped");
        assert_eq!(tally.failed, ["broken", "a thread of the tests panicked"]);
    }

    #[test]
    fn the_closing_line_has_the_form_that_is_read() {
        let mut tally = Tally::default();
        tally.pass(3);
        tally.skip("a", "old QEMU");
        assert_eq!(tally.line(), "3 passed, 0 failed, 1 skipped");
        tally.fail("broken");
        assert_eq!(tally.line(), "3 passed, 1 failed, 1 skipped");
    }
}
