//! Shows the calls of a trace.

use aftrace::trace::replay::{self, Style};
use clap::Args;

use super::progress::Writes;
use super::select::{Input, Select};
use super::{Outcome, manual, stdout};

const EXAMPLES: &[&str] = &[
    "aftrace replay trace.aft --tail 30    # how it ended",
    "aftrace replay trace.aft -F 'fs::*' -D 3 -t 10us    # what fs does, three levels deep, from 10 microseconds on",
    "aftrace replay trace.aft --elf kernel.elf --location --inlined --core 0,2",
];

/// Show the calls of a trace, with durations
///
/// One line a call between whose entry and return nothing else is shown, two for others. DURATION stands with the return. CPU is the core. What is missing
/// from the trace, switches of tasks, triggers and stacks stand between in comments. FUNCTION events have no duration: they
/// are shown with their caller.
#[derive(Args)]
#[command(after_help = manual(EXAMPLES))]
pub struct Replay {
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    select: Select,
    /// Only this many of the last lines
    #[arg(long, value_name = "LINES")]
    tail: Option<usize>,
    /// With the time of each line, in seconds of the kernel's clock, as --time-range takes them
    #[arg(long)]
    timestamps: bool,
}

impl Replay {
    pub fn run(&self) -> Outcome {
        let (trace, symbols) = self.input.open(Writes::Lines)?;
        let style = Style {
            tail: self.tail,
            timestamps: self.timestamps,
        };
        let filter = self.select.checked(&self.input.trace, &trace, &symbols)?;
        replay::replay(&trace, &symbols, &filter, &style, stdout())?;
        Ok(self.input.verdict(&trace))
    }
}
