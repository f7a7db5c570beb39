//! Boots a kernel on QEMU's `virt` machine, collects its console and says how it ended.

use std::fmt;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::proc;
use crate::setup::emulator::PROGRAM;

/// A kernel that prints without end is stopped here.
const CONSOLE_LIMIT: usize = 8 << 20;

/// The machine to boot on.
#[derive(Clone, Debug)]
pub struct Machine {
    /// CPU model.
    pub cpu: String,
    /// Cores.
    pub cores: u32,
    /// Version of the interrupt controller.
    pub gic: u32,
    /// Memory, as QEMU writes it.
    pub memory: String,
    /// The file that is the memory: what is in it stays there from one machine to the next.
    pub ram: Option<PathBuf>,
    /// All cores take turns in one thread of the emulator.
    pub single: bool,
    /// One instruction is one nanosecond of the guest's time.
    pub icount: bool,
    /// The machine has EL2, and the kernel is entered there.
    pub virtualization: bool,
    /// A reset by the kernel boots it again, and does not end QEMU.
    pub reboot: bool,
    /// The semihosting command line, word by word.
    pub words: Vec<String>,
    /// Stopped after this.
    pub limit: Duration,
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            cpu: "cortex-a72".to_owned(),
            cores: 1,
            gic: 3,
            memory: "256M".to_owned(),
            ram: None,
            single: false,
            icount: false,
            virtualization: false,
            reboot: false,
            words: Vec::new(),
            limit: Duration::from_secs(60),
        }
    }
}

/// How a boot ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The kernel left through semihosting, or QEMU gave up, with this code.
    Exit(i32),
    /// The kernel of a board said that it has ended, with this code.
    Parked(i32),
    /// A signal ended QEMU.
    Signal,
    /// It took too long.
    Timeout(Duration),
    /// It printed more than any kernel should.
    Flood,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(code) => write!(f, "exit code {code}"),
            Self::Parked(code) => write!(f, "parked, code {code}"),
            Self::Signal => write!(f, "ended by a signal"),
            Self::Timeout(limit) => write!(f, "no end after {} s", limit.as_secs()),
            Self::Flood => write!(f, "more than {} MiB on the console", CONSOLE_LIMIT >> 20),
        }
    }
}

/// A boot that is over.
#[derive(Debug)]
pub struct Finished {
    /// What came over the UART, as text.
    pub console: String,
    /// The same, byte for byte.
    pub bytes: Vec<u8>,
    /// What QEMU itself complained of.
    pub complaint: String,
    /// The end.
    pub outcome: Outcome,
    /// How long it took.
    pub time: Duration,
}

impl Finished {
    /// The outcome with the last lines of the console, for a failure.
    #[must_use]
    pub fn explain(&self) -> String {
        let lines: Vec<&str> = self.console.lines().collect();
        let last = &lines[lines.len().saturating_sub(15)..];
        let mut text = format!("{}; the console ends with:\n{}", self.outcome, indent(last));
        if last.is_empty() {
            text = format!("{}; nothing on the console", self.outcome);
        }
        if !self.complaint.trim().is_empty() {
            let lines: Vec<&str> = self.complaint.lines().take(5).collect();
            text.push_str("\n  QEMU says:\n");
            text.push_str(&indent(&lines));
        }
        text
    }
}

fn indent(lines: &[&str]) -> String {
    let lines: Vec<String> = lines.iter().map(|line| format!("  | {line}")).collect();
    lines.join("\n")
}

/// What is typed at the kernel's prompt.
#[derive(Clone, Copy, Debug)]
pub struct Script<'a> {
    /// The prompt that is waited for, at the start of a line.
    pub prompt: &'a str,
    /// One line for each prompt.
    pub lines: &'a [String],
}

/// The command line for a kernel.
#[must_use]
pub fn command(machine: &Machine, elf: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    let mut semihosting = "enable=on,target=native".to_owned();
    for word in &machine.words {
        semihosting.push_str(",arg=");
        semihosting.push_str(word);
    }
    command
        .arg("-machine")
        .arg(format!(
            "virt,gic-version={}{}{}",
            machine.gic,
            if machine.virtualization {
                ",virtualization=on"
            } else {
                ""
            },
            if machine.ram.is_some() {
                ",memory-backend=ram"
            } else {
                ""
            }
        ))
        .args(["-cpu", &machine.cpu, "-m", &machine.memory])
        .arg("-smp")
        .arg(machine.cores.to_string())
        .args(["-display", "none", "-monitor", "none", "-serial", "stdio"])
        .arg("-nodefaults")
        .arg("-semihosting-config")
        .arg(semihosting);
    if let Some(file) = &machine.ram {
        command.arg("-object").arg(format!(
            "memory-backend-file,id=ram,share=on,size={},mem-path={}",
            machine.memory,
            file.display()
        ));
    }
    if !machine.reboot {
        command.arg("-no-reboot");
    }
    if machine.single {
        command.args(["-accel", "tcg,thread=single"]);
    }
    if machine.icount {
        command.args(["-icount", "shift=0"]);
    }
    command.arg("-kernel").arg(elf);
    command
}

/// Boots, feeds the script, waits for the end.
///
/// # Errors
/// When QEMU cannot be started. How the kernel ended is in the result.
pub fn boot(machine: &Machine, elf: &Path, script: Option<Script>) -> Result<Finished> {
    watch(command(machine, elf), machine.limit, script)
}

