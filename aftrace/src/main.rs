//! The host command. What it does is in the library; its arguments, its output and its exit codes are in `cli`.
#![forbid(unsafe_code)]

mod cli;

use std::io;
use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    match cli::Arguments::parse().run() {
        Ok(code) => code,
        // A reader such as `head` that has seen enough is no error.
        Err(error)
            if error
                .downcast_ref::<io::Error>()
                .is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe) =>
        {
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("aftrace: {error}");
            ExitCode::from(cli::FAILED)
        }
    }
}
