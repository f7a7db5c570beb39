//! `trace graph` and `trace profile`: who called whom for how long, and which functions the time goes to.

use super::Answer;
use super::trace::{brief, function};
use super::wrong::{refused, some_exist, usage};
use crate::format::{self, Align, Table};
use crate::sched;
use crate::tracing::graph::{self, Line, Shape};
use crate::tracing::{self, FTRACE, PROFILE, RECORDER};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use virt::{print, println, timer};

/// Lines of a graph that are printed unless another number is given.
const LINES: usize = 40;
/// Functions of a profile.
const TOP: usize = 12;

/// `trace graph ..`
pub fn graph(arguments: &[&str]) -> Answer {
    match arguments {
        [] => show_graph(LINES),
        ["off"] => {
            let applied = tracing::graph_off().map_err(|error| refused("graph", &[], error))?;
            println!("  {applied}");
            Ok(())
        }
        [only] if only.bytes().all(|byte| byte.is_ascii_digit()) => {
            show_graph(super::number(only)?)
        }
        patterns => {
            let (patterns, over) = split(patterns, "over");
            let (patterns, from) = split(patterns, "from");
            if patterns.is_empty() || from.is_some_and(<[_]>::is_empty) {
                return Err(usage("graph"));
            }
            let minimum = match over {
                None => 0,
                Some([us]) => ticks(super::number(us)?)?,
                Some(_) => return Err("over takes one number of microseconds".to_string()),
            };
            let from = from.unwrap_or_default();
            some_exist(patterns)?;
            some_exist(from)?;
            let applied = tracing::graph(patterns, from, minimum)
                .map_err(|error| refused("graph", &[patterns, from].concat(), error))?;
            println!("  {applied}");
            Ok(())
        }
    }
}

/// What stands before a word, and behind it where it stands.
fn split<'a, 'b>(words: &'a [&'b str], at: &str) -> (&'a [&'b str], Option<&'a [&'b str]>) {
    match words.iter().position(|word| *word == at) {
        Some(place) => (&words[..place], Some(&words[place + 1..])),
        None => (words, None),
    }
}

fn ticks(us: u64) -> Result<u64, String> {
    let ticks = us.checked_mul(timer::frequency());
    let ticks = ticks.ok_or_else(|| format!("{us} microseconds are more than can be counted"))?;
    Ok(ticks / 1_000_000)
}

fn show_graph(count: usize) -> Answer {
    let (lines, overwritten) = graph::lines().map_err(|error| error.to_string())?;
    println!("  TASK         DURATION      FUNCTION CALLS");
    for line in lines.iter().take(count) {
        show_line(line)?;
    }
    if lines.len() > count {
        println!(
            "  ... and {} more lines",
            format::grouped((lines.len() - count) as u64)
        );
    }
    if overwritten > 0 {
        println!(
            "  ... after {} events that are overwritten",
            format::grouped(overwritten)
        );
    }
    Ok(())
}

fn show_line(line: &Line) -> Answer {
    let duration = line
        .duration
        .map(|ticks| timer::ticks_to_ns(u64::from(ticks)));
    let (mark, time) = match duration {
        Some(nanoseconds) => (mark(nanoseconds), micros(nanoseconds) + " us"),
        None => (' ', String::new()),
    };
    let header = RECORDER.header().map_err(|error| error.to_string())?;
    let name = function(header.text_address(line.site) as usize);
    let name = brief(&name);
    let call = match line.shape {
        Shape::Open => format!("{name}() {{"),
        Shape::Close => format!("}} /* {name} */"),
        Shape::Leaf => format!("{name}();"),
    };
    let indent = 2 * line.depth;
    println!(
        "  {:8} {mark}{time:>14} | {:indent$}{call}",
        sched::name(line.task as usize),
        ""
    );
    Ok(())
}

/// Linux's marks for what takes long.
fn mark(nanoseconds: u64) -> char {
    match nanoseconds {
        ..10_000 => ' ',
        10_000..100_000 => '+',
        100_000..1_000_000 => '!',
        1_000_000..10_000_000 => '#',
        10_000_000..100_000_000 => '*',
        _ => '@',
    }
}

/// `trace profile ..`
pub fn profile(arguments: &[&str]) -> Answer {
    match arguments {
        [] if PROFILE.cores() == 0 => {
            Err("nothing was profiled: trace profile and a GLOB begins".to_string())
        }
        [] => {
            show_profile();
            Ok(())
        }
        ["off"] => {
            let applied = FTRACE
                .unregister(&PROFILE)
                .map_err(|error| refused("profile", &[], error))?;
            println!("  {applied}");
            Ok(())
        }
        patterns => {
            let applied =
                tracing::profile(patterns).map_err(|error| refused("profile", patterns, error))?;
            println!("  {applied}");
            Ok(())
        }
    }
}

fn show_profile() {
    // Taken first: what makes the table may be profiled itself.
    let mut rows: Vec<_> = FTRACE
        .callsites()
        .filter_map(|callsite| Some((callsite, PROFILE.times(&callsite, 0)?)))
        .filter(|(_, times)| times.hits > 0)
        .collect();
    rows.sort_by_key(|(_, row)| core::cmp::Reverse(row.total));
    let mut table = Table::new(&[
        ("hits", Align::Right),
        ("total us", Align::Right),
        ("self us", Align::Right),
        ("mean us", Align::Right),
        ("deviation", Align::Right),
        ("longest us", Align::Right),
        ("function", Align::Left),
    ]);
    for (callsite, times) in rows.iter().take(TOP) {
        let time = |ticks| micros(timer::ticks_to_ns(ticks));
        table.row(&[
            &format::grouped(times.hits),
            &time(times.total),
            &time(times.own),
            &time(times.mean()),
            &time(times.variance().isqrt() as u64),
            &time(times.longest),
            &brief(&callsite.to_string()),
        ]);
    }
    print!("{table}");
    if rows.len() > TOP {
        println!("  ... and {} more functions", rows.len() - TOP);
    }
}

/// Microseconds with their thousandths.
fn micros(nanoseconds: u64) -> String {
    format!(
        "{}.{:03}",
        format::grouped(nanoseconds / 1000),
        nanoseconds % 1000
    )
}