/// Runs a command line of QEMU's until it ends, or its kernel says so, or the time is over.
///
/// # Errors
/// As [`boot`].
pub fn watch(mut command: Command, limit: Duration, script: Option<Script>) -> Result<Finished> {
    let start = Instant::now();
    let shown = proc::line(&command);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{shown}`"))?;
    let mut stdout = child.stdout.take().context("no stdout")?;
    let mut stderr = child.stderr.take().context("no stderr")?;
    let mut stdin = child.stdin.take().context("no stdin")?;
    let (send, receive) = mpsc::channel::<Vec<u8>>();
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = stdout.read(&mut buffer) {
            if send.send(buffer[..count].to_vec()).is_err() {
                break;
            }
        }
    });
    let complaint = thread::spawn(move || {
        let mut text = Vec::new();
        let _ = stderr.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    });

    let mut typist = script.map(Typist::new);
    let mut bytes = Vec::new();
    let outcome = loop {
        let Some(left) = limit.checked_sub(start.elapsed()) else {
            break Outcome::Timeout(limit);
        };
        match receive.recv_timeout(left) {
            Ok(chunk) => {
                bytes.extend_from_slice(&chunk);
                if bytes.len() > CONSOLE_LIMIT {
                    break Outcome::Flood;
                }
                if let Some(code) = parked(&bytes) {
                    break Outcome::Parked(code);
                }
                if let Some(line) = typist.as_mut().and_then(|typist| typist.next(&bytes)) {
                    // A kernel that has left reads no more: its exit code tells, not the broken pipe.
                    let _ = stdin.write_all(line.as_bytes());
                    let _ = stdin.flush();
                }
            }
            Err(RecvTimeoutError::Timeout) => break Outcome::Timeout(limit),
            Err(RecvTimeoutError::Disconnected) => {
                let status = child.wait().context("cannot wait for QEMU")?;
                break status.code().map_or(Outcome::Signal, Outcome::Exit);
            }
        }
    };
    stop(&mut child);
    Ok(Finished {
        console: String::from_utf8_lossy(&bytes).replace('\r', ""),
        bytes,
        complaint: complaint.join().unwrap_or_default(),
        outcome,
        time: start.elapsed(),
    })
}

/// The code in the last line of a board's kernel (`leave` in examples/virt/boards/raspberry.rs), which cannot end QEMU.
fn parked(console: &[u8]) -> Option<i32> {
    let last = console
        .strip_suffix(b"\n")?
        .rsplit(|byte| *byte == b'\n')
        .next()?;
    let rest = std::str::from_utf8(last)
        .ok()?
        .strip_prefix("board: done, code ")?;
    rest.split(';').next()?.parse().ok()
}

fn stop(child: &mut Child) {
    if matches!(child.try_wait(), Ok(None)) {
        child.kill().ok();
        child.wait().ok();
    }
}

/// Types one line for each prompt that appears.
struct Typist<'a> {
    script: Script<'a>,
    typed: usize,
    seen: usize,
}

impl<'a> Typist<'a> {
    fn new(script: Script<'a>) -> Self {
        Self {
            script,
            typed: 0,
            seen: 0,
        }
    }

    /// The next line, when the console now ends with a fresh prompt.
    fn next(&mut self, console: &[u8]) -> Option<String> {
        let fresh = console.get(self.seen..)?;
        let prompt = self.script.prompt.as_bytes();
        let at_line_start = || {
            let before = console.len() - prompt.len();
            before == 0 || console[before - 1] == b'\n' || console[before - 1] == b'\r'
        };
        if !fresh.ends_with(prompt) || !at_line_start() {
            return None;
        }
        let line = self.script.lines.get(self.typed)?;
        self.typed += 1;
        self.seen = console.len();
        Some(format!("{line}\r"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_has_what_was_asked_for() {
        let machine = Machine {
            cpu: "max".into(),
            cores: 2,
            icount: true,
            virtualization: true,
            words: vec!["insns".into(), "x".into()],
            ram: Some("/r".into()),
            ..Machine::default()
        };
        let line = proc::line(&command(&machine, Path::new("/k")));
        assert!(
            line.contains("-cpu max")
                && line.contains("-smp 2")
                && line.contains("virt,gic-version=3,virtualization=on,memory-backend=ram")
                && line.contains("id=ram,share=on,size=256M,mem-path=/r"),
            "{line}"
        );
        assert!(line.contains("target=native,arg=insns,arg=x"), "{line}");
        assert!(
            line.contains("-icount shift=0") && line.ends_with("-kernel /k"),
            "{line}"
        );
    }

    #[test]
    fn a_board_has_ended_when_its_last_line_is_complete() {
        assert_eq!(parked(b"x\r\nboard: done, code 0; this core"), None);
        assert_eq!(parked(b"x\r\nboard: done, code 101; parked\r\n"), Some(101));
        assert_eq!(parked(b"not board: done, code 0; parked\r\n"), None);
        assert_eq!(parked(b"board: done, code 0; parked\r\nmore\r\n"), None);
    }

    #[test]
    fn a_line_is_typed_for_each_prompt_and_not_for_its_echo() {
        let lines = ["help".to_owned(), "exit".to_owned()];
        let mut typist = Typist::new(Script {
            prompt: "> ",
            lines: &lines,
        });
        assert_eq!(typist.next(b"boot"), None);
        assert_eq!(typist.next(b"boot\n> "), Some("help\r".into()));
        assert_eq!(typist.next(b"boot\n> "), None);
        assert_eq!(typist.next(b"boot\n> help\na > "), None);
        assert_eq!(
            typist.next(b"boot\n> help\na > b\n> "),
            Some("exit\r".into())
        );
        assert_eq!(typist.next(b"boot\n> help\na > b\n> exit\n> "), None);
    }
}
