//! Set-up, demo, test and bench of aarch64-ftrace.

mod bench;
mod board;
mod cli;
mod cycles;
mod demo;
mod emu_check;
mod expect;
mod fuzz;
mod guests;
mod kernel;
mod litmus;
mod pictures;
mod proc;
mod qemu;
mod scale;
mod setup;
mod stable;
mod test;
mod ui;
mod variant;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    if let Some(code) = stable::as_wrapper().or_else(scale::as_parent) {
        return code;
    }
    match cli::Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
