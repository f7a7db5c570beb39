//! `cargo xtask scale`: a large trace through every verb and converter of aftrace, and through uftrace and trace-cmd, with the most
//! memory that each holds and how many events it does in a second.

mod make;
mod measure;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use nix::sys::statvfs::statvfs;

use measure::Measured;
pub use measure::as_parent;

use crate::kernel;
use crate::proc;
use crate::setup::setup_dir;
use crate::setup::tools::Debian;
use crate::test::Tally;
use crate::ui::{heading, say, took};

/// What `cargo xtask scale` is asked for.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Events of the trace, 16 bytes each. What they are converted to takes up to three times as much, one file at a time.
    #[arg(long, default_value_t = 20_000_000)]
    events: u64,
    /// A folder with room for the files, which are removed at the end.
    #[arg(long, value_name = "FOLDER", default_value_os_t = std::env::temp_dir())]
    scratch: PathBuf,
    /// Only what has this in its name.
    name: Option<String>,
}

const MIB: u64 = 1 << 20;
const TRACE: &str = "scale.aft";
const OUTPUT: &str = "output";
/// What is measured of aftrace. OUTPUT is a file or folder.
const VERBS: [&[&str]; 16] = [
    &["info", TRACE],
    &["replay", TRACE],
    &["replay", "--time-filter", "20us", TRACE],
    &["report", TRACE],
    &["graph", TRACE],
    &["dump", TRACE, "--text=function"],
    &["dump", TRACE, "--text=function_graph"],
    &["dump", TRACE, "--chrome"],
    &["dump", TRACE, "--folded"],
    &["dump", TRACE, "--flamegraph", OUTPUT],
    &["dump", TRACE, "--perfetto", OUTPUT],
    &["dump", TRACE, "--time-filter", "20us", "--perfetto", OUTPUT],
    &["dump", TRACE, "--fxt", OUTPUT],
    &["dump", TRACE, "--ctf", OUTPUT],
    &["dump", TRACE, "--trace-dat", OUTPUT],
    &["dump", TRACE, "--uftrace", OUTPUT],
];
/// Another program, and what of aftrace does the same.
struct Other {
    /// Made of the trace for it.
    format: &'static str,
    program: &'static str,
    arguments: &'static [&'static str],
    beside: &'static str,
}

const OTHERS: [Other; 3] = [
    Other {
        format: "--trace-dat",
        program: "trace-cmd",
        arguments: &["report", OUTPUT],
        beside: "dump scale.aft --text=function_graph",
    },
    Other {
        format: "--uftrace",
        program: "uftrace",
        arguments: &["--no-pager", "replay", "-d", OUTPUT],
        beside: "replay scale.aft",
    },
    Other {
        format: "--uftrace",
        program: "uftrace",
        arguments: &["--no-pager", "report", "-d", OUTPUT],
        beside: "report scale.aft",
    },
];

/// A trace, and what works on it.
struct Scale {
    folder: tempfile::TempDir,
    program: PathBuf,
    events: u64,
}

/// Makes the trace and prints the table.
///
/// # Errors
/// The trace cannot be made, or aftrace fails on it.
pub fn run(options: &Options) -> Result<()> {
    heading("scale");
    let program = optimised()?;
    ensure_room(&options.scratch, options.events)?;
    let scale = Scale::make(program, options.events, &options.scratch)?;
    let wanted = |line: &str| {
        options
            .name
            .as_deref()
            .is_none_or(|name| line.contains(name))
    };
    let mut tally = Tally::default();
    let mut own = BTreeMap::new();
    let mut ratios = Vec::new();
    say(HEADINGS);
    for verb in VERBS {
        let line = verb.join(" ");
        if wanted(&line) {
            let measured = scale.aftrace(verb)?;
            scale.say(verb, &format!("aftrace {line}"), &measured)?;
            own.insert(line, measured);
        }
        for other in OTHERS.iter().filter(|other| verb.contains(&other.format)) {
            let line = format!("{} {}", other.program, other.arguments.join(" "));
            if !wanted(&line) {
                continue;
            }
            if !scale.output(verb).exists() {
                scale.aftrace(verb)?;
            }
            match scale.other(verb, other.program, other.arguments) {
                Ok(measured) => {
                    scale.say(verb, &line, &measured)?;
                    let beside = own.get(other.beside);
                    ratios.extend(beside.map(|own| ratio(other.beside, own, &line, &measured)));
                }
                Err(error) => tally.skip(line, format!("{error:#}")),
            }
        }
        scale.clear(verb)?;
    }
    for ratio in ratios {
        say(ratio);
    }
    tally.close();
    Ok(())
}

/// How aftrace stands to another program that does the same.
fn ratio(own: &str, measured: &Measured, other: &str, others: &Measured) -> String {
    format!(
        "{:.2} times the events a second, {:.3} times the memory: aftrace {own}, beside {other}",
        others.busy.as_secs_f64() / measured.busy.as_secs_f64(),
        measured.peak as f64 / others.peak as f64,
    )
}

/// The trace, and the largest of what it is converted to, in bytes for each event.
const ROOM: u64 = 16 + 48;

