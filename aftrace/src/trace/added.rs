//! What a kernel has added up itself, without a log: the profile and the coverage in a trace, and the texts that show them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use aarch64_ftrace::Times;
use aarch64_ftrace::glob;
use aarch64_ftrace::trace::{ProfileEntry, coverage_entries, profile_entries};

use super::file::Trace;
use super::filter::Filter;
use super::replay::duration;
use super::report::Key;
use super::symbols::Symbols;

/// Functions that are kept, those of each core for itself. A hostile file would have the reader hold more than it is long.
pub const FUNCTIONS_MAX: usize = 1 << 20;

/// The profile and the coverage of a trace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Added {
    /// By callsite and core. Where a trace has a function of a core twice, the later counts.
    pub profile: BTreeMap<(u32, u16), ProfileEntry>,
    /// The callsites that were called; `None` where no frame says so.
    pub coverage: Option<BTreeSet<u32>>,
}

impl Added {
    /// Takes a PROFILE; `None` where it is not made of whole functions, or has more than are kept.
    pub(super) fn take_profile(&mut self, core: u16, payload: &[u8]) -> Option<()> {
        for entry in profile_entries(payload)? {
            let key = (entry.callsite, core);
            if self.profile.len() >= FUNCTIONS_MAX && !self.profile.contains_key(&key) {
                return None;
            }
            self.profile.insert(key, entry);
        }
        Some(())
    }

    /// Takes a COVERAGE, likewise.
    pub(super) fn take_coverage(&mut self, payload: &[u8]) -> Option<()> {
        let entries = coverage_entries(payload)?;
        let coverage = self.coverage.get_or_insert_default();
        for entry in entries {
            if coverage.len() >= FUNCTIONS_MAX && !coverage.contains(&entry) {
                return None;
            }
            coverage.insert(entry);
        }
        Some(())
    }
}

/// Why there is nothing to show.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AddedError {
    /// The trace has none.
    #[error("no {0} in this trace: the kernel sends one with Recorder::{1}")]
    None(&'static str, &'static str),
    /// The choices leave nothing.
    #[error("no function of the {0} is left: --filter, --notrace and --core choose, leave one out")]
    Nothing(&'static str),
    /// A column that only calls one by one give.
    #[error(
        "a profile has no such column to sort by: total, self, calls, max, mean, deviation, name"
    )]
    Column,
    /// Nothing can be written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

const fn times(entry: &ProfileEntry) -> Times {
    Times {
        hits: entry.hits,
        total: entry.total,
        own: entry.own,
        longest: entry.longest,
        squares: entry.squares,
    }
}

/// Whether the filter takes a function by its name.
fn takes(filter: &Filter, name: &str) -> bool {
    let any = |globs: &[String]| globs.iter().any(|glob| glob::matches(glob, name.bytes()));
    (filter.functions.is_empty() || any(&filter.functions)) && !any(&filter.hidden)
}

/// Writes the profile: a line for each function and core that the filter takes by name and number.
///
/// # Errors
/// [`AddedError`].
pub fn write_profile(
    trace: &Trace,
    symbols: &Symbols,
    filter: &Filter,
    keys: &[Key],
    mut out: impl Write,
) -> Result<(), AddedError> {
    if trace.added.profile.is_empty() {
        return Err(AddedError::None("profile", "send_profile"));
    }
    let wanted = |core: u16| {
        filter
            .cores
            .as_ref()
            .is_none_or(|only| only.contains(&core))
    };
    let mut rows: Vec<_> = trace
        .added
        .profile
        .iter()
        .filter(|((_, core), _)| wanted(*core))
        .filter(|((low, _), _)| takes(filter, &symbols.name(*low)))
        .map(|(&(low, core), entry)| (symbols.full(low), core, times(entry)))
        .collect();
    let value = |key, times: &Times| match key {
        Key::Total => Ok(u128::from(times.total)),
        Key::Own => Ok(times.own.into()),
        Key::Calls => Ok(times.hits.into()),
        Key::Max => Ok(times.longest.into()),
        Key::Mean => Ok(times.mean().into()),
        Key::Deviation => Ok(times.variance()),
        Key::Name => Ok(0),
        Key::Min | Key::P50 | Key::P99 => Err(AddedError::Column),
    };
    for &key in keys {
        value(key, &Times::default())?;
    }
    // Names and cores decide between equals.
    rows.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
    for &key in keys.iter().rev() {
        rows.sort_by_key(|(_, _, times)| Reverse(value(key, times).unwrap_or_default()));
    }
    if rows.is_empty() {
        return Err(AddedError::Nothing("profile"));
    }
    let time = |ticks| duration(symbols.nanoseconds(ticks));
    writeln!(
        out,
        "{:>10} {:>10} {:>10} {:>10} {:>14} {:>10} {:>5}  FUNCTION",
        "HITS", "TOTAL", "SELF", "MEAN", "VARIANCE us^2", "MAX", "CORE"
    )?;
    for (name, core, times) in rows {
        let name = symbols.fit(&name);
        writeln!(
            out,
            "{:>10} {:>10} {:>10} {:>10} {:>14.3} {:>10} {core:>5}  {name}",
            times.hits,
            time(times.total),
            time(times.own),
            time(times.mean()),
            microseconds_squared(times.variance(), symbols.header().frequency),
            time(times.longest),
        )?;
    }
    Ok(out.flush()?)
}

/// Of ticks squared.
fn microseconds_squared(squared: u128, frequency: u64) -> f64 {
    let microseconds = 1e6 / frequency.max(1) as f64;
    squared as f64 * microseconds * microseconds
}

/// Writes the functions that were called, by address, as far as the filter takes their names.
///
/// # Errors
/// [`AddedError`].
pub fn write_coverage(
    trace: &Trace,
    symbols: &Symbols,
    filter: &Filter,
    mut out: impl Write,
) -> Result<(), AddedError> {
    let Some(coverage) = &trace.added.coverage else {
        return Err(AddedError::None("coverage", "send_coverage"));
    };
    let mut taken = coverage
        .iter()
        .filter(|low| takes(filter, &symbols.name(**low)))
        .peekable();
    if taken.peek().is_none() && !coverage.is_empty() {
        return Err(AddedError::Nothing("coverage"));
    }
    for &low in taken {
        writeln!(out, "{:#x} {}", symbols.entry(low), symbols.shown(low))?;
    }
    Ok(out.flush()?)
}
