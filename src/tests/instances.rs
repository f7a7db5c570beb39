//! Ops whose callsites have literals of their own: each points to its block, alone; in a set the ops is a member like any.
#![forbid(unsafe_code)]

use super::fake::{CTR_NEITHER, Fake, Write};
use super::world::{BASE, World, counted, guarded, unguarded};
use crate::arch::entry;
use crate::error::Error;
use crate::instances::{CounterLine, Instances, word};
use crate::ops::{NOP_OPS, Ops};
use core::sync::atomic::Ordering;
use std::boxed::Box;
use std::collections::BTreeSet;
use std::vec::Vec;

const CORES: usize = 3;

fn lines(count: usize) -> &'static mut [CounterLine] {
    (0..count)
        .map(|_| CounterLine::new())
        .collect::<Vec<_>>()
        .leak()
}

/// An ops with blocks for all callsites of the world.
fn placed(world: &World, per_line: usize) -> (&'static Ops, &'static Instances) {
    let instances: &'static Instances = Box::leak(Box::new(Instances::new(per_line)));
    let table = Box::leak(Box::new(world.table.clone()));
    let memory = lines(instances.lines(table.callsites().len(), CORES));
    assert!(instances.place(table, memory, CORES, entry::COUNT, 0x1234));
    let ops = counted();
    ops.set_instances(instances);
    (ops, instances)
}

#[test]
fn each_callsite_has_a_block_of_its_own_and_each_core_lines_of_its_own() {
    let world = World::new(&[false, true, true, false, false, true, false], CTR_NEITHER);
    for per_line in [4, 1] {
        let (_, instances) = placed(&world, per_line);
        let mut literals = BTreeSet::new();
        let mut lines = [const { BTreeSet::new() }; CORES];
        for record in 0..world.table.len() {
            let literal = instances.literal(record).expect("a block");
            assert!(literals.insert(literal), "{record}");
            assert!(
                instances.has(literal) && !instances.has(literal + 8),
                "{record}"
            );
            let at = |core, word| -> u64 {
                let word = instances.word(record, core, word).expect("a word");
                core::ptr::from_ref(word) as u64
            };
            // What the asm does: the block, plus what the core's area says.
            assert_eq!(at(0, 0), literal);
            for (core, lines) in lines.iter_mut().enumerate() {
                assert_eq!(
                    at(core, word::HITS),
                    literal + 64 * core as u64 + 8,
                    "{record}"
                );
                lines.insert(at(core, word::HITS) / 64);
            }
            assert_eq!(instances.word(record, CORES, word::HITS).map(|_| ()), None);
            let entry_word = instances.word(record, 0, 0).expect("a word");
            assert_eq!(
                entry_word.load(Ordering::Relaxed),
                entry::COUNT as usize as u64
            );
        }
        let all: BTreeSet<_> = lines.iter().flatten().collect();
        assert_eq!(all.len(), lines.iter().map(BTreeSet::len).sum::<usize>());
        assert_eq!(all.len(), world.table.len().div_ceil(per_line) * CORES);
    }
}

#[test]
fn memory_that_is_too_small_or_given_twice_is_refused() {
    let world = World::new(&[false; 5], CTR_NEITHER);
    let table = Box::leak(Box::new(world.table.clone()));
    let instances: &'static Instances = Box::leak(Box::new(Instances::new(4)));
    assert!(!instances.place(table, lines(3), 2, entry::COUNT, 0));
    assert!(!instances.place(table, lines(3), 0, entry::COUNT, 0));
    assert!(!instances.is_placed() && !instances.has(0) && instances.literal(0).is_none());
    assert!(instances.place(table, lines(4), 2, entry::COUNT, 0));
    assert!(!instances.place(table, lines(4), 2, entry::COUNT, 0));
}

#[test]
fn without_memory_registering_is_refused_and_nothing_is_installed() {
    let mut world = World::new(&[false, true], CTR_NEITHER);
    let before = world.text.memory();
    let ops = counted();
    assert_eq!(
        world.register_at(ops, &[0, 1]),
        Err(Error::CounterMemory { lines: 0 })
    );
    assert!(!ops.is_registered());
    assert_eq!(world.text.memory(), before);
}

#[test]
fn a_callsite_points_to_its_block_whenever_the_ops_is_alone_there() {
    let mut world = World::new(&[false, true, true, false, true], CTR_NEITHER);
    let (count, instances) = placed(&world, 4);
    let block = |i| instances.literal(i).expect("a block");
    let (plain, shy) = (unguarded(), guarded());
    // All at once, which takes the marked way: no two literals are alike.
    let applied = world
        .register(count, &crate::filter::Filter::ALL)
        .expect("registers");
    assert_eq!((applied.matched, applied.enabled), (5, 5));
    for i in 0..5 {
        assert_eq!(world.state(i), (block(i), world.bl(i)), "{i}");
        assert_eq!(world.called_by(i).len(), 1);
    }
    // Two ops with blocks on one callsite.
    let (times, other) = placed(&world, 1);
    world.register_at(times, &[1, 2]).expect("they share");
    world.register_at(plain, &[2, 3]).expect("they share");
    world.register_at(shy, &[2]).expect("they share");
    let names = |world: &mut World, i| -> Vec<*const Ops> {
        world
            .called_by(i)
            .into_iter()
            .map(core::ptr::from_ref)
            .collect()
    };
    assert_eq!(names(&mut world, 1), [&raw const *count, times]);
    assert_eq!(names(&mut world, 2), [&raw const *count, times, plain, shy]);
    assert_eq!(names(&mut world, 3), [&raw const *count, plain]);
    // Whoever stays alone gets its own block back.
    world.set_filter_at(count, &[0, 2, 3]).expect("fewer");
    assert_eq!(
        world.state(1),
        (other.literal(1).expect("a block"), world.bl(1))
    );
    assert_eq!(world.state(4), (NOP_OPS.target(), crate::insn::Insn::NOP));
    world.unregister(plain).expect("unregisters");
    assert_eq!(world.state(3), (block(3), world.bl(3)));
    world.unregister(times).expect("unregisters");
    world.unregister(shy).expect("unregisters");
    assert_eq!(world.state(2), (block(2), world.bl(2)));
    assert_eq!(count.callsites(), 3);
    world.unregister(count).expect("unregisters");
    for i in 0..5 {
        assert_eq!(world.state(i), (NOP_OPS.target(), crate::insn::Insn::NOP));
    }

    if let Some(retired) = world.engine.sets.retire() {
        world.engine.sets.free(retired);
    }
    assert_eq!(
        world.engine.sets.count(),
        0,
        "no literal is counted as a user of a set"
    );
}

