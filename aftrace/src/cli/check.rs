//! Proves that the tracer is never traced.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use aftrace::check::check;
use aftrace::elf::Kernel;
use clap::Args;

use super::output::Aside;
use super::{Outcome, at, manual, read};

const EXAMPLES: &[&str] =
    &["aftrace check kernel.elf    # in the kernel's own tests: exit code 0 is the proof"];

/// Prove from the ELF file that the tracer's own code is never traced
///
/// Each callsite of crate aarch64_ftrace (by its path, as an implementation of its traits or a method of its types, as
/// an instance that it made, or because DWARF says that it was emitted there) must lie between
/// `__ftrace_notrace_start` and `__ftrace_notrace_end`, where the kernel rejects it. Each one outside is listed as a
/// VIOLATION, and the exit code is 1. Also listed: functions of others that the linker took along by their symbol.
#[derive(Args)]
#[command(after_help = manual(EXAMPLES))]
pub struct Check {
    /// The kernel
    kernel: PathBuf,
}

impl Check {
    pub fn run(&self) -> Outcome {
        let bytes = read(&self.kernel)?;
        let kernel = Kernel::parse(&bytes).map_err(at(&self.kernel))?;
        let report = check(&kernel).map_err(at(&self.kernel))?;
        // The exit code is the proof, whoever reads the list.
        writeln!(Aside(io::stdout()), "{report}")?;
        Ok(if report.proves() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}
