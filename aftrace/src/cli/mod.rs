//! The verbs, each in its file: its arguments, its output, its exit code.

mod attach;
mod check;
mod completions;
mod console;
mod dump;
mod dump_ram;
mod embed;
mod files;
mod graph;
mod info;
mod machine;
mod meant;
mod nothing;
mod output;
mod progress;
mod record;
mod region;
mod replay;
mod report;
mod run;
mod select;
mod symbols;

use std::error::Error;
use std::io::{self, BufWriter};
use std::path::Path;
use std::process::ExitCode;

use aarch64_ftrace::glob;
use clap::{Parser, Subcommand};

use files::read;

const EXIT_CODES: &str = "\
Exit codes:
  0    done; `check`: own code is never traced
  1    `check`: own code can be traced, each violation is listed
  2    wrong arguments, an error, or a choice (--filter, --time-range, ..) that leaves no call: the message says what, where, and what to do
  3    the trace is damaged or incomplete: each damage is named with its offset, all else was shown
  130  Ctrl-C, SIGTERM or SIGHUP: of `run` and `record` however QEMU ended, and what `record` had by then is in the trace; of others nothing half written is left
  `run` and `record` exit with QEMU's own code, which is the kernel's (with 2 when QEMU could not be started, 1 when a signal ended it)";

/// What stands below a verb's options.
fn manual(examples: &[&str]) -> String {
    format!("Examples:\n  {}\n\n{EXIT_CODES}", examples.join("\n  "))
}

/// The host side of aarch64-ftrace: names for the callsites of a kernel, proof that the tracer is never traced, and the traces
///
/// KERNEL is the ELF file that the linker wrote, with its symbols. The first trace:
///
///   aftrace record KERNEL --graph 'fs::*' --time 10 -o boot.aft
///   aftrace report boot.aft
///   aftrace replay boot.aft -F 'fs::open' -D 3
///
/// GLOB is a function's path, with * for any letters and ? for one: 'sched::*', '*::drop'. Quote it, or the shell looks for files.
/// One that lacks the crate, sched::* for demo::sched::*, gets it.
/// The options of replay, report, graph and dump are uftrace's: -F, -N, -H, -C, -D, -t, -r, -s, --tid, --task. There is no pager: | less.
/// In place of a file, - is the standard input or output.
#[derive(Parser)]
#[command(version, after_help = EXIT_CODES, verbatim_doc_comment)]
pub struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    Embed(embed::Embed),
    Symbols(symbols::Symbols),
    Check(check::Check),
    Run(run::Run),
    Record(record::Record),
    Replay(replay::Replay),
    Report(report::Report),
    Graph(graph::Graph),
    Dump(dump::Dump),
    Info(info::Info),
    DumpRam(dump_ram::DumpRam),
    Attach(attach::Attach),
    Console(console::Console),
    Completions(completions::Completions),
}

pub const FAILED: u8 = 2;
/// Something of the input is missing or damaged; the rest was shown.
const INCOMPLETE: u8 = 3;

pub type Outcome = Result<ExitCode, Box<dyn Error>>;

impl Arguments {
    /// Does what they say.
    pub fn run(&self) -> Outcome {
        match &self.command {
            Task::Embed(verb) => verb.run(),
            Task::Symbols(verb) => verb.run(),
            Task::Check(verb) => verb.run(),
            Task::Run(verb) => verb.run(),
            Task::Record(verb) => verb.run(),
            Task::Replay(verb) => verb.run(),
            Task::Report(verb) => verb.run(),
            Task::Graph(verb) => verb.run(),
            Task::Dump(verb) => verb.run(),
            Task::Info(verb) => verb.run(),
            Task::DumpRam(verb) => verb.run(),
            Task::Attach(verb) => verb.run(),
            Task::Console(verb) => verb.run(),
            Task::Completions(verb) => verb.run(),
        }
    }
}

fn parse_glob(pattern: &str) -> Result<String, glob::GlobError> {
    glob::validate(pattern).map(|()| pattern.to_owned())
}

fn at<E: std::fmt::Display>(path: &Path) -> impl Fn(E) -> String {
    move |error| format!("{}: {error}", path.display())
}

fn stdout() -> BufWriter<io::StdoutLock<'static>> {
    BufWriter::with_capacity(1 << 16, io::stdout().lock())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    /// The words of a line as a shell would have them, up to a comment.
    fn words(line: &str) -> Vec<String> {
        let line = line.split(" #").next().unwrap_or_default();
        let quoted = line.split('\'').enumerate();
        let words = quoted.flat_map(|(index, part)| match index % 2 {
            0 => part.split_whitespace().map(str::to_owned).collect(),
            _ => vec![part.to_owned()],
        });
        words.collect()
    }

    #[test]
    fn each_verb_has_examples_that_it_takes() {
        let mut verbs = 0;
        for verb in Arguments::command().get_subcommands() {
            verbs += 1;
            let help = verb.get_after_help().expect("a manual").to_string();
            assert!(help.ends_with(EXIT_CODES), "{}", verb.get_name());
            let start = format!("  aftrace {} ", verb.get_name());
            let examples = help.lines().filter(|line| line.starts_with(&start));
            let taken = examples.map(|line| Arguments::try_parse_from(words(line)));
            let taken = taken.collect::<Result<Vec<_>, _>>();
            assert!(
                !taken.expect("an example").is_empty(),
                "{}",
                verb.get_name()
            );
        }
        assert!(verbs > 10, "{verbs} verbs");
    }
}
