//! What can be wrong with a recorder.
#![forbid(unsafe_code)]

use super::memory::CORES_MAX;
use crate::error::Error;
use crate::graph::{ARGUMENTS_MAX, DEPTH_MAX};
use crate::trace::{REGION_ALIGN, RING_BYTES_MAX, RING_BYTES_MIN, TASK_NAMES_MAX, TEXT_BYTES_MAX};
use core::fmt;

/// Why a recorder did not do what it was asked for. Nothing is changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordError {
    /// The tracer's own error.
    Ftrace(Error),
    /// There is no memory yet.
    NotInstalled,
    /// There is memory already.
    AlreadyInstalled,
    /// No core, or more than frames can number.
    Cores(usize),
    /// Not a power of two from [`RING_BYTES_MIN`] up.
    RingBytes(u64),
    /// The memory does not begin where a page does.
    Misaligned {
        /// Where it begins.
        at: usize,
    },
    /// The memory is smaller than the rings need.
    TooSmall {
        /// Bytes that are needed.
        needed: u64,
        /// Bytes that were given.
        given: u64,
    },
    /// Functions lie further apart than 32 bits tell.
    TextTooLarge {
        /// Bytes of the text.
        bytes: u64,
    },
    /// There are no spare rings for a snapshot.
    NoSpare,
    /// There is no room for another task in the filter.
    TooManyTasks {
        /// So many can be in it.
        most: usize,
    },
    /// There is a snapshot already, and one pair of rings for each core.
    SnapshotHeld,
    /// So many triggers have been set as there may be.
    TooManyTriggers,
    /// The first of two triggers does not switch on, or the second does not switch off.
    NotAPair,
    /// More arguments than are passed in registers.
    Arguments(u8),
    /// A depth of the graph beyond [`DEPTH_MAX`].
    Depth(u32),
    /// Arguments of calls that leave no ENTRY, because short ones are to leave no event.
    ArgumentsOfLongCalls(u8),
    /// More names of tasks than a table can have.
    TaskNames(usize),
    /// All names that there is room for are taken.
    TooManyTaskNames {
        /// There is room for.
        most: usize,
    },
    /// The region has no ring for this core.
    NoSuchCore {
        /// Asked for.
        core: usize,
        /// There are.
        cores: usize,
    },
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Ftrace(error) => write!(f, "{error}"),
            Self::NotInstalled => write!(f, "the recorder has no memory: call install first"),
            Self::AlreadyInstalled => write!(f, "the recorder has its memory already"),
            Self::Cores(cores) => write!(f, "{cores} cores: give 1 to {CORES_MAX}"),
            Self::RingBytes(bytes) => write!(
                f,
                "rings of {bytes} bytes: give a power of two from {RING_BYTES_MIN} to {RING_BYTES_MAX}"
            ),
            Self::Misaligned { at } => {
                write!(f, "memory at {at:#x}: align it to {REGION_ALIGN} bytes")
            }
            Self::TooSmall { needed, given } => {
                write!(
                    f,
                    "{given} bytes of memory, {needed} are needed: give more, or smaller rings"
                )
            }
            Self::TextTooLarge { bytes } => write!(
                f,
                "the text has {bytes} bytes; events tell {TEXT_BYTES_MAX} apart"
            ),
            Self::TaskNames(names) => {
                write!(f, "{names} names of tasks: give at most {TASK_NAMES_MAX}")
            }
            Self::TooManyTaskNames { most } => write!(
                f,
                "{most} tasks have names already: give Sizes::task_names more, or a task that has ended an empty name"
            ),
            Self::TooManyTriggers => write!(
                f,
                "{} triggers have been set already: use one of them again, with another filter",
                super::MAX_TRIGGERS
            ),
            Self::NotAPair => write!(
                f,
                "these triggers are no pair: the first is to have Action::On, the second Action::Off"
            ),
            Self::NoSpare => write!(f, "no spare rings: ask for them in the sizes of install"),
            Self::TooManyTasks { most } => {
                write!(f, "{most} tasks are filtered for: remove one first")
            }
            Self::SnapshotHeld => write!(f, "there is a snapshot: drop it first"),
            Self::Arguments(arguments) => write!(
                f,
                "{arguments} arguments: at most {ARGUMENTS_MAX} are passed in registers"
            ),
            Self::Depth(depth) => write!(
                f,
                "a depth of {depth}: give at most {DEPTH_MAX}, or 0 for no limit"
            ),
            Self::ArgumentsOfLongCalls(arguments) => write!(
                f,
                "{arguments} arguments of calls that take a least time: when that is known they are gone; ask for the one or the other"
            ),
            Self::NoSuchCore { core, cores } => {
                write!(
                    f,
                    "no ring for core {core}: the recorder was installed with `cores: {cores}`"
                )
            }
        }
    }
}

impl core::error::Error for RecordError {}
