//! What a recorder's memory is cut into: sizes that cannot be have no bytes.
#![forbid(unsafe_code)]

use super::recorder::{View, header, memory};
use crate::record::memory::Region;
use crate::record::{RecordMemory, Sizes};
use crate::ring::{Mode, Unreadable};
use crate::trace::{Event, RING_BYTES_MAX, RING_BYTES_MIN, Type};

fn sizes(cores: usize, ring_bytes: u64) -> Sizes {
    Sizes {
        cores,
        ring_bytes,
        mode: Mode::Overwrite,
        spare: false,
        task_names: 0,
    }
}

#[test]
fn only_sizes_that_can_be_have_bytes() {
    // Header and control blocks in one page, then the rings.
    assert_eq!(sizes(1, 4096).bytes(), Some(4096 + 4096));
    assert_eq!(sizes(30, 8192).bytes(), Some(4096 + 30 * 8192));
    // The thirty-first control block no longer fits the first page.
    assert_eq!(sizes(31, 4096).bytes(), Some(2 * 4096 + 31 * 4096));
    // 0xffff is a frame's word for no core: the last core that can be is 0xfffe.
    assert!(sizes(0xffff, 4096).bytes().is_some());
    for cores in [0, 0x1_0000, usize::MAX] {
        assert_eq!(sizes(cores, 4096).bytes(), None, "{cores} cores");
    }
    for bytes in [0, 1, 2048, 4095, 4097, 12288, RING_BYTES_MAX * 2, u64::MAX] {
        assert_eq!(sizes(1, bytes).bytes(), None, "{bytes} bytes");
    }
    for bytes in [RING_BYTES_MIN, RING_BYTES_MAX] {
        assert!(sizes(1, bytes).bytes().is_some(), "{bytes} bytes");
    }
}

/// Whatever the memory held: also the events of a recording that looked the same.
#[test]
fn what_the_memory_held_before_is_no_event() {
    let memory = memory(3 * RING_BYTES_MIN);
    let stale = Event::new(Type::Function, 7, 0x4020_0000, 9, RING_BYTES_MIN, 12);
    let bytes = stale.to_bytes().into_iter().cycle();
    for (to, from) in memory.iter_mut().zip(bytes) {
        to.write(from);
    }
    let view = View::of(memory);
    let region = Region::make(memory, sizes(1, RING_BYTES_MIN), header()).expect("a region");
    let ring = region.written(0).expect("a core");
    let position = ring.reserve().expect("room");
    assert_eq!(position, RING_BYTES_MIN);
    assert_eq!(ring.read(position), Err(Unreadable::Unfinished));
    // What is more than needed stays as it is.
    let rest = &view.bytes()[2 * RING_BYTES_MIN as usize..];
    assert!(rest.chunks(16).all(|slot| slot == stale.to_bytes()));
}

#[test]
fn memory_is_handed_out_once_and_begins_on_a_page() {
    static MEMORY: RecordMemory<8192> = RecordMemory::new();
    let first = MEMORY.take().expect("nobody has it");
    assert_eq!((first.len(), first.as_ptr() as usize % 4096), (8192, 0));
    assert!(MEMORY.take().is_none());
}
