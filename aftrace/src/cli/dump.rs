//! Converts a trace.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use aftrace::trace::dump::{self, Omitted};
use aftrace::trace::text;
use clap::{Args, ValueEnum};

use super::select::{Input, Select};
use super::{EXIT_CODES, Outcome, at, stdout};

/// Convert a trace to another program's format
#[derive(Args)]
#[command(after_help = EXIT_CODES)]
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
        let (trace, symbols) = self.input.open()?;
        let filter = self.select.filter(trace.header.frequency);
        if self.format.chrome {
            dump::chrome::write(&trace, &symbols, &filter, stdout())?;
        } else if self.format.folded {
            let mut out = stdout();
            for line in dump::folded::lines(&trace, &symbols, &filter)? {
                writeln!(out, "{line}")?;
            }
            out.flush()?;
        } else if let Some(path) = &self.format.flamegraph {
            let lines = dump::folded::lines(&trace, &symbols, &filter)?;
            let file = File::create(path).map_err(at(path))?;
            dump::folded::flame_graph(
                &lines,
                &self.input.trace.display().to_string(),
                BufWriter::new(file),
            )
            .map_err(at(path))?;
        } else if let Some(path) = &self.format.trace_dat {
            whole(path, |directory, out| {
                dump::trace_dat::write(&trace, &symbols, &filter, directory, out)
            })?;
        } else {
            match self.format.text {
                Some(Tracer::Function) => text::function(&trace, &symbols, &filter, stdout())?,
                _ => text::function_graph(&trace, &symbols, &filter, stdout())?,
            }
        }
        Ok(self.input.verdict(&trace))
    }
}

/// Writes a file that is there whole or not at all; `write` is also told a directory with room for scratch files.
fn whole(
    path: &Path,
    write: impl FnOnce(&Path, &mut BufWriter<&mut File>) -> io::Result<Omitted>,
) -> Result<(), String> {
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    if path.exists() && !path.is_file() {
        return Err(format!("{}: is no file", path.display()));
    }
    let make = || {
        let readable = std::os::unix::fs::PermissionsExt::from_mode(0o666);
        let mut file = tempfile::Builder::new()
            .prefix(".aftrace-")
            .permissions(readable)
            .tempfile_in(directory)?;
        let mut out = BufWriter::with_capacity(1 << 16, file.as_file_mut());
        let omitted = write(directory, &mut out)?;
        out.flush()?;
        drop(out);
        file.persist(path)?;
        Ok(omitted)
    };
    let omitted = make().map_err(at::<io::Error>(path))?;
    if !omitted.is_none() {
        eprintln!("aftrace: {}: {omitted}", path.display());
    }
    Ok(())
}

/// Another program's format.
#[derive(Args)]
#[group(required = true, multiple = false)]
struct Format {
    /// Chrome's JSON, for Perfetto's page and speedscope
    #[arg(long)]
    chrome: bool,
    /// Folded stacks with nanoseconds, for flame graph programs and speedscope
    #[arg(long)]
    folded: bool,
    /// A flame graph
    #[arg(long, value_name = "OUT.SVG")]
    flamegraph: Option<PathBuf>,
    /// For trace-cmd and KernelShark; names lose their blanks: `<A as B>::f` is `<A_as_B>::f`
    #[arg(long, value_name = "TRACE.DAT")]
    trace_dat: Option<PathBuf>,
    /// As Linux's tracer prints it
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
