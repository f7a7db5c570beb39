//! The golden files of the trace format: what target and host agree on, to the byte.
//!
//! `FTRACE_GOLDEN=write cargo test -p aftrace --test golden` writes them anew, which is right only together with a new version in
//! docs/trace-format.md. The region's bytes are put together from the document's offsets here, not by the library.

use aarch64_ftrace::sink::{Sink, SinkError, Stream};
use aarch64_ftrace::trace::{
    Data, EndReason, Event, Frame, FrameCounts, FrameKind, Header, NO_CORE, Region, Type,
    cobs_decode, counts_payload, crc32, end_payload, events_head,
};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

const TEXT: u64 = 0xffff_8000_4020_0000;
const RING: usize = 4096;
const SHIFT: u32 = 12;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

/// Compares with the file; or writes it, where that is asked for.
fn same(name: &str, bytes: &[u8]) {
    let path = path(name);
    if std::env::var_os("FTRACE_GOLDEN").is_some_and(|what| what == "write") {
        fs::write(&path, bytes).expect("the folder is there");
    }
    let golden = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(golden == bytes, "{name} is not what the library writes now");
}

struct Bytes(Vec<u8>);

impl Sink for Bytes {
    fn write(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

fn header() -> Header {
    Header {
        cpus: 2,
        rings: 2,
        region_bytes: 3 * 4096,
        frequency: 62_500_000,
        text_start: TEXT,
        text_bytes: 0x10_0000,
        link_start: 0x4020_0000,
        return_start: TEXT + 0x800,
        return_bytes: 0x40,
        controls: 256,
        build_id: std::array::from_fn(|i| if i < 20 { i as u8 + 1 } else { 0 }),
        build_id_len: 20,
        made: 1000,
        boots: 1,
        ..Header::default()
    }
}

/// What core 0 and core 1 record: a call of each type, at made-up places.
fn events() -> [Vec<Event>; 2] {
    let event =
        |kind, time, callsite: u64, upper| Event::new(kind, time, TEXT + callsite, upper, 0, SHIFT);
    let low = TEXT as u32;
    let argument = Data {
        kind: 0,
        index: 1,
        value: 0x0123_4567_89ab_cdef,
    };
    let address = Data {
        kind: 2,
        index: 0,
        value: TEXT + 0x2008,
    };
    [
        vec![
            Event::new(Type::Task, 2000, 0, 7, 0, SHIFT),
            event(Type::Function, 2010, 0x1010, low + 0x2004),
            event(Type::Function, 2020, 0x1050, low + 0x1018),
        ],
        vec![
            event(Type::Entry, 2005, 0x1010, low + 0x3000),
            argument.event(0, SHIFT),
            event(Type::Entry, 2006, 0x1050, low + 0x810),
            event(Type::Exit, 2016, 0x1050, 10),
            event(Type::Exit, 2017, 0x1010, 12),
            event(Type::Stack, 2018, 0x1090, 1),
            address.event(0, SHIFT),
            event(Type::Trigger, 2019, 0x1090, 3),
        ],
    ]
}

fn write(stream: &mut Stream<Bytes>) -> Result<(), SinkError> {
    let [first, second] = events();
    let bytes = |events: &[Event]| {
        events
            .iter()
            .flat_map(|event| event.without_lap().to_bytes())
            .collect::<Vec<_>>()
    };
    stream.header(&header().to_bytes())?;
    stream.frame(
        FrameKind::Tasks,
        NO_CORE,
        &[&7_u32.to_le_bytes(), &5_u16.to_le_bytes(), b"shell"],
    )?;
    stream.frame(
        FrameKind::Events,
        0,
        &[&events_head(256, 0), &bytes(&first)],
    )?;
    stream.frame(
        FrameKind::Events,
        1,
        &[&events_head(256, 0), &bytes(&second[..5])],
    )?;
    stream.frame(
        FrameKind::Events,
        1,
        &[&events_head(264, 3), &bytes(&second[5..])],
    )?;
    let counts = FrameCounts {
        written: 3,
        ..FrameCounts::default()
    };
    stream.frame(FrameKind::Counts, 0, &[&counts_payload(counts)])?;
    let counts = FrameCounts {
        written: 11,
        overwritten: 2,
        dropped: 4,
        unfinished: 1,
        refused: 5,
    };
    stream.frame(FrameKind::Counts, 1, &[&counts_payload(counts)])?;
    stream.frame(
        FrameKind::End,
        NO_CORE,
        &[&end_payload(3000, EndReason::Asked)],
    )
}

/// A frame in words.
fn line(text: &mut String, frame: &Frame<'_>) {
    let kind = FrameKind::from_code(frame.kind).expect("a kind of this version");
    let _ = write!(text, "#{} core {:#x} {kind:?}", frame.number, frame.core);
    if kind == FrameKind::Events {
        let _ = write!(text, " {:02x?}", &frame.payload[..16]);
        for event in frame.payload[16..].chunks_exact(16) {
            event_line(text, Event::from_bytes(event.try_into().expect("16 bytes")));
        }
        text.push('\n');
    } else if kind == FrameKind::Header {
        let _ = writeln!(text, " crc {:#010x}", crc32(frame.payload));
    } else {
        let _ = writeln!(text, " {:02x?}", frame.payload);
    }
}

fn event_line(text: &mut String, event: Event) {
    let kind = event.kind().expect("a type of this version");
    let _ = match event.data() {
        Some(data) => write!(text, "\n    {data:x?}"),
        None => write!(
            text,
            "\n    {kind:?} {} {:#x} {:#x}",
            event.time(),
            event.callsite_low(),
            event.upper()
        ),
    };
}

fn words_of(stream: &[u8]) -> String {
    let (mut text, mut at) = (String::new(), 0);
    while at < stream.len() {
        let (frame, bytes) = Frame::parse(&stream[at..]).expect("a frame");
        line(&mut text, &frame);
        at += bytes;
    }
    text
}

#[test]
fn a_file_is_written_and_read_as_ever() {
    let mut stream = Stream::file(Bytes(Vec::new()));
    write(&mut stream).expect("memory takes all");
    let bytes = stream.into_inner().0;
    same("two_cores.aft", &bytes);
    same("two_cores.txt", words_of(&bytes).as_bytes());
}

/// Text, frames, and one frame that has lost a byte: all others are read.
#[test]
fn a_serial_line_loses_one_frame_with_one_byte() {
    let mut stream = Stream::serial(Bytes(b"boot: hello\r\n".to_vec()));
    write(&mut stream).expect("memory takes all");
    let mut bytes = stream.into_inner().0;
    bytes.extend_from_slice(b"shell> \r\n");
    // In the third frame, behind its head.
    let zeroes: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at] == 0).collect();
    bytes.remove(zeroes[2 * 2] + 40);
    same("two_cores.serial", &bytes);
    let (mut text, mut console, mut bad) = (String::new(), Vec::new(), 0);
    for part in bytes.split(|&byte| byte == 0) {
        let Some((1, frame)) = part.split_first().map(|(first, rest)| (*first, rest)) else {
            console.extend_from_slice(part);
            continue;
        };
        let mut frame = frame.to_vec();
        let len = cobs_decode(&mut frame).unwrap_or(0);
        match Frame::parse(&frame[..len]) {
            Ok((frame, _)) => line(&mut text, &frame),
            Err(_) => bad += 1,
        }
    }
    assert_eq!(
        String::from_utf8_lossy(&console),
        "boot: hello\r\nshell> \r\n"
    );
    let all = fs::read_to_string(path("two_cores.txt")).expect("the words");
    let (before, rest) = all.split_once("#2 ").expect("the third frame");
    let (_, after) = rest.split_once("#3 ").expect("the fourth frame");
    assert_eq!((text, bad), (format!("{before}#3 {after}"), 1));
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

/// Ring 0 has its three events; ring 1 has been filled once and a bit more, and its last slot but one is not stored yet.
fn region() -> Vec<u8> {
    let mut bytes = vec![0; 3 * RING];
    put(&mut bytes, 0, &header().to_bytes());
    let [first, _] = events();
    let heads = [RING as u64 + 3 * 16, 2 * RING as u64 + 4 * 16];
    for (core, head) in heads.into_iter().enumerate() {
        let (block, data) = (256 + core * 128, RING + core * RING);
        let fields = [
            (0, head),
            (8, RING as u64 - 1),
            (16, 0xffff_8000_8000_0000 + data as u64),
            (24, u64::from(SHIFT)),
            (32, u64::MAX),
            (40, RING as u64),
            (48, data as u64),
            (56, core as u64),
            (64, core as u64 * 9),
        ];
        for (offset, value) in fields {
            put(&mut bytes, block + offset, &value.to_le_bytes());
        }
        let fixed = [
            &bytes[block + 8..block + 32],
            &bytes[block + 48..block + 60],
        ]
        .concat();
        put(&mut bytes, block + 124, &crc32(&fixed).to_le_bytes());
        for position in (RING as u64..head).step_by(16) {
            let number = position / 16 - 256;
            let event = match first.get(number as usize) {
                Some(event) if core == 0 => *event,
                _ => Event::new(
                    Type::Function,
                    2000 + number,
                    TEXT + 0x1010,
                    0x4020_2004,
                    0,
                    SHIFT,
                ),
            };
            let lap = position >> SHIFT;
            let word = [
                event.0[0] & !(15 << 60) | lap << 60,
                event.0[1] & !7 | lap & 7,
            ];
            if core == 1 && position == head - 32 {
                continue;
            }
            let slot = data + (position as usize & (RING - 1));
            put(&mut bytes, slot, &word[0].to_le_bytes());
            put(&mut bytes, slot + 8, &word[1].to_le_bytes());
        }
    }
    bytes
}

#[test]
fn a_region_is_read_as_ever() {
    let bytes = region();
    same("two_cores.region", &bytes);
    let region = Region::parse(&bytes).expect("a region");
    assert_eq!(region.header(), &header());
    let rings: Vec<_> = region.rings().collect();
    assert_eq!((rings[0].core, rings[1].core), (0, 1));
    let first: Vec<_> = rings[0]
        .events()
        .map(|(number, event)| (number, event.map(Event::without_lap)))
        .collect();
    let as_recorded: Vec<_> = events()[0]
        .iter()
        .zip(256..)
        .map(|(event, number)| (number, Some(event.without_lap())))
        .collect();
    assert_eq!(first, as_recorded);
    assert_eq!(
        rings[0].counts(),
        FrameCounts {
            written: 3,
            ..FrameCounts::default()
        }
    );
    let second: Vec<_> = rings[1].events().collect();
    assert_eq!((second.len(), second[0].0), (256, 260));
    let unfinished: Vec<_> = second
        .iter()
        .filter(|(_, event)| event.is_none())
        .map(|(number, _)| *number)
        .collect();
    assert_eq!(unfinished, [514]);
    let times: Vec<_> = second
        .iter()
        .filter_map(|(_, event)| event.map(Event::time))
        .collect();
    assert_eq!((times[0], times[254]), (2004, 2259));
    let counts = FrameCounts {
        written: 260,
        overwritten: 4,
        dropped: 0,
        unfinished: 1,
        refused: 9,
    };
    assert_eq!(rings[1].counts(), counts);
}

/// Of every bit of the header and the control blocks' fixed fields, and of the positions where they can be told.
#[test]
fn a_damaged_region_is_refused_or_stays_within_its_bytes() {
    let good = region();
    let mut refused = 0;
    for bit in (0..512 * 8).chain(RING * 8..RING * 8 + 64) {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        match Region::parse(&bytes) {
            Err(_) => refused += 1,
            // Reads every slot: nothing beyond the ring, no more than the ring holds.
            Ok(region) => region.rings().for_each(|ring| {
                assert!(ring.events().count() <= RING / 16, "bit {bit}");
                ring.counts();
            }),
        }
    }
    // All of the header, and of each block 40 bytes with their CRC; and what else cannot be.
    assert!(refused >= (256 + 2 * 40) * 8, "{refused}");
    for len in [0, 255, 256, 3 * RING - 1] {
        assert!(Region::parse(&good[..len]).is_err(), "{len} bytes");
    }
}
