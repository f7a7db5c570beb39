//! The graph's options, as the asm reads them.
#![forbid(unsafe_code)]

use crate::graph::{
    ARGUMENTS_MAX, BYTES_SHIFT, DEPTH_MAX, GraphOptions, NOT_RECORDED, OUTSIDE, RESULT_BIT, Shape,
};
use crate::record::RecordError;
use crate::return_stack::{ReturnFrame, ReturnStack};
use crate::trace::EVENT_BYTES;
use std::boxed::Box;

#[test]
fn a_word_says_how_many_bytes_and_which_slots() {
    let shape = Shape::new();
    for arguments in 0..=ARGUMENTS_MAX {
        for result in [false, true] {
            shape.set(GraphOptions {
                arguments,
                result,
                ..GraphOptions::default()
            });
            let [entry, exit] = shape.words();
            let slots = 1 + u64::from(arguments);
            assert_eq!(entry >> BYTES_SHIFT, slots * EVENT_BYTES);
            assert_eq!((entry as u8).trailing_ones(), u32::from(arguments));
            assert_eq!((entry as u8).count_ones(), u32::from(arguments));
            assert_eq!(exit, EVENT_BYTES * (1 + u64::from(result)));
            assert_eq!(exit >> RESULT_BIT & 1 == 1, result);
            assert_eq!(shape.arguments(), Some(usize::from(arguments)));
        }
    }
    let [entry, exit] = Shape::new().words();
    shape.set(GraphOptions::default());
    assert_eq!([entry, exit], shape.words());
}

#[test]
fn a_depth_is_how_many_are_open_at_most() {
    let shape = Shape::new();
    let of = |depth| GraphOptions {
        depth,
        ..GraphOptions::default()
    };
    assert!(shape.takes(0) && shape.takes(u64::from(u32::MAX)));
    for depth in [1, 2, DEPTH_MAX] {
        assert_eq!(of(depth).check(), Ok(()));
        shape.set(of(depth));
        for open in [
            0,
            u64::from(depth) - 1,
            u64::from(depth),
            u64::from(depth) + 1,
        ] {
            assert_eq!(
                shape.takes(open),
                open < u64::from(depth),
                "{open} of {depth}"
            );
        }
    }
    for depth in [DEPTH_MAX + 1, u32::MAX] {
        assert_eq!(of(depth).check(), Err(RecordError::Depth(depth)));
    }
    shape.set(of(0));
    assert!(shape.takes(u64::from(u32::MAX)));
}

#[test]
fn a_least_duration_leaves_the_entry_without_an_event() {
    let shape = Shape::new();
    let of = |arguments, minimum| GraphOptions {
        arguments,
        result: true,
        minimum,
        ..GraphOptions::default()
    };
    for minimum in [1, u64::MAX] {
        assert_eq!(of(0, minimum).check(), Ok(()));
        shape.set(of(0, minimum));
        assert_eq!(shape.words(), [0, 2 * EVENT_BYTES]);
        assert_eq!(shape.arguments(), None);
    }
    assert_eq!(of(1, 1).check(), Err(RecordError::ArgumentsOfLongCalls(1)));
    assert_eq!(of(9, 1).check(), Err(RecordError::Arguments(9)));
    shape.set(of(1, 0));
    assert_eq!(shape.arguments(), Some(1));
}

#[test]
fn roots_count_only_where_they_are_asked_for() {
    let shape = Shape::new();
    for (depth, open) in [(0, 0), (0, u64::from(u32::MAX)), (3, 2)] {
        for rooted in [false, true] {
            shape.set(GraphOptions {
                depth,
                rooted,
                ..GraphOptions::default()
            });
            assert!(shape.takes(open), "inside of a root");
            assert_eq!(shape.takes(OUTSIDE | open), !rooted);
            assert!(!shape.takes(NOT_RECORDED | open));
            assert!(!shape.takes(NOT_RECORDED | OUTSIDE | open));
            if depth > 0 {
                assert!(!shape.takes(open + 1) && !shape.takes(OUTSIDE | (open + 1)));
            }
        }
    }
}

#[test]
fn a_stack_that_is_reset_is_outside_of_all_roots() {
    let stack = ReturnStack::new();
    assert_eq!(stack.state(), OUTSIDE);
    let frames = [const { ReturnFrame::new() }; 2];
    assert_eq!(stack.set_frames(Box::leak(Box::new(frames))), Ok(()));
    stack.set_state(NOT_RECORDED | 7);
    stack.reset();
    assert_eq!(stack.state(), OUTSIDE);
}
