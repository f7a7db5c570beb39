//! Frames, byte stuffing and sinks, against figures from docs/trace-format.md and the paper on COBS.
#![forbid(unsafe_code)]

use crate::sink::{MemorySink, Sink, SinkError, Stream};
use crate::trace::{
    CobsEncoder, FRAME_HEAD_BYTES, Frame, FrameError, FrameKind, cobs_decode, crc32, frame_head,
};
use proptest::prelude::*;
use std::vec::Vec;

fn encode(parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut cobs = CobsEncoder::new();
    let mut put = |run: &[u8]| -> Result<(), ()> {
        out.extend_from_slice(run);
        Ok(())
    };
    for part in parts {
        cobs.put(part, &mut put).unwrap();
    }
    cobs.end(&mut put).unwrap();
    out
}

#[test]
fn stuffing_is_that_of_the_paper() {
    assert_eq!(encode(&[]), [1]);
    assert_eq!(encode(&[&[0]]), [1, 1]);
    assert_eq!(
        encode(&[&[0x11, 0x22], &[0, 0x33]]),
        [3, 0x11, 0x22, 2, 0x33]
    );
    assert_eq!(encode(&[&[0x11, 0, 0, 0]]), [2, 0x11, 1, 1, 1]);
    let long: Vec<u8> = (1..=255).collect();
    let mut expected = std::vec![255];
    expected.extend(1..=254);
    expected.extend([2, 255]);
    assert_eq!(encode(&[&long]), expected);
}

#[test]
fn what_is_no_stuffing_is_refused() {
    for wrong in [&[3, 1][..], &[2, 0, 1], &[0], &[5, 1, 2, 3]] {
        assert_eq!(cobs_decode(&mut wrong.to_vec()), None, "{wrong:?}");
    }
    assert_eq!(cobs_decode(&mut []), Some(0));
}

proptest! {
    #[test]
    fn stuffing_has_no_zero_and_comes_back(bytes in prop::collection::vec(0_u8..4, 0..700), cut in 0_usize..700) {
        let (first, second) = bytes.split_at(cut.min(bytes.len()));
        let mut stuffed = encode(&[first, second]);
        prop_assert!(!stuffed.contains(&0));
        prop_assert!(stuffed.len() <= bytes.len() + bytes.len() / 254 + 1);
        let len = cobs_decode(&mut stuffed).unwrap();
        prop_assert_eq!(&stuffed[..len], &bytes[..]);
    }

    #[test]
    fn long_runs_come_back(len in 250_usize..1100, zero in 0_usize..1100) {
        let mut bytes = std::vec![7; len];
        if let Some(byte) = bytes.get_mut(zero) {
            *byte = 0;
        }
        let mut stuffed = encode(&[&bytes]);
        let len = cobs_decode(&mut stuffed).unwrap();
        prop_assert_eq!(&stuffed[..len], &bytes[..]);
    }
}

fn frame() -> Vec<u8> {
    let mut bytes = frame_head(FrameKind::Counts, 0x0102, 0x0a0b_0c0d, &[b"ab", b"c"])
        .unwrap()
        .to_vec();
    bytes.extend_from_slice(b"abc");
    bytes
}

#[test]
fn a_frame_has_the_documented_bytes() {
    let bytes = frame();
    assert_eq!(
        bytes[..16],
        [
            b'A', b'F', b'T', 0xf1, 3, 0, 2, 1, 3, 0, 0, 0, 0x0d, 0x0c, 0x0b, 0x0a
        ]
    );
    let covered = [&bytes[..16], b"abc"].concat();
    assert_eq!(bytes[16..20], crc32(&covered).to_le_bytes());
    assert_eq!(bytes[20..24], [0; 4]);
    let (read, len) = Frame::parse(&bytes).unwrap();
    assert_eq!(
        (read.kind, read.core, read.number, read.payload),
        (3, 0x0102, 0x0a0b_0c0d, &b"abc"[..])
    );
    assert_eq!(len, FRAME_HEAD_BYTES + 3);
}

#[test]
fn every_damaged_bit_of_a_frame_is_seen() {
    let bytes = frame();
    let unseen: Vec<usize> = (0..bytes.len() * 8)
        .filter(|bit| {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            Frame::parse(&bytes).is_ok()
        })
        .collect();
    // Only those that say nothing yet.
    assert_eq!(unseen, (20 * 8..24 * 8).collect::<Vec<_>>());
}

