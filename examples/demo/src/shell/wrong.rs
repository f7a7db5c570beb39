//! What is wrong with what was typed after `trace`, and what would be right.

use crate::tracing::{self, COVER, FTRACE, PROFILE, RECORDER};
use aarch64_ftrace::record::RecordError;
use aarch64_ftrace::{Error, Ops, glob};
use alloc::format;
use alloc::string::{String, ToString};
use virt::println;

/// Each verb, what it takes, and what that does.
const VERBS: &[(&str, &str, &str)] = &[
    ("on", "GLOB..", "show calls as they happen"),
    ("off", "", "no more"),
    ("list", "[GLOB]", "functions that can be traced"),
    ("status", "", "how many there are"),
    ("rejects", "", "what is left alone, and why"),
    ("count", "", "calls since trace on"),
    ("proof", "", "what is not traced is untouched"),
    (
        "record",
        "GLOB.. | off",
        "each call as 16 bytes, for dump, send and panic",
    ),
    ("core", "NUMBER on | NUMBER off", "leave a core out of it"),
    ("task", "NAME | off", "record only these tasks"),
    (
        "dump",
        "[EVENTS]",
        "the last events, as a panic prints them",
    ),
    ("panic", "", "let it"),
    (
        "graph",
        "GLOB.. [from GLOB..] [over MICROSECONDS] | [LINES] | off",
        "who calls whom, for how long; only below from; only what is slow; show it",
    ),
    (
        "profile",
        "GLOB.. | off | (nothing)",
        "hits and times of functions; show them",
    ),
    (
        "cover",
        "GLOB.. | off | (nothing)",
        "which functions run at all; show it",
    ),
    (
        "stack",
        "GLOB.. | clear | off | (nothing)",
        "the deepest stack; show it",
    ),
    (
        "trigger",
        "FUNCTION ACTION[:COUNT] | from FUNCTION until FUNCTION | remove ACTION | snapshot | (nothing)",
        "at a call: on, off, snapshot, dump, stack, halt; show what it took; list them",
    ),
    (
        "send",
        "",
        "what is recorded, profiled and covered, in frames; the host reads them: aftrace console LOG",
    ),
];

/// Prints the verbs.
pub fn help() {
    for (verb, arguments, about) in VERBS {
        println!("      {verb} {arguments}");
        println!("          {about}");
    }
}

/// What a verb takes, for somebody who typed something else.
pub fn usage(verb: &str) -> String {
    match VERBS.iter().find(|(name, ..)| *name == verb) {
        Some((_, "", _)) => format!("trace {verb} takes nothing more"),
        Some((_, arguments, _)) => format!("trace {verb} takes {arguments}"),
        None => {
            let mut known = String::new();
            for (name, ..) in VERBS {
                known.push(' ');
                known.push_str(name);
            }
            format!("trace takes one of{known}: help says what they do")
        }
    }
}

/// What the tracer says to `verb`, with the patterns that were typed.
pub fn refused(verb: &str, patterns: &[&str], error: impl Into<RecordError>) -> String {
    match error.into() {
        RecordError::Ftrace(Error::NoMatch { .. }) => no_match(patterns),
        RecordError::Ftrace(Error::NotRegistered) => {
            format!("trace {verb} is off: trace {verb} and a GLOB begins")
        }
        error => error.to_string(),
    }
}

/// What to say where `trace off` has nothing to end, though something else may be on.
pub fn nothing_on() -> String {
    let others = [
        ("record", RECORDER.ops().is_ok_and(Ops::is_registered)),
        ("graph", tracing::graph_is_on()),
        ("profile", PROFILE.is_registered()),
        ("cover", COVER.is_registered()),
    ];
    let on = others.iter().find(|(_, is_on)| *is_on);
    match on {
        Some((verb, _)) => {
            format!("trace on is off: what is on ends with trace {verb} off")
        }
        None => "nothing is traced: trace on and a GLOB begins".to_string(),
    }
}

/// The first pattern that takes no function, and one that would.
pub fn no_match(patterns: &[&str]) -> String {
    let wanted = patterns
        .iter()
        .map(|pattern| pattern.trim_start_matches('!'));
    let Some(nothing) = wanted.into_iter().find(|pattern| !is_any(pattern)) else {
        return "the patterns leave no function: nothing was changed".to_string();
    };
    let longer = format!("*::{nothing}");
    let hint = if is_any(&longer) {
        format!("names begin with their crate, {longer} is something")
    } else {
        "trace list *WORD* looks for a word".to_string()
    };
    format!("no function is called {nothing}: {hint}; nothing was changed")
}

/// Refuses patterns none of which is a function's, before anything is changed.
pub fn some_exist(patterns: &[&str]) -> Result<(), String> {
    let exists = |pattern: &&str| is_any(pattern.trim_start_matches('!'));
    if patterns.is_empty() || patterns.iter().any(exists) {
        Ok(())
    } else {
        Err(no_match(patterns))
    }
}

/// Whether some function has such a name.
pub fn is_any(pattern: &str) -> bool {
    FTRACE.callsites().any(|callsite| {
        let mut names = callsite.names();
        names.any(|name| glob::matches(pattern, name.bytes()))
    })
}
