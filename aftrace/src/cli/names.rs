//! Lists the functions that a trace names.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use aarch64_ftrace::glob;
use aftrace::trace::file::Trace;
use aftrace::trace::symbols::Symbols;
use clap::Args;

use super::{EXIT_CODES, Outcome, at, stdout};

/// List the functions that a trace names: address, bytes, path
#[derive(Args)]
#[command(after_help = EXIT_CODES)]
pub struct Names {
    /// The trace, a .aft file
    trace: PathBuf,
    /// Only those that the glob matches
    #[arg(long, value_name = "GLOB", value_parser = super::parse_glob)]
    filter: Option<String>,
}

impl Names {
    pub fn run(&self) -> Outcome {
        let trace = Trace::open(&self.trace).map_err(at(&self.trace))?;
        let mut out = stdout();
        for symbol in Symbols::of_trace(&trace).all() {
            if self
                .filter
                .as_deref()
                .is_none_or(|glob| glob::matches(glob, symbol.name.bytes()))
            {
                writeln!(
                    out,
                    "{:#x} {} {}",
                    symbol.address, symbol.bytes, symbol.name
                )?;
            }
        }
        out.flush()?;
        Ok(ExitCode::SUCCESS)
    }
}
