//! `cargo xtask emu-check`: kernels in QEMU under the plug-in of emu-check/, which judges the executed order of patching.
//!
//! First the plug-in itself (own.rs): a kernel that leaves out one step must be reported with that step. Then the real kernels.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::guests::Header;
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
            check(&mut tally, ready, &[GUEST]);
            tally.conclude()
        }
        None => crate::test::run(ready, &crate::test::Options::emu_check()),
        Some(name) => one(ready, name, options),
    }
}

fn one(ready: &Ready, name: &str, options: &Options) -> Result<()> {
    if let Some(why) = cannot(ready) {
        bail!("{why}");
    }
    let kernel = crate::demo::build(ready, name, options.target, options.profile)?;
    let text = source(name);
    let header = Header::parse(&text)?;
    let mut machine = judged_on(&header, &text, options.cpu.as_deref());
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

/// The source of a guest; empty for other kernels.
fn source(name: &str) -> String {
    GUESTS
        .iter()
        .map(|package| repo().join(format!("tests/{package}/src/bin/{name}.rs")))
        .find_map(|path| fs::read_to_string(path).ok())
        .unwrap_or_default()
}

/// The plug-in's package.
pub const NAME: &str = "emu-check";
const GUEST: &str = "emu-check-guest";
const BENCH: &str = "bench-table";
const LIMIT: Duration = Duration::from_secs(600);

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

/// Judged not optimised, too: init and changes, with cores that come and go. Most others last minutes there.
const IN_DEV: [&str; 6] = [
    "a_direct_ops_has_its_callsite_alone",
    "an_unguarded_tracer_limits_itself",
    "cores_come_and_go_while_tracing_changes",
    "each_call_is_one_event",
    "interrupts_in_a_tracer_are_traced",
    "text_is_writable_only_while_it_is_patched",
];

/// All kernels of these packages.
pub fn check(tally: &mut Tally, ready: &Ready, packages: &[&str]) {
    heading("the executed order of patching");
    if let Some(why) = cannot(ready) {
        return tally.skip(NAME, why);
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
                judged.extend(real(tally, kernel));
            }
        }
        tally.steps(
            judged,
            |job| job.name.clone(),
            |job| watch(&library, &job.kernel.elf, &job.machine, "")?.passes(job.exit),
        );
    }
}

/// One kernel to be judged.
struct Job<'a> {
    name: String,
    kernel: &'a Kernel,
    machine: Machine,
    /// The kernel's exit code.
    exit: i32,
}

/// The machine that a kernel is judged on; a guest whose models have their own numbers of cores on the last of them.
fn judged_on(header: &Header, text: &str, cpu: Option<&str>) -> Machine {
    let own = header.cpus.last().filter(|cpu| cpu.contains('/'));
    let cpu = cpu.or(own.map(String::as_str)).unwrap_or("cortex-a72");
    let mut machine = Machine {
        limit: LIMIT,
        ..header.machine(cpu)
    };
    // It takes long: fewer changes show the same order.
    if let Some(words) = text
        .lines()
        .find_map(|line| line.strip_prefix("//@ emu-check-args: "))
    {
        machine.words = words.split_whitespace().map(str::to_owned).collect();
    }
    machine
}

/// Guests that never reach their patching, or write the text by hand to see what the tracer says, are judged as they are.
fn real<'a>(tally: &mut Tally, kernel: &'a Kernel) -> Option<Job<'a>> {
    let text = source(&kernel.name);
    let name = format!("{NAME}: {} {}", kernel.name, kernel.profile);
    let header = match Header::parse(&text) {
        Ok(header) => header,
        Err(error) => {
            tally.step(&name, || Err(error));
            return None;
        }
    };
    if let Some(why) = text
        .lines()
        .find_map(|line| line.strip_prefix("//@ emu-check: "))
    {
        tally.skip(name, why);
        return None;
    }
    if kernel.profile == Profile::Dev && !IN_DEV.contains(&kernel.name.as_str()) {
        return None;
    }
    if !header.variants.contains(&Variant::Plain) {
        tally.skip(
            name,
            "is about a variant of the build; here the plain ones are judged",
        );
        return None;
    }
    let machine = judged_on(&header, &text, None);
    Some(Job {
        name,
        kernel,
        machine,
        exit: header.exit,
    })
}
