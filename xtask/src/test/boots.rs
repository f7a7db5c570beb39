//! The checks on built kernels: their files, and what they say when booted.

use std::fs;
use std::sync::Mutex;
use std::time::Instant;
use std::{collections::VecDeque, thread};

use anyhow::{Result, bail};

use super::Tally;
use crate::expect;
use crate::guests::{self, Guest};
use crate::kernel::{self, Kernel, Profile, Target};
use crate::qemu::{self, Outcome};
use crate::setup::toolchain::Toolchain;
use crate::setup::{Ready, repo};
use crate::ui::{heading, say, took};

/// Boots at the same time.
const AT_ONCE: usize = 2;

/// Every kernel package but the guests, in every profile: what must hold in the file.
pub fn elf(tally: &mut Tally, toolchain: &Toolchain) {
    heading("kernel files");
    let packages = match kernel::packages() {
        Ok(packages) => packages,
        Err(error) => {
            say(format!("{error:#}"));
            tally.fail("kernel packages");
            return;
        }
    };
    let names: Vec<&str> = packages
        .iter()
        .filter(|package| !package.binaries().is_empty() && package.name != "guest")
        // It patches by hand and holds nothing of the tracer's: there is nothing to prove of its file.
        .filter(|package| package.name != "emu-check-guest")
        .map(|package| package.name.as_str())
        .collect();
    if names.is_empty() {
        say("no kernel package");
        tally.fail("kernel files: empty set");
        return;
    }
    for target in Target::ALL {
        for profile in [Profile::Dev, Profile::Release, Profile::ReleaseLto] {
            let mut built = Vec::new();
            tally.step(
                &format!("build {} {target} {profile}", names.join(", ")),
                || {
                    built = kernel::build(toolchain, &names, None, target, profile)?;
                    Ok(())
                },
            );
            for kernel in &built {
                let name = format!("file of {} {target} {profile}", kernel.name);
                tally.step(&name, || file_holds(kernel));
            }
        }
    }
}

/// The tracer's own code is never traced: proved from the file, in every profile.
fn file_holds(kernel: &Kernel) -> Result<()> {
    let bytes = fs::read(&kernel.elf)?;
    let elf = aftrace::elf::Kernel::parse(&bytes)?;
    let report = aftrace::check::check(&elf)?;
    if !report.proves() {
        bail!("{report}");
    }
    Ok(())
}

/// One boot of the matrix.
struct Job<'a> {
    guest: &'a Guest,
    kernel: &'a Kernel,
    cpu: &'a str,
}

impl Job<'_> {
    fn name(&self) -> String {
        format!(
            "{} {} {} {}",
            self.guest.name, self.kernel.target, self.kernel.profile, self.cpu
        )
    }

    fn run(&self) -> Result<()> {
        let header = &self.guest.header;
        let finished = qemu::boot(&header.machine(self.cpu), &self.kernel.elf, None)?;
        let difference = expect::compare(&self.guest.expected, &finished.console).err();
        if finished.outcome != Outcome::Exit(header.exit) {
            bail!(
                "  exit code {} expected, {}",
                header.exit,
                finished.explain()
            );
        }
        if let Some(difference) = difference {
            bail!("  {difference}\n  {}", finished.explain());
        }
        Ok(())
    }
}

/// Builds all guests once per target and profile, and boots each on each of its CPU models.
pub fn guests(tally: &mut Tally, ready: &Ready, only: Option<&str>) {
    heading("guest kernels");
    let folder = repo().join("tests/guest/src/bin");
    let found = match guests::scan(&folder) {
        Ok(found) => found,
        Err(error) => {
            say(format!("{error:#}"));
            tally.fail("guest kernels");
            return;
        }
    };
    for (name, error) in &found.faulty {
        say(format!("{name:<46} FAILED\n  {error:#}"));
        tally.fail(name);
    }
    let chosen: Vec<&Guest> = found
        .guests
        .iter()
        .filter(|guest| only.is_none_or(|part| guest.name.contains(part)))
        .collect();
    if chosen.is_empty() {
        say("no guest has such a name");
        tally.fail("guest kernels: empty set");
        return;
    }
    for target in Target::ALL {
        for profile in [Profile::Dev, Profile::Release, Profile::ReleaseLto] {
            let wanted: Vec<&Guest> = chosen
                .iter()
                .filter(|guest| {
                    guest.header.targets.contains(&target)
                        && guest.header.profiles.contains(&profile)
                })
                .copied()
                .collect();
            if !wanted.is_empty() {
                matrix(tally, ready, &wanted, target, profile);
            }
        }
    }
}

fn matrix(tally: &mut Tally, ready: &Ready, guests: &[&Guest], target: Target, profile: Profile) {
    let mut kernels = Vec::new();
    let binary = match guests {
        [only] => Some(only.name.as_str()),
        _ => None,
    };
    tally.step(&format!("build guests {target} {profile}"), || {
        kernels = kernel::build(&ready.toolchain, &["guest"], binary, target, profile)?;
        Ok(())
    });
    let mut jobs = VecDeque::new();
    for &guest in guests {
        let Some(kernel) = kernels.iter().find(|kernel| kernel.name == guest.name) else {
            tally.fail(format!("{} {target} {profile}: not built", guest.name));
            continue;
        };
        for cpu in &guest.header.cpus {
            let job = Job { guest, kernel, cpu };
            if ready.qemu.major < guest.header.qemu {
                let why = format!("needs QEMU {}, here is {}", guest.header.qemu, ready.qemu);
                tally.skip(job.name(), why);
            } else {
                jobs.push_back(job);
            }
        }
    }
    let jobs = Mutex::new(jobs);
    let shared = Mutex::new(tally);
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(job) = jobs.lock().ok().and_then(|mut jobs| jobs.pop_front()) {
                    let start = Instant::now();
                    let result = job.run();
                    let Ok(mut tally) = shared.lock() else { return };
                    tally.booted(&job.name(), result, start);
                }
            });
        }
    });
}

impl Tally {
    fn booted(&mut self, name: &str, result: Result<()>, start: Instant) {
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
}
