//! What a recorder's memory is cut into: sizes that cannot be have no bytes.
#![forbid(unsafe_code)]

use crate::record::Sizes;
use crate::ring::Mode;
use crate::trace::{RING_BYTES_MAX, RING_BYTES_MIN};

fn sizes(cores: usize, ring_bytes: u64) -> Sizes {
    Sizes {
        cores,
        ring_bytes,
        mode: Mode::Overwrite,
        spare: false,
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
