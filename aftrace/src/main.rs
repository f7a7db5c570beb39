//! The host command. What it does is in the library; its arguments, its output and its exit codes are in `cli`.
#![forbid(unsafe_code)]

/// As `eprintln!`, but for that a standard error which nobody reads any more ends nothing.
macro_rules! note {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($text)*);
    }};
}

mod cli;

use std::io::{self, ErrorKind};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::Parser as _;
use signal_hook::consts::SIGXFSZ;
use signal_hook::flag;

fn main() -> ExitCode {
    // A file that grows over the limit of its size (ulimit -f) is an error of the write, not the end of this process.
    let ignored = flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)));
    if let Err(error) = ignored {
        note!("aftrace: {error}");
    }
    let error = match cli::Arguments::parse().run() {
        Ok(code) => return code,
        Err(error) => error,
    };
    // What is written to a file has its name in the message.
    let of_stdout = error.downcast_ref::<io::Error>().map(io::Error::kind);
    let way_out = match of_stdout {
        // A reader such as `head` that has seen enough is no error.
        Some(ErrorKind::BrokenPipe) => return ExitCode::SUCCESS,
        Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => {
            ": make room where the standard output goes, or lead it elsewhere"
        }
        _ => "",
    };
    note!("aftrace: {error}{way_out}");
    ExitCode::from(cli::FAILED)
}
