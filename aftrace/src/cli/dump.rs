//! Converts a trace.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use aftrace::trace::dump::{self, Omitted};
use aftrace::trace::symbols::Naming;
use aftrace::trace::text;
use clap::{Args, ValueEnum};

use super::output::{Sink, whole, whole_folder};
use super::progress::Writes;
use super::select::{Input, Select};
use super::{Outcome, at, manual, stdout};

const EXAMPLES: &[&str] = &[
    "aftrace dump trace.aft --perfetto trace.pftrace    # for ui.perfetto.dev",
    "aftrace dump trace.aft --chrome    # JSON, to standard output",
    "zstdcat trace.aft.zst | aftrace dump - --fxt - | gzip > trace.fxt.gz",
    "aftrace dump trace.aft --flamegraph out.svg -F 'fs::*'",
    "aftrace dump trace.aft --text=function --short",
];

/// Convert a trace to another program's format
///
/// All formats have the calls with their times, and where events are missing; the text of an option says what else. What a format has no room for is counted on standard error.
///
/// A file or a folder is there whole or not at all; `-` in place of a file is the standard output, and in place of TRACE the standard input.
///
/// What is shown of names (--short, --location, --inlined, --aliases) is for --text, --folded and --flamegraph: other programs have their own ways.
#[derive(Args)]
#[command(after_help = manual(EXAMPLES))]
pub struct Dump {
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    select: Select,
    #[command(flatten)]
    format: Format,
}

impl Dump {
    pub fn run(&self) -> Outcome {
        let is_text =
            self.format.text.is_some() || self.format.folded || self.format.flamegraph.is_some();
        if !is_text && self.input.names.naming() != Naming::default() {
            return Err("--short, --location, --inlined and --aliases are for --text, --folded and --flamegraph: leave them out".into());
        }
        let writes = match self.format {
            Format { chrome: true, .. } | Format { text: Some(_), .. } => Writes::Lines,
            _ => Writes::Files,
        };
        let (trace, symbols) = self.input.open(writes)?;
        let input = &self.input.trace;
        let filter = self.select.checked(input, &trace, &symbols)?;
        let file = |path: &Path, write: &mut Writing<'_>| {
            whole(path, &[input], write).map(|omitted| mention(path, omitted))
        };
        if self.format.chrome {
            let omitted = dump::chrome::write(&trace, &symbols, &filter, stdout())?;
            mention(input, omitted);
        } else if self.format.folded {
            let mut out = stdout();
            let (lines, omitted) = dump::folded::lines_counted(&trace, &symbols, &filter)?;
            for line in lines {
                writeln!(out, "{line}")?;
            }
            out.flush()?;
            mention(input, omitted);
        } else if let Some(path) = &self.format.flamegraph {
            let (lines, omitted) = dump::folded::lines_counted(&trace, &symbols, &filter)?;
            let (title, mut svg) = (input.display().to_string(), Vec::new());
            dump::folded::flame_graph(&lines, &title, &mut svg).map_err(at(path))?;
            file(path, &mut |_, out| out.write_all(&svg).map(|()| omitted))?;
        } else if let Some(path) = &self.format.trace_dat {
            file(path, &mut |scratch, out| {
                dump::trace_dat::write(&trace, &symbols, &filter, scratch, out)
            })?;
        } else if let Some(path) = &self.format.uftrace {
            let folder = |folder: &Path| dump::uftrace::write(&trace, &symbols, &filter, folder);
            mention(path, whole_folder(path, folder)?);
        } else if let Some(path) = &self.format.ctf {
            let folder = |folder: &Path| dump::ctf::write(&trace, &symbols, &filter, folder);
            mention(path, whole_folder(path, folder)?);
        } else if let Some(path) = &self.format.fxt {
            file(path, &mut |_, out| {
                dump::fxt::write(&trace, &symbols, &filter, out)
            })?;
        } else if let Some(path) = &self.format.perfetto {
            file(path, &mut |_, out| {
                dump::perfetto::write(&trace, &symbols, &filter, out)
            })?;
        } else {
            let omitted = match self.format.text {
                Some(Tracer::Function) => text::function(&trace, &symbols, &filter, stdout())?,
                _ => text::function_graph(&trace, &symbols, &filter, stdout())?,
            };
            mention(input, omitted);
        }
        Ok(self.input.verdict(&trace))
    }
}

/// Writes one format, and counts what it has no room for.
type Writing<'w> = dyn FnMut(&Path, &mut Sink) -> io::Result<Omitted> + 'w;

fn mention(path: &Path, omitted: Omitted) {
    if !omitted.is_none() {
        note!("aftrace: {}: {omitted}", path.display());
    }
}

/// Another program's format.
#[derive(Args)]
#[group(required = true, multiple = false)]
struct Format {
    /// For Perfetto, in its own format
    ///
    /// A call's arguments are x0, x1, .. of its slice, what it returned is result; what each core runs is in the scheduling tracks.
    #[arg(long, value_name = "TRACE.PFTRACE")]
    perfetto: Option<PathBuf>,
    /// Chrome's JSON, for Perfetto's page and speedscope
    ///
    /// A call's args are its core as cpu, its arguments as x0, x1, .. and what it returned as result. Not what each core runs.
    #[arg(long)]
    chrome: bool,
    /// Folded stacks with nanoseconds, for flame graph programs and speedscope
    ///
    /// Sums of each path of calls that returned: no single call.
    #[arg(long)]
    folded: bool,
    /// A flame graph
    #[arg(long, value_name = "OUT.SVG")]
    flamegraph: Option<PathBuf>,
    /// For trace-cmd and KernelShark; names lose their blanks: `<A as B>::f` is `<A_as_B>::f`
    ///
    /// What each core runs is there as sched_switch; args of funcgraph_entry are a call's arguments, retval of funcgraph_exit is what it returned, as Linux 6.16 has them. Where only some calls returned something that was recorded, retval_known is 1 for those. trace-cmd 3.1.6 shows both with `report -R`, arguments if all calls have as many.
    #[arg(long, value_name = "TRACE.DAT")]
    trace_dat: Option<PathBuf>,
    /// A folder for uftrace: `uftrace replay -d FOLDER`, report, graph, tui
    ///
    /// uftrace knows no cores, and 1024 calls inside each other. It shows what calls were given and returned; of calls that have fewer arguments than others, none.
    #[arg(long, value_name = "FOLDER")]
    uftrace: Option<PathBuf>,
    /// A folder in the Common Trace Format, for babeltrace2 and Trace Compass
    ///
    /// Callers, what each core runs, arguments of the event entry and result of exit, as sequences.
    #[arg(long, value_name = "FOLDER")]
    ctf: Option<PathBuf>,
    /// In Fuchsia's trace format, for Perfetto
    ///
    /// As --perfetto.
    #[arg(long, value_name = "TRACE.FXT")]
    fxt: Option<PathBuf>,
    /// As Linux's tracer prints it
    ///
    /// function_graph: arguments, results and durations; function: callers and arguments, and no returns.
    #[arg(long, value_name = "TRACER", num_args = 0..=1, require_equals = true, default_missing_value = "function_graph")]
    text: Option<Tracer>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Tracer {
    #[value(name = "function")]
    Function,
    #[value(name = "function_graph")]
    FunctionGraph,
}