/// Says so before the disk is full, and all others' work fails.
fn ensure_room(folder: &Path, events: u64) -> Result<()> {
    let disk = statvfs(folder).with_context(|| folder.display().to_string())?;
    let free = disk.blocks_available() * disk.fragment_size();
    let needed = events * ROOM;
    ensure!(
        free >= needed,
        "{} has {} MiB free, {events} events need {}: choose another --scratch or fewer --events",
        folder.display(),
        free / MIB,
        needed / MIB
    );
    Ok(())
}

const HEADINGS: &str = "million events/s     CPU s   seconds  peak MiB  output MiB  command";

/// As a check: further events take less memory than a sixteenth of their size.
pub fn check(tally: &mut Tally) {
    /// So many that what only grows until all is known has grown: functions, paths, and of each function the buckets of its durations.
    const FEW: u64 = 700_000;
    const MANY: u64 = 1_700_000;
    /// Bytes for each further event, which is 16 in the file. In all 1 MB: four times what one program's memory differs by from run to run.
    const GROWTH: u64 = 1;
    heading("scale");
    let mut made = Vec::new();
    tally.step("traces of 700,000 and of 1,700,000 events", || {
        let program = kernel::program()?;
        for events in [FEW, MANY] {
            made.push(Scale::make(program.clone(), events, &std::env::temp_dir())?);
        }
        Ok(())
    });
    let [few, many] = &made[..] else { return };
    tally.steps(
        VERBS.to_vec(),
        |verb| format!("memory: {}", verb.join(" ")),
        |verb| {
            let peaks = [few, many].map(|scale| scale.aftrace(verb).map(|m| m.peak));
            let [before, after] = peaks;
            let (before, after) = (before?, after?);
            let most = before + GROWTH * (many.events - few.events);
            ensure!(
                after <= most,
                "{before} bytes of memory for {} events, {after} for {}, at most {most} were expected",
                few.events,
                many.events
            );
            Ok(())
        },
    );
}

fn optimised() -> Result<PathBuf> {
    let mut cargo = kernel::host_cargo();
    cargo.args([
        "build",
        "-q",
        "--release",
        "-p",
        "aftrace",
        "--message-format=json",
    ]);
    let messages = proc::text_of(&mut cargo, kernel::BUILD_LIMIT)?;
    let built = kernel::executables(&messages);
    let (_, program) = built.into_iter().next().context("no command was built")?;
    Ok(crate::setup::repo().join(program))
}

impl Scale {
    fn make(program: PathBuf, events: u64, scratch: &Path) -> Result<Self> {
        let start = Instant::now();
        let folder = tempfile::Builder::new()
            .prefix("aftrace-scale-")
            .tempdir_in(scratch)?;
        let path = folder.path().join(TRACE);
        let events = make::write(&path, events).with_context(|| path.display().to_string())?;
        let bytes = fs::metadata(&path)?.len();
        say(format!(
            "a trace of {events} events on {} cores, {} MiB, made in {}",
            make::CORES,
            bytes / MIB,
            took(start)
        ));
        Ok(Self {
            folder,
            program,
            events,
        })
    }

    /// Where a verb works: several may at the same time.
    fn place(&self, verb: &[&str]) -> PathBuf {
        self.folder.path().join(verb.join(" "))
    }

    fn output(&self, verb: &[&str]) -> PathBuf {
        self.place(verb).join(OUTPUT)
    }

    fn clear(&self, verb: &[&str]) -> Result<()> {
        let place = self.place(verb);
        if place.exists() {
            fs::remove_dir_all(place)?;
        }
        Ok(())
    }

    fn measure(&self, verb: &[&str], mut command: Command, arguments: &[&str]) -> Result<Measured> {
        for argument in arguments {
            match *argument {
                TRACE => command.arg(self.folder.path().join(TRACE)),
                OUTPUT => command.arg(self.output(verb)),
                other => command.arg(other),
            };
        }
        measure::run(&command, &self.place(verb))
    }

    fn aftrace(&self, verb: &[&str]) -> Result<Measured> {
        self.clear(verb)?;
        fs::create_dir(self.place(verb))?;
        self.measure(verb, Command::new(&self.program), verb)
    }

    fn other(&self, verb: &[&str], program: &str, arguments: &[&str]) -> Result<Measured> {
        let tool = Debian::new(&setup_dir().join("readers")).tool(program, program)?;
        self.measure(verb, tool.command()?, arguments)
    }

    fn say(&self, verb: &[&str], line: &str, measured: &Measured) -> Result<()> {
        let seconds = measured.busy.as_secs_f64();
        say(format!(
            "{:>16.2} {seconds:>9.1} {:>9.1} {:>9} {:>11}  {line}",
            self.events as f64 / seconds / 1e6,
            measured.time.as_secs_f64(),
            measured.peak.div_ceil(MIB),
            size(&self.output(verb))?.div_ceil(MIB),
        ));
        Ok(())
    }
}

/// Bytes of a file, or of the files in a folder.
fn size(path: &Path) -> Result<u64> {
    if !path.is_dir() {
        return Ok(fs::metadata(path).map_or(0, |data| data.len()));
    }
    let mut bytes = 0;
    for entry in fs::read_dir(path)? {
        bytes += entry?.metadata()?.len();
    }
    Ok(bytes)
}
