//! The instructions that matter to patching, by their words (Arm ARM DDI 0487, "A64 Instruction Set Encoding").

/// NOP.
pub const NOP: u32 = 0xd503_201f;
/// MOV X9, X30.
pub const MOV_X9_X30: u32 = 0xaa1e_03e9;
const RT: u32 = 0x1f;
const BARRIER_OPTION: u32 = 0xf << 8;
/// PSCI CPU_OFF, as the low half of X0 (Arm DEN 0022).
pub const CPU_OFF: u32 = 0x8400_0002;

/// What an instruction does to the order of patching.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// DC CVAU, or one that cleans further: CVAC, CIVAC. By the address in this register.
    Clean(usize),
    /// IC IVAU by the address in this register.
    Invalidate(usize),
    /// IC IALLUIS: all lines, on all cores.
    InvalidateAll,
    /// DSB that waits for all accesses, at least on the inner shareable cores. Also orders stores.
    Complete,
    /// DMB or DSB that orders stores before later stores, at least on the inner shareable cores.
    OrderStores,
    /// ISB or ERET.
    Synchronise,
    /// MSR VBAR_EL1 from this register.
    SetVectors(usize),
    /// HVC or SMC: perhaps CPU_OFF.
    Firmware,
}

/// The event that an instruction word is, if it is one.
pub fn event(word: u32) -> Option<Event> {
    let rt = (word & RT) as usize;
    // CRm: shareability in its upper half, kind of access in the lower one (00 is a hint, 01 loads, 10 stores, 11 all).
    let option = (word & BARRIER_OPTION) >> 8;
    let inner = option >> 2 != 0b01 && option & 0b11 != 0;
    match word {
        0xd503_3fdf | 0xd69f_03e0 | 0xd69f_0bff | 0xd69f_0fff => return Some(Event::Synchronise),
        0xd508_711f => return Some(Event::InvalidateAll),
        _ => {}
    }
    match word & !RT {
        0xd50b_7b20 | 0xd50b_7a20 | 0xd50b_7e20 => return Some(Event::Clean(rt)),
        0xd50b_7520 => return Some(Event::Invalidate(rt)),
        0xd518_c000 => return Some(Event::SetVectors(rt)),
        _ => {}
    }
    match word & !BARRIER_OPTION {
        0xd503_309f if inner && option & 0b11 == 0b11 => return Some(Event::Complete),
        0xd503_309f | 0xd503_30bf if inner && option & 0b10 != 0 => {
            return Some(Event::OrderStores);
        }
        _ => {}
    }
    matches!(word & 0xffe0_001f, 0xd400_0002 | 0xd400_0003).then_some(Event::Firmware)
}

/// Where a BL at `at` goes.
pub fn bl_target(at: u64, word: u32) -> Option<u64> {
    (word >> 26 == 0b10_0101).then(|| {
        let words = ((word << 6) as i32) >> 6;
        at.wrapping_add_signed(i64::from(words) * 4)
    })
}

/// Whether the word may be exchanged with another such word while cores execute it.
pub fn exchangeable(word: u32) -> bool {
    word == NOP || word >> 26 == 0b10_0101
}

/// BTI, BTI C, BTI J, BTI JC: a landing pad before the patched words.
pub fn is_bti(word: u32) -> bool {
    word & !0xc0 == 0xd503_241f
}
