//! `trace`: the tracer's commands, and the live trace as text.

use super::wrong::{self, refused};
use super::{Answer, cover, crates, number, one, stack, timing, trigger};
use crate::tracing::proof::Words;
use crate::tracing::{self, COVER, EVENTS, FTRACE, HITS, LIVE, PROFILE, RECORDER};
use crate::{format, sched};
use aarch64_ftrace::{Ops, Reason, glob};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use virt::{println, timer};

/// The command's name.
pub const NAME: &str = "trace";
/// What it takes.
pub const ARGUMENTS: &str = "WHAT ..";
/// Lines of the live trace, or of a list, that are printed at a time.
pub const LINES: usize = 16;
/// Generic arguments that are longer are left out of the live trace.
const MAX_GENERICS: usize = 12;
/// Rejects that are printed of each reason.
const REJECTS: usize = 3;
const TOP: usize = 10;
/// Events that are printed unless another number is given.
const DUMPED: usize = 16;

/// Verbs that take functions by name.
const NAMING: [&str; 8] = [
    "on", "list", "record", "graph", "profile", "cover", "stack", "trigger",
];

pub fn run(arguments: &[&str]) -> Answer {
    let taken: Vec<_> = match arguments {
        [verb, words @ ..] if NAMING.contains(verb) => {
            words.iter().map(|word| crates::taken(word)).collect()
        }
        _ => Vec::new(),
    };
    let mut words: Vec<&str> = arguments.to_vec();
    for (word, taken) in words.iter_mut().skip(1).zip(&taken) {
        *word = taken;
    }
    match words[..] {
        ["on", ref patterns @ ..] if !patterns.is_empty() => on(patterns),
        ["off"] => off(),
        ["list", ref patterns @ ..] => list(patterns),
        ["status"] => status(),
        ["rejects"] => rejects(),
        ["count"] => count(),
        ["proof"] => proof(),
        ["record", "off"] => record_off(),
        ["record", ref patterns @ ..] if !patterns.is_empty() => record(patterns),
        ["core", core, "on"] => record_core(core, true),
        ["core", core, "off"] => record_core(core, false),
        ["task", "off"] => {
            println!(
                "  tasks recorded alone until now: {}",
                tracing::record_all_tasks()
            );
            Ok(())
        }
        ["task", name] => record_task(name),
        ["dump"] => dump(DUMPED),
        ["dump", events] => dump(number(events)?),
        ["send"] => tracing::send::send().map_err(|error| error.to_string()),
        ["graph", ref arguments @ ..] => timing::graph(arguments),
        ["profile", ref arguments @ ..] => timing::profile(arguments),
        ["cover", ref arguments @ ..] => cover::run(arguments),
        ["stack", ref arguments @ ..] => stack::run(arguments),
        ["trigger", ref arguments @ ..] => trigger::run(arguments),
        ["panic"] => panic!("asked for from the shell"),
        [verb, ..] => Err(wrong::usage(verb)),
        [] => Err(wrong::usage("")),
    }
}

fn on(patterns: &[&str]) -> Answer {
    let applied = tracing::on(patterns).map_err(|error| refused("on", patterns, error))?;
    println!("  {applied}");
    Ok(())
}

fn off() -> Answer {
    if !LIVE.is_registered() {
        return Err(wrong::nothing_on());
    }
    let applied = tracing::off().map_err(|error| error.to_string())?;
    EVENTS.forget();
    println!("  {applied}");
    Ok(())
}

fn record(patterns: &[&str]) -> Answer {
    let applied = tracing::record(patterns).map_err(|error| refused("record", patterns, error))?;
    println!("  {applied}");
    Ok(())
}

fn record_off() -> Answer {
    let applied = tracing::record_off().map_err(|error| refused("record", &[], error))?;
    println!("  {applied}");
    Ok(())
}

fn record_core(core: &str, record: bool) -> Answer {
    RECORDER
        .record_core(number(core)?, record)
        .map_err(|error| error.to_string())
}

fn record_task(name: &str) -> Answer {
    let rows = sched::rows();
    let task = rows.iter().position(|row| row.name == name);
    let task = task.ok_or_else(|| format!("no task {name}: ps names them"))?;
    tracing::record_task(task).map_err(|error| error.to_string())
}

/// What a panic would print. Recording goes on behind it.
fn dump(events: usize) -> Answer {
    let was_on = RECORDER.is_on();
    let dumped = RECORDER.dump_on_panic(&mut virt::console::Forced, events);
    RECORDER.switch(was_on).map_err(|error| error.to_string())?;
    dumped.map_err(|error| error.to_string())
}

fn list(patterns: &[&str]) -> Answer {
    let pattern = match patterns {
        [] => "*",
        _ => one(patterns, "a glob")?,
    };
    glob::validate(pattern).map_err(|error| error.to_string())?;
    let mut matching = 0;
    for callsite in FTRACE.callsites() {
        let name = callsite
            .names()
            .find(|name| glob::matches(pattern, name.bytes()));
        let Some(name) = name else {
            continue;
        };
        matching += 1;
        if matching <= LINES {
            let state = if callsite.is_enabled() { "on" } else { "" };
            println!(
                "  {:#x} #{:<5} {state:3} {name}",
                callsite.entry(),
                callsite.index()
            );
        }
    }
    match matching {
        0 => Err(wrong::no_match(&[pattern])),
        1..=LINES => Ok(()),
        _ => {
            println!("  ... and {} more", matching - LINES);
            Ok(())
        }
    }
}

