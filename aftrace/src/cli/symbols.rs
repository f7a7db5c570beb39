//! Lists the callsites of a kernel.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use aarch64_ftrace::glob;
use aftrace::arguments;
use aftrace::elf::Kernel;
use clap::Args;

use super::{EXIT_CODES, Outcome, at, read};

/// List the callsites: address of the function, its names
///
/// One line a callsite, in ascending order: the index that the kernel knows it by (`#INDEX` in a filter), the
/// function's address (`0xADDR` in a filter), its names. Several names: identical functions were merged.
#[derive(Args)]
#[command(after_help = EXIT_CODES)]
pub struct Symbols {
    /// The kernel
    kernel: PathBuf,
    /// Only callsites with a name that this glob matches, as a filter in the kernel would: `sched::*`, `*::drop`,
    /// `alloc::vec::Vec<*>::push`, `[Ss]`, `?`, `\` before a character to take it as it is
    #[arg(long, value_name = "GLOB", value_parser = super::parse_glob)]
    filter: Option<String>,
    /// Where the text of the running kernel begins (its `__ftrace_text_start`), if it was loaded elsewhere than linked: the
    /// addresses shown are then the running kernel's
    #[arg(long, value_name = "ADDRESS", value_parser = arguments::address)]
    text: Option<u64>,
}

impl Symbols {
    pub fn run(&self) -> Outcome {
        let bytes = read(&self.kernel)?;
        let kernel = Kernel::parse(&bytes).map_err(at(&self.kernel))?;
        let mut out = io::BufWriter::new(io::stdout().lock());
        let slide = match self.text {
            Some(start) => kernel.slide(start).ok_or(
                "no symbol __ftrace_text_start: --text needs ftrace.x in the linker script",
            )?,
            None => 0,
        };
        let mut shown = 0;
        for (index, callsite) in kernel.callsites().iter().enumerate() {
            let paths = callsite.paths();
            if self
                .filter
                .as_deref()
                .is_some_and(|glob| !paths.iter().any(|p| glob::matches(glob, p.bytes())))
            {
                continue;
            }
            shown += 1;
            let entry = callsite.entry().wrapping_add(slide);
            writeln!(out, "#{index} {entry:#x} {}", paths.join(", "))?;
        }
        out.flush()?;
        if io::stderr().is_terminal() || shown == 0 {
            eprintln!("{shown} of {} callsites", kernel.callsites().len());
        }
        Ok(ExitCode::SUCCESS)
    }
}
