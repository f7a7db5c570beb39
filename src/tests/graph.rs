//! The graph's options, as the asm reads them.
#![forbid(unsafe_code)]

use crate::graph::{ARGUMENTS_MAX, BYTES_SHIFT, GraphOptions, RESULT_BIT, Shape};
use crate::trace::EVENT_BYTES;

#[test]
fn a_word_says_how_many_bytes_and_which_slots() {
    let shape = Shape::new();
    for arguments in 0..=ARGUMENTS_MAX {
        for result in [false, true] {
            shape.set(GraphOptions { arguments, result });
            let [entry, exit] = shape.words();
            let slots = 1 + u64::from(arguments);
            assert_eq!(entry >> BYTES_SHIFT, slots * EVENT_BYTES);
            assert_eq!((entry as u8).trailing_ones(), u32::from(arguments));
            assert_eq!((entry as u8).count_ones(), u32::from(arguments));
            assert_eq!(exit, EVENT_BYTES * (1 + u64::from(result)));
            assert_eq!(exit >> RESULT_BIT & 1 == 1, result);
            assert_eq!(shape.arguments(), usize::from(arguments));
        }
    }
    let [entry, exit] = Shape::new().words();
    shape.set(GraphOptions::default());
    assert_eq!([entry, exit], shape.words());
}
