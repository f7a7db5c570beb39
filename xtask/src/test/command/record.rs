//! `aftrace record`: the filters are in force from boot on, whichever way the kernel is told, and the trace is there however it ends.

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};

use super::Subject;
use crate::proc::Captured;

/// What the kernel's calls are, as `dump --text function` shows them: FUNCTION and ENTRY events.
const CALLS: [&str; 4] = ["pick", "open", "read", "read"];
const FILTERS: [&str; 6] = [
    "--function",
    "*::sched::*",
    "--graph",
    "*::fs::*",
    "--notrace",
    "*::idle",
];
const MACHINE: [&str; 3] = ["--", "-cpu", "neoverse-n1"];

fn record(
    subject: &Subject,
    kernel: &Path,
    trace: &Path,
    before: &[&str],
    behind: &[&str],
) -> Result<Captured> {
    let mut arguments: Vec<&Path> = before.iter().map(Path::new).collect();
    arguments.extend([Path::new("-o"), trace, kernel]);
    arguments.extend(behind.iter().map(Path::new));
    subject.run("record", &arguments)
}

/// The functions that were called, in order, and how many returns there are.
fn seen(subject: &Subject, trace: &Path) -> Result<(Vec<String>, usize)> {
    let dump = |tracer: &str| subject.run("dump", &[trace, Path::new(tracer)]);
    let (calls, graph) = (dump("--text=function")?, dump("--text=function_graph")?);
    ensure!(calls.ok && graph.ok, "{}{}", calls.tail(10), graph.tail(10));
    let name = |line: &str| {
        let (path, _) = line.rsplit_once(": ")?.1.split_once(" <-")?;
        Some(path.rsplit("::").next()?.to_owned())
    };
    let returns = |line: &&str| {
        let ends = ["();", "} /*"];
        ends.iter().any(|end| line.contains(end)) || line.trim_end().ends_with('}')
    };
    Ok((
        calls.stdout.lines().filter_map(name).collect(),
        graph.stdout.lines().filter(returns).count(),
    ))
}

/// In the image, then in the device tree; by paths as they are, and by such as lack the crate; the kernel's own file stays as it was.
pub fn from_boot_on(subject: &Subject) -> Result<()> {
    let kernel = &subject.boot.elf;
    let file = fs::read(kernel)?;
    let bare = FILTERS.map(|filter| match filter {
        "*::idle" => "sched::idle",
        filter => filter.trim_start_matches("*::"),
    });
    let ways: [(&[&str], &[&str], &str); 3] = [
        (&FILTERS, &[], "told by the image"),
        (&FILTERS, &["--bootargs"], "told by the device tree"),
        (&bare, &["--notrace", "no::such"], "told by the image"),
    ];
    for (filters, more, said) in ways {
        let trace = subject.path("boot.aft");
        let done = record(subject, kernel, &trace, &[filters, more].concat(), &MACHINE)?;
        let taken = done.stderr.matches("matches no function's name").count();
        ensure!(
            taken == if filters == bare { 4 } else { 0 },
            "{taken}: {}",
            done.tail(20)
        );
        ensure!(
            done.code == Some(0) && done.stdout.contains(said),
            "{more:?}: {:?}: {}",
            done.code,
            done.tail(20)
        );
        let (calls, returns) = seen(subject, &trace)?;
        ensure!(
            calls == CALLS && returns == 3,
            "{more:?}: {calls:?}, {returns} returns"
        );
        fs::remove_file(&trace)?;
    }
    ensure!(
        fs::read(kernel)? == file,
        "the kernel's own file was changed"
    );
    Ok(())
}

