//! Shows who called whom.

use aftrace::trace::graph::{self, Style};
use aftrace::trace::paths::Paths;
use clap::Args;

use super::meant::taken;
use super::nothing::{below_crate, suggestion};
use super::progress::Writes;
use super::select::{Input, Select};
use super::{Outcome, manual, stdout};

const EXAMPLES: &[&str] = &[
    "aftrace graph trace.aft -D 4 --short",
    "aftrace graph trace.aft 'fs::open' --backtraces 3    # who calls it, and what it calls",
];

/// Show who called whom, with calls and times of each path
///
/// A line for each path of calls below its caller's, the largest TOTAL first. TOTAL includes the traced functions that are called, SELF does
/// not. With FUNCTION: first the backtraces of its outermost calls, then what is called in them, whoever made them. Of FUNCTION events,
/// which have no duration, calls are counted below the caller. Calls that had not returned are counted in brackets, and nowhere else.
#[derive(Args)]
#[command(after_help = manual(EXAMPLES))]
pub struct Graph {
    #[command(flatten)]
    input: Input,
    /// Only from the functions on that this path or glob matches: `fs::open`, `sched::*`
    #[arg(value_parser = super::parse_glob)]
    function: Option<String>,
    #[command(flatten)]
    select: Select,
    /// So many backtraces of FUNCTION, those with the largest TOTAL
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 10,
        requires = "function"
    )]
    backtraces: usize,
}

impl Graph {
    pub fn run(&self) -> Outcome {
        let (trace, symbols) = self.input.open(Writes::Files)?;
        let filter = self.select.checked(&self.input.trace, &trace, &symbols)?;
        let paths = Paths::new(&trace, &symbols, &filter)?;
        let style = Style {
            backtraces: self.backtraces,
        };
        match &self.function {
            None => graph::write(&paths, &symbols, style, stdout())?,
            Some(pattern) => {
                let below = below_crate(pattern, &symbols);
                if let Some(below) = &below {
                    let said = taken(&format!("{pattern:?}"), below);
                    note!("aftrace: {}: {said}", self.input.trace.display());
                }
                let pattern = below.as_ref().unwrap_or(pattern);
                if !graph::write_focus(&paths, pattern, &symbols, style, stdout())? {
                    return Err(format!(
                        "{}: no call of a function that {pattern:?} matches: `aftrace report` lists those that were called{}",
                        self.input.trace.display(),
                        suggestion(pattern, &symbols)
                    )
                    .into());
                }
            }
        }
        Ok(self.input.verdict(&trace))
    }
}
