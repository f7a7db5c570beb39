//! The fields of a region's header and control blocks: of each, values at the edge of what can be, taken and refused.
//!
//! Offsets are those of docs/trace-format.md, section 2. The CRC is always right: it is not what refuses.
#![forbid(unsafe_code)]

use crate::trace::{
    CONTROL_BYTES, Control, HEADER_BYTES, Header, HeaderError, RegionError, control_crc, crc32,
};

/// What a field is set to, and whether it is taken. What is refused is named by its offset and value.
type Case = (usize, u64, bool);

fn put(bytes: &mut [u8], at: usize, value: u64, width: usize) {
    bytes[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
}

#[test]
fn each_field_of_a_header_is_taken_up_to_its_edge_and_refused_beyond() {
    let good = Header {
        cpus: 2,
        rings: 3,
        region_bytes: 2 * 4096,
        frequency: 1,
        text_bytes: 0x1000,
        controls: 256,
        ..Header::default()
    };
    // The last place for three control blocks.
    let last = 2 * 4096 - 3 * 128;
    let words: [Case; 21] = [
        (24, 255, false),
        (24, 257, false),
        (28, 0, false),
        (28, 1, true),
        (28, 3, true),
        (28, 4, false),
        (88, 0, false),
        (88, 128, false),
        (88, 255, false),
        (88, 320, false),
        (88, last, true),
        (88, last + 128, false),
        (88, 0xffff_ff80, false),
        (92, 127, false),
        (92, 256, false),
        (96, 0, false),
        (96, 1, false),
        (96, 62, true),
        (96, 63, false),
        (100, 32, true),
        (100, 33, false),
    ];
    let longs: [Case; 9] = [
        (32, 4096, true),
        (32, 4097, false),
        (32, 4096 + 2048, false),
        (40, 0, false),
        (40, u64::MAX, true),
        (56, 0, false),
        (56, 1, true),
        (56, 1 << 32, true),
        (56, (1 << 32) + 1, false),
    ];
    let cases = words.map(|case| (case, 4)).into_iter();
    for ((at, value, taken), width) in cases.chain(longs.map(|case| (case, 8))) {
        let mut bytes = good.to_bytes();
        put(&mut bytes, at, value, width);
        let crc = crc32(&bytes[..HEADER_BYTES - 4]);
        put(&mut bytes, HEADER_BYTES - 4, crc.into(), 4);
        let refused = Header::from_bytes(&bytes).map(|_| ());
        // One ring less than cores is told of the cores.
        let (offset, value) = if (at, value) == (96, 1) {
            (28, 2)
        } else {
            (at, value)
        };
        let expected = match taken {
            true => Ok(()),
            // More rings than there is room for are told of the place.
            false if (at, value) == (96, 63) => Err(HeaderError::Field {
                offset: 88,
                value: 256,
            }),
            false => Err(HeaderError::Field { offset, value }),
        };
        assert_eq!(refused, expected, "{value:#x} at {at}");
    }
    // Whatever the minor version, of this major one alone.
    for (version, taken) in [
        (0x0000, false),
        (0x0001, true),
        (0x7_0001, true),
        (0x0002, false),
    ] {
        let mut bytes = good.to_bytes();
        put(&mut bytes, 20, version, 4);
        let crc = crc32(&bytes[..HEADER_BYTES - 4]);
        put(&mut bytes, HEADER_BYTES - 4, crc.into(), 4);
        let expected = HeaderError::Version {
            major: version as u16,
            minor: 0,
        };
        match taken {
            true => assert_eq!(Header::from_bytes(&bytes), Ok(good), "{version:#x}"),
            false => assert_eq!(Header::from_bytes(&bytes), Err(expected)),
        }
    }
    // As many rings as a frame can number twice, and one more.
    for (rings, taken) in [(1 << 17, true), ((1 << 17) + 1, false)] {
        let many = Header {
            rings,
            region_bytes: 1 << 30,
            ..good
        };
        let refused = Header::from_bytes(&many.to_bytes());
        let (offset, value) = (96, rings.into());
        match taken {
            true => assert_eq!(refused, Ok(many)),
            false => assert_eq!(refused, Err(HeaderError::Field { offset, value })),
        }
    }
}

/// The table of the tasks' names lies within the region; without one nothing is said of its place.
#[test]
fn the_place_of_the_names_is_taken_up_to_its_edge_and_refused_beyond() {
    let good = Header {
        cpus: 1,
        rings: 1,
        region_bytes: 4 * 4096,
        frequency: 1,
        text_bytes: 0x1000,
        controls: 256,
        task_names: 384,
        task_name_count: 2,
        task_name_stride: 64,
        ..Header::default()
    };
    assert_eq!(Header::from_bytes(&good.to_bytes()), Ok(good));
    let cases: [Case; 12] = [
        (160, 4 * 4096 - 128, true),
        (160, 4 * 4096 - 64, false),
        (160, 192, false),
        (160, 256, true),
        (160, 400, false),
        (160, 0xffff_ffc0, false),
        (164, 250, true),
        (164, 251, false),
        (164, 0, true),
        (168, 0, false),
        (168, 128, true),
        (168, 100, false),
    ];
    for (at, value, taken) in cases {
        let mut bytes = good.to_bytes();
        put(&mut bytes, at, value, 4);
        let crc = crc32(&bytes[..HEADER_BYTES - 4]);
        put(&mut bytes, HEADER_BYTES - 4, crc.into(), 4);
        let refused = Header::from_bytes(&bytes).err();
        // More names than there is room for are told of the place.
        let (offset, value) = if value == 251 {
            (160, 384)
        } else {
            (at, value)
        };
        let expected = (!taken).then_some(HeaderError::Field { offset, value });
        assert_eq!(refused, expected, "{value:#x} at {at}");
    }
    // As many as a table can have, and one more.
    let mut many = good;
    many.region_bytes = 1 << 30;
    many.task_name_count = 1 << 16;
    assert_eq!(Header::from_bytes(&many.to_bytes()), Ok(many));
    many.task_name_count += 1;
    let (offset, value) = (164, (1 << 16) + 1);
    let refused = Header::from_bytes(&many.to_bytes());
    assert_eq!(refused, Err(HeaderError::Field { offset, value }));
}

const RING: u64 = 8192;
const REGION: u64 = 4096 + RING;

/// A ring of 8 KiB in its second round, which stops when it is full.
fn control(change: impl FnOnce(&mut [u8; CONTROL_BYTES])) -> Control {
    let mut block = [0; CONTROL_BYTES];
    for (at, value) in [
        (0, 2 * RING + 64),
        (8, RING - 1),
        (24, 13),
        (32, 2 * RING + 32),
        (40, RING + 32),
        (48, 4096),
        (72, 0),
    ] {
        put(&mut block, at, value, 8);
    }
    change(&mut block);
    let crc = control_crc(&block);
    put(&mut block, CONTROL_BYTES - 4, crc.into(), 4);
    Control::read(&block)
}

#[test]
fn each_field_of_a_control_block_is_taken_up_to_its_edge_and_refused_beyond() {
    assert_eq!(control(|_| {}).check(7, REGION), Ok(()));
    let cases: [Case; 28] = [
        // The head: whole events, not before the recording's start.
        (0, RING + 32, true),
        (0, RING + 16, false),
        (0, 2 * RING + 65, false),
        (0, u64::MAX - 15, true),
        // The mask: of a power of two within the limits.
        (8, 0, false),
        (8, 2047, false),
        (8, RING, false),
        (8, RING - 2, false),
        (8, 3 * 4096 - 1, false),
        (8, (2 << 40) - 1, false),
        (8, u64::MAX, false),
        // The shift is the mask's.
        (24, 12, false),
        (24, 14, false),
        (24, 13 + 64, false),
        // The limit is one ring behind the start, or none.
        (32, u64::MAX, true),
        (32, u64::MAX - 1, false),
        (32, 2 * RING + 16, false),
        (32, 0, false),
        // The start: whole events, and never in the lap that no slot has.
        (40, RING + 8, false),
        (40, RING - 16, false),
        // The data lies within the region.
        (48, 4097, false),
        (48, u64::MAX, false),
        (48, u64::MAX - RING + 1, false),
        // The end: none, or between start and head.
        (72, RING + 32, true),
        (72, 2 * RING + 64, true),
        (72, 2 * RING + 80, false),
        (72, RING + 16, false),
        (72, RING + 40, false),
    ];
    for (at, value, taken) in cases {
        let checked = control(|block| put(block, at, value, 8)).check(7, REGION);
        let expected = match taken {
            true => Ok(()),
            false => Err(RegionError::Field {
                ring: 7,
                offset: at,
                value,
            }),
        };
        assert_eq!(checked, expected, "{value:#x} at {at}");
    }
    for (core, taken) in [(0xfffe, true), (0xffff, false), (u32::MAX, false)] {
        let checked = control(|block| put(block, 56, core.into(), 4)).check(7, REGION);
        assert_eq!(checked.is_ok(), taken, "core {core:#x}");
    }
    let first = control(|block| {
        put(block, 40, RING, 8);
        put(block, 32, 2 * RING, 8);
    });
    assert_eq!(first.check(7, REGION), Ok(()), "the first recording");
}

/// A ring of every size that can be has its mask, shift and limit; the next smaller and larger has not.
#[test]
fn rings_of_all_sizes_that_can_be_are_taken_and_no_others() {
    for shift in 11..=41_u64 {
        let bytes = 1 << shift;
        let ring = control(|block| {
            for (at, value) in [
                (0, bytes),
                (8, bytes - 1),
                (24, shift),
                (32, u64::MAX),
                (40, bytes),
            ] {
                put(block, at, value, 8);
            }
        });
        let taken = (12..=40).contains(&shift);
        assert_eq!(
            ring.check(0, 4096 + bytes).is_ok(),
            taken,
            "2^{shift} bytes"
        );
        if taken {
            let outside = ring.check(0, 4096 + bytes - 1);
            let (ring, offset, value) = (0, 48, 4096);
            let expected = RegionError::Field {
                ring,
                offset,
                value,
            };
            assert_eq!(outside, Err(expected), "2^{shift} bytes");
        }
    }
}
