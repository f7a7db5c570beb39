//! `aftrace run`: what it shows, how it ends.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use wait_timeout::ChildExt as _;

use super::{HELD, LAST, Subject, TASK};
use crate::proc;

/// How long Ctrl-C may take.
const END: Duration = Duration::from_secs(30);
/// Calls that the kernel has recorded when it sends: a thousand of `tick`, then one of `take_the_lock`, which calls `tick` once more.
const CALLS: usize = 1002;
const KERNEL_SAYS: [&str; 2] = ["text before the frames", "text behind the frames"];

fn command(subject: &Subject, before: &[&Path], word: &str) -> Command {
    let mut command = Command::new(&subject.program);
    command
        .arg("run")
        .args(before)
        .arg(&subject.kernel.elf)
        .args(["--", "-cpu", "neoverse-n1", "-m", "256M"])
        .arg("-semihosting-config")
        .arg(format!("enable=on,target=native,arg={word}"))
        .current_dir(subject.folder.path());
    command
}

/// The events stand where the kernel sent them, behind the number of those that were overwritten before; the text around them is whole, and the exit code is the kernel's; or they are in a
/// file, and the text alone is shown.
pub fn shows_events(subject: &Subject) -> Result<()> {
    let shown = proc::capture(&mut command(subject, &[], "send"), super::LIMIT)?;
    ensure!(
        shown.code == Some(7),
        "{:?}: {}",
        shown.code,
        shown.tail(20)
    );
    let lines: Vec<&str> = shown.stdout.lines().map(str::trim_end).collect();
    let place = |text: &str| lines.iter().position(|line| *line == text);
    let (Some(before), Some(behind)) = (place(KERNEL_SAYS[0]), place(KERNEL_SAYS[1])) else {
        anyhow::bail!("the kernel's text is not whole:\n{}", shown.tail(20));
    };
    // Its last call comes after the frames.
    let short = |line: &&str| {
        let (function, caller) = line.rsplit_once("] ")?.1.split_once(" <- ")?;
        let short = |path: &str| path.rsplit("::").next().unwrap_or_default().to_owned();
        Some(format!("{} <-{}", short(function), short(caller)))
    };
    let events: Vec<String> = lines[before + 1..behind].iter().filter_map(short).collect();
    ensure!(
        lines[before + 1] == format!("[ core 0 ] {} events lost", CALLS - HELD)
            && events.len() == HELD
            // And the line that says which task runs.
            && behind - before == HELD + 3
            && lines[before..behind].iter().any(|line| line.contains(TASK))
            && events.ends_with(&[LAST[0].to_owned(), LAST[1].to_owned()]),
        "{:?}, then {} events in {} lines; the last: {:?}",
        lines[before + 1],
        events.len(),
        behind - before - 1,
        events.last()
    );
    let located = proc::capture(
        &mut command(subject, &[Path::new("--location")], "send"),
        super::LIMIT,
    )?;
    let places = format!("{}.rs:", super::GUEST);
    let placed = located.stdout.lines();
    let placed = placed.filter(|line| line.matches(&places).count() == 2);
    ensure!(placed.count() == HELD, "--location: {}", located.tail(5));
    let trace = subject.path("run.aft");
    let kept = proc::capture(
        &mut command(subject, &[Path::new("-o"), &trace], "send"),
        super::LIMIT,
    )?;
    ensure!(
        kept.code == Some(7)
            && !kept.stdout.contains("[ core")
            && kept.stdout.contains(KERNEL_SAYS[1]),
        "-o: {}",
        kept.tail(20)
    );
    let dump = [
        &trace,
        Path::new("--elf"),
        &subject.kernel.elf,
        Path::new("--text=function"),
    ];
    let dumped = subject.run("dump", &dump)?;
    let calls = dumped
        .stdout
        .lines()
        .filter(|line| line.contains(" <-"))
        .count();
    ensure!(
        dumped.ok && calls == HELD,
        "{calls} in the file: {}",
        dumped.tail(5)
    );
    Ok(())
}

/// The terminal sends SIGINT to all in the foreground; somebody else may send it to the command alone. QEMU ends either way, and is
/// waited for.
pub fn ends(subject: &Subject) -> Result<()> {
    for group in [true, false] {
        let mut command = command(subject, &[], "hang");
        let mut child = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let out = BufReader::new(child.stdout.take().context("no stdout")?);
        let said = out
            .lines()
            .map_while(Result::ok)
            .any(|line| line.contains("now it hangs"));
        let whom = format!("{}{}", if group { "-" } else { "" }, child.id());
        let sent = Command::new("kill").args(["-INT", "--", &whom]).status()?;
        let status = child.wait_timeout(END)?;
        if status.is_none() {
            let all = format!("-{}", child.id());
            Command::new("kill").args(["-KILL", "--", &all]).status()?;
            child.wait()?;
        }
        let code = status.and_then(|status| status.code());
        ensure!(
            said && sent.success() && code == Some(130),
            "SIGINT to {whom}: hung {said}, exit code {code:?} where 130 was expected"
        );
        let left = Command::new("kill")
            .args(["-0", "--", &format!("-{}", child.id())])
            .stderr(Stdio::null())
            .status()?;
        ensure!(
            !left.success(),
            "something of the group {} is left",
            child.id()
        );
    }
    Ok(())
}
