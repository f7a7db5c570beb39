//! Veneers: which callsite goes where, to the byte.
#![forbid(unsafe_code)]

use super::fake::CTR_NEITHER;
use super::world::{World, direct_at, guarded, straight_at};
use crate::error::{Error, PatchError, Why};
use crate::filter::Filter;
use crate::insn::{BRANCH_RANGE, Insn};
use crate::ops::{NOP_OPS, Ops};
use crate::veneer::Veneer;
use std::vec;
use std::vec::Vec;

const REACH: usize = BRANCH_RANGE as usize;

/// Entries of the section for veneers that stand at these addresses.
fn veneers(addresses: &[usize]) -> &'static [Veneer] {
    let entries: &'static mut [Veneer] = Vec::from_iter(addresses.iter().map(|_| Veneer(0))).leak();
    for (entry, &address) in entries.iter_mut().zip(addresses) {
        entry.0 = address.wrapping_sub(core::ptr::from_ref(entry) as usize) as i64;
    }
    entries
}

/// Where the BL of the only callsite goes; `None` where there is none.
fn target(trampoline: usize, at: &[usize], ops: &'static Ops) -> Option<usize> {
    let mut world = World::new(&[true], CTR_NEITHER);
    world.trampoline = trampoline;
    world.veneers = veneers(at);
    let before = world.text.memory();
    let branch = world.layout(0).branch();
    let registered = world.register(ops, &Filter::ALL);
    if let Err(error) = registered {
        let why = Why::Range { to: trampoline };
        assert_eq!(error, Error::Patch(PatchError::refused(branch, why, 0)));
        assert_eq!(world.text.memory(), before);
        return None;
    }
    let (literal, word) = world.state(0);
    assert_eq!(literal, ops.target());
    world.with_work(|engine, work| {
        let audit = engine.audit(work, |finding| panic!("{finding}"));
        assert_eq!(audit.enabled, 1);
    });
    world.unregister(ops).expect("the same BL is found again");
    assert_eq!(world.state(0), (NOP_OPS.target(), Insn::NOP));
    let to = word.branch_target(branch)?;
    assert_eq!(Insn::bl(branch, to), Ok(word));
    Some(to)
}

#[test]
fn the_trampoline_is_taken_up_to_the_edge_of_its_reach_and_a_veneer_beyond() {
    let at = World::new(&[true], CTR_NEITHER).layout(0).branch();
    let near = at + 0x100;
    for (trampoline, expected) in [
        (at + REACH - 4, at + REACH - 4),
        (at + REACH, near),
        (at - REACH, at - REACH),
        (at - REACH - 4, near),
    ] {
        assert_eq!(target(trampoline, &[near], guarded()), Some(expected));
        assert_eq!(
            target(trampoline, &[], guarded()),
            (expected == trampoline).then_some(expected)
        );
    }
}

#[test]
fn the_nearest_veneer_is_taken_up_to_the_edge_of_its_reach() {
    let at = World::new(&[true], CTR_NEITHER).layout(0).branch();
    let far = at + 4 * REACH;
    for (veneers, expected) in [
        (vec![at + REACH - 4], Some(at + REACH - 4)),
        (vec![at + REACH], None),
        (vec![at - REACH], Some(at - REACH)),
        (vec![at - REACH - 4], None),
        (
            vec![at + REACH, at - REACH - 4, at - 0x1000, at + 0x2000],
            Some(at - 0x1000),
        ),
        (vec![at + 0x800, at - 0x1000], Some(at + 0x800)),
        (vec![at + 0x2000, at - 0x1000], Some(at - 0x1000)),
        (vec![at - 0x2000, at + 0x800, at - 0x1000], Some(at + 0x800)),
        (vec![], None),
    ] {
        assert_eq!(target(far, &veneers, guarded()), expected, "{veneers:x?}");
    }
}

/// A straight ops that is too far goes by the literal, through whatever leads to the trampoline.
#[test]
fn direct_ops_go_through_veneers_and_straight_ones_where_they_must() {
    let at = World::new(&[true], CTR_NEITHER).layout(0).branch();
    let (far, near) = (at + 4 * REACH, at + 0x100);
    assert_eq!(target(far, &[near], direct_at(far)), Some(near));
    assert_eq!(target(far, &[near], straight_at(far)), Some(near));
    assert_eq!(
        target(far, &[near], straight_at(at + 0x40)),
        Some(at + 0x40)
    );
}

/// A text that the trampoline does not reach as a whole: each callsite has its own target, and all agree later.
#[test]
fn callsites_on_both_sides_of_the_edge_are_switched_on_and_off_together() {
    let mut world = World::new(&[false; 8], CTR_NEITHER);
    let edge = world.layout(4).branch();
    // Reaches the first four only.
    world.trampoline = edge - 4 - REACH;
    let near = world.text.range().end;
    world.veneers = veneers(&[near]);
    let (ops, other) = (guarded(), guarded());
    let disabled = world.text.memory();
    world.register(ops, &Filter::ALL).expect("registers");
    for i in 0..8 {
        let at = world.layout(i).branch();
        let to = if at < edge { world.trampoline } else { near };
        assert_eq!(world.state(i).1, Insn::bl(at, to).expect("in reach"), "{i}");
    }
    world.register(other, &Filter::ALL).expect("the same BLs");
    // The veneer's own BL, at a callsite that the trampoline reaches, is not what the engine writes there.
    let at = world.layout(0).branch();
    let right = world.text.peek(at);
    let found = Insn::bl(at, near).expect("in reach");
    world.text.poke(at, found);
    let refused = world.unregister(other).expect_err("another word");
    let expected = right;
    let why = Why::Insn { expected, found };
    assert_eq!(refused, Error::Patch(PatchError::refused(at, why, 1)));
    world.text.poke(at, right);
    world.unregister(other).expect("goes on without");
    world
        .with_work(|engine, work| engine.shutdown(work, false))
        .expect("all out");
    assert_eq!(world.text.peek(at), right, "quarantined");
    world.text.poke(at, Insn::NOP);
    assert_eq!(world.text.memory(), disabled);
}
