//! What a person sees: one line for each thing that is done, with the time it took.

use std::fmt::Display;
use std::io::{IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// With `bench --json` stdout carries nothing but JSON: all else goes to stderr.
static TO_STDERR: AtomicBool = AtomicBool::new(false);

/// From now on everything that is said goes to stderr.
pub fn say_on_stderr() {
    TO_STDERR.store(true, Ordering::Relaxed);
}

/// Prints one line.
pub fn say(line: impl Display) {
    // A closed pipe on the reader's side is no reason to stop the work.
    if TO_STDERR.load(Ordering::Relaxed) {
        let _ = writeln!(std::io::stderr(), "{line}");
    } else {
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "{line}");
        let _ = out.flush();
    }
}

/// Prints a heading between parts of a long run.
pub fn heading(text: impl Display) {
    say(format!("\n{}", bold(&format!("== {text}"))));
}

/// `text` in bold on a terminal, as it is elsewhere.
#[must_use]
pub fn bold(text: &str) -> String {
    if std::io::stdout().is_terminal() {
        format!("\x1b[1m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}

/// Seconds since `start`, as shown beside a step.
#[must_use]
pub fn took(start: Instant) -> String {
    format!("{:.1} s", start.elapsed().as_secs_f64())
}
