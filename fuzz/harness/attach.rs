//! Harness of a target's memory behind a stub for GDB: it is what the same memory is in a file.

use std::io::{self, Cursor, Read, Seek, Write};

use aftrace::gdb::packet::{Decoder, Incoming, encode};
use aftrace::gdb::{Client, Memory};
use aftrace::trace::ram::{self, FrameWriter, Ring};

use super::repair;

const PAGE: usize = 4096;
const REGIONS_MAX: usize = 2;

/// Answers what is asked out of the image; refuses what is behind it.
struct Stub<'a> {
    image: &'a [u8],
    decoder: Decoder,
    answers: Vec<u8>,
    next: usize,
}

impl Stub<'_> {
    fn answer(&self, request: &[u8]) -> Vec<u8> {
        if request.starts_with(b"qSupported") {
            return b"PacketSize=4000".to_vec();
        }
        if request == b"?" {
            return b"T05".to_vec();
        }
        let memory = str::from_utf8(request)
            .ok()
            .and_then(|request| request.strip_prefix('m')?.split_once(','));
        let (at, length) = memory.expect("nothing but memory is asked for");
        let number = |text| usize::from_str_radix(text, 16).expect("a number");
        let bytes = self.image.get(number(at)..).unwrap_or_default();
        match bytes.get(..number(length)) {
            Some(bytes) => bytes
                .iter()
                .flat_map(|byte| [byte >> 4, byte & 15])
                .map(|digit| b"0123456789abcdef"[usize::from(digit)])
                .collect(),
            None => b"E14".to_vec(),
        }
    }
}

impl Read for Stub<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = (&self.answers[self.next..]).read(into)?;
        self.next += length;
        Ok(length)
    }
}

impl Write for Stub<'_> {
    fn write(&mut self, sent: &[u8]) -> io::Result<usize> {
        for byte in sent {
            if let Some(Incoming::Packet(request)) = self.decoder.push(*byte) {
                self.answers = encode(&self.answer(&request));
                self.next = 0;
            }
        }
        Ok(sent.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A memory image, read both ways.
pub fn attach(data: &[u8]) -> bool {
    let mut image = data.to_vec();
    // The stub refuses whole pages.
    image.resize(data.len().next_multiple_of(PAGE), 0);
    for page in (0..image.len()).step_by(PAGE).take(REGIONS_MAX) {
        repair::region(&mut image[page..]);
    }
    let stub = Stub {
        image: &image,
        decoder: Decoder::new(),
        answers: Vec::new(),
        next: 0,
    };
    let client = Client::new(stub).expect("the stub answers");
    let mut target = Memory::new(client);
    let length = image.len() as u64;
    let found = ram::find(&mut target, 0..length).expect("the stub answers");
    let mut file = Cursor::new(&image);
    assert_eq!(ram::find(&mut file, 0..u64::MAX).ok(), Some(found.clone()));
    let mut any = false;
    for region in found.iter().take(REGIONS_MAX) {
        let Ok(header) = &region.header else { continue };
        let mut of_target = Vec::new();
        let read = extract(&mut target, region.offset, header, &mut of_target);
        // A ring that claims to be much larger than the memory: the target is given up.
        let Ok(read) = read else { continue };
        let mut of_file = Vec::new();
        let expected = extract(&mut file, region.offset, header, &mut of_file);
        let expected = expected.expect("reading memory does not fail");
        let (here, behind) = read.split_at(expected.len());
        assert_eq!(here, expected);
        assert!(
            behind.iter().all(|ring| ring.refused.is_some()),
            "a ring out of nothing"
        );
        assert!(of_target == of_file, "another trace");
        any = true;
    }
    any
}

fn extract(
    memory: &mut (impl Read + Seek),
    at: u64,
    header: &aarch64_ftrace::trace::Header,
    trace: &mut Vec<u8>,
) -> io::Result<Vec<Ring>> {
    let found = ram::extract(memory, at, header, 0, &[], &mut FrameWriter::new(trace))?;
    Ok(found.rings)
}
