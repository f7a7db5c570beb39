//! Why a boot configuration is refused.
#![forbid(unsafe_code)]

use crate::glob::GlobError;
use crate::graph::{ARGUMENTS_MAX, DEPTH_MAX};
use core::fmt;

/// Offsets are bytes of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BootError {
    /// The space was not made by `reserve_boot_config!`.
    Magic,
    /// The text is longer than its space.
    Length {
        /// Of the text.
        length: usize,
        /// What there is.
        room: usize,
    },
    /// The text is damaged.
    Checksum {
        /// Its bytes have this.
        found: u32,
        /// The space says this.
        expected: u32,
    },
    /// Not UTF-8.
    Utf8 {
        /// From here on.
        at: usize,
    },
    /// A quote that begins and does not end.
    Quote {
        /// Where the option begins.
        at: usize,
    },
    /// An option that begins with `ftrace.` and is none.
    Option {
        /// Where it begins.
        at: usize,
    },
    /// Its pattern is none.
    Glob {
        /// Where the option begins.
        at: usize,
        /// Why.
        error: GlobError,
    },
    /// A number or a time that is none, or is out of bounds.
    Value {
        /// Where the option begins.
        at: usize,
    },
    /// An option of the graph, and no `ftrace.graph=`.
    NoGraph {
        /// Where the option begins.
        at: usize,
    },
    /// More patterns than a filter takes.
    TooMany {
        /// So many.
        count: usize,
    },
    /// The device tree is none, or is damaged.
    Tree {
        /// Offset in the blob.
        at: usize,
    },
}

impl fmt::Display for BootError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Magic => write!(
                f,
                "no boot configuration there: put `reserve_boot_config!(1024);` into the kernel"
            ),
            Self::Length { length, room } => write!(
                f,
                "the boot configuration has {length} bytes, there is room for {room}: reserve more"
            ),
            Self::Checksum { found, expected } => write!(
                f,
                "the boot configuration's CRC is {found:#010x}, not {expected:#010x}: record again"
            ),
            Self::Utf8 { at } => write!(f, "the boot configuration is no UTF-8 from byte {at} on"),
            Self::Quote { at } => write!(f, "the quote in the option at byte {at} does not end"),
            Self::Option { at } => write!(
                f,
                "the option at byte {at} is none: ftrace.function=, graph=, notrace=, graph_roots=, graph_notrace= with a \
                 pattern, ftrace.graph_depth=, graph_minimum=, graph_arguments=, graph_result="
            ),
            Self::Value { at } => write!(
                f,
                "the value of the option at byte {at}: ftrace.graph_depth takes 1 to {DEPTH_MAX}, ftrace.graph_arguments 1 to \
                 {ARGUMENTS_MAX}, ftrace.graph_result 0 or 1, ftrace.graph_minimum a time: 500ns, 10us, 2ms, 1s"
            ),
            Self::NoGraph { at } => write!(
                f,
                "the option at byte {at} is of no use without ftrace.graph=PATTERN"
            ),
            Self::Glob { at, error } => {
                write!(f, "the pattern of the option at byte {at}: {error}")
            }
            Self::TooMany { count } => write!(f, "{count} patterns are more than a filter takes"),
            Self::Tree { at } => write!(f, "no device tree, or damaged at byte {at}"),
        }
    }
}

impl core::error::Error for BootError {}
