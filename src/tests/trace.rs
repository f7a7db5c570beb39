//! The trace format's bits, against figures worked out by hand from docs/trace-format.md.
#![forbid(unsafe_code)]

use crate::trace::{Data, Event, HEADER_BYTES, Header, HeaderError, Type, crc32};
use std::vec::Vec;

#[test]
fn crc_is_that_of_ieee_802_3() {
    // The check value that every catalogue of CRCs gives for CRC-32/ISO-HDLC.
    assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    assert_eq!(crc32(b""), 0);
}

#[test]
fn an_event_has_the_documented_bits() {
    let event = Event::new(
        Type::Exit,
        0x12_3456_789a,
        0xffff_8000_4020_1234,
        0xdead_beef,
        0x5010,
        12,
    );
    assert_eq!(event.0, [0x5200_0012_3456_789a, 0xdead_beef_4020_1235]);
    assert_eq!(event.kind(), Some(Type::Exit));
    assert_eq!(event.time(), 0x12_3456_789a);
    assert_eq!(event.callsite_low(), 0x4020_1230);
    assert_eq!(event.upper(), 0xdead_beef);
    assert_eq!(Event::from_bytes(event.to_bytes()), event);
    assert_eq!(event.to_bytes()[..2], [0x9a, 0x78]);
}

#[test]
fn a_slot_is_of_its_lap_and_no_other() {
    let shift = 12;
    let event = Event::new(Type::Function, 1, 0x1008, 2, 5 << shift, shift);
    assert!(event.is_of(5 << shift, shift));
    for lap in (0..16).filter(|&lap| lap != 5) {
        assert!(!event.is_of(lap << shift, shift), "lap {lap}");
    }
    // Half of it from another lap: the laps of both words count.
    let later = Event::new(Type::Function, 1, 0x1008, 2, 6 << shift, shift);
    let torn = [
        Event([event.0[0], later.0[1]]),
        Event([later.0[0], event.0[1]]),
    ];
    for (torn, lap) in torn.iter().flat_map(|&torn| [(torn, 5), (torn, 6)]) {
        assert!(!torn.is_of(lap << shift, shift), "{torn:?} as lap {lap}");
    }
    assert!(
        !Event::default().is_of(1 << shift, shift),
        "memory of zeroes"
    );
}

#[test]
fn data_carries_64_bits() {
    let data = Data {
        kind: 3,
        index: 7,
        value: 0x0123_4567_89ab_cdef,
    };
    let event = data.event(0x3000, 12);
    assert_eq!(event.data(), Some(data));
    assert!(event.is_of(0x3000, 12));
    assert_eq!(Event::new(Type::Task, 0, 0, 0, 0, 12).data(), None);
}

fn header() -> Header {
    Header {
        cpus: 2,
        rings: 2,
        region_bytes: 3 * 4096,
        frequency: 1_000_000_000,
        text_start: 0xffff_8000_4020_0000,
        text_bytes: 0x10_0000,
        link_start: 0x4020_0000,
        controls: 256,
        build_id_len: 20,
        build_id: core::array::from_fn(|i| if i < 20 { i as u8 } else { 0 }),
        made: 7,
        boots: 1,
        ..Header::default()
    }
}

#[test]
fn a_header_comes_back_as_it_was() {
    let bytes = header().to_bytes();
    assert_eq!(Header::from_bytes(&bytes), Ok(header()));
    assert_eq!(&bytes[..16], b"AFTRACE-REGION\r\n");
    assert_eq!(header().text_address(0x4020_0010), 0xffff_8000_4020_0010);
    assert_eq!(header().build_id().len(), 20);
}

#[test]
fn every_damaged_bit_of_a_header_is_seen() {
    let bytes = header().to_bytes();
    let damaged: Vec<_> = (0..HEADER_BYTES * 8)
        .filter(|bit| {
            let mut bytes = bytes;
            bytes[bit / 8] ^= 1 << (bit % 8);
            Header::from_bytes(&bytes).is_ok()
        })
        .collect();
    assert_eq!(damaged, [], "bits that may be anything");
}

#[test]
fn a_header_that_cannot_be_is_refused_by_field() {
    let refused = |change: fn(&mut Header)| {
        let mut changed = header();
        change(&mut changed);
        match Header::from_bytes(&changed.to_bytes()) {
            Err(HeaderError::Field { offset, .. }) => offset,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(refused(|header| header.cpus = 3), 28);
    assert_eq!(refused(|header| header.region_bytes += 1), 32);
    assert_eq!(refused(|header| header.frequency = 0), 40);
    assert_eq!(refused(|header| header.text_bytes = 1 << 33), 56);
    assert_eq!(refused(|header| header.controls = 64), 88);
    assert_eq!(refused(|header| header.controls = 4096 * 3), 88);
    assert_eq!(refused(|header| header.rings = 0), 96);
    assert_eq!(refused(|header| header.build_id_len = 33), 100);
}
