//! Boots a kernel.

use std::io::{self, BufWriter, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use aftrace::embed::{EmbedError, embed_file};
use aftrace::run;
use aftrace::trace::live::Lines;
use aftrace::trace::symbols::Naming;
use clap::Args;

use super::embed::describe;
use super::machine::{Guest, Screen, boot};
use super::output::is_no_console;
use super::select::Names;
use super::{Outcome, at, files, manual, read};

const EXAMPLES: &[&str] = &[
    "aftrace run kernel.elf -- -smp 4 -cpu cortex-a72    # QEMU's arguments behind the kernel",
    "aftrace run --location kernel.elf    # events with file and line",
    "aftrace run -o run.aft kernel.elf    # frames to a file",
];

/// Embed the names, then boot the kernel in QEMU
///
/// Runs `qemu-system-aarch64 -machine virt -cpu max -semihosting` with the terminal as the kernel's console, and without graphics and
/// default devices. Later arguments override earlier ones: `-cpu cortex-a53`, `-machine virt,gic-version=3`.
/// A kernel that reserves no space for names is booted without them.
///
/// A trace that the kernel sends between the lines of its console (docs/trace-format.md) is shown in place, a line for each event,
/// or with -o goes to a file. Ctrl-C ends QEMU; Ctrl-A C leads to its monitor and back.
///
/// As cargo's runner: `runner = "aftrace run"` in .cargo/config.toml, then `cargo run -- -smp 4`.
#[derive(Args)]
#[command(after_help = manual(EXAMPLES))]
pub struct Run {
    #[command(flatten)]
    guest: Guest,
    /// Print QEMU's command line instead of running it
    #[arg(long)]
    dry_run: bool,
    /// Write the frames to this file in place of showing them
    #[arg(short, long, value_name = "TRACE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    names: Names,
}

impl Run {
    pub fn run(&self) -> Outcome {
        let naming = self.names.naming();
        if self.output.is_some() && naming != Naming::default() {
            return Err("-o writes the frames, in which functions are addresses: leave out --short, --location, --inlined and --aliases here, and give them to `aftrace replay`".into());
        }
        if let Some(path) = &self.output {
            is_no_console(path)?;
        }
        files::open(&self.guest.kernel)?;
        match embed_file(&self.guest.kernel) {
            Ok(_) => {}
            Err(EmbedError::NoSpace { .. }) => {
                note!(
                    "aftrace: {}: no section ftrace_names, booting without names",
                    self.guest.kernel.display()
                );
            }
            Err(error) => return Err(describe(&self.guest.kernel)(error).into()),
        }
        let command = run::command(&self.guest.qemu, &self.guest.kernel, self.guest.arguments());
        if self.dry_run {
            writeln!(io::stdout(), "{command:?}")?;
            return Ok(ExitCode::SUCCESS);
        }
        let screen = match &self.output {
            Some(path) => {
                let file = files::create(path, &[&self.guest.kernel])?;
                Screen::File(path.clone(), BufWriter::new(file))
            }
            None => {
                let kernel = read(&self.guest.kernel)?;
                let lines = Lines::new(kernel, naming).map_err(at(&self.guest.kernel))?;
                Screen::Lines(Box::new(lines))
            }
        };
        boot(command, &self.guest.qemu, screen, None)
    }
}
