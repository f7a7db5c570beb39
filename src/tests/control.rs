//! Control blocks and slots that cannot be, field by field; and which build a recording is of.
#![forbid(unsafe_code)]

use super::recorder::{Kernel, after_a_reset};
use crate::areas;
use crate::record::{Build, Item};
use crate::ring::Mode;
use crate::trace::{
    Control, EVENT_BYTES, Event, FrameCounts, HEADER_BYTES, Header, Region, RegionError, Type,
    control_crc,
};
use std::vec::Vec;

const RING: u64 = 4096;
const REGION: u64 = 3 * RING;
/// Offsets are those of docs/trace-format.md, section 2.
const HEAD: usize = 0;
const START: usize = 40;
const END: usize = 72;

/// The block of a ring of the least size in its second lap; then these fields, and the CRC that fits.
fn block(fields: &[(usize, u64)]) -> [u8; 128] {
    let mut block = [0; 128];
    let good = [
        (HEAD, 2 * RING + 160),
        (8, RING - 1),
        (24, 12),
        (32, u64::MAX),
        (START, RING),
        (48, 2 * RING),
        (56, 1),
    ];
    for (at, value) in good.iter().chain(fields) {
        block[*at..at + 8].copy_from_slice(&value.to_le_bytes());
    }
    let crc = control_crc(&block);
    block[124..].copy_from_slice(&crc.to_le_bytes());
    block
}

fn control(fields: &[(usize, u64)]) -> Control {
    Control::read(&block(fields))
}

#[test]
fn a_field_that_cannot_be_is_named() {
    assert_eq!(control(&[]).check(0, REGION), Ok(()));
    let end = 2 * RING + 160;
    let wrong: [(usize, &[u64]); 8] = [
        (8, &[RING - 2, RING, RING / 2 - 1, 0, u64::MAX]),
        (24, &[11, 13, 64, u64::MAX]),
        (48, &[2 * RING + 1, REGION, u64::MAX]),
        (START, &[0, RING - 16, RING + 8]),
        (HEAD, &[end + 8, RING - 16, 0]),
        (END, &[8, RING - 16, RING + 8, end + 16, u64::MAX]),
        (32, &[0, RING, 2 * RING - 16, 2 * RING + 16, u64::MAX - 1]),
        (56, &[0xffff, 0xffff_ffff]),
    ];
    for (offset, values) in wrong {
        for &value in values {
            let found = control(&[(offset, value)]).check(7, REGION);
            let ring = 7;
            let expected = RegionError::Field {
                ring,
                offset,
                value,
            };
            // A mask that cannot be, and a shift that does not belong to it.
            assert_eq!(found, Err(expected), "{value:#x} at {offset}");
        }
    }
    // The role stands in the upper half of the word that has the core.
    for role in [3, 4, 1 << 31, u32::MAX] {
        let found = control(&[(56, 1 | u64::from(role) << 32)]).check(7, REGION);
        let expected = RegionError::Field {
            ring: 7,
            offset: 60,
            value: role.into(),
        };
        assert_eq!(found, Err(expected));
    }
    let roles = [0, 1, 2].map(|role| (56, 1 | role << 32));
    let good = [(END, RING), (END, end), (32, 2 * RING), (56, 0xfffe)];
    for good in good.into_iter().chain(roles) {
        assert_eq!(control(&[good]).check(0, REGION), Ok(()), "{good:x?}");
    }
}

#[test]
fn a_bit_of_a_fixed_field_is_told_by_its_crc() {
    let fixed = (8..32).chain(48..60).chain(124..128);
    for at in fixed {
        for bit in 0..8 {
            let mut block = block(&[]);
            block[at] ^= 1 << bit;
            let found = Control::read(&block).check(3, REGION);
            assert_eq!(found, Err(RegionError::Crc { ring: 3 }), "{at} {bit}");
        }
    }
}

/// Who reserves after the end writes over the recording, and is not counted in it.
#[test]
fn counts_of_a_recording_that_has_ended_are_of_it_alone() {
    let counts = |end, head| {
        let counts = control(&[(END, end), (HEAD, head)]).counts();
        (counts.written, counts.overwritten, counts.dropped)
    };
    assert_eq!(counts(RING + 160, RING + 160), (10, 0, 0));
    assert_eq!(counts(2 * RING, 2 * RING + 32), (256, 2, 0));
    assert_eq!(counts(RING + 160, 9 * RING), (10, 10, 0));
    let full = control(&[(32, 2 * RING), (HEAD, 9 * RING), (64, 5)]);
    let expected = FrameCounts {
        written: 256,
        dropped: 7 * 256,
        refused: 5,
        ..FrameCounts::default()
    };
    assert_eq!(full.counts(), expected);
}

