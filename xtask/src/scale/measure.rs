//! How long a program takes, and how much memory it holds at most.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use wait_timeout::ChildExt as _;

use crate::proc;

/// Set by [`run`]: the file for what is found.
const REPORT: &str = "AFTRACE_MEASURE";
/// No program takes longer.
const LIMIT: Duration = Duration::from_secs(3600);

/// What a program took.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    pub time: Duration,
    /// Of that, on a processor.
    pub busy: Duration,
    /// Bytes that were resident at most.
    pub peak: u64,
}

/// Runs as the parent of the one program that is measured, when the variable says so: what the system knows of a process's
/// children is the most that any of them held.
#[must_use]
pub fn as_parent() -> Option<ExitCode> {
    let report = std::env::var_os(REPORT)?;
    let mut arguments = std::env::args_os().skip(1);
    let program = arguments.next().context("called without a program");
    let measured = program.and_then(|program| {
        let mut command = Command::new(program);
        observe(command.args(arguments).env_remove(REPORT))
    });
    let done = measured.and_then(|measured| {
        let Measured { time, busy, peak } = measured;
        let text = format!("{} {} {peak}", time.as_nanos(), busy.as_nanos());
        Ok(fs::write(report, text)?)
    });
    Some(match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    })
}

fn observe(command: &mut Command) -> Result<Measured> {
    /// Linux's unit of `ru_maxrss` (getrusage(2)).
    const UNIT: u64 = 1024;
    let start = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
    let Some(status) = child.wait_timeout(LIMIT)? else {
        child.kill()?;
        child.wait()?;
        bail!("stopped after {} s", LIMIT.as_secs());
    };
    let time = start.elapsed();
    if !status.success() {
        bail!("ended with {status}");
    }
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let busy = [usage.user_time(), usage.system_time()];
    Ok(Measured {
        time,
        busy: busy
            .iter()
            .map(|t| Duration::from_micros(t.num_microseconds() as u64))
            .sum(),
        peak: u64::try_from(usage.max_rss())? * UNIT,
    })
}

/// Runs the program, its output thrown away.
///
/// # Errors
/// It cannot be started, fails, or takes too long; with what it says.
pub fn run(command: &Command, folder: &Path) -> Result<Measured> {
    let report = folder.join("measured");
    let mut parent = Command::new(proc::this_program()?);
    // The program's own environment is not its parent's: libraries of another system are not for xtask.
    parent.arg("env");
    for (name, value) in command.get_envs() {
        let mut pair = name.to_os_string();
        pair.push("=");
        pair.push(value.unwrap_or_default());
        parent.arg(pair);
    }
    parent.arg(command.get_program()).args(command.get_args());
    let captured = proc::capture(parent.env(REPORT, &report), 2 * LIMIT)?;
    if !captured.ok {
        bail!("`{}`: {}", proc::line(command), captured.tail(20));
    }
    let text = fs::read_to_string(&report)?;
    let numbers: Vec<u64> = text
        .split(' ')
        .map(str::parse)
        .collect::<Result<_, _>>()
        .context("no measurement")?;
    let [time, busy, peak] = numbers[..] else {
        bail!("no measurement: {text}");
    };
    Ok(Measured {
        time: Duration::from_nanos(time),
        busy: Duration::from_nanos(busy),
        peak,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_timed_and_its_failure_told() {
        // The program that measures is xtask, which tests are not.
        let measured = observe(Command::new("sleep").arg("0.05")).unwrap();
        assert!(measured.time >= Duration::from_millis(50));
        assert!(measured.busy < measured.time, "{measured:?}");
        assert!((64 << 10..1 << 30).contains(&measured.peak), "{measured:?}");
        let error = observe(&mut Command::new("false")).unwrap_err();
        assert!(error.to_string().contains("exit status: 1"), "{error}");
    }
}
