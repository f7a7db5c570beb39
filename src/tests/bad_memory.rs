//! Memory that no recorder can be given, and memory in which no recording is: each has its own error, and nothing is changed.
#![forbid(unsafe_code)]

use super::recorder::{FTRACE, Kernel, View, after_a_reset, alone, memory};
use crate::error::Error;
use crate::record::{RecordError, Recorder, Sizes};
use crate::ring::Mode;
use crate::trace::{HeaderError, RING_BYTES_MAX, RegionError, TEXT_BYTES_MAX, control_crc, crc32};
use core::ops::Range;
use std::boxed::Box;
use std::string::String;
use std::vec::Vec;

const TEXT: Range<usize> = 0x4020_0000..0x4030_0000;
const GOOD: Sizes = Sizes {
    cores: 2,
    ring_bytes: 4096,
    mode: Mode::Overwrite,
    spare: true,
    task_names: 0,
};
/// Header and control blocks in a page, then two rings for each core.
const BYTES: u64 = 5 * 4096;

fn recorder() -> &'static Recorder {
    Box::leak(Box::new(Recorder::new(&FTRACE)))
}

/// Asks for a recorder in `bytes` of memory that begin at `from` of a page; the memory is as before, and so is the recorder.
fn refused(text: Range<usize>, sizes: Sizes, from: u64, bytes: u64) -> RecordError {
    let (recorder, whole) = (recorder(), memory(from + bytes));
    let view = View::of(whole);
    let before = view.bytes();
    let memory = &mut whole[from as usize..];
    let error = recorder.install_for(text, memory, sizes, 1, 0);
    assert!(
        view.bytes() == before,
        "{error:?}: the memory was written to"
    );
    assert_eq!(recorder.ops().err(), Some(RecordError::NotInstalled));
    assert!(!recorder.is_on() && recorder.header().is_err());
    error.expect_err("a recorder in bad memory")
}

#[test]
fn bad_memory_is_refused_and_good_memory_taken_afterwards() {
    let _alone = alone();
    for cores in [0, 0x1_0000, usize::MAX] {
        let sizes = Sizes { cores, ..GOOD };
        assert_eq!(refused(TEXT, sizes, 0, BYTES), RecordError::Cores(cores));
    }
    for ring_bytes in [0, 2048, 4097, 12288, RING_BYTES_MAX * 2, u64::MAX] {
        let sizes = Sizes { ring_bytes, ..GOOD };
        let expected = RecordError::RingBytes(ring_bytes);
        assert_eq!(refused(TEXT, sizes, 0, BYTES), expected);
    }
    for task_names in [(1 << 16) + 1, usize::MAX] {
        let sizes = Sizes { task_names, ..GOOD };
        let expected = RecordError::TaskNames(task_names);
        assert_eq!(refused(TEXT, sizes, 0, BYTES), expected);
    }
    for from in [1, 16, 2048] {
        let error = refused(TEXT, GOOD, from, BYTES);
        assert!(
            matches!(error, RecordError::Misaligned { at } if at as u64 % 4096 == from),
            "{error:?}"
        );
    }
    for given in [BYTES - 1, 4096, 1] {
        let needed = BYTES;
        let expected = RecordError::TooSmall { needed, given };
        assert_eq!(refused(TEXT, GOOD, 0, given), expected);
    }
    // The most that sizes can ask for: nothing overflows.
    let most = Sizes {
        cores: 0xffff,
        ring_bytes: RING_BYTES_MAX,
        task_names: 1 << 16,
        ..GOOD
    };
    let error = refused(TEXT, most, 0, BYTES);
    assert!(matches!(error, RecordError::TooSmall { .. }), "{error:?}");
    for bytes in [0, TEXT_BYTES_MAX + 1] {
        let text = TEXT.start..TEXT.start + bytes as usize;
        let expected = RecordError::TextTooLarge { bytes };
        assert_eq!(refused(text, GOOD, 0, BYTES), expected);
    }
    let before_init = recorder().install(memory(BYTES), GOOD);
    let expected = RecordError::Ftrace(Error::NotInitialised);
    assert_eq!(before_init, Err(expected));
    let last_words = || {
        let mut out = String::new();
        crate::dump_on_panic(&mut out, 1).map(|()| out)
    };
    let nothing = "ftrace: nothing recorded: the recorder has no memory\n";
    assert_eq!(last_words().as_deref(), Ok(nothing));

    let first = recorder();
    let text = TEXT.start..TEXT.start + TEXT_BYTES_MAX as usize;
    assert_eq!(first.install_for(text, memory(BYTES), GOOD, 1, 0), Ok(()));
    assert!(first.is_on() && first.ops().is_ok());
    let header = *first.header().expect("memory");
    for recorder in [first, recorder()] {
        let again = memory(BYTES);
        let view = View::of(again);
        let before = view.bytes();
        let again = recorder.install_for(TEXT, again, GOOD, 9, 0);
        assert_eq!(again, Err(RecordError::AlreadyInstalled));
        assert!(view.bytes() == before, "the memory was written to");
    }
    assert_eq!(first.header(), Ok(&header));
    let mut out = String::new();
    first.dump_on_panic(&mut out, 1).expect("a string has room");
    assert_eq!(last_words(), Ok(out), "the recorder that has the memory");
}

