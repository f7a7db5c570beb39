//! What CTR_EL0 says about making new instructions visible: which cache maintenance a core needs at all.
//!
//! Source: Arm ARM DDI 0487, "CTR_EL0, Cache Type Register"; "Concurrent modification and execution of instructions".
#![forbid(unsafe_code)]

/// The part of CTR_EL0 that instruction patching depends on.
///
/// The line sizes are not in it: a callsite has one instruction word to make visible, so DC CVAU and IC IVAU of that
/// word's own address name its line whatever the size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheType {
    /// IDC is 0: a written word needs DC CVAU.
    pub needs_clean: bool,
    /// DIC is 0: a written word needs IC IVAU.
    pub needs_invalidate: bool,
}

/// Bytes of the smallest data cache line of any core: CTR_EL0.DminLine is the logarithm of its words.
#[inline]
pub const fn data_line(ctr: u64) -> usize {
    4 << (ctr >> DMINLINE_SHIFT & 0xf)
}

const DMINLINE_SHIFT: u32 = 16;
const IDC: u64 = 1 << 28;
const DIC: u64 = 1 << 29;

impl CacheType {
    /// Decodes a value of CTR_EL0.
    #[inline]
    pub const fn from_ctr(ctr: u64) -> Self {
        Self {
            needs_clean: ctr & IDC == 0,
            needs_invalidate: ctr & DIC == 0,
        }
    }
}
