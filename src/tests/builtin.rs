//! Built-in ops: alone on a callsite they are branched to, among others they are called.

use super::fake::CTR_NEITHER;
use super::world::{TRAMPOLINE, World, builtin_at, direct_at, guarded, tracer, unguarded};
use crate::arch::entry;
use crate::error::{Error, PatchError, Why};
use crate::ops::{EntryFn, Ops};
use crate::set::offset;
use std::vec;
use std::vec::Vec;

/// What the asm of the set entries reads at a literal's target: where it goes on, and the lists that it walks.
fn walked(target: u64, lists: usize) -> (usize, Vec<Vec<*const Ops>>) {
    // SAFETY: the test knows that the literal is a live set's, which begins with its entry.
    let entry = unsafe { *(target as *const EntryFn) } as usize;
    let mut at = target as usize + offset::MEMBERS;
    let mut walked = vec![];
    for _ in 0..lists {
        let mut list = vec![];
        loop {
            // SAFETY: a set's lists are pairs of words, each list ended by a pair of zeroes.
            let [func, ops] = unsafe { *(at as *const [usize; 2]) };
            at += offset::MEMBER_SIZE;
            if func == 0 {
                assert_eq!(ops, 0, "the end of a list");
                break;
            }
            assert_eq!(func, tracer as *const () as usize, "what is called");
            list.push(ops as *const Ops);
        }
        walked.push(list);
    }
    (entry, walked)
}

fn address(entry: EntryFn) -> usize {
    entry as usize
}

#[test]
fn a_builtin_alone_is_branched_to_and_among_others_is_called() {
    let mut world = World::new(&[false, true], CTR_NEITHER);
    let (one, two) = (builtin_at(0x1000), builtin_at(0x2000));
    let (plain, shy) = (unguarded(), guarded());
    world.register_at(shy, &[1]).expect("registers");
    for ops in [one, two] {
        world.register_at(ops, &[0, 1]).expect("they share");
        if !two.is_registered() {
            // The trampoline loads the entry from the ops and goes there.
            assert_eq!(world.state(0), (one.target(), world.bl(0)));
            assert_eq!(one.head.entry as usize, 0x1000);
        }
    }
    let only = (address(entry::SET), vec![vec![&raw const *one, two]]);
    assert_eq!(walked(world.state(0).0, 1), only);
    // Before the guarded ones, whatever the order of registration.
    let mixed = (
        address(entry::SET_MIXED),
        vec![vec![&raw const *one, two], vec![shy]],
    );
    assert_eq!(walked(world.state(1).0, 2), mixed);
    world.register_at(plain, &[0]).expect("registers");
    world.unregister(two).expect("unregisters");
    let only = (address(entry::SET), vec![vec![&raw const *one, plain]]);
    assert_eq!(walked(world.state(0).0, 1), only);
    world.unregister(plain).expect("unregisters");
    world.unregister(shy).expect("unregisters");
    assert_eq!([0, 1].map(|i| world.state(i).0), [one.target(); 2]);
}

/// What belongs to nobody else's set does not belong to a built-in's either.
#[test]
fn a_builtin_does_not_share_with_a_direct_ops() {
    let mut world = World::new(&[false], CTR_NEITHER);
    let (builtin, direct) = (builtin_at(TRAMPOLINE), direct_at(TRAMPOLINE));
    for (first, second) in [(builtin, direct), (direct, builtin)] {
        world.register_at(first, &[0]).expect("registers");
        let refused = world.register_at(second, &[0]);
        let expected = PatchError {
            at: world.layout(0).literal(),
            why: Why::Direct,
            undone: 0,
            stuck: 0,
            foreign: 0,
        };
        assert_eq!(refused, Err(Error::Patch(expected)));
        world.unregister(first).expect("unregisters");
    }
}
