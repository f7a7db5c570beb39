//! Names of tasks in a region: the golden file, what is damaged, and regions as version 1.0 has them, which have none.
//!
//! `FTRACE_GOLDEN=write cargo test -p aftrace --test task_names` writes the golden file anew. Its bytes are put together from the
//! offsets of docs/trace-format.md here, not by the library.

mod kernel;

use aarch64_ftrace::trace::{Region, TaskEntry, TaskName, crc32};
use aftrace::trace::ram::{self, Extracted, FrameWriter};
use kernel::{opened, same};
use std::io::Cursor;

/// As version 1.0 has it.
const OLD: &[u8] = include_bytes!("golden/two_cores.region");

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

/// The region of two cores with room for four names behind its control blocks: two that are whole, one that is half written, one never used.
fn named_region() -> Vec<u8> {
    let mut bytes = OLD.to_vec();
    put(&mut bytes, 22, &1_u16.to_le_bytes());
    for (at, value) in [(160, 512_u32), (164, 4), (168, 64)] {
        put(&mut bytes, at, &value.to_le_bytes());
    }
    let crc = crc32(&bytes[..252]);
    put(&mut bytes, 252, &crc.to_le_bytes());
    let entries = [
        (7_u32, 2_u32, "shell"),
        (8, 5, "half"),
        (9, 4, "idle \u{fc}"),
    ];
    for (index, (id, sequence, name)) in entries.into_iter().enumerate() {
        let at = 512 + 64 * index;
        put(&mut bytes, at, &id.to_le_bytes());
        put(&mut bytes, at + 4, &sequence.to_le_bytes());
        put(&mut bytes, at + 8, name.as_bytes());
        put(&mut bytes, at + 56, &(name.len() as u32).to_le_bytes());
        let crc = crc32(&bytes[at..at + 60]);
        put(&mut bytes, at + 60, &crc.to_le_bytes());
    }
    bytes
}

#[test]
fn names_of_tasks_are_read_and_what_is_half_written_is_counted() {
    let bytes = named_region();
    same("task_names.region", &bytes);
    let region = Region::parse(&bytes).expect("a region");
    let entries: Vec<_> = region.task_names().collect();
    let named = |id, name: &str| TaskEntry::Name(TaskName::new(id, name));
    let (torn, free) = (TaskEntry::Torn, TaskEntry::Free);
    assert_eq!(
        entries,
        [named(7, "shell"), torn, named(9, "idle \u{fc}"), free]
    );
    // What the recorders write are these bytes.
    assert_eq!(bytes[512..576], TaskName::new(7, "shell").to_bytes(2));
    assert_eq!(region.header().to_bytes()[..], bytes[..256]);
    let (names, extracted) = extracted(&bytes);
    assert_eq!(
        names,
        [(7, "shell"), (9, "idle \u{fc}")].map(|(id, name)| (id, name.to_owned()))
    );
    assert_eq!((extracted.names, extracted.torn_names), (2, 1));
    assert_eq!(extracted.rings.len(), 2);
}

/// The names of tasks in the trace that is made of a region.
fn extracted(bytes: &[u8]) -> (Vec<(u32, String)>, Extracted) {
    let header = *Region::parse(bytes).expect("a region").header();
    let mut trace = Vec::new();
    let mut out = FrameWriter::new(&mut trace);
    let found = ram::extract(&mut Cursor::new(bytes), 0, &header, 0, &[], &mut out);
    let names = opened(&trace).tasks.into_iter().collect();
    (names, found.expect("a region"))
}

/// Every bit of an entry, and every byte of a name that is no text; a name that two entries give a task is the last one's.
#[test]
fn what_is_damaged_in_a_name_leaves_that_name_out() {
    let good = named_region();
    let damaged = |at: usize, change: &dyn Fn(&mut [u8])| {
        let mut bytes = good.clone();
        change(&mut bytes[at..at + 64]);
        bytes
    };
    for bit in 0..512 {
        let bytes = damaged(512, &|entry| entry[bit / 8] ^= 1 << (bit % 8));
        let first = Region::parse(&bytes).expect("a region").task_names().next();
        assert_eq!(first, Some(TaskEntry::Torn), "bit {bit}");
    }
    let with_crc = |entry: &mut [u8]| {
        let crc = crc32(&entry[..60]);
        entry[60..].copy_from_slice(&crc.to_le_bytes());
    };
    let impossible: [(usize, u8); 4] = [(8, 0xff), (56, 49), (59, 1), (4, 3)];
    for (at, value) in impossible {
        let bytes = damaged(512, &|entry| {
            entry[at] = value;
            with_crc(entry);
        });
        assert_eq!(extracted(&bytes).1.torn_names, 2, "{value} at {at}");
    }
    let twice = damaged(640, &|entry| {
        entry[0] = 7;
        with_crc(entry);
    });
    assert_eq!(extracted(&twice).0, [(7, "idle \u{fc}".to_owned())]);
    // What an image that ends early has of the table.
    let header = *Region::parse(&good).expect("a region").header();
    let mut out = FrameWriter::new(Vec::new());
    let short = &mut Cursor::new(&good[..600]);
    let found = ram::extract(short, 0, &header, 0, &[], &mut out).expect("an image");
    assert_eq!((found.names, found.torn_names), (1, 0));
    // A region as version 1.0 has it, whatever stands where a newer one says where its names are.
    let mut old = good.clone();
    old[22] = 0;
    let crc = crc32(&old[..252]);
    put(&mut old, 252, &crc.to_le_bytes());
    let found = extracted(&old);
    assert_eq!((found.0.len(), found.1.torn_names), (0, 0));
}