/// The header's text begins at 0x4020_0000 and has 0x10_0000 bytes.
#[test]
fn what_cannot_be_an_event_of_the_text_is_unfinished() {
    let kernel = Kernel::new(Mode::Overwrite, false);
    let ring = areas::ring(&kernel.areas[0]);
    let cases = [
        (Type::Function, 0x4020_0010, true),
        // Its literal would stand before the text.
        (Type::Function, 0x4020_0008, false),
        (Type::Entry, 0x402f_fff8, true),
        (Type::Function, 0x4030_0000, false),
        (Type::Exit, 0x401f_fff8, false),
        (Type::Trigger, 0, false),
        (Type::Task, 0, true),
        (Type::Task, 0x4020_0000, false),
        (Type::Data, 0x4020_0000, false),
    ];
    for (kind, callsite, _) in cases {
        assert!(ring.write(kind, 5, callsite, 1));
    }
    let memory = after_a_reset(&kernel.bytes());
    let survivor = kernel.recorder.survivor(&memory).expect("a region");
    let whole: Vec<bool> = survivor
        .read(0)
        .map(|item| matches!(item, Item::Event { .. }))
        .collect();
    assert_eq!(whole, cases.map(|case| case.2));
    // Types of a newer minor version are for others to judge.
    let mut bytes = kernel.bytes();
    let slot = bytes.len() - 3 * RING as usize;
    bytes[slot + 7] |= 0x0f;
    let memory = after_a_reset(&bytes);
    let survivor = kernel.recorder.survivor(&memory).expect("a region");
    let first = survivor.read(0).next();
    let newer = |event: Event| event.kind().is_none() && event.code() == 15;
    assert!(
        matches!(first, Some(Item::Event { event, .. }) if newer(event)),
        "{first:?}"
    );
}

/// Memory that was cleared has the laps of each sixteenth lap; and there is text whose first address ends with as many zeroes.
#[test]
fn what_was_cleared_is_no_event_whatever_the_lap_and_the_text() {
    let kernel = Kernel::new(Mode::Overwrite, false);
    let mut bytes = kernel.bytes();
    let header = Header {
        text_start: 0xffff_0000_0000_0000,
        ..*Region::parse(&bytes).expect("a region").header()
    };
    bytes[..HEADER_BYTES].copy_from_slice(&header.to_bytes());
    for lap in 1..40 {
        let head = (lap + 1) * RING;
        bytes[HEADER_BYTES..][..8].copy_from_slice(&head.to_le_bytes());
        let region = Region::parse(&bytes).expect("a region");
        let ring = region.rings().next().expect("a ring");
        assert_eq!(ring.counts().unfinished, RING / EVENT_BYTES, "lap {lap}");
        assert!(ring.events().all(|(_, event)| event.is_none()), "lap {lap}");
    }
}

/// Of the two rings of a core one is written to, however often they are exchanged.
#[test]
fn the_region_says_which_ring_is_written_to() {
    let kernel = Kernel::new(Mode::Overwrite, true);
    for (round, roles) in [[0, 2], [1, 0], [0, 1], [1, 0]].into_iter().enumerate() {
        let bytes = kernel.bytes();
        let region = Region::parse(&bytes).expect("a region");
        let found = region.rings().map(|ring| (ring.core, ring.role));
        let expected = roles
            .iter()
            .flat_map(|role| (0..3).map(|core| (core, *role)));
        assert!(found.eq(expected), "after {round} snapshots");
        drop(kernel.recorder.snapshot().expect("spare rings"));
    }
}

#[test]
fn the_first_ring_is_checked_as_all_are() {
    let kernel = Kernel::new(Mode::Overwrite, false);
    for ring in 0..3 {
        let mut bytes = kernel.bytes();
        bytes[256 + ring * 128 + 8] ^= 1;
        let memory = after_a_reset(&bytes);
        let found = kernel.recorder.survivor(&memory).err();
        assert_eq!(found, Some(RegionError::Crc { ring: ring as u32 }));
    }
}

#[test]
fn a_build_is_the_same_where_both_ids_are_known_and_are_one() {
    let long: Vec<u8> = (0..40).collect();
    for (here, there, expected) in [
        (&b"abc"[..], &b"abc"[..], Build::Same),
        (b"abc", b"abd", Build::Other),
        (b"abc", b"ab", Build::Other),
        (b"ab", b"abc", Build::Other),
        (b"", b"abc", Build::Unknown),
        (b"abc", b"", Build::Unknown),
        (b"", b"", Build::Unknown),
        // A header has room for 32 bytes.
        (&long, &long[..32], Build::Same),
        (&long, &long[..31], Build::Other),
    ] {
        assert_eq!(Build::of(here, there), expected, "{here:?} {there:?}");
    }
}
