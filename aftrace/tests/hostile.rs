//! What was found by hostile inputs, each as a rule: time in proportion to what is given, no stack for what is nested, sums
//! that do not overflow, no end of a loop that depends on what a file says.

mod fixture;
mod kernel;

use std::io::{self, Cursor};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use aarch64_ftrace::trace::{
    CONTROL_BYTES, FRAME_HEAD_BYTES, FrameCounts, FrameKind, Header, NO_CORE, Type, control_crc,
    counts_payload, events_head,
};
use aftrace::check::check;
use aftrace::demangle;
use aftrace::elf::Kernel;
use aftrace::trace::dump::{chrome, ctf, folded, fxt, perfetto, trace_dat, uftrace};
use aftrace::trace::filter::Filter;
use aftrace::trace::ram::{self, FrameWriter};
use aftrace::trace::stream::{Piece, Reader};
use aftrace::trace::symbols::Symbols;
use aftrace::trace::text;
use fixture::{Fixture, TEXT};
use kernel::{callsite, event, header};

/// Seconds for what takes much less. In proportion to its square, a symbol of this length takes many minutes.
const LIMIT: Duration = Duration::from_secs(60);
const MIB: usize = 1 << 20;

fn legacy(element: &str) -> String {
    format!("_ZN{}{element}17h0123456789abcdefE", element.len())
}

fn within_the_limit<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (send, receive) = mpsc::channel();
    thread::spawn(move || send.send(work()));
    receive.recv_timeout(LIMIT).expect("in time, and no panic")
}

#[test]
fn a_symbol_of_a_mebibyte_has_its_path_in_time() {
    let open = "$LT$a$LP$".repeat(MIB / 9);
    let path = within_the_limit(move || demangle::path(&legacy(&open)));
    assert_eq!(path, "<a(".repeat(MIB / 9));
    let many = "$LT$a$GT$..b$C$".repeat(MIB / 15);
    let path = within_the_limit(move || demangle::path(&legacy(&many)));
    assert_eq!(path, "a::b,".repeat(MIB / 15));
}

#[test]
fn types_nested_a_hundred_thousand_deep_are_judged_in_time() {
    let depth = MIB / 10;
    let nested = "$LT$".repeat(depth) + "aarch64_ftrace..Ops" + &"$GT$".repeat(depth);
    let own = within_the_limit(move || {
        let symbol: &'static str = legacy(&nested).leak();
        let mut fixture = Fixture::new(&[(0x48, symbol)]);
        fixture.symbols = vec![
            ("__ftrace_notrace_start", TEXT + 0x100),
            ("__ftrace_notrace_end", TEXT + 0x200),
        ];
        let bytes = fixture.build();
        let kernel = Kernel::parse(&bytes).expect("a kernel");
        check(&kernel).expect("one of its own").violations.len()
    });
    assert_eq!(own, 1, "found at the bottom");
}

/// As many records of one address as that has names: in a file of a megabyte they would be a thousand million names.
#[test]
fn records_of_one_address_do_not_multiply_its_names() {
    const MANY: u64 = 1 << 10;
    let names: Vec<&'static str> = (0..MANY).map(|n| &*format!("f{n}").leak()).collect();
    let parsed = |records: u64| {
        let mut fixture = Fixture::new(&[]);
        fixture.functions = names.iter().map(|name| (0x48, *name)).collect();
        fixture.traced = vec![0x48; records as usize];
        let bytes = fixture.build();
        Kernel::parse(&bytes).map(|kernel| kernel.callsites().len())
    };
    assert_eq!(parsed(MANY).ok(), Some(MANY as usize));
    let refused = parsed(MANY + 1).expect_err("more than a million names");
    let says = refused.to_string();
    assert!(says.contains("1025 records have 1049600 names"), "{says}");
}

/// Gives so many bytes at a time.
struct Dripping<'a>(&'a [u8], usize);

impl io::Read for Dripping<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = into.len().min(self.1);
        io::Read::read(&mut self.0, &mut into[..most])
    }
}

