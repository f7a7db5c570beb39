//! Where a compiled function's frame lies around its frame record: read from the instructions that make the frame.
//!
//! Source: Arm ARM DDI 0487, "Add/subtract (immediate)", "Load/store register pair (pre-indexed)", "Load/store register (immediate
//! pre-indexed)", "Branches"; what LLVM makes of a prologue.
#![forbid(unsafe_code)]

use crate::insn::Insn;

/// A prologue is shorter.
const MOST_INSNS: usize = 64;

/// A frame, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// From the frame record up to where SP was at the function's entry.
    pub(crate) up: u64,
    /// From SP behind the prologue up to the frame record. `None` where a loop lowers SP to an end that is not seen.
    pub(crate) down: Option<u64>,
}

/// What one instruction does, as far as frames go.
enum Does {
    /// Lowers SP by so many bytes.
    Lowers(u64),
    /// Points x29 so many bytes above SP: the frame record stands there.
    Record(u64),
    /// Goes on somewhere else, for good or as a call.
    Leaves,
    /// May go on so many instructions further down, or up where that is negative.
    Branches(i32),
    /// Computes an address so many bytes below SP: where a loop that touches each page of a large frame ends (LLVM's stack probes).
    Floor(u64),
    Nothing,
}

impl Frame {
    /// Reads the prologue from the instruction behind the callsite on. `None` where no frame record is made before the function
    /// goes on elsewhere.
    pub(crate) fn read(insns: impl Iterator<Item = Insn>) -> Option<Self> {
        let (mut lowered, mut up, mut floor) = (0, None, None);
        let (mut last_lowered, mut is_open) = (None, false);
        for (i, insn) in (0..).zip(insns.take(MOST_INSNS)) {
            match Does::of(insn.0) {
                Does::Lowers(bytes) => {
                    lowered += bytes;
                    last_lowered = Some(i);
                }
                Does::Record(above) if up.is_none() => {
                    up = Some(u64::checked_sub(lowered, above)?);
                }
                Does::Floor(below) => floor = Some(lowered + below),
                Does::Branches(by) if last_lowered.is_some_and(|at| i + by <= at) => {
                    let Some(end) = floor else {
                        is_open = true;
                        break;
                    };
                    lowered = end;
                }
                Does::Leaves => break,
                // The frame of a function that often does without one is made behind a branch.
                Does::Branches(_) if up.is_some() => break,
                Does::Record(_) | Does::Branches(_) | Does::Nothing => {}
            }
        }
        let up = up?;
        // A loop that ends above the frame record is no prologue's.
        let down = lowered.checked_sub(up)?;
        Some(Self {
            up,
            down: (!is_open).then_some(down),
        })
    }
}

impl Does {
    fn of(word: u32) -> Self {
        let is = |mask: u32, bits: u32| word & mask == bits;
        // imm12, shifted by 12 where the bit behind it is set.
        let imm12 = u64::from(word >> 10 & 0xfff);
        // A signed field, in units of bytes: of pre-indexed stores that lower SP it is negative.
        let lowers = |low: u32, bits: u32, unit: u64| {
            let field = word >> low & ((1 << bits) - 1);
            let negative = field >> (bits - 1) & 1 != 0;
            let bytes = u64::from((1 << bits) - field) * unit;
            if negative {
                Self::Lowers(bytes)
            } else {
                Self::Nothing
            }
        };
        // A signed number of instructions, from bit 5 up to this one.
        let branches = |sign: u32| {
            let unused = u32::BITS - 1 - sign;
            Self::Branches(((word << unused) as i32) >> (unused + 5))
        };
        if is(0xff80_03ff, 0xd100_03ff) {
            // SUB SP, SP, #imm12{, LSL #12}
            Self::Lowers(imm12 << (12 * (word >> 22 & 1)))
        } else if is(0xff80_03e0, 0xd100_03e0) {
            // SUB Xn, SP, #imm12{, LSL #12}
            Self::Floor(imm12 << (12 * (word >> 22 & 1)))
        } else if is(0xffc0_03ff, 0x9100_03fd) {
            // ADD X29, SP, #imm12; MOV X29, SP is the same with 0.
            Self::Record(imm12)
        } else if is(0xffc0_03e0, 0xa980_03e0) || is(0xffc0_03e0, 0x6d80_03e0) {
            // STP of X or D registers, [SP, #imm7 * 8]!
            lowers(15, 7, 8)
        } else if is(0xffc0_03e0, 0xad80_03e0) {
            // STP of Q registers, [SP, #imm7 * 16]!
            lowers(15, 7, 16)
        } else if is(0xffe0_0fe0, 0xf800_0fe0)
            || is(0xffe0_0fe0, 0xfc00_0fe0)
            || is(0xffe0_0fe0, 0x3c80_0fe0)
        {
            // STR of an X, D or Q register, [SP, #imm9]!
            lowers(12, 9, 1)
        } else if is(0x7c00_0000, 0x1400_0000) || is(0xfe00_0000, 0xd600_0000) {
            // B, BL; BR, BLR, RET, ERET and their signed forms.
            Self::Leaves
        } else if is(0xff00_0000, 0x5400_0000) || is(0x7e00_0000, 0x3400_0000) {
            // B.cond, CBZ, CBNZ
            branches(23)
        } else if is(0x7e00_0000, 0x3600_0000) {
            // TBZ, TBNZ
            branches(18)
        } else {
            Self::Nothing
        }
    }
}
