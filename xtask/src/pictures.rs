//! `cargo xtask pictures`: the README's pictures, by the commands that it gives. The timeline is drawn here of what Perfetto's own trace
//! processor says of the file that `aftrace dump --perfetto` has written; it is no picture of Perfetto's page, which takes a browser.

mod timeline;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::demo::build;
use crate::kernel::{self, Profile, Target};
use crate::proc;
use crate::setup::{Ready, repo, setup_dir};
use crate::test::readers::perfetto::{ask, engine};
use crate::ui::say;

/// What is typed at the demo's prompt.
const TYPED: &str = "wait 100\nexit\n";
pub const RECORDED: [&str; 2] = ["demo::*", "alloc::*"];
/// What waits most of the time, each tick of the timer, and a stack of 4 MiB that is filled: beside them the rest is too small to see.
pub const LEFT_OUT: [&str; 6] = [
    "demo::sched::reschedule",
    "demo::sched::after_interrupt",
    "demo::sched::on_tick",
    "demo::sched::spawn",
    "demo::input::next",
    "demo::shell::commands::wait",
];
/// An instruction is a nanosecond: how busy the host is does not show.
const MACHINE: [&str; 6] = ["-cpu", "cortex-a72", "-m", "256M", "-icount", "shift=0"];
const LIMIT: Duration = Duration::from_secs(120);
/// A picture has no more bytes than this.
const BYTES_MAX: usize = 200 << 10;
pub const FLAMEGRAPH: &str = "boot-flamegraph.svg";
pub const TIMELINE: &str = "boot-timeline.svg";
/// Thread, depth, name, start, duration, of all calls that have returned; and how many there are.
const QUERIES: [&str; 1] = [
    "select thread.name, s.depth, s.name, s.ts, s.dur from slice s join thread_track t on s.track_id = t.id join thread using (utid) \
     where s.dur >= 0 order by s.ts, s.depth",
];

/// Makes them in docs/pictures.
///
/// # Errors
/// What stops a command, or that there is no Node or no trace processor.
pub fn run(ready: &Ready) -> Result<()> {
    let folder = repo().join("docs/pictures");
    fs::create_dir_all(&folder)?;
    make(ready, &kernel::program()?, &folder)?;
    for name in [FLAMEGRAPH, TIMELINE] {
        say(format!("docs/pictures/{name}"));
    }
    Ok(())
}

/// Makes them in a folder, with this `aftrace`.
///
/// # Errors
/// As [`run`].
pub fn make(ready: &Ready, aftrace: &Path, folder: &Path) -> Result<()> {
    let kernel = build(ready, "demo", Target::Softfloat, Profile::Release)?;
    let scratch = tempfile::tempdir()?;
    let at = |name: &str| scratch.path().join(name);
    let (trace, perfetto) = (Path::new("boot.aft"), at("boot.pftrace"));
    let mut record = Command::new(aftrace);
    // Far more than it takes: a kernel that does not end does not stop the test.
    record.args(["record", "--time", "60", "-o"]).arg(trace);
    for glob in RECORDED {
        record.args(["--graph", glob]);
    }
    for glob in LEFT_OUT {
        record.args(["--notrace", glob]);
    }
    record
        .arg(&kernel.elf)
        .arg("--")
        .args(MACHINE)
        .current_dir(scratch.path());
    typed(&mut record, TYPED)?;
    let dump = |form: &str, out: &Path| {
        let mut dump = Command::new(aftrace);
        dump.args(["dump", form])
            .arg(out)
            .arg(trace)
            .current_dir(scratch.path());
        proc::text_of(&mut dump, LIMIT)
    };
    let flamegraph = folder.join(FLAMEGRAPH);
    dump("--flamegraph", &flamegraph)?;
    dump("--perfetto", &perfetto)?;
    let readers = setup_dir().join("readers");
    fs::create_dir_all(&readers)?;
    let rows = ask(&engine(&readers)?, &[perfetto], &QUERIES)?;
    let slices = slices(rows.first().context("no answer")?)?;
    let timeline = folder.join(TIMELINE);
    fs::write(&timeline, timeline::svg(&slices))?;
    for path in [flamegraph, timeline] {
        is_small(&path)?;
    }
    Ok(())
}

fn is_small(path: &PathBuf) -> Result<()> {
    let bytes = fs::read(path)?.len();
    ensure!(bytes < BYTES_MAX, "{}: {bytes} bytes", path.display());
    Ok(())
}

/// Runs it with the kernel's console on its own, and types.
///
/// # Errors
/// It cannot be started, or does not end well.
pub fn typed(command: &mut Command, text: &str) -> Result<()> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut line = child.stdin.take().context("no line")?;
    line.write_all(text.as_bytes())?;
    // It stays open: the end of the text is not the end of the kernel.
    let done = child.wait_with_output()?;
    drop(line);
    ensure!(
        done.status.success(),
        "{}: {}",
        proc::line(command),
        String::from_utf8_lossy(&done.stderr)
    );
    Ok(())
}

/// A call, as the trace processor has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Slice {
    thread: String,
    depth: u32,
    name: String,
    /// Nanoseconds.
    start: f64,
    duration: f64,
}

fn slices(rows: &[Value]) -> Result<Vec<Slice>> {
    let slice = |row: &Value| {
        Some(Slice {
            thread: row[0].as_str()?.to_owned(),
            depth: row[1].as_u64()? as u32,
            name: row[2].as_str()?.to_owned(),
            start: row[3].as_f64()?,
            duration: row[4].as_f64()?,
        })
    };
    let all: Option<Vec<_>> = rows.iter().map(slice).collect();
    let all = all.context("rows of other columns")?;
    ensure!(!all.is_empty(), "no call has returned");
    Ok(all)
}