/// As large a payload as a frame may have, said wherever a frame's head may stand, by a file and by a line that drips.
#[test]
fn heads_of_frames_that_are_none_take_work_in_proportion_to_the_file() {
    const BATCH: usize = 4096;
    let mut bytes = Vec::new();
    let mut out = FrameWriter::new(&mut bytes);
    let good = header(1).to_bytes();
    out.frame(FrameKind::Header, NO_CORE, &[&good])
        .expect("memory");
    let mut head = b"AFT\xf1\x01\0\xff\xff".to_vec();
    head.extend((1_u32 << 20).to_le_bytes());
    bytes.extend(head.repeat(4 * MIB / head.len()));
    // What is trusted again behind it: a frame is found.
    bytes.resize(bytes.len() + MIB, 0);
    let mut out = FrameWriter::new(&mut bytes);
    out.frame(FrameKind::Header, NO_CORE, &[&good])
        .expect("memory");
    let read = |bytes: &[u8], at_once| {
        let mut frames = Vec::new();
        let mut reader = Reader::new(Dripping(bytes, at_once));
        while let Some(piece) = reader.next().expect("memory") {
            if let Piece::Frame(frame) = piece {
                frames.push(frame.offset as usize);
            }
        }
        let (work, length) = (reader.work(), bytes.len() as u64);
        assert!(work <= 32 * length, "{work} for {length}");
        frames
    };
    let last = bytes.len() - FRAME_HEAD_BYTES - good.len();
    for at_once in [bytes.len(), BATCH] {
        assert_eq!(read(&bytes, at_once), [0, last]);
        // The largest frames do not end in it.
        assert_eq!(read(&bytes[..4 * MIB], at_once), [0]);
    }
}

const REGION: &[u8] = include_bytes!("golden/two_cores.region");
/// Offsets in the region: its size, its control blocks; and in a control block.
const REGION_BYTES: usize = 32;
const CONTROLS: usize = 256;
const MASK: usize = 8;
const SHIFT: usize = 24;
const STOP: usize = 32;
const DATA: usize = 48;

/// The golden region with other fields in its first two control blocks, CRCs right. Why its rings are refused, and what of
/// them was unfinished.
fn extracted(bytes: u64, fields: &[(usize, usize, u64)]) -> Vec<(Option<String>, u64)> {
    let mut image = REGION.to_vec();
    let mut put = |at: usize, value: u64| image[at..at + 8].copy_from_slice(&value.to_le_bytes());
    put(REGION_BYTES, bytes);
    for &(ring, field, value) in fields {
        put(CONTROLS + ring * CONTROL_BYTES + field, value);
    }
    let crc = aarch64_ftrace::trace::crc32(&image[..252]);
    image[252..256].copy_from_slice(&crc.to_le_bytes());
    for control in image[CONTROLS..].chunks_mut(CONTROL_BYTES).take(2) {
        let crc = control_crc(control);
        control[124..].copy_from_slice(&crc.to_le_bytes());
    }
    within_the_limit(move || {
        let mut image = Cursor::new(image);
        let region = ram::find(&mut image, 0..u64::MAX)
            .expect("memory is read")
            .remove(0);
        let header: Header = region.header.expect("a header");
        let mut out = FrameWriter::new(io::sink());
        let rings = ram::extract(&mut image, region.offset, &header, 0, &[], &mut out);
        let rings = rings.expect("memory is read").rings.into_iter();
        rings
            .map(|ring| (ring.refused, ring.counts.unfinished))
            .collect()
    })
}

#[test]
fn a_ring_whose_limit_is_within_a_slot_is_refused() {
    let rings = extracted(12288, &[(0, STOP, 0x10ff)]);
    let why = rings[0].0.as_deref().expect("refused");
    assert!(why.contains("0x10ff at offset 32"), "{why}");
    assert_eq!(rings[1].0, None);
}

#[test]
fn a_ring_that_is_larger_than_its_image_ends_with_it() {
    const TIB: u64 = 1 << 40;
    let ring = [
        (MASK, TIB - 1),
        (SHIFT, 40),
        (40, TIB),
        (0, 2 * TIB),
        (STOP, u64::MAX),
        (DATA, 0),
    ];
    let fields = ring.map(|(field, value)| (0, field, value));
    let rings = extracted(2 * TIB, &fields);
    let held = REGION.len() as u64 / 16;
    assert!(
        rings[0].0.is_none() && (TIB / 16 - held..TIB / 16).contains(&rings[0].1),
        "{rings:?}"
    );
}

