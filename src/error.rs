//! [`Error`]: everything that can be refused, with what, where and what to do.
#![forbid(unsafe_code)]

use crate::glob::GlobError;
use crate::insn::{BranchError, Insn};
use crate::names::NamesError;
use core::fmt;

/// The kernel has no writable alias of its text to offer now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AliasError(
    /// The kernel's own words, for the person who reads the error.
    pub &'static str,
);

/// A write to text that did not happen, whether the store said so or was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteFault;

/// Why one callsite could not be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The instruction word is not the one that the callsite's state says.
    Insn {
        /// What the callsite's state says.
        expected: Insn,
        /// What stands there.
        found: Insn,
    },
    /// The literal is not one that this tracer wrote.
    Literal {
        /// What stands there.
        found: u64,
    },
    /// The write failed: what was stored to the alias is not what stands at the address that executes.
    Fault,
    /// The trampoline and every veneer are further from the callsite than a BL reaches (±128 MiB).
    Range {
        /// The trampoline's address.
        to: usize,
    },
    /// A direct ops has its callsite for itself, and this one has another ops already (or is a direct ops').
    Direct,
}

/// A plan that was stopped at one callsite. What had been written is undone.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PatchError {
    /// Address of the word or literal.
    pub at: usize,
    /// What was wrong with it.
    pub why: Why,
    /// How many callsites had been changed and were changed back.
    pub undone: usize,
    /// How many could not be changed back: each keeps working with its new ops and is listed as quarantined.
    pub stuck: usize,
    /// How many have a word or a literal that somebody else wrote: they are listed as quarantined from now on, so that the
    /// same call, made again, goes on without them.
    pub foreign: usize,
}

impl PatchError {
    /// A plan that was refused before its first write.
    pub(crate) const fn refused(at: usize, why: Why, foreign: usize) -> Self {
        Self {
            at,
            why,
            undone: 0,
            stuck: 0,
            foreign,
        }
    }
}

impl Why {
    /// Whether somebody else wrote to the callsite.
    pub(crate) const fn is_foreign(&self) -> bool {
        matches!(self, Self::Insn { .. } | Self::Literal { .. })
    }
}

/// Everything that the tracer refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// [`crate::Ftrace::init`] has not run.
    NotInitialised,
    /// [`crate::Ftrace::init`] has run already.
    AlreadyInitialised,
    /// This core is inside another call to the tracer: a tracer or an interrupt handler tried to change tracing.
    Reentrant,
    /// The section `__patchable_function_entries` is empty.
    NoCallsites,
    /// The records are not a whole number of aligned 8-byte words.
    Records {
        /// Address of the section.
        at: usize,
        /// Its size in bytes.
        len: usize,
    },
    /// The kernel gave no writable alias.
    Alias(AliasError),
    /// A plan was stopped and undone.
    Patch(PatchError),
    /// The ops is registered already.
    AlreadyRegistered,
    /// The ops is not registered.
    NotRegistered,
    /// A pattern is over names, and this kernel has none.
    Names(NamesError),
    /// A pattern is not a glob.
    Glob {
        /// Which pattern, from 0.
        pattern: usize,
        /// What is wrong with it.
        error: GlobError,
    },
    /// A pattern (address or index) is not a number.
    Number {
        /// Which pattern, from 0.
        pattern: usize,
    },
    /// A pattern matches no callsite.
    NoMatch {
        /// Which pattern, from 0.
        pattern: usize,
    },
    /// More patterns than one filter takes.
    TooManyPatterns {
        /// How many there are.
        count: usize,
    },
    /// No callsite has this address.
    NoCallsiteAt(usize),
    /// No callsite has this index.
    NoSuchIndex {
        /// The index.
        index: usize,
        /// How many records there are.
        count: usize,
    },
    /// Callsites that could not be changed back still call this ops, so it stays registered, for ever.
    Quarantined {
        /// How many.
        callsites: usize,
    },
    /// A `Count` or `Profile` has no memory yet, or has it already, or was given too little.
    CounterMemory {
        /// Lines that were given.
        lines: usize,
    },
    /// This core has no return stack with frames: `Ftrace::switch_return_stack` gives it one.
    NoReturnStack,
    /// A return stack was given no frames, or has its frames already.
    ReturnStackMemory {
        /// Frames that were given.
        frames: usize,
    },
    /// A mark is of another return stack, or of a call that has returned.
    ReturnMark,
    /// The bounds of a kernel stack are empty, or not aligned to 16 bytes.
    StackBounds {
        /// The lowest address.
        low: usize,
        /// The one behind the highest.
        high: usize,
    },
    /// The kernel has not said which stack this core runs on: `Ftrace::switch_kernel_stack` does.
    NoKernelStack,
    /// Another [`crate::StackTracer`] has been set: a kernel has one.
    AnotherStackTracer,
    /// A [`crate::StackTracer`] has no memory for a core that is online.
    StackSlots {
        /// Slots that it has.
        slots: usize,
        /// The core.
        core: usize,
    },
    /// No memory for an interned set.
    SetMemory {
        /// Bytes that the set needs.
        bytes: usize,
    },
}

impl From<AliasError> for Error {
    fn from(error: AliasError) -> Self {
        Self::Alias(error)
    }
}

