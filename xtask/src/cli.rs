//! The command line.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::setup;
use crate::setup::rust::Way;
use crate::ui::say;

/// Set-up, demo, test and bench of aarch64-ftrace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about)]
pub struct Cli {
    /// Take the library's source by this way only, and keep what it fetches under target/.
    #[arg(long, global = true, value_enum)]
    way: Option<Way>,
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what is missing: the source of Rust's library, QEMU.
    Setup,
}

impl Cli {
    /// Does what the command line says.
    ///
    /// # Errors
    /// Whatever stops the command.
    pub fn run(self) -> Result<ExitCode> {
        match self.command {
            Task::Setup => {
                let toolchain = setup::compiler(self.way)?;
                let qemu = setup::emulator::ready(true)?;
                say(format!("set-up: {}; QEMU {qemu}", toolchain.describe()));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
