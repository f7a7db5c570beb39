//! Writes names into a kernel.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use aftrace::embed::{EmbedError, embed_file};
use clap::Args;

use super::{Outcome, at, files, manual};

const EXAMPLES: &[&str] = &[
    "aftrace embed kernel.elf    # after each link; says how many names, and how much of the space they take",
];

/// Write the names of all callsites into the kernel
///
/// The kernel must reserve space with `aarch64_ftrace::reserve_names!(BYTES);` and its linker script must keep section
/// `ftrace_names`. Do this after each link and before the file is stripped or turned into a raw image. Running it
/// again changes nothing. When the space is too small, the message says how much is needed, and the kernel stays
/// as it was.
#[derive(Args)]
#[command(after_help = manual(EXAMPLES))]
pub struct Embed {
    /// The kernel, changed in place
    kernel: PathBuf,
}

impl Embed {
    pub fn run(&self) -> Outcome {
        files::open(&self.kernel)?;
        let report = embed_file(&self.kernel).map_err(describe(&self.kernel))?;
        writeln!(io::stdout(), "{report}")?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The kernel could be opened before, so what the system refuses is to write it.
pub fn describe(kernel: &Path) -> impl Fn(EmbedError) -> String {
    move |error| match error {
        EmbedError::Io { source, .. } => files::writing(kernel)(source),
        other => at(kernel)(other),
    }
}