/// In each sixteenth lap the slots' own laps are zero, as what is not there is.
#[test]
fn what_an_image_does_not_have_is_no_event_in_any_lap() {
    const KIB: u64 = 1 << 10;
    let image = REGION.len() as u64;
    for laps in 2..17 {
        let fields = [(0, laps * 4 * KIB + 4 * KIB), (DATA, image - KIB)];
        let rings = extracted(2 * image, &fields.map(|(field, value)| (1, field, value)));
        assert_eq!(rings[1], (None, 256), "{laps}");
    }
}

#[test]
fn rings_that_share_their_data_are_refused_but_for_the_first() {
    assert_eq!(REGION[CONTROLS + DATA + 1], 0x10, "the first ring's data");
    let rings = extracted(12288, &[(1, DATA, 4096)]);
    let why: Vec<_> = rings.iter().map(|ring| ring.0.as_deref()).collect();
    assert_eq!(why, [None, Some("its data is another ring's")]);
}

/// A recorder that counted 2^64 - 1 events on each core, lost as many again and again, and had calls of two thousand years.
#[test]
fn sums_of_what_a_file_claims_do_not_overflow() {
    const LATEST: u64 = (1 << 56) - 1;
    let mut bytes = Vec::new();
    let mut out = FrameWriter::new(&mut bytes);
    let mut frame = |kind, core, payload: &[&[u8]]| out.frame(kind, core, payload).expect("memory");
    let slow = Header {
        frequency: 1,
        ..header(2)
    };
    frame(FrameKind::Header, NO_CORE, &[&slow.to_bytes()]);
    frame(FrameKind::Symbols, NO_CORE, &[&kernel::symbols()]);
    let counts = FrameCounts {
        written: u64::MAX,
        ..FrameCounts::default()
    };
    // Further back than a reader puts in order: time begins anew. Two callsites of one function.
    let later = [event(Type::Function, LATEST, callsite(1), 0); 300];
    let mut first = 0;
    for group in 0..600 {
        let at = callsite(0) + 8 * (group % 2);
        let call = [
            event(Type::Entry, 0, at, 0),
            event(Type::Exit, LATEST, at, u32::MAX),
        ];
        let events: Vec<u8> = call
            .iter()
            .chain(&later)
            .flat_map(|e| e.to_bytes())
            .collect();
        frame(FrameKind::Events, 0, &[&events_head(first, 0), &events]);
        first += 302;
    }
    let other = event(Type::Trigger, LATEST, callsite(0), 0).to_bytes();
    for core in [0, 1] {
        for number in 0..3 {
            let head = events_head(first + number, u64::MAX);
            frame(FrameKind::Events, core, &[&head, &other]);
        }
        frame(FrameKind::Counts, core, &[&counts_payload(counts)]);
    }
    let trace = kernel::opened(&bytes);
    let (symbols, all) = (Symbols::of_trace(&trace), Filter::default());
    text::function(&trace, &symbols, &all, io::sink()).expect("written");
    let lines = folded::lines(&trace, &symbols, &all).expect("made");
    let most = format!("sched::schedule {}", u64::MAX);
    assert!(lines.contains(&most), "{lines:?}");
    let drawn = folded::flame_graph(&lines, "", io::sink());
    assert!(drawn.is_err_and(|why| why.to_string().contains("add up to more")));
    let folder = tempfile::tempdir().expect("a folder");
    ctf::write(&trace, &symbols, &all, folder.path()).expect("written");
    uftrace::write(&trace, &symbols, &all, folder.path()).expect("written");
    chrome::write(&trace, &symbols, &all, io::sink()).expect("written");
    fxt::write(&trace, &symbols, &all, io::sink()).expect("written");
    perfetto::write(&trace, &symbols, &all, io::sink()).expect("written");
    text::function_graph(&trace, &symbols, &all, io::sink()).expect("written");
    trace_dat::write(&trace, &symbols, &all, folder.path(), io::sink()).expect("written");
}
