//! The few A64 instructions that a callsite is made of: encoding, decoding, branch range.
//!
//! Source: Arm ARM DDI 0487, "Hints", "Unconditional branch (immediate)", "Logical (shifted register)".
#![forbid(unsafe_code)]

use core::fmt;

/// Size of every A64 instruction, in bytes.
pub const INSN_SIZE: usize = 4;

/// Reach of `B` and `BL`: a signed 26-bit number of instructions, ±128 MiB.
pub const BRANCH_RANGE: i64 = 1 << 27;

const BRANCH_IMM_MASK: u32 = (1 << 26) - 1;
const BRANCH_IMM_BITS: u32 = 26;
const BRANCH_OPCODE_MASK: u32 = !BRANCH_IMM_MASK;
const B_OPCODE: u32 = 0b000101 << BRANCH_IMM_BITS;
const BL_OPCODE: u32 = 0b100101 << BRANCH_IMM_BITS;

/// One A64 instruction word.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Insn(pub u32);

/// What an instruction word is, as far as callsites go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `NOP`.
    Nop,
    /// `MOV X9, X30`: keeps the caller's LR while the callsite's BL overwrites it.
    MovX9X30,
    /// `B` with its offset from the instruction itself, in bytes.
    B(i64),
    /// `BL` with its offset from the instruction itself, in bytes.
    Bl(i64),
    /// `BTI`, `BTI C`, `BTI J` or `BTI JC`: a landing pad for indirect branches.
    Bti,
    /// Anything else.
    Other,
}

/// A branch target that `B` or `BL` cannot encode.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BranchError {
    /// Address of the branch.
    pub from: usize,
    /// The target that is out of range (±128 MiB) or not aligned to 4.
    pub to: usize,
}

impl Insn {
    /// `NOP`.
    pub const NOP: Self = Self(0xd503_201f);
    /// `MOV X9, X30`, an alias of `ORR X9, XZR, X30`.
    pub const MOV_X9_X30: Self = Self(0xaa1e_03e9);
    /// `BTI` (no target: allows no indirect branch).
    pub const BTI: Self = Self(0xd503_241f);
    /// `BTI C`.
    pub const BTI_C: Self = Self(0xd503_245f);
    /// `BTI J`.
    pub const BTI_J: Self = Self(0xd503_249f);
    /// `BTI JC`.
    pub const BTI_JC: Self = Self(0xd503_24df);

    /// `BL to`, placed at `from`.
    ///
    /// # Errors
    /// [`BranchError`] where `to` is further than ±128 MiB away or not aligned to 4.
    #[inline]
    pub const fn bl(from: usize, to: usize) -> Result<Self, BranchError> {
        branch(BL_OPCODE, from, to)
    }

    /// [`Insn::bl`] where the caller knows that `to` is in reach and aligned.
    #[inline(always)]
    pub(crate) const fn bl_in_reach(from: usize, to: usize) -> Self {
        Self(BL_OPCODE | ((to.wrapping_sub(from) >> 2) as u32 & BRANCH_IMM_MASK))
    }

    /// `B to`, placed at `from`.
    ///
    /// # Errors
    /// As [`Insn::bl`].
    #[inline]
    pub const fn b(from: usize, to: usize) -> Result<Self, BranchError> {
        branch(B_OPCODE, from, to)
    }

    /// Whether this is one of the four BTI forms.
    #[inline]
    pub const fn is_bti(self) -> bool {
        matches!(self, Self::BTI | Self::BTI_C | Self::BTI_J | Self::BTI_JC)
    }

    /// What this word is.
    pub const fn kind(self) -> Kind {
        match self {
            Self::NOP => Kind::Nop,
            Self::MOV_X9_X30 => Kind::MovX9X30,
            insn if insn.is_bti() => Kind::Bti,
            Self(word) if word & BRANCH_OPCODE_MASK == BL_OPCODE => Kind::Bl(branch_offset(word)),
            Self(word) if word & BRANCH_OPCODE_MASK == B_OPCODE => Kind::B(branch_offset(word)),
            _ => Kind::Other,
        }
    }

    /// The address that this word, standing at `at`, branches to, if it is a `B` or `BL`.
    pub const fn branch_target(self, at: usize) -> Option<usize> {
        match self.kind() {
            Kind::B(offset) | Kind::Bl(offset) => Some(at.wrapping_add(offset as usize)),
            _ => None,
        }
    }
}

#[inline]
const fn branch(opcode: u32, from: usize, to: usize) -> Result<Insn, BranchError> {
    let offset = to.wrapping_sub(from) as i64;
    if offset >= BRANCH_RANGE || offset < -BRANCH_RANGE || offset & (INSN_SIZE as i64 - 1) != 0 {
        return Err(BranchError { from, to });
    }
    Ok(Insn(opcode | ((offset >> 2) as u32 & BRANCH_IMM_MASK)))
}

/// The signed byte offset in a `B` or `BL`.
const fn branch_offset(word: u32) -> i64 {
    let unused = u32::BITS - BRANCH_IMM_BITS;
    (((word << unused) as i32) >> unused) as i64 * INSN_SIZE as i64
}

impl fmt::Debug for Insn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Insn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.0;
        match self.kind() {
            Kind::Nop => write!(f, "{word:08x} (nop)"),
            Kind::MovX9X30 => write!(f, "{word:08x} (mov x9, x30)"),
            Kind::B(offset) => write!(f, "{word:08x} (b .{offset:+})"),
            Kind::Bl(offset) => write!(f, "{word:08x} (bl .{offset:+})"),
            Kind::Bti => write!(f, "{word:08x} (bti)"),
            Kind::Other => write!(f, "{word:08x}"),
        }
    }
}

impl fmt::Debug for BranchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "BranchError {{ from: {:#x}, to: {:#x} }}",
            self.from, self.to
        )
    }
}