#[test]
fn settling_takes_out_what_is_done_and_is_undone_as_a_whole() {
    let mut world = World::new(&[false, true, true, false, true], CTR_NEITHER);
    let (ops, instances) = placed(&world, 8);
    let plain = unguarded();
    let settle = |world: &mut World, done: &[usize]| {
        world.with_work(|engine, work| engine.keep(work, ops, |index| !done.contains(&index)))
    };
    assert_eq!(settle(&mut world, &[]), Err(Error::NotRegistered));
    world.register_at(ops, &[0, 1, 2, 3]).expect("registers");
    world.register_at(plain, &[1, 4]).expect("they share");
    let before: Vec<_> = (0..5).map(|i| world.state(i)).collect();
    // The second of the two words that change cannot be written.
    let mut words = 0;
    world.text.refuse(move |_, _, write| {
        let is_word = matches!(write, Write::Word);
        words += u32::from(is_word);
        is_word && words == 2
    });
    let refused = settle(&mut world, &[0, 1, 3]);
    assert!(matches!(refused, Err(Error::Patch(_))), "{refused:?}");
    world.text.heal();
    let after: Vec<_> = (0..5).map(|i| world.state(i)).collect();
    assert_eq!((before, ops.callsites()), (after, 4));

    let applied = settle(&mut world, &[0, 1]).expect("settles");
    assert_eq!(
        (applied.matched, applied.disabled, applied.swapped),
        (2, 1, 1)
    );
    assert_eq!(world.state(0), (NOP_OPS.target(), crate::insn::Insn::NOP));
    assert_eq!(world.state(1), (plain.target(), world.bl(1)));
    for i in [2, 3] {
        assert_eq!(
            world.state(i),
            (instances.literal(i).expect("a block"), world.bl(i))
        );
    }
    assert_eq!(world.called_by(4).len(), 1);
    assert!(world.is_clean());
    // What is done already is not looked at again, and what is not this ops' is nobody's business here.
    let applied = settle(&mut world, &[0, 1, 4]).expect("settles");
    assert_eq!(
        (applied.matched, applied.disabled, applied.swapped),
        (2, 0, 0)
    );
    world.unregister(ops).expect("unregisters");
    assert_eq!(world.called_by(1).len(), 1);
}

/// The fake text refuses loads that are not aligned.
#[test]
fn records_that_are_rejected_are_not_looked_at() {
    let (text, mut records) = Fake::new(BASE, &[false; 4], CTR_NEITHER);
    records[1] += 4;
    records[2] = records[3];
    let mut world = World::of_text(text, records);
    assert_eq!(world.table.rejected(), 2);
    crate::engine::first_patch(&world.text, &world.table).expect("nothing is refused");
    let (ops, _) = placed(&world, 8);
    world.register_at(ops, &[0, 3]).expect("registers");
    let members = |world: &mut World, index| {
        world.with_work(|engine, work| {
            let record = work.table.record(index).expect("a record");
            engine.members(work, record).map(Iterator::count)
        })
    };
    assert_eq!(
        [0, 1].map(|index| members(&mut world, index)),
        [Some(1), None]
    );
    let applied = world.with_work(|engine, work| engine.keep(work, ops, |index| index == 0));
    assert_eq!(applied.expect("settles").disabled, 1);
    let legal = world.with_work(|engine, work| engine.audit(work, |_| {}));
    assert_eq!(legal.illegal, 0);
    world.unregister(ops).expect("unregisters");
}

#[test]
fn entries_are_set_anew_and_nothing_else() {
    let world = World::new(&[false; 9], CTR_NEITHER);
    for per_line in [8, 4, 1] {
        let (_, instances) = placed(&world, per_line);
        let word = |record, word| instances.word(record, 0, word).expect("a word");
        for record in 0..9 {
            word(record, 0).store(7, Ordering::Relaxed);
            if per_line < 8 {
                word(record, word::HITS).store(5, Ordering::Relaxed);
            }
        }
        instances.set_entries(entry::NOP);
        for record in 0..9 {
            let now = word(record, 0).load(Ordering::Relaxed);
            assert_eq!(now, entry::NOP as usize as u64, "{record}");
            if per_line < 8 {
                assert_eq!(word(record, word::HITS).load(Ordering::Relaxed), 5);
            }
        }
    }
}
