//! Boots a kernel in QEMU, as cargo's runner does.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::process::{Command, ExitStatus};

/// The command that boots `kernel` on QEMU's virt machine; `more` follows, and so overrides what stands before it.
#[must_use]
pub fn command(qemu: &OsStr, kernel: &Path, more: &[OsString]) -> Command {
    let mut command = Command::new(qemu);
    command
        .args([
            "-machine",
            "virt",
            "-cpu",
            "max",
            "-semihosting",
            "-display",
            "none",
        ])
        .args([
            "-serial",
            "mon:stdio",
            "-no-reboot",
            "-nodefaults",
            "-kernel",
        ])
        .arg(kernel)
        .args(more);
    command
}

/// Runs it and waits for its end.
///
/// # Errors
/// The system cannot start it.
pub fn run(mut command: Command) -> io::Result<ExitStatus> {
    command.status()
}