impl From<PatchError> for Error {
    fn from(error: PatchError) -> Self {
        Self::Patch(error)
    }
}

impl From<BranchError> for Why {
    fn from(error: BranchError) -> Self {
        Self::Range { to: error.to }
    }
}

impl fmt::Debug for PatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "PatchError {{ at: {:#x}, why: {:?}, undone: {}, stuck: {}, foreign: {} }}",
            self.at, self.why, self.undone, self.stuck, self.foreign
        )
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Insn { expected, found } => write!(
                f,
                "expected the instruction {expected}, found {found}: something else patches this function"
            ),
            Self::Literal { found } => write!(
                f,
                "the literal holds {found:#018x}, which this tracer did not write: memory corruption, or another patcher"
            ),
            Self::Fault => write!(
                f,
                "the write failed: does patch_begin give an alias for this address?"
            ),
            Self::Range { to } => write!(
                f,
                "{to:#x} is further away than a BL reaches (128 MiB), and so is every veneer: see docs/porting.md"
            ),
            Self::Direct => write!(
                f,
                "a direct ops cannot share a callsite: unregister the other ops, or use Ops::new instead of Ops::direct"
            ),
        }
    }
}

impl fmt::Display for PatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "callsite word at {:#x}: {}; {} callsites changed back",
            self.at, self.why, self.undone
        )?;
        if self.stuck > 0 {
            write!(
                f,
                ", {} could not be changed back and are quarantined",
                self.stuck
            )?;
        }
        if self.foreign > 0 {
            write!(
                f,
                "; {} quarantined for what somebody else wrote: the next call goes on without",
                self.foreign
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInitialised => {
                write!(f, "the tracer is not initialised: call Ftrace::init first")
            }
            Self::AlreadyInitialised => write!(
                f,
                "the tracer is initialised already: call Ftrace::init once"
            ),
            Self::Reentrant => write!(
                f,
                "this core is inside the tracer already: change tracing from ordinary code, not from a tracer or an interrupt"
            ),
            Self::NoCallsites => write!(
                f,
                "no callsites: build the kernel with -Zpatchable-function-entry=4,2 -Zmin-function-alignment=8"
            ),
            Self::Records { at, len } => write!(
                f,
                "records at {at:#x}, {len} bytes: not aligned words; KEEP(*(__patchable_function_entries)) in a section aligned to 8"
            ),
            Self::Alias(AliasError(why)) => write!(f, "no writable alias of the text: {why}"),
            Self::Patch(error) => write!(f, "{error}"),
            Self::AlreadyRegistered => write!(
                f,
                "this ops is registered: use set_filter to change what it traces"
            ),
            Self::NotRegistered => write!(f, "this ops is not registered"),
            Self::Names(error) => write!(f, "no names to filter by (addresses work): {error}"),
            Self::Glob { pattern, error } => write!(f, "pattern {pattern}: {error}"),
            Self::Number { pattern } => {
                write!(
                    f,
                    "pattern {pattern}: write an address as 0x1234 and an index as #12"
                )
            }
            Self::NoMatch { pattern } => write!(
                f,
                "pattern {pattern} matches no function: nothing was changed"
            ),
            Self::TooManyPatterns { count } => {
                write!(
                    f,
                    "{count} patterns: one filter takes at most {}",
                    crate::filter::MAX_PATTERNS
                )
            }
            Self::NoCallsiteAt(at) => write!(f, "{at:#x} is not the entry of a traceable function"),
            Self::NoSuchIndex { index, count } => {
                write!(f, "index {index}: there are {count} callsites")
            }
            Self::Quarantined { callsites } => write!(
                f,
                "{callsites} quarantined callsites still call this ops: it stays registered; no other function calls it any more"
            ),
            Self::CounterMemory { lines: 0 } => write!(
                f,
                "no memory for counters: give Ftrace::place_count or place_profile as many lines as count_lines or profile_lines says, before registering"
            ),
            Self::CounterMemory { lines } => write!(
                f,
                "{lines} lines of counters: too few for the callsites and the cores that are online, or the memory was given already"
            ),
            Self::NoReturnStack => write!(
                f,
                "this core has no return stack: Ftrace::switch_return_stack gives it one, with frames"
            ),
            Self::ReturnStackMemory { frames } => write!(
                f,
                "{frames} frames for a return stack: one at least is needed, and they are given once"
            ),
            Self::ReturnMark => write!(
                f,
                "the mark is of another return stack, or of a call that has returned: take it where the code goes on"
            ),
            Self::StackBounds { low, high } => write!(
                f,
                "a stack from {low:#x} to {high:#x}: give its lowest address and the one behind its highest, aligned to 16 bytes"
            ),
            Self::NoKernelStack => write!(
                f,
                "no stack is known of this core: Ftrace::switch_kernel_stack says which it runs on"
            ),
            Self::AnotherStackTracer => write!(
                f,
                "another stack tracer has been set: a kernel has one, use that"
            ),
            Self::StackSlots { slots, core } => write!(
                f,
                "{slots} slots for deepest stacks, and core {core} is online: give StackTracer::new one for each core"
            ),
            Self::SetMemory { bytes } => write!(
                f,
                "no memory for a set of tracers ({bytes} bytes): give Ftrace::add_set_memory more, or use feature alloc"
            ),
        }
    }
}

impl core::error::Error for Error {}
