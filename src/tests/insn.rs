//! Instructions: every word against an independent assembler, the range of branches, decoding as the inverse.
#![forbid(unsafe_code)]

use crate::insn::{BRANCH_RANGE, BranchError, Insn, Kind};
use proptest::prelude::*;
use std::string::ToString;
use std::vec::Vec;

/// What an assembler makes of each line. GNU assembler 2.40 and LLVM 14.0.6 agree on all of them. Made by
///
/// ```text
/// aarch64-linux-gnu-as -march=armv8.5-a -o words.o words.s && aarch64-linux-gnu-objdump -d words.o
/// llvm-mc -triple=aarch64 -mattr=+v8.5a -filetype=obj words.s -o llvm.o
/// aarch64-linux-gnu-objcopy -O binary -j .text words.o words.bin   # and llvm.o; then cmp
/// ```
///
/// where words.s is the first column.
const ASSEMBLED: [(&str, u32, Kind); 33] = [
    ("nop", 0xd503_201f, Kind::Nop),
    ("mov x9, x30", 0xaa1e_03e9, Kind::MovX9X30),
    ("orr x9, xzr, x30", 0xaa1e_03e9, Kind::MovX9X30),
    ("bti", 0xd503_241f, Kind::Bti),
    ("bti c", 0xd503_245f, Kind::Bti),
    ("bti j", 0xd503_249f, Kind::Bti),
    ("bti jc", 0xd503_24df, Kind::Bti),
    ("b .", 0x1400_0000, Kind::B(0)),
    ("b .+4", 0x1400_0001, Kind::B(4)),
    ("b .-4", 0x17ff_ffff, Kind::B(-4)),
    ("b .+0x1000", 0x1400_0400, Kind::B(0x1000)),
    ("b .-0x1000", 0x17ff_fc00, Kind::B(-0x1000)),
    ("b .+0x7fffffc", 0x15ff_ffff, Kind::B(0x7ff_fffc)),
    ("b .-0x8000000", 0x1600_0000, Kind::B(-0x800_0000)),
    ("bl .", 0x9400_0000, Kind::Bl(0)),
    ("bl .+4", 0x9400_0001, Kind::Bl(4)),
    ("bl .-4", 0x97ff_ffff, Kind::Bl(-4)),
    ("bl .+0x1000", 0x9400_0400, Kind::Bl(0x1000)),
    ("bl .-0x1000", 0x97ff_fc00, Kind::Bl(-0x1000)),
    ("bl .+0x1234568", 0x9448_d15a, Kind::Bl(0x123_4568)),
    ("bl .-0x1234568", 0x97b7_2ea6, Kind::Bl(-0x123_4568)),
    ("bl .+0x7fffffc", 0x95ff_ffff, Kind::Bl(0x7ff_fffc)),
    ("bl .-0x8000000", 0x9600_0000, Kind::Bl(-0x800_0000)),
    ("ret", 0xd65f_03c0, Kind::Other),
    ("br x17", 0xd61f_0220, Kind::Other),
    ("blr x17", 0xd63f_0220, Kind::Other),
    ("b.eq .+8", 0x5400_0040, Kind::Other),
    ("cbz x0, .+8", 0xb400_0040, Kind::Other),
    ("mov x10, x30", 0xaa1e_03ea, Kind::Other),
    ("mov x9, x29", 0xaa1d_03e9, Kind::Other),
    ("yield", 0xd503_203f, Kind::Other),
    ("paciasp", 0xd503_233f, Kind::Other),
    ("hint #32", 0xd503_241f, Kind::Bti),
];

const REACH: usize = BRANCH_RANGE as usize;

/// Somewhere in the middle of the address space, and where addresses have the top bit set.
const PLACES: [usize; 2] = [0x4008_0000, 0xffff_8000_1234_5678];

