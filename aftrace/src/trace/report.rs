//! What a trace adds up to: calls and times of each function, and how two traces differ.

use std::collections::BTreeMap;
use std::io::{self, Write};

use rustc_hash::FxHashMap;

use super::calls::Step;
use super::file::Trace;
use super::filter::{Filter, Shown};
use super::replay::duration;
use super::symbols::Symbols;

mod difference;

/// Bits of a duration that its bucket keeps: percentiles are exact to one part in 64.
const KEPT: u32 = 6;

/// Buckets that are held together: those of durations up to twice the first one's.
const PAGE: usize = 1 << KEPT;

/// Durations by buckets whose width grows with the duration: at most 30 KiB for any number of calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram(Vec<Option<Box<[u64; PAGE]>>>);

impl Histogram {
    /// The number of the bucket. Each begins where the one before ends.
    const fn bucket(ticks: u64) -> usize {
        let shift = (u64::BITS - ticks.leading_zeros()).saturating_sub(KEPT + 1);
        shift as usize * PAGE + (ticks >> shift) as usize
    }

    /// The least duration of the bucket.
    const fn least(bucket: usize) -> u64 {
        let shift = (bucket / PAGE).saturating_sub(1);
        ((bucket - shift * PAGE) as u64) << shift
    }

    fn add(&mut self, ticks: u64) {
        let bucket = Self::bucket(ticks);
        if self.0.len() <= bucket / PAGE {
            self.0.resize(bucket / PAGE + 1, None);
        }
        self.0[bucket / PAGE].get_or_insert_with(|| Box::new([0; PAGE]))[bucket % PAGE] += 1;
    }

    /// Each bucket with calls in it, the shortest first.
    fn counts(&self) -> impl Iterator<Item = (usize, u64)> {
        let pages = self.0.iter().enumerate();
        pages
            .filter_map(|(index, page)| Some((index * PAGE, page.as_deref()?)))
            .flat_map(|(first, page)| (first..).zip(page.iter().copied()))
            .filter(|(_, count)| *count > 0)
    }

    fn merge(&mut self, other: Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), None);
        }
        for (page, others) in self.0.iter_mut().zip(other.0) {
            match (page, others) {
                (page @ None, others) => *page = others,
                (Some(page), Some(others)) => {
                    for (count, more) in page.iter_mut().zip(*others) {
                        *count += more;
                    }
                }
                (Some(_), None) => {}
            }
        }
    }

    /// The duration that `percent` of the calls do not exceed, or up to one part in 64 less; 0 without calls.
    #[must_use]
    pub fn percentile(&self, percent: u64) -> u64 {
        let calls: u64 = self.counts().map(|(_, count)| count).sum();
        let rank = (u128::from(calls) * u128::from(percent)).div_ceil(100) as u64;
        let mut seen = 0;
        for (bucket, count) in self.counts() {
            seen += count;
            if seen >= rank {
                return Self::least(bucket);
            }
        }
        0
    }
}

/// One function. Times are ticks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// Calls: each FUNCTION and each EXIT.
    pub calls: u64,
    /// Of those, the ones whose duration is known.
    pub timed: u64,
    /// Of all calls, callees included. A recursive call counts in its outer one, too.
    pub total: u64,
    /// Of all calls, without their traced callees.
    pub own: u64,
    /// The shortest.
    pub min: u64,
    /// The longest.
    pub max: u64,
    /// Calls that had not returned when the trace ended, or whose return is missing.
    pub unfinished: u64,
    squares: u128,
    histogram: Histogram,
}

impl Row {
    /// Ticks of a call.
    #[must_use]
    pub const fn mean(&self) -> u64 {
        match self.timed {
            0 => 0,
            timed => self.total / timed,
        }
    }

    /// The standard deviation of its calls.
    #[must_use]
    pub fn deviation(&self) -> u64 {
        if self.timed == 0 {
            return 0;
        }
        let (calls, total) = (u128::from(self.timed), u128::from(self.total));
        // In whole numbers, because two nearly equal squares of long durations are not told apart as f64.
        let exact = self.squares.checked_mul(calls);
        let difference = match exact {
            Some(squares) => squares.saturating_sub(total * total) as f64,
            None => (self.squares as f64 * calls as f64 - total as f64 * total as f64).max(0.0),
        };
        (difference.sqrt() / calls as f64) as u64
    }

    /// See [`Histogram::percentile`].
    #[must_use]
    pub fn percentile(&self, percent: u64) -> u64 {
        self.histogram.percentile(percent).clamp(self.min, self.max)
    }

    fn add(&mut self, ticks: u64, own: u64) {
        self.min = if self.timed == 0 {
            ticks
        } else {
            self.min.min(ticks)
        };
        self.max = self.max.max(ticks);
        self.calls += 1;
        self.timed += 1;
        self.total = self.total.saturating_add(ticks);
        self.own = self.own.saturating_add(own);
        self.squares = self
            .squares
            .saturating_add(u128::from(ticks) * u128::from(ticks));
        self.histogram.add(ticks);
    }

