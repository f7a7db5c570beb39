//! `trace trigger`: what happens when a function is called.

use super::Answer;
use super::trace::{brief, function};
use super::wrong::{refused, usage};
use crate::sync::Lock;
use crate::tracing::RECORDER;
use aarch64_ftrace::Filter;
use aarch64_ftrace::record::{Action, Item, RecordError, Trigger};
use aarch64_ftrace::trace::Type;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::{String, ToString};
use virt::println;

/// Events that the action dump prints.
const DUMPED: usize = 8;
/// Events of a snapshot that are printed.
const SHOWN: usize = 4;
/// Fires at every call.
const ALWAYS: u32 = u32::MAX;

const ON: usize = 0;
const OFF: usize = 1;
const SNAPSHOT: usize = 2;

/// A trigger for each action, by its name.
static ALL: [(&str, Trigger); 6] = [
    ("on", Trigger::new(&RECORDER, Action::On)),
    ("off", Trigger::new(&RECORDER, Action::Off)),
    ("snapshot", Trigger::new(&RECORDER, Action::Snapshot)),
    ("dump", Trigger::new(&RECORDER, DUMP)),
    ("stack", Trigger::new(&RECORDER, Action::Stack)),
    ("halt", Trigger::new(&RECORDER, HALT)),
];

const DUMP: Action = Action::Dump {
    out: print,
    events: DUMPED,
};

/// This kernel has one core: there are no others.
const HALT: Action = Action::Halt { stop_others: || () };

/// What each was set on, as it was typed.
static PATTERNS: Lock<[Option<String>; ALL.len()]> = Lock::new([const { None }; ALL.len()]);

aarch64_ftrace::notrace! {
    fn print(text: &str) {
        use core::fmt::Write as _;
        let _ = virt::console::Forced.write_str(text);
    }
}

/// `trace trigger ..`
pub fn run(arguments: &[&str]) -> Answer {
    match arguments {
        [] => list(),
        ["remove", action] => remove(action),
        ["snapshot"] => show_snapshot(),
        ["from", start, "until", stop] => set_pair(start, stop),
        ["from", ..] => Err(usage("trigger")),
        [function, action] => {
            let (action, count) = match action.split_once(':') {
                None => (*action, ALWAYS),
                Some((action, count)) => {
                    let more = |count: &u32| *count > 0;
                    let counted = count.parse().ok().filter(more);
                    let counted = counted
                        .ok_or_else(|| format!("{count:?} is no count: a number from 1 on"))?;
                    (action, counted)
                }
            };
            set(function, action, count)
        }
        _ => Err(usage("trigger")),
    }
}

fn find(action: &str) -> Result<usize, String> {
    let known = ALL.iter().position(|(name, _)| *name == action);
    known.ok_or_else(|| format!("no action {action:?}: on, off, snapshot, dump, stack, halt"))
}

fn set(function: &str, action: &str, count: u32) -> Answer {
    let index = find(action)?;
    free(index)?;
    let trigger = &ALL[index].1;
    trigger.rearm(count);
    let applied = trigger
        .set(&Filter::new(&[function]))
        .map_err(|error| refused("trigger", &[function], error))?;
    PATTERNS.lock()[index] = Some(function.to_string());
    println!("  {applied}");
    Ok(())
}

/// Recording is off until `start` is called, and off again when `stop` is: both, or neither.
fn set_pair(start: &str, stop: &str) -> Answer {
    for index in [ON, OFF] {
        free(index)?;
        ALL[index].1.rearm(ALWAYS);
    }
    ALL[ON]
        .1
        .set_until(&Filter::new(&[start]), &ALL[OFF].1, &Filter::new(&[stop]))
        .map_err(|error| refused("trigger", &[start, stop], error))?;
    let mut patterns = PATTERNS.lock();
    patterns[ON] = Some(start.to_string());
    patterns[OFF] = Some(stop.to_string());
    Ok(())
}

/// There is one trigger for each action.
fn free(index: usize) -> Answer {
    let (action, trigger) = &ALL[index];
    if trigger.is_set() {
        return Err(format!(
            "{action} is set already: trace trigger remove {action}"
        ));
    }
    Ok(())
}

fn remove(action: &str) -> Answer {
    let index = find(action)?;
    let trigger = &ALL[index].1;
    if !trigger.is_set() {
        return Err(format!("{action} is not set: trace trigger lists what is"));
    }
    let applied = trigger.unset().map_err(|error| error.to_string())?;
    PATTERNS.lock()[index] = None;
    println!("  {applied}");
    Ok(())
}

fn list() -> Answer {
    let patterns = PATTERNS.lock().clone();
    if patterns.iter().all(Option::is_none) {
        return Err(format!("no trigger is set: {}", usage("trigger")));
    }
    for ((action, trigger), pattern) in ALL.iter().zip(patterns) {
        if let Some(pattern) = pattern {
            let (fired, failed) = (trigger.fired(), trigger.failed());
            println!("  {action:8} at {pattern}: fired {fired}, failed {failed}");
        }
    }
    Ok(())
}

/// The snapshot that the trigger took; it is given back, and the next one may be taken.
fn show_snapshot() -> Answer {
    let trigger = &ALL[SNAPSHOT].1;
    let snapshot = trigger
        .take_snapshot()
        .ok_or("no snapshot was taken: a trigger with the action snapshot takes one")?;
    let error = |error: RecordError| error.to_string();
    let counts = snapshot.counts(0).map_err(error)?;
    println!(
        "  {} events, {} overwritten; the last:",
        counts.written, counts.overwritten
    );
    let header = RECORDER.header().map_err(error)?;
    let items = snapshot.read(0).map_err(error)?;
    let mut last = VecDeque::new();
    for item in items {
        if let Item::Event { event, .. } = item {
            last.push_back(event);
        }
        if last.len() > SHOWN {
            last.pop_front();
        }
    }
    for event in last {
        let name = function(header.text_address(event.callsite_low()) as usize);
        println!(
            "    {:?} {}",
            event.kind().unwrap_or(Type::Data),
            brief(&name)
        );
    }
    Ok(())
}
