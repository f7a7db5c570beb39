//! Where traces come from: files with damage, consoles, memory images.

mod kernel;

use std::io::Cursor;

use aarch64_ftrace::trace::CobsEncoder;
use aarch64_ftrace::trace::{
    DATA_ARGUMENT, Data, Event, FrameKind, Region, RegionError, Type, crc32_of,
};
use aftrace::trace::file::Symbol;
use aftrace::trace::ram::{self, FrameWriter};
use aftrace::trace::stream::{Damage, Piece, Reader};
use aftrace::trace::uart::{Demultiplexer, Output};
use kernel::{Core, callsite, file, header, opened};
use proptest::prelude::*;

fn two_cores() -> Vec<u8> {
    file(
        &[Core::new(1).run(40).events, Core::new(2).run(30).events],
        100,
    )
}

#[test]
fn damage_is_named_and_the_rest_is_read() {
    let bytes = two_cores();
    let mut pieces = Vec::new();
    let mut reader = Reader::new(&bytes[..]);
    while let Some(Piece::Frame(frame)) = reader.next().unwrap() {
        pieces.push((frame.offset, frame.payload.len()));
    }
    let (offset, length) = pieces[5];
    let mut damaged = bytes.clone();
    damaged[offset as usize + 30] ^= 1;
    damaged.extend(b"AFT\xf1 no more");
    let mut found = Vec::new();
    let mut frames = 0;
    let mut reader = Reader::new(&damaged[..]);
    while let Some(piece) = reader.next().unwrap() {
        match piece {
            Piece::Frame(_) => frames += 1,
            Piece::Damage(damage) => found.push(damage),
        }
    }
    let end = Damage {
        offset: bytes.len() as u64,
        bytes: 12,
    };
    let middle = Damage {
        offset,
        bytes: 24 + length as u64,
    };
    assert_eq!((frames, found), (pieces.len() - 1, vec![middle, end]));
    let trace = opened(&damaged);
    assert!(trace.is_damaged());
    // The frames' numbers say how many events the damage took.
    assert_eq!(
        trace.cores.values().map(|core| core.missing).sum::<u64>(),
        (length as u64 - 16) / 16
    );
}

fn cobs(frame: &[u8]) -> Vec<u8> {
    let mut line = vec![0, 1];
    let mut encoder = CobsEncoder::new();
    let mut put = |run: &[u8]| {
        line.extend(run);
        Ok::<_, ()>(())
    };
    encoder.put(frame, &mut put).unwrap();
    encoder.end(&mut put).unwrap();
    line.push(0);
    line
}

/// Text, frames, and offset and length of what is none.
type Parts = (Vec<u8>, Vec<Vec<u8>>, Vec<(u64, u64)>);

fn demultiplexed(line: &[u8], chunk: usize) -> Parts {
    let (mut text, mut frames, mut bad) = (Vec::new(), Vec::new(), Vec::new());
    let mut demultiplexer = Demultiplexer::new();
    let mut each = |output| match output {
        Output::Text(bytes) => text.extend(bytes),
        Output::Frame(frame) => frames.push(frame),
        Output::Bad { offset, bytes } => bad.push((offset, bytes)),
    };
    for part in line.chunks(chunk) {
        demultiplexer.push(part, &mut each);
    }
    demultiplexer.end(&mut each);
    (text, frames, bad)
}

fn header_frame() -> Vec<u8> {
    let mut bytes = Vec::new();
    FrameWriter::new(&mut bytes)
        .frame(FrameKind::Header, 0xffff, &[&header(1).to_bytes()])
        .unwrap();
    bytes
}

#[test]
fn a_console_gives_its_text_and_its_frames() {
    let one = header_frame();
    let line = [
        b"boot\n",
        &cobs(&one)[..],
        b"text \x01 more\n",
        &cobs(&one),
        b"end",
    ]
    .concat();
    let expected = (
        b"boot\ntext \x01 more\nend".to_vec(),
        vec![one.clone(), one.clone()],
        vec![],
    );
    for chunk in [1, 7, 1000] {
        assert_eq!(demultiplexed(&line, chunk), expected);
    }
    // The first is cut off in the middle: the zero that begins the next one ends it.
    let whole = cobs(&one);
    let line = [&whole[..50], &whole, b"end"].concat();
    assert_eq!(
        demultiplexed(&line, 9),
        (b"end".to_vec(), vec![one], vec![(2, 48)])
    );
}

/// In the order in which it came; and what is no frame is said where it begins, also at the end.
#[test]
fn what_stands_around_a_frame_is_text_and_what_is_none_is_named() {
    let frame = header_frame();
    let line = [b"before", &cobs(&frame)[..], b"\x01 behind"].concat();
    let mut parts = Vec::new();
    Demultiplexer::new().push(&line, |part| parts.push(part));
    let text = |text: &[u8]| Output::Text(text.to_vec());
    let expected = [
        text(b"before"),
        Output::Frame(frame.clone()),
        text(b"\x01 behind"),
    ];
    assert_eq!(parts, expected);
    let longer = cobs(&[&frame[..], b"x"].concat());
    let bytes = longer.len() as u64 - 3;
    let line = [b"text", &longer[..], &longer[..20]].concat();
    let bad = vec![(6, bytes), (4 + longer.len() as u64 + 2, 18)];
    assert_eq!(demultiplexed(&line, 9), (b"text".to_vec(), vec![], bad));
}

