//! Completions for shells.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{Args, CommandFactory as _};

use super::{Arguments, Outcome, manual};

const EXAMPLES: &[&str] = &["aftrace completions bash"];

/// Print completions for a shell: aftrace completions bash > /etc/bash_completion.d/aftrace
#[derive(Args)]
#[command(after_help = manual(EXAMPLES))]
pub struct Completions {
    /// The shell
    shell: clap_complete::Shell,
}

impl Completions {
    pub fn run(&self) -> Outcome {
        let mut script = Vec::new();
        clap_complete::generate(
            self.shell,
            &mut Arguments::command(),
            "aftrace",
            &mut script,
        );
        io::stdout().write_all(&script)?;
        Ok(ExitCode::SUCCESS)
    }
}