/// What the graph is told besides patterns: the functions that are entered then, and how many returns there are.
pub fn graph_is_limited(subject: &Subject) -> Result<()> {
    const BOTH: [&str; 4] = ["--graph", "*::fs::*", "--graph", "*::sched::*"];
    let cases: [(&[&str], &[&str], usize); 6] = [
        (&[], &["pick", "idle", "open", "read", "read"], 5),
        (&["--depth", "1"], &["pick", "idle", "open"], 3),
        (&["--roots", "*::fs::open"], &["open", "read", "read"], 3),
        (&["--graph-notrace", "*::fs::open"], &["pick", "idle"], 2),
        (&["--time-filter", "1ns"], &[], 5),
        (&["--time-filter", "100s"], &[], 0),
    ];
    let trace = subject.path("limited.aft");
    for (options, calls, returns) in cases {
        let arguments = [&BOTH[..], options].concat();
        let done = record(subject, &subject.boot.elf, &trace, &arguments, &MACHINE)?;
        ensure!(done.code == Some(0), "{options:?}: {}", done.tail(20));
        let found = seen(subject, &trace)?;
        ensure!(
            found.0 == calls && found.1 == returns,
            "{options:?}: {found:?}"
        );
        fs::remove_file(&trace)?;
    }
    let values = [&BOTH[..], &["--arguments", "2", "--result", "--bootargs"]].concat();
    record(subject, &subject.boot.elf, &trace, &values, &MACHINE)?;
    let dump = subject.run("dump", &[&trace, Path::new("--text=function_graph")])?;
    // read(3) returns 6; what is in x1 it does not say.
    let read = |line: &str| line.contains("::read(0x3, 0x") && line.contains("= 0x6 ");
    ensure!(dump.stdout.lines().any(read), "{}", dump.tail(20));
    Ok(())
}

/// The trace of a kernel that hangs is there when the time is over; what cannot be told is refused before anything is booted.
pub fn ends_and_refuses(subject: &Subject) -> Result<()> {
    let trace = subject.path("ended.aft");
    let hang = [
        &MACHINE[..],
        &["-semihosting-config", "enable=on,target=native,arg=hang"],
    ]
    .concat();
    let done = record(
        subject,
        &subject.boot.elf,
        &trace,
        &[&FILTERS[..], &["--time", "3"]].concat(),
        &hang,
    )?;
    ensure!(
        done.code == Some(0) && done.stderr.contains("3 s are over"),
        "{}",
        done.tail(20)
    );
    let (calls, _) = seen(subject, &trace)?;
    ensure!(calls == CALLS, "{calls:?}");
    fs::remove_file(&trace)?;
    let refusals: [(&Path, &[&str], &str); 8] = [
        (
            &subject.boot.elf,
            &["--graph", "a", "--depth", "0"],
            "1 to 65536",
        ),
        (
            &subject.boot.elf,
            &["--function", "a", "--depth", "1"],
            "--graph <GLOB>",
        ),
        (
            &subject.boot.elf,
            &["--graph", "a", "--arguments", "1", "--time-filter", "1us"],
            "cannot be used with",
        ),
        (&subject.other.elf, &FILTERS, "reserve_boot_config!"),
        (&subject.boot.elf, &[], "nothing to record"),
        (
            &subject.boot.elf,
            &["--graph", "fs::*", "--roots", "fs::opne"],
            "--roots \"fs::opne\" matches no function's name: is it ",
        ),
        (
            &subject.boot.elf,
            &["--function", "!idle", "--graph", "no::such"],
            "--graph \"no::such\" matches no function's name; `aftrace symbols` lists all",
        ),
        (
            &subject.boot.elf,
            &["--graph", "[a"],
            "the pattern of the option at byte 0",
        ),
    ];
    for (kernel, filters, why) in refusals {
        let refused = record(subject, kernel, &trace, filters, &MACHINE)?;
        ensure!(
            refused.code == Some(2)
                && refused.stderr.contains(why)
                && refused.stdout.lines().count() == 0,
            "{filters:?}: {}",
            refused.tail(20)
        );
        ensure!(!trace.exists(), "a trace was written all the same");
    }
    Ok(())
}
