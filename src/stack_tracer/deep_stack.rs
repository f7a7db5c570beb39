//! [`DeepStack`]: a stack that was the deepest, with the size of each frame.
#![forbid(unsafe_code)]

use super::slot::{Frames, Head, STACK_FRAMES, StackSlot};
use crate::arch;
use crate::insn::INSN_SIZE;
use crate::kernel_stack::{RECORD, Return, SP_ALIGN};
use crate::prologue::Frame;
use crate::tracer::Ftrace;
use core::fmt;

/// The deepest stack of a core.
#[derive(Clone)]
pub struct DeepStack {
    ftrace: &'static Ftrace,
    core: usize,
    head: Head,
    frames: Frames,
}

/// The frame of one function.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct StackFrame {
    /// Where in the function its callee returns to.
    pub return_address: usize,
    /// From the stack's upper end to the lower end of the frame, in bytes.
    pub depth: u64,
    /// The frame, in bytes. The outermost function's has what lies above it, up to the stack's end.
    pub size: u64,
    /// Whether the instructions that make this frame and its neighbours' agree about its ends. Where not (a function without
    /// a record, of which the one before it was looked at; an exception's frame), the frame may have bytes of its neighbours.
    pub is_exact: bool,
}

impl DeepStack {
    pub(crate) fn read(ftrace: &'static Ftrace, core: usize, slot: &StackSlot) -> Option<Self> {
        let none = Return {
            address: 0,
            record: None,
        };
        let mut frames = [none; STACK_FRAMES];
        let head = slot.read(&mut frames)?;
        Some(Self {
            ftrace,
            core,
            head,
            frames,
        })
    }

    /// How deep it is, in bytes, at the entry of the innermost function: without that one's frame.
    pub fn bytes(&self) -> u64 {
        self.head.high - self.head.sp
    }

    /// How large the stack is, in bytes.
    pub fn stack_bytes(&self) -> u64 {
        self.head.high - self.head.low
    }

    /// The core that it was seen on.
    pub fn core(&self) -> usize {
        self.core
    }

    /// The address of the innermost function's callsite.
    pub fn ip(&self) -> usize {
        self.head.ip as usize
    }

    /// When it was seen, in ticks of CNTVCT_EL0.
    pub fn time(&self) -> u64 {
        self.head.time
    }

    /// Whether more functions were open than were kept: the last frame then holds them all.
    pub fn is_cut(&self) -> bool {
        self.head.is_cut != 0
    }

    /// The frames, innermost first: that of the function that called the one at [`DeepStack::ip`], and so on. The sizes together are
    /// [`DeepStack::bytes`].
    pub fn frames(&self) -> impl Iterator<Item = StackFrame> + '_ {
        let open = self.open();
        open.iter().enumerate().map(|(i, each)| {
            let (low, below) = self.boundary(i);
            let (high, above) = self.boundary(i + 1);
            StackFrame {
                return_address: each.address as usize,
                depth: self.head.high - low,
                size: high - low,
                is_exact: below && above,
            }
        })
    }

    fn open(&self) -> &[Return] {
        let count = self.head.frames as usize;
        self.frames.get(..count).unwrap_or_default()
    }

    /// The lower end of the frame `i`, which is the upper end of the one before, and whether that is sure.
    fn boundary(&self, i: usize) -> (u64, bool) {
        let open = self.open();
        if i == 0 {
            return (self.head.sp, true);
        }
        if i == open.len() {
            return (self.head.high, !self.is_cut());
        }
        let (upper, lower) = self.ends(i);
        // A function that agrees with neither of its neighbours is not the one that was looked at.
        let is_known = |i: usize| self.agree(i) || self.agree(i + 1);
        match (upper, lower) {
            (Some(upper), Some(lower)) if upper == lower => (upper, true),
            (Some(upper), Some(_)) if is_known(i - 1) && !is_known(i) => (upper, false),
            (_, Some(end)) | (Some(end), None) => (end, false),
            (None, None) => (self.least(i), false),
        }
    }

    /// Whether the functions on both sides of a boundary say the same of it.
    fn agree(&self, i: usize) -> bool {
        let (upper, lower) = self.ends(i);
        upper.is_some() && upper == lower
    }

    /// Where the frame `i` can begin at the lowest: the walk has come to it by the record of the one before.
    fn least(&self, i: usize) -> u64 {
        let before = i.checked_sub(1).and_then(|i| self.open()[i].record);
        before.map_or(self.head.sp, |at| at + RECORD)
    }

    /// The boundary below the frame `i`, as the function below and the function above make it, where that is possible.
    fn ends(&self, i: usize) -> (Option<u64>, Option<u64>) {
        let this = self.open().get(i);
        let record = this.and_then(|open| open.record);
        let possible = |end: &u64| {
            (self.least(i)..=record.unwrap_or(self.head.high)).contains(end)
                && end.is_multiple_of(SP_ALIGN)
        };
        let upper = match i.checked_sub(1).and_then(|i| self.open().get(i)) {
            None => Some(self.head.sp),
            Some(before) => (|| Some(before.record? + self.layout(*before)?.up))(),
        };
        let lower = || record?.checked_sub(self.layout(*this?)?.down?);
        (upper.filter(possible), lower().filter(possible))
    }

    /// The frame that the function makes which `open` returns to.
    fn layout(&self, open: Return) -> Option<Frame> {
        let known = self.ftrace.known()?;
        // The call, which is in the function also where it is its last instruction.
        let call = (open.address as usize).checked_sub(INSN_SIZE)?;
        let record = known.table.record(known.table.at_or_before(call)?)?;
        let first = known.table.layout(record).branch() + INSN_SIZE;
        if !known.text.contains(&call) || !call.is_multiple_of(INSN_SIZE) {
            return None;
        }
        Frame::read((first..call).step_by(INSN_SIZE).map(arch::read_insn))
    }
}

impl fmt::Debug for DeepStack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeepStack")
            .field("core", &self.core)
            .field("bytes", &self.bytes())
            .field("frames", &self.open().len())
            .finish_non_exhaustive()
    }
}

/// The table that Linux's `stack_trace` has. `~` stands before a size that is not exact.
impl fmt::Display for DeepStack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.open().len();
        writeln!(f, "        Depth     Size   Location    ({count} entries)")?;
        writeln!(f, "        -----     ----   --------")?;
        for (i, frame) in self.frames().enumerate() {
            let mark = if frame.is_exact { ' ' } else { '~' };
            write!(f, "{i:>3}) {:>8} {mark}{:>7}   ", frame.depth, frame.size)?;
            match self
                .ftrace
                .symbol(frame.return_address.wrapping_sub(INSN_SIZE))
            {
                Some(symbol) => writeln!(f, "{}+{:#x}", symbol.name, symbol.offset + INSN_SIZE)?,
                None => writeln!(f, "{:#x}", frame.return_address)?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for StackFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StackFrame")
            .field(
                "return_address",
                &format_args!("{:#x}", self.return_address),
            )
            .field("depth", &self.depth)
            .field("size", &self.size)
            .field("is_exact", &self.is_exact)
            .finish()
    }
}
