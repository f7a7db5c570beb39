//! What a call with words keeps on a return stack, and what whoever walks over it sees.
#![forbid(unsafe_code)]

use crate::arch;
use crate::error::Error;
use crate::fregs::Fregs;
use crate::ops::NOP_OPS;
use crate::return_stack::{ReturnFrame, ReturnStack};
use std::boxed::Box;
use std::vec::Vec;

const BODY: u64 = 0x5000;
const CALLER: usize = 0x1000;

fn with_room(frames: usize) -> ReturnStack {
    let stack = ReturnStack::new();
    let frames: Vec<_> = (0..frames).map(|_| ReturnFrame::new()).collect();
    assert_eq!(stack.set_frames(Box::leak(frames.into())), Ok(()));
    stack
}

fn words(of: u64) -> [u64; 4] {
    [of, of << 8, !of, 1]
}

/// A call from `lr`, and where it returns to by now.
fn call(stack: &ReturnStack, lr: usize, of: u64) -> usize {
    let mut fregs = Fregs::at(BODY, lr as u64);
    assert!(stack.has_room_for_words(&fregs));
    let handler = arch::return_handlers().start;
    stack.hijack_with_words(&mut fregs, of as usize, handler, &NOP_OPS, words(of));
    fregs.lr() as usize
}

/// What the innermost call has kept.
fn returns(stack: &ReturnStack, of: u64) -> usize {
    let ([ip, lr, ops], kept) = stack.take_words().expect("there is one");
    assert_eq!((ip, kept), (of, words(of)));
    assert_eq!(ops, NOP_OPS.target());
    lr as usize
}

#[test]
fn each_call_gets_its_own_words_back() {
    let stack = with_room(8);
    let handler = arch::return_handlers().start;
    assert_eq!(call(&stack, CALLER, 7), handler);
    // A second user of the same call, and one of a call inside.
    assert_eq!(call(&stack, handler, 8), handler);
    assert_eq!(call(&stack, CALLER + 4, 9), handler);
    assert_eq!(stack.depth(), 6);
    assert_eq!(returns(&stack, 9), CALLER + 4);
    assert_eq!(returns(&stack, 8), handler);
    assert_eq!(returns(&stack, 7), CALLER);
    assert_eq!((stack.depth(), stack.overruns()), (0, 0));
    assert!(stack.take_words().is_none());
}

#[test]
fn words_are_no_return_address() {
    let stack = with_room(8);
    let handler = arch::return_handlers().start;
    call(&stack, CALLER, 1);
    call(&stack, CALLER + 4, 2);
    call(&stack, handler, 3);
    let mut real = stack.real_returns();
    assert_eq!(real.real(handler), CALLER + 4);
    assert_eq!(real.real(0x2000), 0x2000);
    assert_eq!(real.real(handler), CALLER);
    assert_eq!(real.real(handler), handler);
}

#[test]
fn a_call_has_room_for_all_or_is_counted() {
    let stack = with_room(3);
    call(&stack, CALLER, 1);
    let fregs = Fregs::at(BODY, CALLER as u64);
    assert!(!stack.has_room_for_words(&fregs));
    assert_eq!((stack.depth(), stack.overruns()), (2, 1));
    // What returns early is no call.
    let early = Fregs::at(CALLER as u64, CALLER as u64);
    assert!(!stack.has_room_for_words(&early));
    assert_eq!(stack.overruns(), 1);
    returns(&stack, 1);
    assert!(!stack.has_room_for_words(&early));
    let mut early = early;
    let handler = arch::return_handlers().start;
    stack.hijack_with_words(&mut early, 0, handler, &NOP_OPS, words(0));
    assert_eq!((stack.depth(), early.lr() as usize), (0, CALLER));
}

/// As the profiler's entry does it.
fn timed(stack: &ReturnStack, lr: usize) {
    let mut fregs = Fregs::at(BODY, lr as u64);
    let handler = arch::return_handlers().start;
    assert!(stack.hijack_timed(&mut fregs, 0, handler).is_some());
}

#[test]
fn who_goes_on_at_a_mark_has_the_calls_that_were_open_there() {
    let stack = with_room(8);
    let handler = arch::return_handlers().start;
    call(&stack, CALLER, 1);
    stack.set_state(3);
    stack.set_child(100);
    let mark = stack.mark();
    for _ in 0..3 {
        timed(&stack, CALLER + 4);
        call(&stack, CALLER + 8, 2);
        stack.set_state(5);
        assert_eq!(stack.unwind_to(mark), Ok(()));
        assert_eq!((stack.depth(), stack.mark()), (2, mark));
    }
    // Also where nothing was entered since.
    assert_eq!(stack.unwind_to(mark), Ok(()));
    assert_eq!(stack.real_returns().real(handler), CALLER);
    assert_eq!(returns(&stack, 1), CALLER);
    assert_eq!((stack.depth(), stack.overruns()), (0, 0));
}

#[test]
fn a_mark_of_another_stack_or_of_a_call_that_has_returned_is_refused() {
    let (stack, other) = (with_room(8), with_room(8));
    call(&stack, CALLER, 1);
    let (before, inside) = (other.mark(), stack.mark());
    call(&other, CALLER, 2);
    for (stack, mark) in [
        (&other, inside),
        (&stack, before),
        (&ReturnStack::new(), inside),
    ] {
        let is = stack.mark();
        assert_eq!(stack.unwind_to(mark), Err(Error::ReturnMark));
        assert_eq!(stack.mark(), is);
    }
    returns(&stack, 1);
    assert_eq!(stack.unwind_to(inside), Err(Error::ReturnMark));
    // A kernel that has given its tasks no frames says the same everywhere.
    let none = ReturnStack::new();
    assert_eq!(none.unwind_to(none.mark()), Ok(()));
}
