//! The checks on built kernels: their files, and what they say when booted.

use std::fs;

use anyhow::{Result, bail};

use super::Tally;
use crate::guests::{self, Guest};
use crate::kernel::{self, Kernel, Profile, Target};
use crate::qemu::{self, Outcome};
use crate::setup::toolchain::Toolchain;
use crate::setup::{Ready, repo};
use crate::ui::{heading, say};
use crate::variant::{self, Variant};

/// What must hold in the files of the kernels: every package in every profile, but of the guests only those that are built with
/// a feature of the library, which no other kernel has.
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
    let groups: Vec<Vec<&str>> = kernel::groups(&packages)
        .into_iter()
        .map(|group| {
            let names = group.iter().map(|package| package.name.as_str());
            let all_guests = names.clone().all(guests::is_guests);
            group
                .iter()
                .filter(|package| !package.binaries().is_empty())
                .map(|package| package.name.as_str())
                // emu-check's patches by hand and holds nothing of the tracer's: there is nothing to prove of its file.
                .filter(|name| *name != "emu-check-guest")
                .filter(|name| all_guests || !guests::is_guests(name))
                .collect()
        })
        .collect();
    if groups.iter().any(Vec::is_empty) || groups.is_empty() {
        say("no kernel package");
        tally.fail("kernel files: empty set");
        return;
    }
    tally.lanes(&Target::ALL, |tally, &target| {
        for profile in [Profile::Dev, Profile::Release, Profile::ReleaseLto] {
            for names in &groups {
                // Link-time optimisation takes its time with each: hello and demo, without an allocator and with one, are
                // all that it can do to the tracer; the benches would be the next.
                let names: Vec<&str> = names
                    .iter()
                    .copied()
                    .filter(|name| profile != Profile::ReleaseLto || !name.starts_with("bench-"))
                    .collect();
                files_hold(tally, toolchain, &names, target, profile);
            }
        }
    });
}

fn files_hold(
    tally: &mut Tally,
    toolchain: &Toolchain,
    names: &[&str],
    target: Target,
    profile: Profile,
) {
    let mut built = Vec::new();
    tally.step(
        &format!("build {} {target} {profile}", names.join(", ")),
        || {
            built = kernel::build(toolchain, names, None, target, profile)?;
            Ok(())
        },
    );
    for kernel in &built {
        let name = format!("file of {} {target} {profile}", kernel.name);
        tally.step(&name, || file_holds(kernel));
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
    variant: Variant,
}

impl Job<'_> {
    fn name(&self) -> String {
        format!(
            "{} {} {} {}{}",
            self.guest.name,
            self.kernel.target,
            self.kernel.profile,
            self.cpu,
            suffix(self.variant)
        )
    }

    fn run(&self) -> Result<()> {
        let header = &self.guest.header;
        let finished = qemu::boot(&header.machine(self.cpu), &self.kernel.elf, None)?;
        if finished.outcome != Outcome::Exit(header.exit) {
            bail!(
                "  exit code {} expected, {}",
                header.exit,
                finished.explain()
            );
        }
        let said = self.guest.says(&finished.console, &self.kernel.elf);
        said.map_err(|error| anyhow::anyhow!("{error:#}\n  {}", finished.explain()))
    }
}

/// Builds all guests once per target and profile, and boots each on each of its CPU models.
pub fn guests(tally: &mut Tally, ready: &Ready, only: Option<&str>, long: bool) {
    heading("guest kernels");
    let mut found = match guests::scan(&repo().join("tests")) {
        Ok(found) => found,
        Err(error) => {
            say(format!("{error:#}"));
            tally.fail("guest kernels");
            return;
        }
    };
    if long {
        let guests = found.guests.iter_mut();
        guests.for_each(|guest| guest.header.lengthen());
    }
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
    // A variant with flags of its own has a folder of its own, and so is built beside the plain ones; a variant of the layout alone
    // is linked over the plain kernels, when they have been taken.
    let (apart, over): (Vec<Variant>, Vec<Variant>) = Variant::OTHERS
        .into_iter()
        .partition(|variant| !variant.folder().is_empty());
    let lanes = [Some(Target::Softfloat), Some(Target::Hardfloat), None];
    tally.lanes(&lanes, |tally, &target| match target {
        Some(target) => plain(tally, ready, &chosen, target),
        None => variants(tally, ready, &chosen, &apart),
    });
    variants(tally, ready, &chosen, &over);
}

fn plain(tally: &mut Tally, ready: &Ready, chosen: &[&Guest], target: Target) {
    for profile in [Profile::Dev, Profile::Release, Profile::ReleaseLto] {
        let wanted: Vec<&Guest> = chosen
            .iter()
            .filter(|guest| {
                guest.header.targets.contains(&target)
                    && guest.header.profiles.contains(&profile)
                    && guest.header.is_built(Variant::Plain)
            })
            .copied()
            .collect();
        // Packages are built apart from each other: they differ in the library's features.
        for wanted in wanted.chunk_by(|a, b| a.package == b.package) {
            matrix(tally, ready, wanted, target, profile, Variant::Plain);
        }
    }
}

fn variants(tally: &mut Tally, ready: &Ready, chosen: &[&Guest], variants: &[Variant]) {
    for &variant in variants {
        let wanted: Vec<&Guest> = chosen
            .iter()
            .filter(|guest| guest.header.is_built(variant))
            .copied()
            .collect();
        for wanted in wanted.chunk_by(|a, b| a.package == b.package) {
            let (target, profile) = (Target::Softfloat, Profile::Release);
            matrix(tally, ready, wanted, target, profile, variant);
        }
    }
}

/// What follows the name of a boot.
fn suffix(variant: Variant) -> String {
    match variant {
        Variant::Plain => String::new(),
        other => format!(" {other}"),
    }
}

fn matrix(
    tally: &mut Tally,
    ready: &Ready,
    guests: &[&Guest],
    target: Target,
    profile: Profile,
    variant: Variant,
) {
    let mut kernels = Vec::new();
    let binary = match guests {
        [only] => Some(only.name.as_str()),
        _ => None,
    };
    let package = &guests[0].package;
    let step = format!("build {package} {target} {profile}{}", suffix(variant));
    tally.step(&step, || {
        let toolchain = &ready.toolchain;
        kernels = if variant == Variant::Plain {
            kernel::build(toolchain, &[package], binary, target, profile)?
        } else {
            let names: Vec<&str> = guests.iter().map(|guest| guest.name.as_str()).collect();
            variant::build(toolchain, package, &names, target, profile, variant)?
        };
        Ok(())
    });
    let mut jobs = Vec::new();
    for &guest in guests {
        let Some(kernel) = kernels.iter().find(|kernel| kernel.name == guest.name) else {
            tally.fail(format!("{} {target} {profile}: not built", guest.name));
            continue;
        };
        for cpu in guest.header.cpus_for(variant, target, profile) {
            let job = Job {
                guest,
                kernel,
                cpu,
                variant,
            };
            if ready.qemu.major < guest.header.qemu {
                let why = format!("needs QEMU {}, here is {}", guest.header.qemu, ready.qemu);
                tally.skip(job.name(), why);
            } else {
                jobs.push(job);
            }
        }
    }
    tally.steps(jobs, Job::name, Job::run);
}
