//! Lists the callsites of a kernel, or the functions that a trace names.

use std::io::{self, IsTerminal as _, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use aarch64_ftrace::glob;
use aftrace::arguments;
use aftrace::elf::{Callsite, Kernel};
use aftrace::trace::file::Trace;
use aftrace::trace::locations::Locations;
use aftrace::trace::replay::shorten;
use aftrace::trace::symbols;
use clap::Args;

use super::meant::is_it;
use super::select::verdict;
use super::{Outcome, at, files, manual, stdout};

const EXAMPLES: &[&str] = &[
    "aftrace symbols kernel.elf --filter 'sched::*'    # what a filter of the kernel would take",
    "aftrace symbols kernel.elf --location",
    "aftrace symbols kernel.elf --text 0xffffff8000080000    # of a kernel that runs elsewhere than linked",
    "aftrace symbols trace.aft    # by which names a trace can be read without its kernel",
];

/// List the callsites of a kernel, or the functions that a trace names
///
/// Of a kernel, one line a callsite, in ascending order: the index that the kernel knows it by (`#INDEX` in a filter), the
/// function's address (`0xADDR` in a filter), its names. Of a trace, one line a function that its SYMBOLS frames name, whether it
/// was traced or not: the address that it ran at, its names. Several names, a = b: identical functions were merged.
#[derive(Args)]
#[command(after_help = manual(EXAMPLES))]
pub struct Symbols {
    /// The kernel, or the trace, a .aft file; - is the standard input
    #[arg(value_name = "KERNEL|TRACE")]
    file: PathBuf,
    /// Only those with a name that this glob matches, as a filter in the kernel would: `sched::*`, `*::drop`,
    /// `alloc::vec::Vec<*>::push`, `[Ss]`, `?`, `\` before a character to take it as it is
    #[arg(long, value_name = "GLOB", value_parser = super::parse_glob)]
    filter: Option<String>,
    /// Generic arguments as <...>
    #[arg(long)]
    short: bool,
    /// With file and line of the function, by the kernel's debug information
    #[arg(long)]
    location: bool,
    /// Where the text of the running kernel begins (its `__ftrace_text_start`), if it was loaded elsewhere than linked: the
    /// addresses shown are then the running kernel's
    #[arg(long, value_name = "ADDRESS", value_parser = arguments::address)]
    text: Option<u64>,
}

impl Symbols {
    pub fn run(&self) -> Outcome {
        let path = &self.file;
        let mut file = files::open_again(path)?;
        let mut bytes = Vec::new();
        let mut read = |most: u64| (&file).take(most).read_to_end(&mut bytes);
        read(4).map_err(files::reading(path))?;
        if bytes == object::elf::ELFMAG {
            (&file)
                .read_to_end(&mut bytes)
                .map_err(files::reading(path))?;
            return self.kernel(path, &bytes);
        }
        file.rewind().map_err(files::reading(path))?;
        let trace = Trace::index(file, Box::new(|_, _| {})).map_err(at(path))?;
        if self.location || self.text.is_some() {
            return Err(at(path)(
                "--location and --text are for a kernel, this is a trace: leave them out, or give the kernel",
            )
            .into());
        }
        self.trace(path, &trace)
    }

    fn kernel(&self, path: &Path, bytes: &[u8]) -> Outcome {
        let kernel = Kernel::parse(bytes).map_err(at(path))?;
        let slide = match self.text {
            Some(start) => kernel.slide(start).ok_or_else(|| {
                at(path)(
                    "no symbol __ftrace_text_start: --text needs ftrace.x in the linker script",
                )
            })?,
            None => 0,
        };
        let locations = match self.location {
            true => Some(Locations::of_kernel(&kernel).map_err(at(path))?),
            false => None,
        };
        let mut out = stdout();
        let mut shown = 0;
        for (index, callsite) in kernel.callsites().iter().enumerate() {
            let Some(names) = self.names(&callsite.paths()) else {
                continue;
            };
            shown += 1;
            let entry = callsite.entry();
            write!(out, "#{index} {:#x} {names}", entry.wrapping_add(slide))?;
            match locations.as_ref().and_then(|l| l.line(entry)) {
                Some(line) => writeln!(out, " ({line})")?,
                None => writeln!(out)?,
            }
        }
        out.flush()?;
        let names = kernel.callsites().iter().flat_map(Callsite::paths);
        self.count(shown, kernel.callsites().len(), "callsites", names);
        Ok(ExitCode::SUCCESS)
    }

    fn trace(&self, path: &Path, trace: &Trace) -> Outcome {
        let every = symbols::Symbols::of_trace(trace).every_name();
        let mut out = stdout();
        let (mut shown, mut all) = (0, 0);
        for same in every.chunk_by(|a, b| a.address == b.address) {
            all += 1;
            let names: Vec<_> = same.iter().map(|symbol| symbol.name.clone()).collect();
            if let Some(names) = self.names(&names) {
                shown += 1;
                writeln!(out, "{:#x} {names}", same[0].address)?;
            }
        }
        out.flush()?;
        let names = every.iter().map(|symbol| symbol.name.clone());
        self.count(shown, all, "functions", names);
        Ok(verdict(path, trace))
    }

    /// The names in one, if they are wanted.
    fn names(&self, names: &[String]) -> Option<String> {
        let matches = |glob: &str| names.iter().any(|name| glob::matches(glob, name.bytes()));
        let wanted = self.filter.as_deref().is_none_or(matches);
        let all = names.join(" = ");
        wanted.then(|| match self.short {
            true => shorten(&all),
            false => all,
        })
    }

    /// Says how many are shown; of none, what was meant perhaps.
    fn count(&self, shown: usize, all: usize, what: &str, names: impl Iterator<Item = String>) {
        let near = match &self.filter {
            Some(glob) if shown == 0 && all > 0 => {
                let names: Vec<_> = names.collect();
                is_it(glob, names.iter().map(String::as_str)).unwrap_or_default()
            }
            _ => String::new(),
        };
        if io::stderr().is_terminal() || shown == 0 {
            note!("{shown} of {all} {what}{near}");
        }
    }
}
