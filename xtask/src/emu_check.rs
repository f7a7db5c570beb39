//! `cargo xtask emu-check`: kernels in QEMU under the plug-in of emu-check/, which judges the executed order of patching.
//!
//! First the plug-in itself (own.rs): a kernel that leaves out one step must be reported with that step. Then the real kernels.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::guests::{self, Guest, Header};
use crate::kernel::{self, Kernel, Profile, Target};
use crate::proc;
use crate::qemu::{self, Machine};
use crate::setup::emulator::WANTED;
use crate::setup::{Ready, repo};
use crate::test::Tally;
use crate::ui::{heading, say};
use crate::variant::Variant;

mod own;
pub mod paths;
mod watched;

use watched::Watched;

/// What `cargo xtask emu-check` is asked for: without a kernel the whole check.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Watch this kernel alone, print its console and the report: demo, hello, bench-table, or a guest of tests/guest.
    kernel: Option<String>,
    /// Only the plug-in's own test: each step left out in turn.
    #[arg(long, conflicts_with = "kernel")]
    own: bool,
    /// Count the instructions of each call, by asm entry.
    #[arg(long, requires = "kernel")]
    count: bool,
    /// Write every distinct executed path of a call to this file (emu-check/README.md has its form).
    #[arg(long, value_name = "FILE", requires = "kernel")]
    path: Option<PathBuf>,
    /// CPU model of QEMU; without it cortex-a72, or the one that a guest's header gives cores of its own.
    #[arg(long, requires = "kernel")]
    cpu: Option<String>,
    /// Cores; without it what the guest's header says, or one.
    #[arg(long, requires = "kernel")]
    smp: Option<u32>,
    /// Version of the interrupt controller; likewise.
    #[arg(long, requires = "kernel")]
    gic: Option<u32>,
    /// Count instructions as time (-icount shift=0).
    #[arg(long, requires = "kernel")]
    icount: bool,
    #[arg(long, value_enum, default_value_t = Target::Softfloat, requires = "kernel")]
    target: Target,
    #[arg(long, value_enum, default_value_t = Profile::Release, requires = "kernel")]
    profile: Profile,
    /// Judge every guest not optimised, too: minutes.
    #[arg(long, conflicts_with_all = ["kernel", "own"])]
    long: bool,
    /// Words for the semihosting command line; without them what the guest's header says.
    words: Vec<String>,
}

/// The whole check, or one kernel.
///
/// # Errors
/// When a check fails, or the plug-in reports a violation.
pub fn run(ready: &Ready, options: &Options) -> Result<()> {
    match &options.kernel {
        None if options.own => {
            let mut tally = Tally::default();
            check(&mut tally, ready, &[GUEST], false);
            tally.conclude()
        }
        None => crate::test::run(ready, &crate::test::Options::emu_check(options.long)),
        Some(name) => one(ready, name, options),
    }
}

fn one(ready: &Ready, name: &str, options: &Options) -> Result<()> {
    if let Some(why) = cannot(ready) {
        bail!("{why}");
    }
    let kernel = crate::demo::build(ready, name, options.target, options.profile)?;
    let found = guests::scan(&repo().join("tests"))?.guests;
    let guest = found.iter().find(|guest| guest.name == name);
    let header = guest.map_or_else(Header::default, |guest| guest.header.clone());
    let mut machine = judged_on(&header, options.cpu.as_deref());
    machine.icount |= options.icount;
    machine.cores = options.smp.unwrap_or(machine.cores);
    machine.gic = options.gic.unwrap_or(machine.gic);
    if !options.words.is_empty() {
        machine.words.clone_from(&options.words);
    }
    let mut more = String::new();
    if options.count {
        more.push_str(",count=on");
    }
    if let Some(path) = &options.path {
        more.push_str(&format!(",path={}", path.display()));
    }
    let watched = watch(&plugin()?, &kernel.elf, &machine, &more)?;
    say(&watched.console);
    say(&watched.report);
    watched.passes(header.exit)
}

