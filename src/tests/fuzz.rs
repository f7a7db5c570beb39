//! Hostile records sections and filters: deterministic mutations of good ones.
#![forbid(unsafe_code)]

use crate::fuzz::{TABLE_HEADER, filter, table};
use crate::insn::Insn;
use std::vec::Vec;

#[path = "../../fuzz/harness/mutate.rs"]
mod mutate;

#[test]
fn hostile_records_are_judged_within_the_text() {
    let mut seeds = Vec::new();
    for start in [0x4020_0000_u64, 0xFFFF_0000_4020_0000, 0, u64::MAX - 0x1000] {
        let mut seed = start.to_le_bytes().to_vec();
        // Three records, notrace 96..128.
        seed.extend([3, 0, 96, 0, 128, 0, 0, 0]);
        assert_eq!(seed.len(), TABLE_HEADER);
        for offset in [0, 32, 96] {
            seed.extend((start + offset).to_le_bytes());
        }
        let mut text = std::vec![0; 160];
        for at in [0, 32, 96] {
            // 8 bytes of NOPs before the function, two behind its entry.
            for word in 0..4 {
                text[at + 4 * word..][..4].copy_from_slice(&Insn::NOP.0.to_le_bytes());
            }
        }
        // The second begins with BTI C.
        text[40..44].copy_from_slice(&Insn::BTI_C.0.to_le_bytes());
        text[48..52].copy_from_slice(&Insn::NOP.0.to_le_bytes());
        seed.extend(text);
        seeds.push(seed);
    }
    assert!(
        seeds.iter().take(2).all(|seed| table(seed)),
        "the seeds are good"
    );
    mutate::run(&seeds, mutate::EXECUTIONS, table);
}

#[test]
fn hostile_filters_are_parsed_or_refused() {
    let seeds = [
        "sched::*\n!*::drop\n<[T]>::len\n[a-z]?[!x]*\\*\n\n#7\n0x40200000",
        "*\n\n!",
        "<alloc::vec::Vec<*>>::push::<[u8]>\n\u{e4}\u{20ac}[\u{e4}-\u{fc}]*",
        "#18446744073709551615\n0xffffffffffffffff\nfn() -> u8\n\\[x]",
    ]
    .map(|seed| seed.as_bytes().to_vec());
    mutate::run(&seeds, mutate::EXECUTIONS, filter);
}
