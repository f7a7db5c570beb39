//! The host command. What it does is in the library; here are its arguments, its output and its exit codes.
#![forbid(unsafe_code)]

use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use aarch64_ftrace::glob;
use aftrace::check::check;
use aftrace::elf::Kernel;
use aftrace::embed::{EmbedError, embed_file};
use aftrace::run;
use clap::{Parser, Subcommand};

const EXIT_CODES: &str = "\
Exit codes:
  0    done; `check`: own code is never traced
  1    `check`: own code can be traced, each violation is listed
  2    wrong arguments, or an error: the message says what, where, and what to do
  `run` exits with QEMU's own code (with 2 when QEMU could not be started, 1 when a signal ended it)";

/// The host side of aarch64-ftrace: names for the callsites of a kernel, and proof that the tracer is never traced
///
/// KERNEL is the ELF file that the linker wrote, with its symbols.
#[derive(Parser)]
#[command(version, after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Write the names of all callsites into the kernel
    ///
    /// The kernel must reserve space with `aarch64_ftrace::reserve_names!(BYTES);` and its linker script must keep section
    /// `ftrace_names`. Do this after each link and before the file is stripped or turned into a raw image. Running it
    /// again changes nothing. When the space is too small, the message says how much is needed, and the kernel stays
    /// as it was.
    #[command(after_help = EXIT_CODES)]
    Embed {
        /// The kernel, changed in place
        kernel: PathBuf,
    },
    /// List the callsites: address of the function, its names
    ///
    /// One line a callsite, in ascending order: the index that the kernel knows it by (`#INDEX` in a filter), the
    /// function's address (`0xADDR` in a filter), its names. Several names: identical functions were merged.
    #[command(after_help = EXIT_CODES)]
    Symbols {
        /// The kernel
        kernel: PathBuf,
        /// Only callsites with a name that this glob matches, as a filter in the kernel would: `sched::*`, `*::drop`,
        /// `alloc::vec::Vec<*>::push`, `[Ss]`, `?`, `\` before a character to take it as it is
        #[arg(long, value_name = "GLOB", value_parser = parse_glob)]
        filter: Option<String>,
        /// Where the text of the running kernel begins (its `__ftrace_text_start`), if it was loaded elsewhere than linked: the
        /// addresses shown are then the running kernel's
        #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
        text: Option<u64>,
    },
    /// Prove from the ELF file that the tracer's own code is never traced
    ///
    /// Each callsite of crate aarch64_ftrace (by its path, as an implementation of its traits or a method of its types, as
    /// an instance that it made, or because DWARF says that it was emitted there) must lie between
    /// `__ftrace_notrace_start` and `__ftrace_notrace_end`, where the kernel rejects it. Each one outside is listed as a
    /// VIOLATION, and the exit code is 1. Also listed: functions of others that the linker took along by their symbol.
    #[command(after_help = EXIT_CODES)]
    Check {
        /// The kernel
        kernel: PathBuf,
    },
    /// Embed the names, then boot the kernel in QEMU
    ///
    /// Runs `qemu-system-aarch64 -machine virt -cpu max -semihosting -display none -serial mon:stdio -no-reboot
    /// -nodefaults -kernel KERNEL ARGUMENTS`. Later arguments override earlier ones: `-cpu cortex-a53`, `-machine virt,gic-version=3`.
    /// A kernel that reserves no space for names is booted without them.
    ///
    /// As cargo's runner: `runner = "aftrace run"` in .cargo/config.toml, then `cargo run -- -smp 4`.
    #[command(after_help = EXIT_CODES)]
    Run {
        /// The emulator
        #[arg(
            long,
            value_name = "PATH",
            default_value = "qemu-system-aarch64",
            env = "AFTRACE_QEMU"
        )]
        qemu: OsString,
        /// Print QEMU's command line instead of running it
        #[arg(long)]
        dry_run: bool,
        /// The kernel
        kernel: PathBuf,
        /// Further arguments of QEMU; `--` before them is optional
        #[arg(
            trailing_var_arg = true,
            allow_hyphen_values = true,
            value_name = "ARGUMENTS"
        )]
        more: Vec<OsString>,
    },
}

fn parse_glob(pattern: &str) -> Result<String, glob::GlobError> {
    glob::validate(pattern).map(|()| pattern.to_owned())
}

fn parse_address(text: &str) -> Result<u64, std::num::ParseIntError> {
    u64::from_str_radix(text.trim_start_matches("0x"), 16)
}

const FAILED: u8 = 2;

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Task::Embed { kernel } => embed(&kernel),
        Task::Symbols {
            kernel,
            filter,
            text,
        } => symbols(&kernel, filter.as_deref(), text),
        Task::Check { kernel } => prove(&kernel),
        Task::Run {
            qemu,
            dry_run,
            kernel,
            more,
        } => boot(&qemu, dry_run, &kernel, &more),
    };
    match result {
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
            ExitCode::from(FAILED)
        }
    }
}

type Outcome = Result<ExitCode, Box<dyn Error>>;

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn in_file<E: Error>(path: &Path) -> impl Fn(E) -> String {
    move |error| format!("{}: {error}", path.display())
}

fn embed(kernel: &Path) -> Outcome {
    let report = embed_file(kernel).map_err(describe(kernel))?;
    writeln!(io::stdout(), "{report}")?;
    Ok(ExitCode::SUCCESS)
}

/// Its own message names the file only where the system's error is about one.
fn describe(kernel: &Path) -> impl Fn(EmbedError) -> String {
    move |error| match error {
        EmbedError::Io { .. } => error.to_string(),
        other => in_file(kernel)(other),
    }
}

fn symbols(path: &Path, filter: Option<&str>, running_text: Option<u64>) -> Outcome {
    let bytes = read(path)?;
    let kernel = Kernel::parse(&bytes).map_err(in_file(path))?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    let slide = match running_text {
        Some(start) => kernel
            .slide(start)
            .ok_or("no symbol __ftrace_text_start: --text needs ftrace.x in the linker script")?,
        None => 0,
    };
    let mut shown = 0;
    for (index, callsite) in kernel.callsites().iter().enumerate() {
        let paths = callsite.paths();
        if filter.is_some_and(|glob| !paths.iter().any(|p| glob::matches(glob, p.bytes()))) {
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

fn prove(path: &Path) -> Outcome {
    let bytes = read(path)?;
    let kernel = Kernel::parse(&bytes).map_err(in_file(path))?;
    let report = check(&kernel).map_err(in_file(path))?;
    writeln!(io::stdout(), "{report}")?;
    Ok(if report.proves() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn boot(qemu: &OsString, dry_run: bool, kernel: &Path, more: &[OsString]) -> Outcome {
    match embed_file(kernel) {
        Ok(_) => {}
        Err(EmbedError::NoSpace { .. }) => {
            eprintln!(
                "aftrace: {}: no section ftrace_names, booting without names",
                kernel.display()
            );
        }
        Err(error) => return Err(describe(kernel)(error).into()),
    }
    let mut more = more;
    if let Some((first, rest)) = more.split_first()
        && first == "--"
    {
        more = rest;
    }
    let command = run::command(qemu, kernel, more);
    if dry_run {
        writeln!(io::stdout(), "{command:?}")?;
        return Ok(ExitCode::SUCCESS);
    }
    let status = run::run(command).map_err(|error| {
        format!(
            "{}: {error}: install qemu-system-arm, or name it with --qemu",
            qemu.to_string_lossy()
        )
    })?;
    Ok(status.code().map_or(ExitCode::FAILURE, |code| {
        ExitCode::from(code.clamp(0, 255) as u8)
    }))
}