/// The bytes of a good region with some of them changed, as found after a reset.
fn found(change: impl FnOnce(&mut Vec<u8>)) -> Result<(), RegionError> {
    let kernel = Kernel::new(Mode::Overwrite, true);
    assert!(kernel.write(0, 1));
    let mut bytes = kernel.bytes();
    change(&mut bytes);
    let memory = after_a_reset(&bytes);
    let found = kernel.recorder.survivor(&memory).map(|_| ());
    assert!(memory.bytes() == bytes, "who looks changes nothing");
    found
}

/// Puts a field, and the CRC of a header that has it.
fn in_header(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    let crc = crc32(&bytes[..252]);
    bytes[252..256].copy_from_slice(&crc.to_le_bytes());
}

/// What is changed, and what is said of it.
type Case = (fn(&mut Vec<u8>), fn(HeaderError) -> bool);

/// Offsets are those of docs/trace-format.md, section 2.
#[test]
fn what_is_no_recording_of_an_earlier_boot_is_refused() {
    assert_eq!(found(|_| {}), Ok(()));
    let headers: [Case; 6] = [
        (|bytes| bytes.fill(0), |e| e == HeaderError::Magic),
        (|bytes| bytes[3] ^= 0x20, |e| e == HeaderError::Magic),
        (
            |bytes| in_header(bytes, 16, 0x0d0c_0b0a),
            |e| matches!(e, HeaderError::ByteOrder(_)),
        ),
        (
            |bytes| in_header(bytes, 20, 2),
            |e| matches!(e, HeaderError::Version { .. }),
        ),
        (
            |bytes| bytes[60] ^= 1,
            |e| matches!(e, HeaderError::Crc { .. }),
        ),
        (
            |bytes| in_header(bytes, 96, 0),
            |e| matches!(e, HeaderError::Field { .. }),
        ),
    ];
    for (n, (change, expected)) in headers.into_iter().enumerate() {
        match found(change) {
            Err(RegionError::Header(error)) if expected(error) => {}
            other => panic!("header {n}: {other:?}"),
        }
    }
    let short = |needed, given| Err(RegionError::Short { needed, given });
    assert_eq!(found(|bytes| bytes.clear()), short(256, 0));
    assert_eq!(found(|bytes| bytes.truncate(255)), short(256, 255));
    let whole = 7 * 4096;
    assert_eq!(
        found(|bytes| bytes.truncate(whole - 1)),
        short(whole as u64, whole as u64 - 1)
    );
    // The third core's block: its mask; then the same with a CRC that fits.
    let block = 256 + 2 * 128;
    let damaged = found(|bytes| bytes[block + 8] ^= 1);
    assert_eq!(damaged, Err(RegionError::Crc { ring: 2 }));
    let damaged = found(|bytes| {
        bytes[block + 8] ^= 1;
        let crc = control_crc(&bytes[block..block + 128]);
        bytes[block + 124..block + 128].copy_from_slice(&crc.to_le_bytes());
    });
    let offset = 8;
    assert!(
        matches!(damaged, Err(RegionError::Field { ring: 2, offset: at, .. }) if at == offset),
        "{damaged:?}"
    );
}