    /// Of two functions with one name.
    fn merge(&mut self, other: Self) {
        self.min = match (self.timed, other.timed) {
            (_, 0) => self.min,
            (0, _) => other.min,
            _ => self.min.min(other.min),
        };
        self.max = self.max.max(other.max);
        self.calls += other.calls;
        self.timed += other.timed;
        self.total = self.total.saturating_add(other.total);
        self.own = self.own.saturating_add(other.own);
        self.unfinished += other.unfinished;
        self.squares = self.squares.saturating_add(other.squares);
        self.histogram.merge(other.histogram);
    }
}

/// By what rows are ordered, the largest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
#[allow(missing_docs, reason = "the columns of the table")]
pub enum Key {
    #[default]
    Total,
    #[value(name = "self")]
    Own,
    #[value(alias = "call")]
    Calls,
    Min,
    Max,
    #[value(alias = "avg")]
    Mean,
    #[value(alias = "stdv")]
    Deviation,
    P50,
    P99,
    #[value(alias = "func")]
    Name,
}

impl Key {
    /// Whether the shorter tables have it, too: how two traces differ, and what tasks do.
    #[must_use]
    pub const fn is_sum(self) -> bool {
        matches!(self, Self::Total | Self::Own | Self::Calls | Self::Name)
    }
}

/// What a trace adds up to, by function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// By name, with what else is to be shown of it.
    pub rows: BTreeMap<String, Row>,
}

impl Report {
    /// Of what the filter lets through.
    ///
    /// # Errors
    /// Those of the file.
    pub fn new(trace: &Trace, symbols: &Symbols, filter: &Filter) -> io::Result<Self> {
        let mut by_callsite = FxHashMap::<u32, Row>::default();
        let unfinished = filter.play(trace, symbols, true, |shown| {
            match shown {
                Shown::Leaf(leave) | Shown::Step(Step::Leave(leave)) => {
                    by_callsite
                        .entry(leave.call.callsite)
                        .or_default()
                        .add(leave.duration, leave.own);
                }
                Shown::Step(Step::Function(call)) => {
                    by_callsite.entry(call.callsite).or_default().calls += 1
                }
                Shown::Step(Step::Abandoned(call, _)) => {
                    by_callsite.entry(call.callsite).or_default().unfinished += 1
                }
                Shown::Step(_) => {}
            }
            Ok(())
        })?;
        for call in unfinished {
            by_callsite.entry(call.callsite).or_default().unfinished += 1;
        }
        let mut rows = BTreeMap::<String, Row>::new();
        for (low, row) in by_callsite {
            rows.entry(symbols.full(low)).or_default().merge(row);
        }
        Ok(Self { rows })
    }

    /// The rows in the order of the first of these columns; of the next one, where that is the same.
    #[must_use]
    pub fn sorted(&self, keys: &[Key]) -> Vec<(&str, &Row)> {
        let mut rows: Vec<_> = self
            .rows
            .iter()
            .map(|(name, row)| (name.as_str(), row))
            .collect();
        let value = |key, row: &Row| match key {
            Key::Total => row.total,
            Key::Own => row.own,
            Key::Calls => row.calls,
            Key::Min => row.min,
            Key::Max => row.max,
            Key::Mean => row.mean(),
            Key::Deviation => row.deviation(),
            Key::P50 => row.percentile(50),
            Key::P99 => row.percentile(99),
            Key::Name => 0,
        };
        // Stable: names decide between equals.
        for &key in keys.iter().rev() {
            rows.sort_by_key(|(_, row)| std::cmp::Reverse(value(key, row)));
        }
        rows
    }

    /// Writes the table.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(&self, symbols: &Symbols, keys: &[Key], mut out: impl Write) -> io::Result<()> {
        let time = |ticks| duration(symbols.nanoseconds(ticks));
        writeln!(
            out,
            "{:>10} {:>10} {:>9} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10}  FUNCTION",
            "TOTAL", "SELF", "CALLS", "MIN", "MAX", "MEAN", "DEVIATION", "P50", "P99"
        )?;
        for (name, row) in self.sorted(keys) {
            let name = symbols.fit(name);
            let note = match row.unfinished {
                0 => String::new(),
                unfinished => format!("  ({unfinished} not returned)"),
            };
            if row.timed == 0 {
                writeln!(
                    out,
                    "{:>10} {:>10} {:>9} {:66}  {name}{note}",
                    "", "", row.calls, ""
                )?;
                continue;
            }
            writeln!(
                out,
                "{:>10} {:>10} {:>9} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10}  {name}{note}",
                time(row.total),
                time(row.own),
                row.calls,
                time(row.min),
                time(row.max),
                time(row.mean()),
                time(row.deviation()),
                time(row.percentile(50)),
                time(row.percentile(99)),
            )?;
        }
        out.flush()
    }
}
