//! The whole log of small plans, written out: every store, every maintenance instruction, in order.
#![forbid(unsafe_code)]

use super::fake::Event::{self, Clean, Dmb, Dsb, Invalidate, Isb, Literal, SyncCores, Word};
use super::fake::{ALL_CTRS, CTR_BOTH, CTR_DIC, CTR_IDC, CTR_NEITHER};
use super::world::{World, direct_at, guarded, straight_at, unguarded};
use crate::callsite::Layout;
use crate::filter::Filter;
use crate::insn::Insn;
use crate::ops::{NOP_OPS, Ops};
use std::vec;
use std::vec::Vec;

/// With a BTI, without, with: the second callsite's word is nearer to its literal.
const THREE: [bool; 3] = [true, false, true];

/// The log with the maintenance that a core with this CTR_EL0 does not need taken out.
fn as_needed(ctr: u64, log: impl IntoIterator<Item = Event>) -> Vec<Event> {
    let needed = |event: &Event| match event {
        Clean(_) => ctr & CTR_IDC == 0,
        Invalidate(_) => ctr & CTR_DIC == 0,
        _ => true,
    };
    log.into_iter().filter(needed).collect()
}

fn enable(world: &World, layout: Layout, ops: &'static Ops) -> [Event; 4] {
    let at = layout.branch();
    let bl = Insn::bl(at, world.trampoline).expect("in reach");
    let literal = Literal(layout.literal(), ops.target());
    [literal, Dmb, Word(at, bl), Clean(at)]
}

fn disable(layout: Layout) -> [Event; 4] {
    let at = layout.branch();
    let literal = Literal(layout.literal(), NOP_OPS.target());
    [Word(at, Insn::NOP), Dmb, literal, Clean(at)]
}

/// What begins a batch: ops and sets are initialised before any literal names them.
const BEGIN: &[Event] = &[Dmb];

/// What ends a batch that wrote these words.
fn publish(words: &[Layout]) -> Vec<Event> {
    let invalidate = words.iter().map(|layout| Invalidate(layout.branch()));
    [Dsb]
        .into_iter()
        .chain(invalidate)
        .chain([Dsb, Isb, SyncCores])
        .collect()
}

#[test]
fn log_of_one_enable() {
    for ctr in ALL_CTRS {
        let mut world = World::new(&THREE, ctr);
        let (ops, at) = (guarded(), world.layout(1));
        world.register_at(ops, &[1]).expect("registers");
        let expected = [BEGIN, &enable(&world, at, ops), &publish(&[at])].concat();
        assert_eq!(world.take_log(), as_needed(ctr, expected), "CTR {ctr:#x}");
    }
}

#[test]
fn log_of_one_disable() {
    for ctr in ALL_CTRS {
        let mut world = World::new(&THREE, ctr);
        let (ops, at) = (guarded(), world.layout(2));
        world.register_at(ops, &[2]).expect("registers");
        world.take_log();
        world.unregister(ops).expect("unregisters");
        let expected = [BEGIN, &disable(at), &publish(&[at])].concat();
        assert_eq!(world.take_log(), as_needed(ctr, expected), "CTR {ctr:#x}");
    }
}

/// A callsite that gets another set stays a BL: one store, made visible to data accesses, and nothing for fetches.
#[test]
fn log_of_one_swap() {
    for ctr in ALL_CTRS {
        let mut world = World::new(&THREE, ctr);
        let (first, second, at) = (guarded(), unguarded(), world.layout(0));
        world.register_at(first, &[0]).expect("registers");
        world.take_log();
        world.register_at(second, &[0]).expect("registers");
        let set = world.state(0).0;
        assert!(![first.target(), second.target(), NOP_OPS.target()].contains(&set));
        assert_eq!(world.take_log(), [Dmb, Literal(at.literal(), set), Dsb]);
        world.unregister(first).expect("unregisters");
        let expected = [Dmb, Literal(at.literal(), second.target()), Dsb];
        assert_eq!(world.take_log(), expected, "CTR {ctr:#x}");
    }
}