/// The executed paths of a kernel's calls on a CPU model.
///
/// # Errors
/// When QEMU cannot be watched, the kernel cannot be built, or the plug-in reports a violation.
pub fn paths(ready: &Ready, kernel: &Kernel, cpu: &str) -> Result<Vec<paths::Recorded>> {
    if let Some(why) = cannot(ready) {
        bail!("{why}");
    }
    let machine = Machine {
        limit: LIMIT,
        cpu: cpu.to_owned(),
        ..Machine::default()
    };
    let file = scratch("paths")?;
    let more = format!(",path={}", file.display());
    watch(&plugin()?, &kernel.elf, &machine, &more)?.passes(0)?;
    let text = fs::read_to_string(&file)?;
    fs::remove_file(&file)?;
    paths::Recorded::all(&text)
}

/// Why nothing can be watched here.
fn cannot(ready: &Ready) -> Option<String> {
    if ready.qemu < WANTED {
        let found = ready.qemu;
        return Some(format!(
            "needs QEMU {WANTED} for its plug-in, here is {found}"
        ));
    }
    let mut help = std::process::Command::new(crate::setup::emulator::PROGRAM);
    let has =
        proc::capture(help.arg("-help"), LIMIT).is_ok_and(|help| help.stdout.contains("-plugin"));
    (!has).then(|| "this QEMU was built without plug-ins".to_owned())
}

/// The plug-in's package.
pub const NAME: &str = "emu-check";
const GUEST: &str = "emu-check-guest";
const BENCH: &str = "bench-table";
const LIMIT: Duration = Duration::from_secs(600);
/// Not optimised, and with a core to itself, the longest takes some minutes.
const LONG_LIMIT: Duration = Duration::from_secs(3600);

/// Builds the plug-in.
fn plugin() -> Result<PathBuf> {
    #[derive(Deserialize)]
    struct Built {
        filenames: Vec<PathBuf>,
    }
    let mut command = kernel::host_build();
    let messages = proc::text_of(command.args(["-p", NAME, "--lib"]), LIMIT)?;
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Built>(line).ok())
        .flat_map(|built| built.filenames)
        .find(|file| file.ends_with("libemu_check.so"))
        .context("no plug-in was built")
}

/// A file for one boot: the next number of this process.
fn scratch(name: &str) -> Result<PathBuf> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let folder = repo().join("target/emu-check");
    fs::create_dir_all(&folder)?;
    Ok(folder.join(format!("{name}-{}-{number}.txt", std::process::id())))
}

/// Boots a kernel under the plug-in; each core has a thread of its own, whatever the machine says: where all take turns in one,
/// QEMU 10 gives a plug-in the number of the core that translated a block, not of the one that executes it.
fn watch(plugin: &Path, elf: &Path, machine: &Machine, more: &str) -> Result<Watched> {
    let machine = Machine {
        single: false,
        ..machine.clone()
    };
    let out = scratch("report")?;
    // The report of an earlier run must not be taken for this one's.
    let _ = fs::remove_file(&out);
    let mut command = qemu::command(&machine, elf);
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
    Ok(Watched {
        report,
        console: captured.stdout,
        code: captured.code,
    })
}

fn machine(cores: u32, word: &str) -> Machine {
    Machine {
        cores,
        words: vec![word.to_owned()],
        limit: LIMIT,
        ..Machine::default()
    }
}

/// Packages of guests.
const GUESTS: [&str; 2] = ["guest", "guest-alloc"];

/// The packages of kernels that are watched.
pub const WATCHED: [&str; 4] = [GUEST, GUESTS[0], BENCH, GUESTS[1]];

/// Judged not optimised in every run, too: init and changes, with cores that come and go.
const IN_DEV: [&str; 6] = [
    "a_direct_ops_has_its_callsite_alone",
    "an_unguarded_tracer_limits_itself",
    "cores_come_and_go_while_tracing_changes",
    "each_call_is_one_event",
    "interrupts_in_a_tracer_are_traced",
    "text_is_writable_only_while_it_is_patched",
];

