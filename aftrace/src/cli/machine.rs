//! What the verbs share that boot a kernel: the console on the terminal, Ctrl-C, the exit code.

use std::ffi::{OsStr, OsString, c_int};
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use aftrace::run::Machine;
use aftrace::trace::live::Lines;
use aftrace::trace::uart::Output;
use clap::Args;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;

use super::Outcome;
use super::files::writing;
use super::output::Aside;

/// As shells have it for a program that Ctrl-C ended.
pub const INTERRUPTED: u8 = 130;

/// What ends QEMU, and then the command. The handler itself notes that one came: QEMU gets the terminal's Ctrl-C, too, and may have
/// ended before any thread of this process runs.
const ENDING: [c_int; 3] = [SIGINT, SIGTERM, SIGHUP];

/// Where frames go.
pub enum Screen {
    /// To the terminal, in words.
    Lines(Box<Lines>),
    /// The same, beside a trace that comes of it: whether anybody reads them or not.
    Aside(Box<Lines>),
    /// To a file, as they are; that has what came until QEMU ended, however that was.
    File(PathBuf, BufWriter<File>),
}

/// The kernel to boot, and in what.
#[derive(Args)]
pub struct Guest {
    /// The emulator
    #[arg(
        long,
        value_name = "PATH",
        default_value = "qemu-system-aarch64",
        env = "AFTRACE_QEMU"
    )]
    pub qemu: OsString,
    /// The kernel
    pub kernel: PathBuf,
    /// Further arguments of QEMU; `--` before them is optional
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "ARGUMENTS"
    )]
    more: Vec<OsString>,
}

impl Guest {
    /// QEMU's arguments without the `--` that may stand before them.
    pub fn arguments(&self) -> &[OsString] {
        match self.more.split_first() {
            Some((first, rest)) if first == "--" => rest,
            _ => &self.more,
        }
    }
}

/// Runs QEMU to its end, or to that of its time, which is success.
pub fn boot(
    command: Command,
    qemu: &OsStr,
    mut screen: Screen,
    limit: Option<Duration>,
) -> Outcome {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in ENDING {
        flag::register(signal, Arc::clone(&interrupted))?;
    }
    let mut signals = Signals::new(ENDING)?;
    let machine = Machine::start(command).map_err(|error| {
        let qemu = qemu.to_string_lossy();
        format!("{qemu}: {error}: install qemu-system-arm, or name it with --qemu")
    })?;
    let stop = machine.stop();
    thread::spawn(move || signals.forever().for_each(|_| stop.end()));
    let over = Arc::new(AtomicBool::new(false));
    if let Some(limit) = limit {
        let (stop, over) = (machine.stop(), Arc::clone(&over));
        thread::spawn(move || {
            thread::sleep(limit);
            note!("aftrace: {} s are over, QEMU is ended", limit.as_secs());
            over.store(true, Ordering::Release);
            stop.end();
        });
    }
    let stdout = io::stdout().lock();
    let mut out: Box<dyn io::Write> = match screen {
        Screen::Lines(_) => Box::new(stdout),
        Screen::Aside(_) | Screen::File(..) => Box::new(Aside(stdout)),
    };
    let mut at_start = true;
    let mut bad = 0_u64;
    let status = machine.watch(|output| match (output, &mut screen) {
        (Output::Text(text), _) => {
            at_start = text.ends_with(b"\n");
            out.write_all(&text)?;
            out.flush()
        }
        (Output::Frame(frame), Screen::File(path, file)) => {
            let written = file.write_all(&frame);
            written.map_err(|error| io::Error::other(cut_off(path)(error)))
        }
        (Output::Frame(frame), Screen::Lines(lines) | Screen::Aside(lines)) => {
            if !std::mem::replace(&mut at_start, true) {
                writeln!(out)?;
            }
            lines.show(&frame, &mut out)?;
            out.flush()
        }
        (Output::Bad { offset, bytes }, _) => {
            bad += 1;
            note!("aftrace: at offset {offset} of the console {bytes} bytes are no frame");
            Ok(())
        }
    })?;
    match screen {
        Screen::File(path, mut file) => file.flush().map_err(cut_off(&path))?,
        Screen::Lines(lines) | Screen::Aside(lines) if lines.passed_over > 0 => {
            note!("aftrace: {} frames could not be shown", lines.passed_over);
        }
        Screen::Lines(_) | Screen::Aside(_) => {}
    }
    let (interrupted, over) = (
        interrupted.load(Ordering::Acquire),
        over.load(Ordering::Acquire),
    );
    // Where the kernel was in the middle of a line, what follows begins one of its own, if anybody listens.
    if (interrupted || over) && !at_start {
        let _ = writeln!(out);
    }
    if interrupted {
        return Ok(ExitCode::from(INTERRUPTED));
    }
    if over {
        return Ok(ExitCode::SUCCESS);
    }
    Ok(status.code().map_or(ExitCode::FAILURE, |code| {
        ExitCode::from(code.clamp(0, 255) as u8)
    }))
}

/// What was written until then stays.
fn cut_off(path: &Path) -> impl Fn(io::Error) -> String {
    move |error| {
        format!(
            "{}; the trace is cut off there, and can be read",
            writing(path)(error)
        )
    }
}
