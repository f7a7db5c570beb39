//! The arguments that the verbs on traces share.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use aftrace::arguments;
use aftrace::trace::calls::Task;
use aftrace::trace::file::{Lost, Trace};
use aftrace::trace::filter::{Filter, first_tick, last_tick};
use aftrace::trace::stream::Damage;
use aftrace::trace::symbols::{Naming, Symbols};
use clap::Args;

use super::progress::{self, Writes};
use super::region::note_build;
use super::{INCOMPLETE, at, files};

/// The trace and the names in it.
#[derive(Args)]
pub struct Input {
    /// The trace, a .aft file; - is the standard input
    pub trace: PathBuf,
    /// The kernel that recorded it, for the names; without it, those that the trace brings along
    #[arg(long, value_name = "KERNEL")]
    pub elf: Option<PathBuf>,
    /// Take the names although the kernel's build id is not the trace's
    #[arg(long, requires = "elf")]
    pub any_build: bool,
    #[command(flatten)]
    pub names: Names,
}

/// What is shown of a function.
#[derive(Args, Clone, Copy, Default)]
pub struct Names {
    /// Generic arguments as <...>
    #[arg(long)]
    short: bool,
    /// With file and line, by the kernel's debug information: of functions their entry, of callers the call
    #[arg(long)]
    location: bool,
    /// Of callers, also the functions that were inlined there, from the inside out, by the kernel's debug information
    #[arg(long)]
    inlined: bool,
    /// With all names of functions that were merged: a = b
    #[arg(long)]
    aliases: bool,
}

impl Names {
    pub fn naming(self) -> Naming {
        let Self {
            short,
            location,
            inlined,
            aliases,
        } = self;
        Naming {
            short,
            aliases,
            location,
            inlined,
        }
    }
}

/// What to look at.
#[derive(Args)]
pub struct Select {
    /// Only functions that the glob matches, and what they call (repeat for more)
    #[arg(short = 'F', long, value_name = "GLOB", value_parser = super::parse_glob)]
    filter: Vec<String>,
    /// Not the functions that the glob matches, nor what they call (repeat for more)
    #[arg(short = 'N', long, value_name = "GLOB", value_parser = super::parse_glob)]
    notrace: Vec<String>,
    /// Not the functions that the glob matches, but what they call (repeat for more); their own time is in no SELF then
    #[arg(short = 'H', long, value_name = "GLOB", value_parser = super::parse_glob)]
    hide: Vec<String>,
    /// Only calls by functions that the glob matches (repeat for more)
    #[arg(short = 'C', long, value_name = "GLOB", value_parser = super::parse_glob)]
    caller: Vec<String>,
    /// Only this many levels of calls
    #[arg(short = 'D', long, value_name = "LEVELS", default_value_t = u32::MAX, hide_default_value = true)]
    depth: u32,
    /// Only calls that took at least this long: 500ns, 10us, 1.5ms, 2s
    #[arg(short = 't', long, value_name = "TIME", value_parser = arguments::time)]
    time_filter: Option<u64>,
    /// Only calls that began between these times, in seconds of the kernel's clock (`replay --timestamps` shows it): 1.5~2.25, ~3, 4~
    #[arg(short = 'r', long, value_name = "FROM~TO", value_parser = arguments::time_range)]
    time_range: Option<(u64, u64)>,
    /// Only calls that began on these cores: 0,2
    #[arg(long, value_name = "CORES", value_delimiter = ',')]
    core: Option<Vec<u16>>,
    /// Only these tasks, by name or number: shell,3; 0 is what cores do of their own
    #[arg(long, value_name = "TASKS", value_delimiter = ',')]
    tid: Option<Vec<String>>,
}

impl Select {
    pub fn filter(&self, trace: &Trace) -> Filter {
        let frequency = trace.header.frequency;
        let (from, to) = self.time_range.unwrap_or((0, u64::MAX));
        Filter {
            functions: self.filter.clone(),
            hidden: self.notrace.clone(),
            skipped: self.hide.clone(),
            callers: self.caller.clone(),
            depth: self.depth,
            minimum: first_tick(self.time_filter.unwrap_or(0), frequency),
            time: first_tick(from, frequency)..=last_tick(to, frequency),
            cores: self.core.clone(),
            tasks: self.tid.as_ref().map(|tasks| {
                let tasks = tasks.iter().flat_map(|task| of_name(trace, task));
                tasks.collect()
            }),
        }
    }
}

/// The tasks of this name or number.
fn of_name(trace: &Trace, name: &str) -> Vec<Task> {
    let named = trace.tasks.iter().filter(|(_, known)| *known == name);
    let mut tasks: Vec<Task> = named.map(|(id, _)| Task::Id(*id)).collect();
    match name.parse() {
        Ok(0) => tasks.extend(trace.cores.keys().map(|core| Task::Core(*core))),
        Ok(id) => tasks.push(Task::Id(id)),
        Err(_) => {}
    }
    tasks
}

impl Input {
    pub fn open(&self, writes: Writes) -> Result<(Trace, Symbols), Box<dyn Error>> {
        let naming = self.names.naming();
        if self.elf.is_none() && naming.asks_kernel() {
            return Err("--location and --inlined are told by the kernel's debug information: give it with --elf KERNEL".into());
        }
        let file = files::open_again(&self.trace)?;
        let trace = Trace::index(file, progress::bar(writes)).map_err(at(&self.trace))?;
        let symbols = match &self.elf {
            Some(path) => {
                let kernel = files::read(path)?;
                let symbols = Symbols::named(&kernel, &trace.header, self.any_build, naming);
                let symbols = symbols.map_err(at(path))?;
                note_build(path, &symbols, self.any_build);
                symbols
            }
            None => Symbols::of_trace(&trace).shown_as(naming),
        };
        if symbols.all().is_empty() {
            note!(
                "aftrace: {}: no names in the trace: addresses are shown; give the kernel with --elf",
                self.trace.display()
            );
        }
        Ok((trace, symbols))
    }

    /// As [`verdict`].
    pub fn verdict(&self, trace: &Trace) -> ExitCode {
        verdict(&self.trace, trace)
    }
}

/// Names what is damaged; the exit code says so, too.
pub fn verdict(path: &Path, trace: &Trace) -> ExitCode {
    let say = |what: String| note!("aftrace: {}: {what}", path.display());
    for Damage { offset, bytes } in &trace.damage {
        say(format!(
            "at offset {offset} {bytes} bytes are no frame; passed over"
        ));
    }
    for offset in &trace.malformed {
        say(format!(
            "the frame at offset {offset} does not fit its kind; passed over"
        ));
    }
    for lost in &trace.lost {
        say(match lost {
            Lost::Frames { offset, frames } => {
                format!("before the frame at offset {offset} {frames} frames are missing")
            }
            Lost::End { offset } => {
                format!("the recording is cut off at offset {offset}: no END frame before it")
            }
        });
    }
    if trace.unlisted > 0 {
        say(format!("and {} more of the same kinds", trace.unlisted));
    }
    ExitCode::from(if trace.is_damaged() { INCOMPLETE } else { 0 })
}
