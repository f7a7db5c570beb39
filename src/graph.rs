//! What the function graph records of each call, as the asm reads it.
#![forbid(unsafe_code)]

use crate::trace::EVENT_BYTES;
use core::sync::atomic::{AtomicU64, Ordering};

/// Argument registers that can be recorded: x0 to x7 (AAPCS64 IHI 0055, "Parameter passing").
pub const ARGUMENTS_MAX: u8 = 8;

/// Where the size of an entry's slots stands in its word, behind a bit for each argument.
pub(crate) const BYTES_SHIFT: u32 = ARGUMENTS_MAX as u32;
/// The bit that the size of an exit's slots has where a result is among them.
pub(crate) const RESULT_BIT: u32 = (2 * EVENT_BYTES).trailing_zeros();
const _: () = assert!(EVENT_BYTES & 1 << RESULT_BIT == 0);

/// The greatest depth that can be asked for.
pub const DEPTH_MAX: u32 = 1 << 16;

/// In the state of a return stack, above how many recorded calls are open: not inside of a root.
pub(crate) const OUTSIDE: u64 = 1 << u32::BITS;
/// Likewise: inside of a function from which on nothing is recorded. Above the other, so that it outweighs whatever that says.
pub(crate) const NOT_RECORDED: u64 = OUTSIDE << 1;
/// The states in which calls are recorded, whatever their depth.
const ANY_DEPTH: u64 = OUTSIDE;

/// What the function graph records besides the entry and exit of each call. By default nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GraphOptions {
    /// How many of the argument registers x0 to x7, from x0 on: at most [`ARGUMENTS_MAX`]. Each takes a slot of the ring.
    ///
    /// Which of them the function really reads is for its signature to say; Rust's own calling convention is not specified,
    /// C functions' is.
    pub arguments: u8,
    /// Whether x0 as the function returns it: a slot, too. Of a function that returns nothing it says nothing.
    pub result: bool,
    /// How many recorded calls may be open inside each other, at most [`DEPTH_MAX`]; 0 is no limit. Deeper calls run untraced:
    /// they leave no event, take no frame of the return stack, and return to their callers. What an interrupt calls is
    /// deeper than what it interrupts.
    pub depth: u32,
    /// How many ticks of CNTVCT_EL0 a call takes at least that is recorded; 0 is no limit. Shorter ones leave
    /// no event, longer ones an EXIT alone, which has their duration: so their arguments cannot be recorded, their results can.
    pub minimum: u64,
    /// Whether only calls are recorded that are made, at whatever remove, by functions that
    /// [`crate::record::Recorder::graph_roots`] has. What an interrupt calls is made by what it interrupts.
    pub rooted: bool,
}

impl GraphOptions {
    /// Entry and exit and nothing else, of every call: as [`Default`], for constants.
    pub const fn new() -> Self {
        Self {
            arguments: 0,
            result: false,
            depth: 0,
            minimum: 0,
            rooted: false,
        }
    }
}

/// The options in the form that the asm reads: a word for each decision, so that none is half changed under way.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Shape {
    /// Bytes of an entry's slots, from [`BYTES_SHIFT`] on; below that, a bit for each argument. Zero: short calls leave no event.
    entry: AtomicU64,
    /// Bytes of an exit's slots.
    exit: AtomicU64,
    /// What of a return stack's state counts, and less than what it is where a call is recorded.
    mask: AtomicU64,
    span: AtomicU64,
    /// Ticks that a call takes at least.
    minimum: AtomicU64,
}

impl Shape {
    /// Entry and exit and nothing else.
    pub(crate) const fn new() -> Self {
        Self {
            entry: AtomicU64::new(EVENT_BYTES << BYTES_SHIFT),
            exit: AtomicU64::new(EVENT_BYTES),
            mask: AtomicU64::new(!OUTSIDE),
            span: AtomicU64::new(ANY_DEPTH),
            minimum: AtomicU64::new(0),
        }
    }

    /// Takes options that were checked. Calls that are entered or return meanwhile take the old or the new.
    pub(crate) fn set(&self, options: GraphOptions) {
        let slots = 1 + u64::from(options.arguments);
        let arguments = (1 << options.arguments) - 1;
        let entry = match options.minimum {
            0 => (slots * EVENT_BYTES) << BYTES_SHIFT | arguments,
            _ => 0,
        };
        // Before the entry. A call that finds that zero and yet the old minimum, as nothing orders the two, leaves an EXIT alone
        // although it was short: one of the calls that are under way meanwhile.
        self.minimum.store(options.minimum, Ordering::Relaxed);
        self.entry.store(entry, Ordering::Relaxed);
        let exit = (1 + u64::from(options.result)) * EVENT_BYTES;
        self.exit.store(exit, Ordering::Relaxed);
        let span = match options.depth {
            0 => ANY_DEPTH,
            depth => u64::from(depth),
        };
        self.span.store(span, Ordering::Relaxed);
        let mask = if options.rooted { !0 } else { !OUTSIDE };
        self.mask.store(mask, Ordering::Relaxed);
    }

    /// Whether a call is recorded whose return stack is in this state.
    pub(crate) fn takes(&self, state: u64) -> bool {
        state & self.mask.load(Ordering::Relaxed) < self.span.load(Ordering::Relaxed)
    }

    /// What the entries and return handlers read to know what to store.
    #[cfg(test)]
    pub(crate) fn words(&self) -> [u64; 2] {
        [&self.entry, &self.exit].map(|word| word.load(Ordering::Relaxed))
    }

    /// How many arguments an entry has; `None` where it leaves no event.
    pub(crate) fn arguments(&self) -> Option<usize> {
        let slots = (self.entry.load(Ordering::Relaxed) >> BYTES_SHIFT) / EVENT_BYTES;
        (slots as usize).checked_sub(1)
    }
}

/// Byte offsets for the asm.
#[cfg_attr(not(target_arch = "aarch64"), allow(dead_code))]
pub(crate) mod offset {
    use super::Shape;
    use core::mem::offset_of;

    pub(crate) const ENTRY: usize = offset_of!(Shape, entry);
    pub(crate) const EXIT: usize = offset_of!(Shape, exit);
    pub(crate) const MINIMUM: usize = offset_of!(Shape, minimum);
    pub(crate) const MASK: usize = offset_of!(Shape, mask);
    // The asm loads them as a pair.
    const _: () = assert!(offset_of!(Shape, span) == MASK + size_of::<u64>());
}
