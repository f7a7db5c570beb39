//! Interned sets: one for each list of ops, shared, counted, given back when nobody can be walking them.
#![forbid(unsafe_code)]

use super::fake::CTR_NEITHER;
use super::world::{World, guarded, unguarded};
use crate::ops::{NOP_OPS, Ops};
use crate::registry::Registry;
use crate::set::{Sets, ToggleError};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::vec;
use std::vec::Vec;

/// A registry in which these ops are registered, in their order, and sets with memory.
fn sets_of(ops: &[&'static Ops]) -> (Registry, Sets) {
    let (mut registry, mut sets) = (Registry::new(), Sets::new());
    ops.iter().for_each(|ops| registry.add(ops));
    sets.memory.add(super::world::set_memory(16 * 1024));
    (registry, sets)
}

fn addresses(ops: impl IntoIterator<Item = &'static Ops>) -> Vec<*const Ops> {
    ops.into_iter().map(std::ptr::from_ref).collect()
}

#[test]
fn unknown_literals_have_no_members_and_no_successor() {
    let ops = guarded();
    let (registry, mut sets) = sets_of(&[ops]);
    for literal in [0, 1, u64::MAX, guarded().target()] {
        assert!(sets.members(&registry, literal).is_none());
        assert_eq!(
            sets.toggle(&registry, literal, ops),
            Err(ToggleError::Unknown)
        );
    }
    let nothing = sets
        .members(&registry, NOP_OPS.target())
        .expect("always known");
    assert_eq!(nothing.count(), 0);
}

proptest! {
    /// However one gets there, the same ops are the same set, and in calling order.
    #[test]
    fn same_members_same_set_whatever_the_order_of_toggling(
        kinds in prop::collection::vec(any::<bool>(), 2..7),
        toggles in prop::collection::vec(0..6usize, 1..40),
    ) {
        let ops: Vec<_> = kinds.iter().map(|&kind| if kind { guarded() } else { unguarded() }).collect();
        let (registry, mut sets) = sets_of(&ops);
        let mut in_order = vec![];
        for guards in [false, true] {
            in_order.extend((0..ops.len()).filter(|&i| kinds[i] == guards));
        }
        let mut known = std::collections::BTreeMap::new();
        let mut now = BTreeSet::new();
        let mut literal = NOP_OPS.target();
        for i in toggles.into_iter().map(|i| i % ops.len()) {
            literal = sets.toggle(&registry, literal, ops[i]).expect("enough memory");
            if !now.remove(&i) {
                now.insert(i);
            }
            let wanted = in_order.iter().filter(|i| now.contains(i)).map(|&i| ops[i]);
            let members = sets.members(&registry, literal).expect("live");
            prop_assert_eq!(addresses(members), addresses(wanted));
            prop_assert_eq!(*known.entry(now.clone()).or_insert(literal), literal);
        }
        let shared = known.keys().filter(|ops| ops.len() > 1).count();
        prop_assert_eq!(sets.count(), shared);
        let different: BTreeSet<_> = known.values().collect();
        prop_assert_eq!(different.len(), known.len());
    }
}

/// Three ops on one callsite, two of them on another: two sets are used, one was on the way.
fn three_sets() -> (World, [&'static Ops; 3]) {
    let mut world = World::new(&[false; 4], CTR_NEITHER);
    let ops = [guarded(), unguarded(), guarded()];
    world.register_at(ops[0], &[0, 1]).expect("registers");
    world.register_at(ops[1], &[0, 1]).expect("registers");
    world.register_at(ops[2], &[0]).expect("registers");
    (world, ops)
}

#[test]
fn a_sweep_frees_exactly_what_no_literal_names() {
    let (mut world, ops) = three_sets();
    assert_eq!(world.engine.sets.count(), 2);
    world.sweep(|| true);
    assert_eq!(world.engine.sets.count(), 2, "both are used");
    let kept = world.state(0).0;
    // The second callsite leaves the set of two.
    world.set_filter_at(ops[0], &[0]).expect("a new filter");
    assert_eq!(world.engine.sets.count(), 2, "kept until the sweep");
    world.sweep(|| true);
    assert_eq!(world.engine.sets.count(), 1);
    assert_eq!(world.state(0).0, kept);
    assert_eq!(world.called_by(0).len(), 3);
    // Nobody shares any more.
    world.unregister(ops[0]).expect("unregisters");
    world.unregister(ops[1]).expect("unregisters");
    world.sweep(|| true);
    assert_eq!(world.engine.sets.count(), 0);
}

#[test]
fn without_a_grace_period_nothing_is_freed() {
    let (mut world, ops) = three_sets();
    world.unregister(ops[0]).expect("unregisters");
    let before = world.engine.sets.count();
    world.sweep(|| false);
    assert_eq!(world.engine.sets.count(), before);
    // And the platform is not asked to wait when there is nothing to free.
    world.sweep(|| true);
    world.sweep(|| panic!("nothing is unused"));
}

/// Another core changes tracing while this one waits for the grace period: what is used again, and what was used again and
/// left since, may be being walked.
#[test]
fn sets_that_are_used_during_the_grace_period_are_kept() {
    let (mut world, ops) = three_sets();
    // Out of {0, 1}, which nobody uses now.
    world.set_filter_at(ops[1], &[0]).expect("a new filter");
    let retired = world.engine.sets.retire().expect("one is unused");
    world.set_filter_at(ops[1], &[0, 1]).expect("a new filter");
    world.engine.sets.free(retired);
    assert_eq!(
        (world.engine.sets.count(), world.called_by(1).len()),
        (2, 2)
    );
    // Out of it, into it and out of it once more.
    world.set_filter_at(ops[1], &[0]).expect("a new filter");
    let retired = world.engine.sets.retire().expect("one is unused");
    world.set_filter_at(ops[1], &[0, 1]).expect("a new filter");
    world.set_filter_at(ops[1], &[0]).expect("a new filter");
    world.engine.sets.free(retired);
    assert_eq!(
        world.engine.sets.count(),
        2,
        "unused for less than the grace period"
    );
    // Two at a time: the later one frees both.
    let first = world.engine.sets.retire().expect("one is unused");
    let second = world.engine.sets.retire().expect("one is unused");
    world.engine.sets.free(second);
    assert_eq!(world.engine.sets.count(), 1);
    world.engine.sets.free(first);
    assert_eq!(world.engine.sets.count(), 1);
}

/// Making the second callsite leave and enter a set many times keeps one set each.
#[test]
fn sets_are_used_again() {
    let (mut world, ops) = three_sets();
    for _ in 0..50 {
        world.set_filter_at(ops[2], &[1]).expect("a new filter");
        world.set_filter_at(ops[2], &[0]).expect("a new filter");
    }
    assert_eq!(world.engine.sets.count(), 2);
    world.sweep(|| true);
    assert_eq!(world.engine.sets.count(), 2);
}

/// The order of calling is that of registration, also where the same two have been toggled in another order before.
#[test]
fn a_refused_plan_leaves_no_old_order_behind() {
    let mut world = World::new(&[false; 3], CTR_NEITHER);
    let (a, b) = (guarded(), guarded());
    world.register_at(a, &[0]).expect("registers");
    // A plan that makes the set [a, b] and is then refused.
    let at = world.layout(1).branch();
    world.text.poke(at, super::fake::BODY);
    world
        .register_at(b, &[0, 1])
        .expect_err("an unexpected word");
    world.text.poke(at, crate::insn::Insn::NOP);
    world.unregister(a).expect("unregisters");
    // Now b comes first.
    world.register_at(b, &[2]).expect("registers");
    world.register_at(a, &[0]).expect("registers");
    world.set_filter_at(b, &[0]).expect("a new filter");
    assert_eq!(addresses(world.called_by(0)), addresses([b, a]));
}

/// Without memory for the set nothing changes; with a little more it goes on.
#[cfg(not(feature = "alloc"))]
#[test]
fn memory_exhaustion_leaves_everything_as_before() {
    use crate::error::Error;
    use crate::filter::Filter;
    let mut world = World::new(&[false; 4], CTR_NEITHER);
    world.engine.sets = Sets::new();
    let (first, second) = (guarded(), guarded());
    world.register_at(first, &[1, 2]).expect("needs no set");
    world.take_log();
    let before = world.text.memory();
    for region in [None, Some(64)] {
        if let Some(bytes) = region {
            assert!(
                world
                    .engine
                    .sets
                    .memory
                    .add(super::world::set_memory(bytes))
            );
        }
        let error = world.register(second, &Filter::ALL).expect_err("no memory");
        let Error::SetMemory { bytes } = error else {
            panic!("{error:?}")
        };
        assert!(bytes > 64, "a set of two in {bytes} bytes");
        assert_eq!(
            (world.text.memory(), world.take_log()),
            (before.clone(), vec![])
        );
        assert_eq!((second.is_registered(), second.callsites()), (false, 0));
        assert!(world.is_clean());
    }
    world.engine.sets.memory.add(super::world::set_memory(512));
    world
        .register(second, &Filter::ALL)
        .expect("there is memory now");
    // What is swept can be used again, for ever.
    for _ in 0..100 {
        world.unregister(second).expect("unregisters");
        world.sweep(|| true);
        world
            .register(second, &Filter::ALL)
            .expect("the memory is given back");
    }
}
