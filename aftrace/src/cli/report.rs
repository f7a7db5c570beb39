//! Adds up a trace.

use std::path::PathBuf;

use aftrace::trace::added::{AddedError, write_coverage, write_profile};
use aftrace::trace::report::{self, Key};
use aftrace::trace::tasks;
use clap::Args;

use super::progress::Writes;
use super::select::{Input, Select};
use super::{Outcome, manual, stdout};

const EXAMPLES: &[&str] = &[
    "aftrace report trace.aft -s self    # where the time goes",
    "aftrace report before.aft --diff after.aft    # what has changed",
    "aftrace report trace.aft -N 'sched::*' -r 1.5~2.25",
    "aftrace report trace.aft -s avg",
    "aftrace report trace.aft --task -s self    # which task",
];

/// Add up calls and times of each function
///
/// TOTAL includes the traced functions that a function calls, SELF does not. Recursive calls count in TOTAL of their outer calls
/// too. P50 and P99 are exact to one part in 64. Calls that had not returned are counted in brackets, and nowhere else.
#[derive(Args)]
#[command(after_help = manual(EXAMPLES))]
pub struct Report {
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    select: Select,
    /// The column to sort by, largest first, and those that decide between equals: self,calls (uftrace's words for them, call, avg,
    /// stdv and func, do, too)
    #[arg(short, long, default_value = "total", value_delimiter = ',')]
    sort: Vec<Key>,
    /// Show what this trace has more (+) or less (-), the largest change of the column first: total, self, calls or name
    #[arg(long, value_name = "NEWER")]
    diff: Option<PathBuf>,
    /// Show a line for each task: how long it ran, by the switches of tasks in the trace (total), and what it called
    #[arg(long, conflicts_with_all = ["diff", "profile", "coverage"])]
    task: bool,
    /// Show the profile that the kernel has added up itself, without a log: a line for each function and core. Of the choices
    /// --filter, --notrace and --core count, by the function's own name
    #[arg(long, conflicts_with_all = ["diff", "coverage"])]
    profile: bool,
    /// Show which functions have been called, as the kernel has noted it; choices as for --profile, without --core
    #[arg(long, conflicts_with_all = ["diff", "sort"])]
    coverage: bool,
}

impl Report {
    pub fn run(&self) -> Outcome {
        let short = self.diff.is_some() || self.task;
        if short && !self.sort.iter().all(|key| key.is_sum()) {
            return Err(
                "--diff and --task have no such column to sort by: total, self, calls, name".into(),
            );
        }
        let (trace, symbols) = self.input.open(Writes::Files)?;
        if self.profile || self.coverage {
            // Damage is named also where nothing is left to show.
            let verdict = self.input.verdict(&trace);
            let keys = self.profile.then_some(self.sort.as_slice());
            let path = &self.input.trace;
            let filter = self.select.checked_added(path, &trace, &symbols, keys)?;
            let written = match self.profile {
                true => write_profile(&trace, &symbols, &filter, &self.sort, stdout()),
                false => write_coverage(&trace, &symbols, &filter, stdout()),
            };
            return match written {
                Ok(()) => Ok(verdict),
                Err(AddedError::Io(error)) => Err(error.into()),
                Err(other) => Err(other.into()),
            };
        }
        let filter = match self.diff {
            // What the older one has nothing of may be in the newer one.
            Some(_) => self.select.noted(&self.input.trace, &trace, &symbols),
            None => self.select.checked(&self.input.trace, &trace, &symbols)?,
        };
        if self.task {
            let rows = tasks::rows(&trace, &symbols, &filter)?;
            tasks::write(&trace, &symbols, &rows, &self.sort, stdout())?;
            return Ok(self.input.verdict(&trace));
        }
        let report = report::Report::new(&trace, &symbols, &filter)?;
        let Some(newer) = &self.diff else {
            report.write(&symbols, &self.sort, stdout())?;
            return Ok(self.input.verdict(&trace));
        };
        let other = Input {
            trace: newer.to_owned(),
            elf: self.input.elf.clone(),
            any_build: self.input.any_build,
            names: self.input.names,
        };
        let (newer_trace, newer_symbols) = other.open(Writes::Files)?;
        let newer_report = report::Report::new(
            &newer_trace,
            &newer_symbols,
            &self.select.taken(&newer_trace, &newer_symbols, |_| {}),
        )?;
        if report.rows.is_empty() && newer_report.rows.is_empty() {
            let (old, new) = (self.input.trace.display(), other.trace.display());
            return Err(
                format!("{old}, {new}: no call of either is left: leave an option out").into(),
            );
        }
        let newer = (&newer_report, &newer_symbols);
        report.write_difference(&symbols, newer, &self.sort, stdout())?;
        let (first, second) = (self.input.verdict(&trace), other.verdict(&newer_trace));
        Ok(if trace.is_damaged() { first } else { second })
    }
}
