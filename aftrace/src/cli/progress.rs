//! A bar that says how far the work on a trace is.

use std::io::{self, IsTerminal as _};

use aftrace::trace::file::Progress;
use indicatif::{ProgressBar, ProgressStyle};

/// What a verb writes while it reads.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Writes {
    /// Lines on the standard output.
    Lines,
    /// Files, or nothing before the end.
    Files,
}

/// A bar on the standard error, if that is a terminal: one for each pass over the trace, gone behind it. None between lines that go
/// to a terminal, too.
pub fn bar(writes: Writes) -> Progress {
    if writes == Writes::Lines && io::stdout().is_terminal() {
        return Box::new(|_, _| {});
    }
    // Hidden where the standard error is no terminal.
    let bar = ProgressBar::new(0);
    if let Ok(style) =
        ProgressStyle::with_template("{bar:40} {bytes} of {total_bytes}, {eta} to go")
    {
        bar.set_style(style);
    }
    Box::new(move |behind, all| {
        if behind >= all {
            bar.finish_and_clear();
            return;
        }
        if behind == 0 {
            bar.reset();
            bar.set_length(all);
        }
        bar.set_position(behind);
    })
}
