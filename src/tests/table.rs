//! The callsite table: sorting, judging, finding.
#![forbid(unsafe_code)]

use super::fake::{BODY, CTR_NEITHER, Fake};
use super::world::BASE;
use crate::callsite::{Layout, compiled};
use crate::insn::Insn;
use crate::table::{Reason, Table, TextRanges};
use core::ops::Range;
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

fn build(records: Vec<u64>, text: &Fake, notrace: Range<usize>) -> Table {
    let ranges = TextRanges {
        text: text.range(),
        notrace,
    };
    Table::build(records.leak(), &ranges, text)
}

/// Address and reason of every record.
fn judged(table: &Table) -> Vec<(usize, Option<Reason>)> {
    table
        .range(0..table.len())
        .map(|(_, record)| (table.layout(record).literal(), record.reason()))
        .collect()
}

#[test]
fn records_are_sorted_and_each_is_judged() {
    let (text, at) = Fake::new(BASE, &[false, true, false, true, false, true], CTR_NEITHER);
    let at: Vec<usize> = at.into_iter().map(|at| at as usize).collect();
    let end = text.range().end;
    // The third function's first NOP is something else, the fourth's second; the fifth is ours.
    text.poke(at[2], Insn(0x1234_5678));
    text.poke(at[3] + 16, BODY);
    let records = [
        at[5],
        at[0],
        end + 64,
        at[1],
        at[0],
        at[4],
        at[3],
        BASE - 8,
        at[2],
        at[1] + 4,
        end - 16,
        at[0],
    ];
    let records = records.map(|at| at as u64).to_vec();
    let table = build(records, &text, at[4]..at[5]);
    let expected = [
        (BASE - 8, Some(Reason::OutsideText)),
        (at[0], None),
        (at[0], Some(Reason::Duplicate)),
        (at[0], Some(Reason::Duplicate)),
        (at[1], None),
        (at[1] + 4, Some(Reason::Misaligned)),
        (at[2], Some(Reason::NotCompiledPattern)),
        (at[3], Some(Reason::NotCompiledPattern)),
        (at[4], Some(Reason::OwnCode)),
        (at[5], None),
        // Its last word would be outside.
        (end - 16, Some(Reason::OutsideText)),
        (end + 64, Some(Reason::OutsideText)),
    ];
    assert_eq!(judged(&table), expected);
    assert_eq!(table.rejected(), 9);
    assert_eq!(table.bytes(), 8 * expected.len(), "8 bytes a record");
    let layouts: Vec<_> = [1, 4, 9]
        .map(|i| table.layout(table.record(i).expect("in range")))
        .into();
    let callsites = [(at[0], false), (at[1], true), (at[5], true)];
    assert_eq!(layouts, callsites.map(|(at, bti)| Layout::new(at, bti)));
}

/// A callsite may end where the text does. At the top of the address space there are no addresses behind it.
#[test]
fn a_callsite_fits_into_the_text_or_is_outside_also_at_the_top_of_the_address_space() {
    let outside = Some(Reason::OutsideText);
    for base in [BASE, usize::MAX - 0x1f] {
        for (room, fits) in [(19, false), (20, true), (21, true)] {
            let (text, _) = Fake::new(base, &[true], CTR_NEITHER);
            let records = [base, base + 16, base + 0x1e, usize::MAX].map(|at| at as u64);
            let ranges = TextRanges {
                text: base..base + room,
                notrace: 0..0,
            };
            let table = Table::build(records.to_vec().leak(), &ranges, &text);
            let reasons = judged(&table).into_iter().map(|(_, reason)| reason);
            let first = if fits { None } else { outside };
            let expected = [first, outside, outside, outside];
            assert_eq!(reasons.collect::<Vec<_>>(), expected, "{base:#x}, {room}");
            // What a shell asks of rejects too.
            for (_, record) in table.range(0..table.len()) {
                let layout = table.layout(record);
                let bytes = layout.end().wrapping_sub(layout.literal());
                assert!([16, 20].contains(&bytes), "{layout:?}");
            }
        }
    }
}