#[test]
fn a_cut_frame_says_how_much_is_missing() {
    let bytes = frame();
    for len in 0..bytes.len() {
        let needed = if len < FRAME_HEAD_BYTES {
            FRAME_HEAD_BYTES
        } else {
            bytes.len()
        };
        assert_eq!(
            Frame::parse(&bytes[..len]),
            Err(FrameError::Short { needed }),
            "{len} bytes"
        );
    }
    let mut long = bytes.clone();
    long[8..12].copy_from_slice(&(1_u32 << 20 | 1).to_le_bytes());
    assert_eq!(Frame::parse(&long), Err(FrameError::Length(1 << 20 | 1)));
    assert_eq!(Frame::find(&[b"AF", &bytes[..]].concat()), Some(2));
    assert_eq!(Frame::find(b"AFTRACE"), None);
}

#[test]
fn memory_takes_all_or_nothing() {
    let mut memory = [0; 5];
    let mut sink = MemorySink::new(&mut memory);
    assert_eq!(sink.write(b"abc"), Ok(()));
    assert_eq!(sink.write(b"def"), Err(SinkError::Full { bytes: 3 }));
    assert_eq!(sink.write(b"de"), Ok(()));
    assert_eq!(sink.written(), b"abcde");
}

#[test]
fn a_serial_line_repeats_the_header() {
    let mut memory = std::vec![0; 100_000];
    let mut stream = Stream::serial(MemorySink::new(&mut memory));
    stream.header(&[5; 256]).unwrap();
    for _ in 0..130 {
        stream.frame(FrameKind::Counts, 0, &[b"x"]).unwrap();
    }
    assert_eq!(stream.frames(), 133);
    let sink = stream.into_inner();
    let mut kinds = Vec::new();
    for part in sink
        .written()
        .split(|&byte| byte == 0)
        .filter(|part| part.len() > 1)
    {
        let mut part = part[1..].to_vec();
        let len = cobs_decode(&mut part).unwrap();
        let (frame, _) = Frame::parse(&part[..len]).unwrap();
        assert_eq!(frame.number as usize, kinds.len());
        match frame.kind {
            1 => assert_eq!(frame.payload, [5; 256]),
            _ => assert_eq!(frame.payload, b"x"),
        }
        kinds.push(frame.kind);
    }
    let headers: Vec<usize> = (0..kinds.len()).filter(|&at| kinds[at] == 1).collect();
    assert_eq!(headers, [0, 64, 128]);
    assert_eq!(kinds.len(), 133);
}

/// Takes so many pieces; says when frames begin and end.
struct Short<'a> {
    left: usize,
    log: &'a mut Vec<u8>,
}

impl Sink for Short<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        self.left = self.left.checked_sub(1).ok_or(SinkError::Device(-5))?;
        self.log.extend_from_slice(bytes);
        Ok(())
    }

    fn frame_begins(&mut self) {
        self.log.push(b'<');
    }

    fn frame_ends(&mut self) {
        self.log.push(b'>');
    }
}

/// Others that print are let go, wherever in a frame the sink gives up.
#[test]
fn a_frame_ends_also_where_the_sink_fails() {
    let mut full = 0;
    for left in 0..40 {
        let mut log = Vec::new();
        let mut short = Short {
            left,
            log: &mut log,
        };
        // Whoever lends a sink is told the same.
        let sent = Stream::serial(&mut short).frame(FrameKind::Counts, 0, &[b"x"]);
        assert_eq!((log.first(), log.last()), (Some(&b'<'), Some(&b'>')));
        match sent {
            Ok(()) => {
                full += 1;
                // What is printed next is text.
                assert_eq!(log[log.len() - 2], 0, "{left}");
            }
            Err(error) => assert_eq!(error, SinkError::Device(-5), "{left}"),
        }
    }
    assert!(full > 0 && full < 40, "{full}");
}

#[test]
fn a_payload_that_no_reader_would_take_is_not_sent() {
    let half = std::vec![1; 1 << 19];
    let mut log = Vec::new();
    let left = usize::MAX;
    let mut stream = Stream::file(Short {
        left,
        log: &mut log,
    });
    let too_long = stream.frame(FrameKind::Events, 0, &[&half, &half, b"x"]);
    assert_eq!(too_long, Err(SinkError::Frame));
    assert_eq!(stream.frames(), 0);
    let most = stream.frame(FrameKind::Events, 0, &[&half, &half]);
    assert_eq!((most, stream.frames()), (Ok(()), 1));
    assert_eq!(log.len(), 2 + FRAME_HEAD_BYTES + (1 << 20));
    let longest = Frame::parse(&log[1..log.len() - 1]);
    assert!(longest.is_ok_and(|(frame, _)| frame.number == 0));
}