/// All kernels of these packages; `long`: every guest not optimised, too.
pub fn check(tally: &mut Tally, ready: &Ready, packages: &[&str], long: bool) {
    heading("the executed order of patching");
    if let Some(why) = cannot(ready) {
        return tally.skip(NAME, why);
    }
    let found = match guests::scan(&repo().join("tests")) {
        Ok(found) => {
            for (name, error) in found.faulty {
                say(format!("{name}: {error:#}"));
                tally.fail(format!("{NAME}: {name}"));
            }
            found.guests
        }
        Err(error) => {
            say(format!("{error:#}"));
            return tally.fail(NAME);
        }
    };
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
            let mut wanted = kernel::packages()?;
            // Not optimised, the bench takes minutes, and patches as the guests do; of the guests with a heap none is judged so.
            let release_only = [BENCH, GUESTS[1]];
            wanted.retain(|package| {
                let name = package.name.as_str();
                packages.contains(&name)
                    && (profile != Profile::Dev || !release_only.contains(&name))
            });
            for group in kernel::groups(&wanted) {
                let group: Vec<&str> = group.iter().map(|package| package.name.as_str()).collect();
                built.extend(kernel::build(
                    &ready.toolchain,
                    &group,
                    None,
                    target,
                    profile,
                )?);
            }
            Ok(())
        });
        let mut judged = Vec::new();
        for kernel in &built {
            if kernel.name == GUEST {
                own::check(tally, &library, kernel);
            } else {
                let guest = found.iter().find(|guest| guest.name == kernel.name);
                judged.extend(real(tally, kernel, guest, long));
            }
        }
        tally.steps(judged, |job| job.name.clone(), |job| job.run(&library));
    }
}

/// One kernel to be judged.
struct Job<'a> {
    name: String,
    kernel: &'a Kernel,
    machine: Machine,
    /// What it must say and how it must end, where it is a guest.
    guest: Option<&'a Guest>,
}

impl Job<'_> {
    fn run(&self, plugin: &Path) -> Result<()> {
        let watched = watch(plugin, &self.kernel.elf, &self.machine, "")?;
        watched.passes(self.guest.map_or(0, |guest| guest.header.exit))?;
        let said = self
            .guest
            .map(|guest| guest.says(&watched.console, &self.kernel.elf));
        said.unwrap_or(Ok(())).map_err(|error| {
            anyhow::anyhow!(
                "{error:#}\n  no violation; the console:\n{}",
                watched.console
            )
        })
    }
}

/// The machine that a kernel is judged on.
fn judged_on(header: &Header, cpu: Option<&str>) -> Machine {
    Machine {
        limit: LIMIT,
        ..header.judged_on(cpu)
    }
}

/// Guests that never reach their patching, or write the text by hand to see what the tracer says, are judged as they are.
fn real<'a>(
    tally: &mut Tally,
    kernel: &'a Kernel,
    guest: Option<&'a Guest>,
    long: bool,
) -> Option<Job<'a>> {
    let name = format!("{NAME}: {} {}", kernel.name, kernel.profile);
    let header = guest.map_or_else(Header::default, |guest| guest.header.clone());
    let beyond = kernel.profile == Profile::Dev && !IN_DEV.contains(&kernel.name.as_str());
    // Not booted like this anywhere.
    if beyond && !header.profiles.contains(&Profile::Dev) {
        return None;
    }
    let why = if let Some(why) = &header.unjudged {
        Some(why.as_str())
    } else if !header.variants.contains(&Variant::Plain) {
        Some("is about a variant of the build; here the plain ones are judged")
    } else if !header.targets.contains(&Target::Softfloat) {
        Some("is about a target with floats; here the one without is judged")
    } else if beyond && !long {
        Some("not optimised, it is judged with --long alone")
    } else {
        None
    };
    if let Some(why) = why {
        tally.skip(name, why);
        return None;
    }
    let mut machine = judged_on(&header, None);
    if long {
        machine.limit = LONG_LIMIT;
    }
    Some(Job {
        name,
        kernel,
        machine,
        guest,
    })
}