#[test]
fn log_of_a_batch_of_three() {
    for ctr in ALL_CTRS {
        let mut world = World::new(&THREE, ctr);
        let (ops, layouts) = (guarded(), world.layouts());
        world.register(ops, &Filter::ALL).expect("registers");
        let changes = layouts.iter().flat_map(|&at| enable(&world, at, ops));
        let expected: Vec<_> = [Dmb]
            .into_iter()
            .chain(changes)
            .chain(publish(&layouts))
            .collect();
        assert_eq!(world.take_log(), as_needed(ctr, expected), "CTR {ctr:#x}");
        world.unregister(ops).expect("unregisters");
        let changes = layouts.iter().flat_map(|&at| disable(at));
        let expected: Vec<_> = [Dmb]
            .into_iter()
            .chain(changes)
            .chain(publish(&layouts))
            .collect();
        assert_eq!(world.take_log(), as_needed(ctr, expected), "CTR {ctr:#x}");
    }
}

/// One batch that switches on, switches off and swaps: only words are invalidated, and the cores are told once.
#[test]
fn log_of_a_mixed_batch() {
    for ctr in ALL_CTRS {
        let mut world = World::new(&THREE, ctr);
        let (ops, other, at) = (guarded(), guarded(), world.layouts());
        world.register_at(other, &[1]).expect("registers");
        world.register_at(ops, &[0, 1]).expect("registers");
        world.take_log();
        let applied = world.set_filter_at(ops, &[1, 2]).expect("a new filter");
        assert_eq!(
            (applied.enabled, applied.disabled, applied.swapped),
            (1, 1, 0)
        );
        let words = publish(&[at[0], at[2]]);
        let expected = [BEGIN, &disable(at[0]), &enable(&world, at[2], ops), &words].concat();
        assert_eq!(world.take_log(), as_needed(ctr, expected), "CTR {ctr:#x}");
        // Now with a swap between.
        let applied = world.set_filter_at(ops, &[0]).expect("a new filter");
        assert_eq!(
            (applied.enabled, applied.disabled, applied.swapped),
            (1, 1, 1)
        );
        let log = world.take_log();
        let swap = vec![Literal(at[1].literal(), other.target())];
        let expected = [
            BEGIN,
            &enable(&world, at[0], ops),
            &swap,
            &disable(at[2]),
            &without_swap(&log, at[1], &words),
        ];
        assert_eq!(log, as_needed(ctr, expected.concat()), "CTR {ctr:#x}");
    }
}

/// Invalidating a swapped callsite's word as well is not needed and does no harm: either is right.
fn without_swap(log: &[Event], swapped: Layout, words: &[Event]) -> Vec<Event> {
    let extra = Invalidate(swapped.branch());
    let mut words = words.to_vec();
    if log.contains(&extra) {
        words.insert(2, extra);
    }
    words
}

#[test]
fn a_plan_that_changes_nothing_writes_nothing() {
    let mut world = World::new(&THREE, CTR_NEITHER);
    let ops = guarded();
    world.register_at(ops, &[0, 2]).expect("registers");
    world.take_log();
    world.set_filter_at(ops, &[2, 0]).expect("the same filter");
    assert_eq!(world.take_log(), []);
    world
        .register(ops, &Filter::ALL)
        .expect_err("is registered");
    world.unregister(guarded()).expect_err("is not registered");
    assert_eq!(world.take_log(), []);
}

/// Direct ops: through the trampoline, or by a BL of their own where it reaches.
#[test]
fn log_of_direct_and_straight() {
    let mut world = World::new(&THREE, CTR_BOTH);
    let entry = world.trampoline + 0x40;
    let at = world.layout(1);
    for (ops, to) in [
        (direct_at(entry), world.trampoline),
        (straight_at(entry), entry),
        (straight_at(entry + (1 << 28)), world.trampoline),
    ] {
        world.register_at(ops, &[1]).expect("registers");
        let bl = Insn::bl(at.branch(), to).expect("in reach");
        let literal = Literal(at.literal(), ops.target());
        let on = [
            Dmb,
            literal,
            Dmb,
            Word(at.branch(), bl),
            Dsb,
            Dsb,
            Isb,
            SyncCores,
        ];
        assert_eq!(world.take_log(), on, "{ops:?}");
        world.unregister(ops).expect("unregisters");
        let literal = Literal(at.literal(), NOP_OPS.target());
        let off = [
            Dmb,
            Word(at.branch(), Insn::NOP),
            Dmb,
            literal,
            Dsb,
            Dsb,
            Isb,
            SyncCores,
        ];
        assert_eq!(world.take_log(), off, "{ops:?}");
    }
}