fn status() -> Answer {
    let (mut callsites, mut enabled, mut touched) = (0, 0, 0);
    for callsite in FTRACE.callsites() {
        callsites += 1;
        enabled += usize::from(callsite.is_enabled());
        touched += usize::from(callsite.is_touched());
    }
    println!("  {callsites} callsites can be traced");
    println!("  {enabled} call a tracer now, {touched} have at some time");
    println!("  {} records are left alone", FTRACE.rejects().count());
    println!(
        "  {} calls by the printing of the trace itself were not recorded",
        format::grouped(tracing::own_calls())
    );
    Ok(())
}

fn rejects() -> Answer {
    let mut reasons: Vec<(Reason, usize)> = Vec::new();
    for reject in FTRACE.rejects() {
        match reasons
            .iter_mut()
            .find(|(reason, _)| *reason == reject.reason)
        {
            Some((_, count)) => *count += 1,
            None => reasons.push((reject.reason, 1)),
        }
    }
    for (reason, count) in reasons {
        println!("  {count:>5} {reason}, for instance");
        let of_reason = FTRACE.rejects().filter(|reject| reject.reason == reason);
        for reject in of_reason.take(REJECTS) {
            let name = reject.names().next().map(|name| name.to_string());
            println!(
                "          {:#x} {}",
                reject.address,
                name.unwrap_or_default()
            );
        }
    }
    Ok(())
}

fn count() -> Answer {
    let (calls, callsites) = HITS.total();
    println!(
        "  {} calls of {callsites} functions since trace on; most:",
        format::grouped(calls)
    );
    for (ip, calls) in HITS.top::<TOP>() {
        if calls > 0 {
            println!("  {:>10}  {}", format::grouped(calls), function(ip));
        }
    }
    Ok(())
}

fn proof() -> Answer {
    // It counts the live tracer's callsites, and the others' words are no different.
    if RECORDER.ops().is_ok_and(Ops::is_registered)
        || tracing::graph_is_on()
        || PROFILE.is_registered()
        || COVER.is_registered()
    {
        return Err("trace record off, graph off, profile off and cover off first".to_string());
    }
    let words = Words::read().map_err(|error| error.to_string())?;
    println!("{words}");
    if words.prove() {
        println!("  proved: no function but the traced ones has been touched");
        Ok(())
    } else {
        Err(format!(
            "not proved: {} of {} traced as the tracer counts them, {} with other words",
            words.traced,
            LIVE.callsites(),
            words.other
        ))
    }
}

/// Whether the tracer has written anything that has not been shown.
pub fn has_news() -> bool {
    !EVENTS.is_empty()
}

/// Prints what the tracer has written.
pub fn show() {
    tracing::unrecorded(print_events);
}

fn print_events() {
    let mut first = None;
    let mut shown = 0;
    let mut more: BTreeMap<usize, usize> = BTreeMap::new();
    let mut next = EVENTS.pop();
    while let Some(event) = next {
        let first = *first.get_or_insert(event.time);
        let mut times = 1;
        next = EVENTS.pop();
        while next.is_some_and(|next| next.is_again(&event)) {
            times += 1;
            next = EVENTS.pop();
        }
        if shown == LINES {
            *more.entry(event.ip).or_default() += times;
            continue;
        }
        shown += 1;
        let nanoseconds = timer::ticks_to_ns(event.time.saturating_sub(first));
        println!(
            "  {:>6}.{:03} us {:8} {} {}{} <- {}",
            nanoseconds / 1000,
            nanoseconds % 1000,
            sched::name(event.task),
            if event.masked { 'd' } else { '.' },
            brief(&function(event.ip)),
            if times > 1 {
                format!(" x{times}")
            } else {
                String::new()
            },
            brief(&place(event.parent_ip))
        );
    }
    let calls: usize = more.values().sum();
    if calls > 0 {
        println!("  ... and {calls} more calls of {} functions", more.len());
    }
    let lost = EVENTS.take_lost();
    if lost > 0 {
        println!("  ... and {lost} that found the ring full");
    }
}

/// The function that a callsite belongs to.
pub fn function(ip: usize) -> String {
    FTRACE
        .symbol(ip)
        .map_or_else(|| format!("{ip:#x}"), |symbol| symbol.name.to_string())
}

/// An address as function and offset.
fn place(address: usize) -> String {
    // Asm has no record, and so no name.
    let vectors = virt::trap::vectors();
    if vectors.contains(&address) {
        return format!("virt_vectors+{:#x}", address - vectors.start);
    }
    FTRACE
        .symbol(address)
        .map_or_else(|| format!("{address:#x}"), |symbol| symbol.to_string())
}

/// A path with its long generic arguments left out.
pub fn brief(path: &str) -> String {
    let mut brief = String::new();
    let mut outermost = 0;
    let mut depth = 0;
    let mut last = ' ';
    for (at, character) in path.char_indices() {
        match character {
            '<' => {
                if depth == 0 {
                    outermost = at;
                }
                depth += 1;
            }
            // The arrow of a function type closes nothing.
            '>' if last != '-' && depth > 0 => {
                depth -= 1;
                if depth == 0 {
                    let arguments = &path[outermost + 1..at];
                    let shown = if arguments.len() > MAX_GENERICS && outermost > 0 {
                        ".."
                    } else {
                        arguments
                    };
                    brief.push('<');
                    brief.push_str(shown);
                    brief.push('>');
                }
            }
            _ if depth == 0 => brief.push(character),
            _ => {}
        }
        last = character;
    }
    brief
}
