//! Child processes: run, capture, and stop those that take too long.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use wait_timeout::ChildExt as _;

/// This program's file. `cargo test` may have replaced the one that it was started from.
///
/// # Errors
/// The system does not say.
pub fn this_program() -> Result<PathBuf> {
    // Linux keeps the running file readable here, also when its name is gone. A child finds it too: until it is another
    // program, it is this one.
    let running = PathBuf::from("/proc/self/exe");
    match running.exists() {
        true => Ok(running),
        false => Ok(std::env::current_exe()?),
    }
}

/// The command line as a person would type it, environment left out.
#[must_use]
pub fn line(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        let _ = write!(text, " {}", argument.to_string_lossy());
    }
    text
}

/// What a captured command left behind.
#[derive(Debug)]
pub struct Captured {
    /// Whether it ended by itself with exit code 0.
    pub ok: bool,
    /// Its exit code, where it ended by itself.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Captured {
    /// Both streams' last lines, for an error message.
    #[must_use]
    pub fn tail(&self, lines: usize) -> String {
        let all: Vec<&str> = self.stdout.lines().chain(self.stderr.lines()).collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}

/// Runs with the terminal's own streams.
///
/// # Errors
/// When it cannot be started or does not exit with 0.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot start `{}`", line(command)))?;
    if !status.success() {
        bail!("`{}` ended with {status}", line(command));
    }
    Ok(())
}

/// Runs without input, keeps both streams, and stops the command after `limit`.
///
/// # Errors
/// When it cannot be started. An exit code other than 0 is no error here: look at `ok`.
pub fn capture(command: &mut Command, limit: Duration) -> Result<Captured> {
    let shown = line(command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{shown}`"))?;
    let mut out = child.stdout.take().context("no stdout")?;
    let mut err = child.stderr.take().context("no stderr")?;
    let read_out = thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = out.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    });
    let read_err = thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = err.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    });
    let status = child
        .wait_timeout(limit)
        .with_context(|| format!("cannot wait for `{shown}`"))?;
    if status.is_none() {
        child.kill().ok();
        child.wait().ok();
        // A grandchild may hold the pipes open for long: what was read so far is not worth waiting for.
        return Ok(Captured {
            ok: false,
            code: None,
            stdout: String::new(),
            stderr: format!("stopped after {} s", limit.as_secs()),
        });
    }
    let mut stderr = read_err.join().unwrap_or_default();
    // A command that is killed from outside says nothing itself.
    if let Some(status) = status
        && status.code().is_none()
    {
        stderr.push_str(&format!("\nended with {status}\n"));
    }
    Ok(Captured {
        ok: status.is_some_and(|status| status.success()),
        code: status.and_then(|status| status.code()),
        stdout: read_out.join().unwrap_or_default(),
        stderr,
    })
}

/// Standard output of a command that has to succeed.
///
/// # Errors
/// When it cannot be started, fails, or takes longer than `limit`; with its last lines.
pub fn text_of(command: &mut Command, limit: Duration) -> Result<String> {
    let captured = capture(command, limit)?;
    if !captured.ok {
        bail!("`{}` failed:\n{}", line(command), captured.tail(20));
    }
    Ok(captured.stdout)
}

/// Where `program` stands in PATH.
#[must_use]
pub fn which(program: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn a_command_that_hangs_is_stopped() {
        let start = Instant::now();
        let captured =
            capture(Command::new("sleep").arg("30"), Duration::from_millis(200)).unwrap();
        assert!(!captured.ok && captured.stderr == "stopped after 0 s");
        assert!(start.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn a_command_that_is_killed_is_said_to_be() {
        let mut command = Command::new("sh");
        command.args(["-c", "kill -9 $$"]);
        let captured = capture(&mut command, Duration::from_secs(10)).unwrap();
        assert!(!captured.ok && captured.stderr.contains("signal: 9"));
    }

    #[test]
    fn a_failure_shows_the_last_lines() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo one; echo two >&2; exit 3"]);
        let error = text_of(&mut command, Duration::from_secs(10)).unwrap_err();
        assert!(error.to_string().ends_with("one\ntwo"), "{error}");
    }
}