#[test]
fn every_word_that_is_not_compiled_rejects() {
    for bti in [false, true] {
        let words = if bti { 5 } else { 4 };
        for bad in 0..words {
            let (text, records) = Fake::new(BASE, &[bti], CTR_NEITHER);
            assert_eq!(compiled(&text, BASE), Some(Layout::new(BASE, bti)));
            text.poke(BASE + 4 * bad, BODY);
            assert_eq!(compiled(&text, BASE), None, "bti {bti}, word {bad}");
            let table = build(records, &text, 0..0);
            let expected = [(BASE, Some(Reason::NotCompiledPattern))];
            assert_eq!(judged(&table), expected, "bti {bti}, word {bad}");
        }
    }
}

#[test]
fn all_bti_forms_are_landing_pads() {
    for pad in [Insn::BTI, Insn::BTI_C, Insn::BTI_J, Insn::BTI_JC] {
        let (text, _) = Fake::new(BASE, &[true], CTR_NEITHER);
        text.poke(BASE + 8, pad);
        assert_eq!(
            compiled(&text, BASE),
            Some(Layout::new(BASE, true)),
            "{pad}"
        );
    }
    // paciasp is a landing pad too, but the compiler places it behind the NOPs.
    let (text, _) = Fake::new(BASE, &[true], CTR_NEITHER);
    text.poke(BASE + 8, Insn(0xd503_233f));
    assert_eq!(compiled(&text, BASE), None);
}

#[test]
fn judging_writes_nothing() {
    let (text, records) = Fake::new(BASE, &[false, true], CTR_NEITHER);
    let before = text.memory();
    build(records, &text, 0..0);
    assert_eq!((text.memory(), text.take_log()), (before, vec![]));
}

#[test]
fn every_address_within_a_callsite_finds_it_and_no_other_does() {
    let (text, records) = Fake::new(BASE, &[false, true, true, false, false], CTR_NEITHER);
    let table = build(records, &text, 0..0);
    for at in BASE - 32..text.range().end + 32 {
        // From the literal to LR, which is the address behind the BL.
        let expected = (0..table.len()).rfind(|&i| {
            let layout = table.layout(table.record(i).expect("in range"));
            (layout.literal()..=layout.end()).contains(&at)
        });
        assert_eq!(table.find(at), expected, "{at:#x}");
    }
}

#[test]
fn what_is_left_alone_is_not_found() {
    let (text, at) = Fake::new(BASE, &[false, false, false], CTR_NEITHER);
    text.poke(at[1] as usize, BODY);
    let own = at[2] as usize..at[2] as usize + 8;
    let table = build(vec![at[0], at[0], at[1], at[2]], &text, own);
    for (record, found) in [(at[0], Some(0)), (at[1], None), (at[2], None)] {
        assert_eq!(table.find(record as usize + 8), found, "{record:#x}");
    }
}

proptest! {
    /// Records that point anywhere at all (a linker writes 0 for what it threw away) disturb no callsite.
    #[test]
    fn wild_records_disturb_no_callsite(
        functions in prop::collection::vec(any::<bool>(), 1..12),
        wild in prop::collection::vec(prop_oneof![Just(0), any::<u64>(), any::<u64>().prop_map(|at| at >> 16)], 0..6),
        high in any::<bool>(),
    ) {
        let base = if high { BASE } else { 0x4008_0000 };
        let (text, records) = Fake::new(base, &functions, CTR_NEITHER);
        let range = text.range();
        let mut all = wild;
        all.retain(|&at| !range.contains(&(at as usize)));
        let rejects = all.len();
        all.extend(&records);
        let table = build(all, &text, 0..0);
        prop_assert_eq!(table.rejected(), rejects);
        for (&at, &bti) in records.iter().zip(&functions) {
            let found = table.find(at as usize + 8);
            let layout = found.and_then(|i| table.record(i)).map(|record| table.layout(record));
            prop_assert_eq!(layout, Some(Layout::new(at as usize, bti)));
        }
    }
}
