//! What a boot configuration says of the graph besides patterns: numbers and a time.
#![forbid(unsafe_code)]

use crate::graph::{ARGUMENTS_MAX, DEPTH_MAX, GraphOptions};

/// An option whose value is no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// `ftrace.graph_depth=`: [`GraphOptions::depth`].
    Depth,
    /// `ftrace.graph_minimum=`: [`GraphOptions::minimum`], as a time.
    Minimum,
    /// `ftrace.graph_arguments=`: [`GraphOptions::arguments`].
    Arguments,
    /// `ftrace.graph_result=`: [`GraphOptions::result`].
    Result,
}

/// Units of a time, in nanoseconds.
const UNITS: [(&str, u64); 4] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", NANOSECONDS),
];
const NANOSECONDS: u64 = 1_000_000_000;

impl Setting {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Depth, Self::Minimum, Self::Arguments, Self::Result];

    /// How its option is called.
    pub const fn option(self) -> &'static str {
        match self {
            Self::Depth => "ftrace.graph_depth",
            Self::Minimum => "ftrace.graph_minimum",
            Self::Arguments => "ftrace.graph_arguments",
            Self::Result => "ftrace.graph_result",
        }
    }

    /// The value, of a time in nanoseconds; `None` where it is none, or is out of bounds.
    pub(super) fn value(self, text: &str) -> Option<u64> {
        let end = text.bytes().position(|byte| !byte.is_ascii_digit());
        let (digits, unit) = text.split_at(end.unwrap_or(text.len()));
        let factor = match self {
            Self::Minimum => UNITS.iter().find(|(name, _)| *name == unit)?.1,
            _ if unit.is_empty() => 1,
            _ => return None,
        };
        let value = digits.parse::<u64>().ok()?.checked_mul(factor)?;
        let bounds = match self {
            Self::Depth => 1..=DEPTH_MAX.into(),
            Self::Minimum => 1..=u64::MAX,
            Self::Arguments => 1..=ARGUMENTS_MAX.into(),
            Self::Result => 0..=1,
        };
        bounds.contains(&value).then_some(value)
    }

    /// Puts a value of [`Setting::value`] into the options; `frequency` is the counter's.
    pub(super) fn put(self, value: u64, frequency: u64, options: &mut GraphOptions) {
        match self {
            Self::Depth => options.depth = value as u32,
            Self::Minimum => options.minimum = ticks(value, frequency),
            Self::Arguments => options.arguments = value as u8,
            Self::Result => options.result = value == 1,
        }
    }
}

/// At least so long: rounded up, so that the shortest time is no zero, which would be no limit.
fn ticks(nanoseconds: u64, frequency: u64) -> u64 {
    let ticks = (u128::from(nanoseconds) * u128::from(frequency)).div_ceil(NANOSECONDS.into());
    u64::try_from(ticks).unwrap_or(u64::MAX).max(1)
}
