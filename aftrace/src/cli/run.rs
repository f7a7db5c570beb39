//! Boots a kernel.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use aftrace::embed::{EmbedError, embed_file};
use aftrace::run;
use clap::Args;

use super::embed::describe;
use super::{EXIT_CODES, Outcome};

/// Embed the names, then boot the kernel in QEMU
///
/// Runs `qemu-system-aarch64 -machine virt -cpu max -semihosting -display none -serial mon:stdio -no-reboot
/// -nodefaults -kernel KERNEL ARGUMENTS`. Later arguments override earlier ones: `-cpu cortex-a53`, `-machine virt,gic-version=3`.
/// A kernel that reserves no space for names is booted without them.
///
/// As cargo's runner: `runner = "aftrace run"` in .cargo/config.toml, then `cargo run -- -smp 4`.
#[derive(Args)]
#[command(after_help = EXIT_CODES)]
pub struct Run {
    /// The emulator
    #[arg(
        long,
        value_name = "PATH",
        default_value = "qemu-system-aarch64",
        env = "AFTRACE_QEMU"
    )]
    qemu: OsString,
    /// Print QEMU's command line instead of running it
    #[arg(long)]
    dry_run: bool,
    /// The kernel
    kernel: PathBuf,
    /// Further arguments of QEMU; `--` before them is optional
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "ARGUMENTS"
    )]
    more: Vec<OsString>,
}

impl Run {
    pub fn run(&self) -> Outcome {
        match embed_file(&self.kernel) {
            Ok(_) => {}
            Err(EmbedError::NoSpace { .. }) => {
                eprintln!(
                    "aftrace: {}: no section ftrace_names, booting without names",
                    self.kernel.display()
                );
            }
            Err(error) => return Err(describe(&self.kernel)(error).into()),
        }
        let mut more = self.more.as_slice();
        if let Some((first, rest)) = more.split_first()
            && first == "--"
        {
            more = rest;
        }
        let command = run::command(&self.qemu, &self.kernel, more);
        if self.dry_run {
            writeln!(io::stdout(), "{command:?}")?;
            return Ok(ExitCode::SUCCESS);
        }
        let status = run::run(command).map_err(|error| {
            format!(
                "{}: {error}: install qemu-system-arm, or name it with --qemu",
                self.qemu.to_string_lossy()
            )
        })?;
        Ok(status.code().map_or(ExitCode::FAILURE, |code| {
            ExitCode::from(code.clamp(0, 255) as u8)
        }))
    }
}
