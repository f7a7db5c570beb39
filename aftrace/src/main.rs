//! The host command. What it does is in the library; here are its arguments, its output and its exit codes.
#![forbid(unsafe_code)]

mod arguments;
mod verbs;

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
use aftrace::trace::replay::Style;
use aftrace::trace::report::Key;
use clap::{CommandFactory as _, Parser, Subcommand};

const EXIT_CODES: &str = "\
Exit codes:
  0    done; `check`: own code is never traced
  1    `check`: own code can be traced, each violation is listed
  2    wrong arguments, or an error: the message says what, where, and what to do
  3    the trace is damaged or incomplete: each damage is named with its offset, all else was shown
  `run` exits with QEMU's own code (with 2 when QEMU could not be started, 1 when a signal ended it)";

/// The host side of aarch64-ftrace: names for the callsites of a kernel, proof that the tracer is never traced, and the traces
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
    /// Show the calls of a trace, with durations
    ///
    /// One line a call that calls nothing shown, two for others. DURATION stands with the return. CPU is the core. What is missing
    /// from the trace, switches of tasks, triggers and stacks stand between in comments. FUNCTION events have no duration: they
    /// are shown with their caller.
    #[command(after_help = EXIT_CODES)]
    Replay {
        #[command(flatten)]
        input: arguments::Input,
        #[command(flatten)]
        select: arguments::Select,
        /// Only this many of the last lines
        #[arg(long, value_name = "LINES")]
        tail: Option<usize>,
        /// With the time of each line, in seconds since the first
        #[arg(long)]
        timestamps: bool,
        /// Generic arguments as <...>
        #[arg(long)]
        short: bool,
    },
    /// Add up calls and times of each function
    ///
    /// TOTAL includes the traced functions that a function calls, SELF does not. Recursive calls count in TOTAL of their outer calls
    /// too. P50 and P99 are exact to one part in 64. Calls that had not returned are counted in brackets, and nowhere else.
    #[command(after_help = EXIT_CODES)]
    Report {
        #[command(flatten)]
        input: arguments::Input,
        #[command(flatten)]
        select: arguments::Select,
        /// The column to sort by, largest first
        #[arg(short, long, default_value = "total")]
        sort: Key,
        /// Generic arguments as <...>
        #[arg(long)]
        short: bool,
        /// Show what this trace has more (+) or less (-), the largest change of TOTAL first
        #[arg(long, value_name = "NEWER")]
        diff: Option<PathBuf>,
    },
    /// Convert a trace to another program's format
    #[command(after_help = EXIT_CODES)]
    Dump {
        #[command(flatten)]
        input: arguments::Input,
        #[command(flatten)]
        select: arguments::Select,
        #[command(flatten)]
        format: arguments::Format,
    },
    /// Say what a trace contains: build, clock, cores, what was lost
    #[command(after_help = EXIT_CODES)]
    Info {
        /// The trace, a .aft file
        trace: PathBuf,
    },
    /// List the functions that a trace names: address, bytes, path
    #[command(after_help = EXIT_CODES)]
    Names {
        /// The trace, a .aft file
        trace: PathBuf,
        /// Only those that the glob matches
        #[arg(long, value_name = "GLOB", value_parser = parse_glob)]
        filter: Option<String>,
    },
    /// Find the trace in a raw memory image, whatever the state of the kernel
    ///
    /// The image is what QEMU's `pmemsave`, a debugger or /dev/mem gives. Regions are found by their header, at multiples of 4096
    /// bytes; slots that were not completely written are counted and left out.
    #[command(after_help = EXIT_CODES)]
    DumpRam {
        /// The image
        image: PathBuf,
        /// Where to write the trace
        #[arg(short, long, value_name = "TRACE", default_value = "ram.aft")]
        output: PathBuf,
        /// The snapshot in place of the rings that are written to
        #[arg(long)]
        snapshot: bool,
        /// Which region with a right header, from 0
        #[arg(long, default_value_t = 0)]
        region: usize,
    },
    /// Take the trace out of a recorded console
    ///
    /// Prints the text in between.
    #[command(after_help = EXIT_CODES)]
    Console {
        /// What came over the serial line, byte for byte
        console: PathBuf,
        /// Where to write the trace
        #[arg(short, long, value_name = "TRACE", default_value = "console.aft")]
        output: PathBuf,
    },
    /// Print completions for a shell: aftrace completions bash > /etc/bash_completion.d/aftrace
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

fn parse_glob(pattern: &str) -> Result<String, glob::GlobError> {
    glob::validate(pattern).map(|()| pattern.to_owned())
}

fn parse_address(text: &str) -> Result<u64, std::num::ParseIntError> {
    u64::from_str_radix(text.trim_start_matches("0x"), 16)
}

const FAILED: u8 = 2;
/// Something of the input is missing or damaged; the rest was shown.
const INCOMPLETE: u8 = 3;

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
        Task::Replay {
            input,
            select,
            tail,
            timestamps,
            short,
        } => verbs::replay(
            &input,
            &select,
            &Style {
                tail,
                timestamps,
                short,
            },
        ),
        Task::Report {
            input,
            select,
            sort,
            short,
            diff,
        } => verbs::report(&input, &select, sort, short, diff.as_deref()),
        Task::Dump {
            input,
            select,
            format,
        } => verbs::dump(&input, &select, &format),
        Task::Info { trace } => verbs::info(&trace),
        Task::Names { trace, filter } => verbs::symbols(&trace, filter.as_deref()),
        Task::DumpRam {
            image,
            output,
            snapshot,
            region,
        } => verbs::dump_ram(&image, &output, snapshot, region),
        Task::Console { console, output } => verbs::console(&console, &output),
        Task::Completions { shell } => {
            clap_complete::generate(
                shell,
                &mut Arguments::command(),
                "aftrace",
                &mut io::stdout(),
            );
            Ok(ExitCode::SUCCESS)
        }
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
