//! `cargo xtask emu-check`: kernels in QEMU under the plug-in of emu-check/, which judges the executed order of patching.
//!
//! First the plug-in itself: a kernel that leaves out one step must be reported with that step. Then the real kernels.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::kernel::{self, Kernel, Profile, Target};
use crate::proc;
use crate::qemu::{self, Machine};
use crate::setup::emulator::WANTED;
use crate::setup::{Ready, repo};
use crate::test::Tally;
use crate::ui::heading;

/// The plug-in's package.
pub const NAME: &str = "emu-check";
const GUEST: &str = "emu-check-guest";
const LIMIT: Duration = Duration::from_secs(600);

/// What the guest leaves out, on how many cores at least, and what every violation must then say (one of these).
const FAULTS: [(&str, u32, &[&str]); 19] = [
    ("clean", 1, &["missing DC CVAU"]),
    ("clean-dsb", 1, &["missing DSB between DC CVAU and IC IVAU"]),
    ("invalidate", 1, &["missing IC IVAU"]),
    ("invalidate-dsb", 1, &["missing DSB after IC IVAU"]),
    ("line", 1, &["missing DC CVAU of its line"]),
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
    ("word", 1, &["only NOP and BL may stand here"]),
    ("target", 1, &["neither ftrace_caller nor the entry"]),
    ("late-mov", 1, &["written after init"]),
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

/// What the plug-in wrote.
struct Report(String);

impl Report {
    fn violations(&self) -> Vec<&str> {
        self.0
            .lines()
            .filter(|line| line.starts_with("violation: "))
            .collect()
    }

    fn passes(&self) -> Result<()> {
        if self
            .0
            .lines()
            .any(|line| line == "result: pass (0 violations)")
        {
            return Ok(());
        }
        bail!("{}", self.0)
    }

    /// Every violation says what was left out, and there is one that says the first of it.
    fn names(&self, expected: &[&str]) -> Result<()> {
        let violations = self.violations();
        let known = |line: &&str| expected.iter().any(|words| line.contains(words));
        let first = expected.first().copied().unwrap_or_default();
        if violations.iter().all(known) && violations.iter().any(|line| line.contains(first)) {
            return Ok(());
        }
        bail!("`{first}` was to be reported:\n{}", self.0)
    }
}

/// Builds the plug-in.
fn plugin() -> Result<PathBuf> {
    let target = repo().join("target/emu-check");
    let mut command = kernel::host_cargo();
    command
        .args(["build", "--quiet", "-p", NAME, "--target-dir"])
        .arg(&target);
    proc::text_of(&mut command, LIMIT)?;
    Ok(target.join("debug/libemu_check.so"))
}

/// Boots a kernel under the plug-in.
fn watch(plugin: &Path, elf: &Path, machine: &Machine, more: &str) -> Result<(Report, String)> {
    let out = repo()
        .join("target/emu-check")
        .join(format!("report-{}.txt", std::process::id()));
    // The report of an earlier run must not be taken for this one's.
    let _ = fs::remove_file(&out);
    let mut command = qemu::command(machine, elf);
    command.arg("-plugin").arg(format!(
        "{},elf={},out={}{more}",
        plugin.display(),
        elf.display(),
        out.display()
    ));
    let captured = proc::capture(&mut command, machine.limit)?;
    let report = fs::read_to_string(&out)
        .with_context(|| format!("no report of the plug-in:\n{}", captured.tail(15)))?;
    let _ = fs::remove_file(&out);
    Ok((Report(report), captured.stdout))
}

fn machine(cores: u32, word: &str) -> Machine {
    Machine {
        cores,
        words: vec![word.to_owned()],
        limit: LIMIT,
        ..Machine::default()
    }
}

/// All of it.
pub fn check(tally: &mut Tally, ready: &Ready) {
    heading("the executed order of patching");
    if ready.qemu < WANTED {
        tally.skip(
            NAME,
            format!(
                "needs QEMU {WANTED} for its plug-in, here is {}",
                ready.qemu
            ),
        );
        return;
    }
    let mut help = std::process::Command::new(crate::setup::emulator::PROGRAM);
    if !proc::capture(help.arg("-help"), LIMIT).is_ok_and(|help| help.stdout.contains("-plugin")) {
        tally.skip(NAME, "this QEMU was built without plug-ins");
        return;
    }
    let mut library = PathBuf::new();
    tally.step("build the plug-in", || {
        library = plugin()?;
        Ok(())
    });
    if !library.is_file() {
        return;
    }
    let target = Target::Softfloat;
    for profile in [Profile::Dev, Profile::Release] {
        let mut built = Vec::new();
        tally.step(&format!("build its kernels {profile}"), || {
            built = kernel::build(
                &ready.toolchain,
                &[GUEST, "guest", "bench-table"],
                None,
                target,
                profile,
            )?;
            Ok(())
        });
        for kernel in &built {
            if kernel.name == GUEST {
                own(tally, &library, kernel);
            } else if profile == Profile::Dev {
                // Not optimised, the first patch calls functions of `core` that it has just patched: see emu-check/README.md.
                tally.skip(
                    format!("{NAME}: {} {profile}", kernel.name),
                    "known: not optimised, init runs functions whose MOV it has not made visible yet",
                );
            } else {
                real(tally, &library, kernel);
            }
        }
    }
}

fn own(tally: &mut Tally, plugin: &Path, kernel: &Kernel) {
    for cores in [1, 2] {
        tally.step(
            &format!("{NAME}: nothing left out, {} {cores} cores", kernel.profile),
            || {
                watch(plugin, &kernel.elf, &machine(cores, "none"), "")?
                    .0
                    .passes()
            },
        );
        for (fault, least, expected) in FAULTS {
            if cores >= least {
                tally.step(
                    &format!("{NAME}: {fault}, {} {cores} cores", kernel.profile),
                    || {
                        watch(plugin, &kernel.elf, &machine(cores, fault), "")?
                            .0
                            .names(expected)
                    },
                );
            }
        }
    }
}

/// Guests that never reach their patching, or write the text by hand to see what the tracer says, are judged as they are.
fn real(tally: &mut Tally, plugin: &Path, kernel: &Kernel) {
    let source = repo()
        .join("tests/guest/src/bin")
        .join(&kernel.name)
        .with_extension("rs");
    let text = fs::read_to_string(source).unwrap_or_default();
    let name = format!("{NAME}: {} {}", kernel.name, kernel.profile);
    let header = match crate::guests::Header::parse(&text) {
        Ok(header) => header,
        Err(error) => return tally.step(&name, || Err(error)),
    };
    if let Some(why) = text
        .lines()
        .find_map(|line| line.strip_prefix("//@ emu-check: "))
    {
        tally.skip(name, why);
        return;
    }
    let machine = Machine {
        limit: LIMIT,
        ..header.machine("cortex-a72")
    };
    tally.step(&name, || {
        watch(plugin, &kernel.elf, &machine, "")?.0.passes()
    });
}