#[test]
fn words_are_what_an_assembler_makes() {
    for (line, word, kind) in ASSEMBLED {
        assert_eq!(Insn(word).kind(), kind, "{line}");
        for at in PLACES {
            let encoded = match kind {
                Kind::Nop => Ok(Insn::NOP),
                Kind::MovX9X30 => Ok(Insn::MOV_X9_X30),
                Kind::B(offset) => Insn::b(at, at.wrapping_add_signed(offset as isize)),
                Kind::Bl(offset) => Insn::bl(at, at.wrapping_add_signed(offset as isize)),
                Kind::Bti | Kind::Other => continue,
            };
            assert_eq!(encoded, Ok(Insn(word)), "{line} at {at:#x}");
        }
    }
    let bti: Vec<Insn> = ASSEMBLED[3..7].iter().map(|line| Insn(line.1)).collect();
    assert_eq!(bti, [Insn::BTI, Insn::BTI_C, Insn::BTI_J, Insn::BTI_JC]);
}

#[test]
fn branches_reach_128_mib_back_and_one_word_less_forward() {
    for from in PLACES {
        for encode in [Insn::b, Insn::bl] {
            let target = |to| encode(from, to).map(|insn| insn.branch_target(from));
            let refused = |to| Err(BranchError { from, to });
            assert_eq!(target(from + REACH - 4), Ok(Some(from + REACH - 4)));
            assert_eq!(target(from - REACH), Ok(Some(from - REACH)));
            for to in [from + REACH, from - REACH - 4, from + REACH + 4, !from & !3] {
                assert_eq!(target(to), refused(to));
            }
        }
    }
}

#[test]
fn branches_to_misaligned_addresses_are_refused() {
    for encode in [Insn::b, Insn::bl] {
        for by in [1, 2, 3, 5, 6, 7] {
            let (from, to) = (PLACES[0], PLACES[0] + 0x100 + by);
            assert_eq!(encode(from, to), Err(BranchError { from, to }));
        }
    }
}

#[test]
fn words_are_shown_with_what_they_mean() {
    let shown: Vec<_> = [
        0xd503_201f,
        0xaa1e_03e9,
        0x97ff_fc00,
        0x1400_0001,
        0xd503_245f,
        0x1234,
    ]
    .map(|word| Insn(word).to_string())
    .into();
    assert_eq!(
        shown,
        [
            "d503201f (nop)",
            "aa1e03e9 (mov x9, x30)",
            "97fffc00 (bl .-4096)",
            "14000001 (b .+4)",
            "d503245f (bti)",
            "00001234",
        ]
    );
}

proptest! {
    #[test]
    fn decoding_is_the_inverse_of_encoding(from in any::<usize>(), words in -(1i64 << 25)..(1i64 << 25)) {
        let offset = words * 4;
        let to = from.wrapping_add_signed(offset as isize);
        let (b, bl) = (Insn::b(from, to).expect("in reach"), Insn::bl(from, to).expect("in reach"));
        prop_assert_eq!(b.kind(), Kind::B(offset));
        prop_assert_eq!(bl.kind(), Kind::Bl(offset));
        prop_assert_eq!(b.branch_target(from), Some(to));
        prop_assert_eq!(bl.branch_target(from), Some(to));
    }

    #[test]
    fn encoding_is_the_inverse_of_decoding(word in any::<u32>(), from in any::<usize>()) {
        let insn = Insn(word);
        let again = match insn.kind() {
            Kind::Nop => Insn::NOP,
            Kind::MovX9X30 => Insn::MOV_X9_X30,
            Kind::B(offset) => Insn::b(from, from.wrapping_add_signed(offset as isize)).expect("decoded"),
            Kind::Bl(offset) => Insn::bl(from, from.wrapping_add_signed(offset as isize)).expect("decoded"),
            Kind::Bti => {
                prop_assert!(insn.is_bti());
                insn
            }
            Kind::Other => {
                prop_assert_eq!(insn.branch_target(from), None);
                insn
            }
        };
        prop_assert_eq!(again, insn);
    }

    #[test]
    fn out_of_range_is_refused(from in any::<usize>(), past in 0..i64::MAX / 8, forward in any::<bool>()) {
        let offset = match forward {
            true => BRANCH_RANGE + past * 4,
            false => -BRANCH_RANGE - 4 - past * 4,
        };
        let to = from.wrapping_add_signed(offset as isize);
        prop_assert_eq!(Insn::bl(from, to), Err(BranchError { from, to }));
    }
}