/// A region of one ring of 4096 bytes with this many events written, at `offset` of an image.
fn image(offset: usize, written: u64, spoil: impl Fn(&mut [u8])) -> Vec<u8> {
    let mut region = vec![0; 16384];
    let mut header = header(1);
    header.region_bytes = 16384;
    region[..256].copy_from_slice(&header.to_bytes());
    let start = 4096;
    let control = &mut region[256..384];
    let fields = [
        (0, start + written * 16),
        (8, 4095),
        (16, 0x4000_2000),
        (24, 12),
        (32, u64::MAX),
        (40, start),
        (48, 8192),
    ];
    for (at, value) in fields {
        control[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }
    let crc = crc32_of([&control[8..32], &control[48..60]]);
    control[124..].copy_from_slice(&crc.to_le_bytes());
    for index in 0..written {
        let position = start + index * 16;
        let slot =
            Event::new(Type::Function, 5000 + index, callsite(0), 0, position, 12).to_bytes();
        let at = 8192 + (position & 4095) as usize;
        region[at..at + 16].copy_from_slice(&slot);
    }
    spoil(&mut region);
    [vec![0xAA; offset], region, vec![0x55; 100]].concat()
}

fn times(image: Vec<u8>) -> (Vec<u64>, Vec<ram::Ring>, u64) {
    let mut image = Cursor::new(image);
    let region = ram::find(&mut image, 0..u64::MAX).unwrap().remove(0);
    let mut bytes = Vec::new();
    let mut out = FrameWriter::new(&mut bytes);
    let rings = ram::extract(
        &mut image,
        region.offset,
        &region.header.unwrap(),
        0,
        &[],
        &mut out,
    )
    .unwrap();
    let trace = opened(&bytes);
    let mut events = trace.play().unwrap();
    let times =
        std::iter::from_fn(|| events.next().unwrap().map(|item| item.event.time())).collect();
    (
        times,
        rings.rings,
        trace.cores.values().map(|core| core.missing).sum(),
    )
}

#[test]
fn a_memory_image_gives_its_last_events() {
    let (found, rings, missing) = times(image(8192, 100, |_| {}));
    assert_eq!((found, missing), ((5000..5100).collect::<Vec<_>>(), 0));
    assert_eq!(rings[0].counts.written, 100);
    // Overwritten, and one slot that was reserved but not stored.
    let (found, rings, missing) = times(image(4096, 300, |region| region[8192 + 16 * 20] ^= 0x10));
    let (found2, ..) = times(image(4096, 300, |region| {
        region[8192 + 16 * 20 + 7] ^= 0x10
    }));
    assert_eq!(
        found.len(),
        256,
        "a flipped bit of the time is no torn slot"
    );
    let expected: Vec<_> = (5044..5300).filter(|time| *time != 5000 + 276).collect();
    assert_eq!(found2, expected);
    assert_eq!((rings[0].counts.overwritten, missing), (44, 44));
}

#[test]
fn a_memory_image_ends_at_the_time_of_its_last_event() {
    // Its last slot is an argument, whose words are no time.
    let data = Data {
        kind: DATA_ARGUMENT,
        index: 7,
        value: u64::MAX,
    };
    let last = |region: &mut [u8]| {
        let slot = data.event(4096 + 99 * 16, 12).to_bytes();
        region[8192 + 99 * 16..8192 + 100 * 16].copy_from_slice(&slot);
    };
    let mut image = Cursor::new(image(0, 100, last));
    let header = ram::find(&mut image, 0..u64::MAX).unwrap().remove(0).header;
    let mut bytes = Vec::new();
    let mut out = FrameWriter::new(&mut bytes);
    ram::extract(&mut image, 0, &header.unwrap(), 0, &[], &mut out).unwrap();
    let trace = opened(&bytes);
    assert_eq!(trace.end.map(|(ticks, _)| ticks), Some(5098));
    assert_eq!(trace.cores[&0].events, 100);
}

/// The target says the same of the same ring: `src/tests/sent.rs` of the library.
#[test]
fn every_loss_stands_before_an_event_or_at_the_end() {
    let mut image = Cursor::new(image(0, 300, |region| {
        for event in [276, 299] {
            region[8192 + event % 256 * 16 + 7] ^= 0x10;
        }
    }));
    let region = ram::find(&mut image, 0..u64::MAX).unwrap().remove(0);
    let mut bytes = Vec::new();
    let mut out = FrameWriter::new(&mut bytes);
    let header = region.header.unwrap();
    let rings = ram::extract(&mut image, 0, &header, 0, &[], &mut out)
        .unwrap()
        .rings;
    let mut heads = Vec::new();
    let mut reader = Reader::new(&bytes[..]);
    while let Some(Piece::Frame(frame)) = reader.next().unwrap() {
        if FrameKind::from_code(frame.kind) == Some(FrameKind::Events) {
            let word =
                |at: usize| u64::from_le_bytes(frame.payload[at..at + 8].try_into().unwrap());
            heads.push((
                frame.core,
                word(0),
                word(8),
                (frame.payload.len() - 16) / 16,
            ));
        }
    }
    // A ring has 256 slots, and the first event is number 256.
    assert_eq!(heads, [(0, 300, 44, 232), (0, 533, 1, 22), (0, 556, 1, 0)]);
    let trace = opened(&bytes);
    assert_eq!((trace.cores[&0].missing, trace.is_damaged()), (46, false));
    let counts = rings[0].counts;
    assert_eq!((counts.overwritten, counts.unfinished), (44, 2));
}

/// The region of the golden file, which is put together from the document and not by this crate.
#[test]
fn the_golden_region_is_read_from_a_memory_image() {
    let region = include_bytes!("golden/two_cores.region");
    let (found, rings, missing) = times([&[0; 8192][..], region, &[0xff; 5000]].concat());
    let events: Vec<_> = rings.iter().map(|ring| ring.events).collect();
    let refused = rings.iter().find_map(|ring| ring.refused.clone());
    assert_eq!((events, refused, missing), (vec![3, 255], None, 5));
    assert_eq!(found.len(), 258);
    assert!(rings[1].counts.unfinished == 1 && rings[1].counts.refused == 9);
}

/// A snapshot's recording has an end; who reserved behind it has written over its oldest events, and is of the next one.
#[test]
fn a_recording_that_has_ended_is_read_to_its_end() {
    let ended = |region: &mut [u8], events: u64| {
        region[256 + 72..][..8].copy_from_slice(&(4096 + events * 16).to_le_bytes());
    };
    let (found, rings, missing) = times(image(4096, 300, |region| ended(region, 298)));
    assert_eq!((found, missing), ((5044..5298).collect::<Vec<_>>(), 44));
    let counts = (rings[0].counts.written, rings[0].counts.overwritten);
    assert_eq!(counts, (298, 44));
    let whole = image(0, 300, |region| ended(region, 298));
    let region = Region::parse(&whole[..16384]).unwrap();
    let ring = region.rings().next().unwrap();
    assert_eq!(ring.counts(), rings[0].counts);
    assert_eq!(ring.events().count(), 254);
    for wrong in [301, 9] {
        let image = image(0, 300, |region| {
            ended(region, wrong);
            region[256 + 72] |= u8::from(wrong == 9);
        });
        let refused = Region::parse(&image[..16384]).err();
        assert!(
            matches!(refused, Some(RegionError::Field { offset: 72, .. })),
            "{refused:?}"
        );
    }
}

/// More names than fit one frame, one of them longer than a name may be: all are read again.
#[test]
fn names_fill_as_many_frames_as_they_take() {
    let mut names: Vec<_> = (0..40)
        .map(|index| Symbol {
            address: 0x4000_0000 + index * 16,
            bytes: 16,
            name: format!("{index}{}", "x".repeat(60_000)),
        })
        .collect();
    names[7].name = "\u{e9}".repeat(40_000);
    let mut bytes = Vec::new();
    let mut out = FrameWriter::new(&mut bytes);
    out.frame(FrameKind::Header, 0xffff, &[&header(1).to_bytes()])
        .unwrap();
    out.symbols(&names).unwrap();
    names[7].name = "\u{e9}".repeat(32_767);
    let trace = opened(&bytes);
    assert!(trace.damage.is_empty() && trace.malformed.is_empty());
    assert_eq!((trace.frames, trace.symbols), (4, names));
}

#[test]
fn a_damaged_control_block_or_header_is_refused() {
    let (found, rings, _) = times(image(4096, 10, |region| region[256 + 9] ^= 1));
    assert!(
        found.is_empty()
            && rings[0]
                .refused
                .as_deref()
                .is_some_and(|why| why.contains("CRC")),
        "{rings:?}"
    );
    let regions = ram::find(
        &mut Cursor::new(image(4096, 10, |region| region[60] ^= 1)),
        0..u64::MAX,
    )
    .unwrap();
    assert!(
        regions.len() == 1 && regions[0].header.is_err() && regions[0].offset == 4096,
        "{regions:?}"
    );
}

proptest! {
    /// Whatever the file: no panic, and each byte is of a frame or named as damage.
    #[test]
    fn no_file_breaks_the_reader(cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..40), end in any::<prop::sample::Index>()) {
        let mut bytes = two_cores();
        for (at, value) in cuts {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(end.index(bytes.len()));
        let mut reader = Reader::new(&bytes[..]);
        let mut seen = 0;
        while let Some(piece) = reader.next().unwrap() {
            seen += match piece {
                Piece::Frame(frame) => 24 + frame.payload.len() as u64,
                Piece::Damage(damage) => damage.bytes,
            };
        }
        prop_assert_eq!(seen, bytes.len() as u64);
    }
}
