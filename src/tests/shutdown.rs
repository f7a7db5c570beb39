//! Shutdown: every patch out again, and init after it.
#![forbid(unsafe_code)]

use super::fake::{ALL_CTRS, BODY, CTR_NEITHER, Event, Failing};
use super::rules::every_word_is_published;
use super::world::{World, direct_at, guarded, unguarded};
use crate::engine::Shutdown;
use crate::error::{Error, PatchError, Why};
use crate::filter::Filter;
use crate::ops::Ops;
use crate::table::Reason;
use std::vec::Vec;

const FUNCTIONS: [bool; 5] = [false, true, true, false, true];

/// Several ops, a set, a direct ops.
fn busy(ctr: u64) -> (World, [&'static Ops; 3]) {
    let mut world = World::new(&FUNCTIONS, ctr);
    let ops = [guarded(), unguarded(), direct_at(0x1000)];
    world.register_at(ops[0], &[0, 1, 2]).expect("registers");
    world.register_at(ops[1], &[1, 2, 3]).expect("registers");
    world.register_at(ops[2], &[4]).expect("registers");
    world.take_log();
    (world, ops)
}

fn shutdown(world: &mut World, compiled: bool) -> Result<Shutdown, Error> {
    world.with_work(|engine, work| engine.shutdown(work, compiled))
}

fn start_again(world: &mut World) -> Result<usize, PatchError> {
    world.with_work(|engine, work| {
        let left = engine.start_again(work.text, work.table)?;
        engine.active = true;
        Ok(left)
    })
}

#[test]
fn after_shutdown_the_text_is_as_init_made_it_or_as_compiled_and_init_works_again() {
    for (ctr, compiled) in ALL_CTRS.into_iter().flat_map(|c| [(c, false), (c, true)]) {
        let before = match compiled {
            true => World::compiled(&FUNCTIONS, ctr).text.memory(),
            false => World::new(&FUNCTIONS, ctr).text.memory(),
        };
        let (mut world, ops) = busy(ctr);
        for _ in 0..3 {
            let done = shutdown(&mut world, compiled).expect("nothing is refused");
            assert_eq!((done.callsites, done.left), (5, 0));
            assert_eq!(world.text.memory(), before, "compiled {compiled}");
            every_word_is_published(&world.take_log(), world.text.needs());
            assert!(!world.engine.active);
            assert!(
                ops.iter()
                    .all(|ops| !ops.is_registered() && ops.callsites() == 0)
            );
            world.sweep(|| true);
            assert_eq!(world.engine.sets.count(), 0);
            assert_eq!(start_again(&mut world), Ok(0));
            assert_eq!(
                world.text.memory(),
                World::new(&FUNCTIONS, ctr).text.memory()
            );
            let applied = world.register(ops[0], &Filter::ALL).expect("registers");
            assert_eq!(applied.enabled, 5);
            world.take_log();
        }
    }
}

/// One write after another fails once: the error says where, and the next attempt goes on to the end.
#[test]
fn a_fault_at_each_write_of_a_shutdown_leaves_whole_ops_and_the_next_goes_on() {
    for failing in [Failing::Loud, Failing::Silent] {
        faults_of_a_shutdown(failing);
    }
}

fn faults_of_a_shutdown(failing: Failing) {
    let compiled = World::compiled(&FUNCTIONS, CTR_NEITHER).text.memory();
    let mut writes = 0;
    for n in 0.. {
        let (mut world, ops) = busy(CTR_NEITHER);
        world.text.fail(failing);
        world.text.refuse(move |_, i, _| i == n);
        let failed = shutdown(&mut world, true);
        let Err(error) = failed else {
            break;
        };
        writes += 1;
        let Error::Patch(error) = error else {
            panic!("{error}");
        };
        assert_eq!((error.why, error.stuck), (Why::Fault, 0), "write {n}");
        let log = world.take_log();
        assert!(
            [Event::WordFault, Event::LiteralFault, Event::Lost]
                .iter()
                .any(|failed| log.contains(&failed(error.at))),
            "write {n}"
        );
        assert!(world.engine.active, "write {n}");
        let callsites = [3, 3, 1];
        for (ops, callsites) in ops.iter().zip(callsites) {
            let whole = if ops.is_registered() { callsites } else { 0 };
            assert_eq!(ops.callsites(), whole, "write {n}");
        }
        // Every callsite is legal, whatever was done.
        let mut illegal = Vec::new();
        world.with_work(|engine, work| engine.audit(work, |finding| illegal.push(finding)));
        assert_eq!(illegal, [], "write {n}");
        world.text.heal();
        let done = shutdown(&mut world, true).expect("nothing is refused any more");
        assert_eq!(done.left, 0);
        assert_eq!(world.text.memory(), compiled, "write {n}");
    }
    // Three times switching on or off has two writes a callsite but for swaps; the NOPs have two.
    assert!(writes >= 5 * 4, "{writes} writes");
}

/// What somebody else wrote is left, and counted; all else is as compiled. When it is gone, init takes the callsite again.
#[test]
fn shutdown_leaves_what_somebody_else_wrote() {
    let compiled = World::compiled(&FUNCTIONS, CTR_NEITHER);
    let (mut world, _) = busy(CTR_NEITHER);
    let at = world.layout(1).branch();
    world.text.poke(at, BODY);
    let done = shutdown(&mut world, true).expect("goes on without");
    let expected = Shutdown {
        ops: 3,
        callsites: 4,
        left: 1,
    };
    assert_eq!(done, expected);
    for i in [0, 2, 3, 4] {
        assert!(world.text.is_compiled(compiled.layout(i)), "callsite {i}");
    }
    assert_eq!(world.state(1), (crate::ops::NOP_OPS.target(), BODY));
    assert_eq!(start_again(&mut world), Ok(1));
    assert_eq!(world.record(1).reason(), Some(Reason::Foreign));
    shutdown(&mut world, false).expect("nothing to do");
    world.text.poke(at, crate::insn::Insn::NOP);
    assert_eq!(start_again(&mut world), Ok(0));
    assert_eq!(world.record(1).reason(), None);
}

/// Also where no tracer ever met it: each word that a callsite can have of somebody else.
#[test]
fn what_somebody_else_wrote_where_nobody_traces_is_left_by_shutdown_and_by_init() {
    let compiled = World::compiled(&FUNCTIONS, CTR_NEITHER);
    let layout = compiled.layout(1);
    for at in [layout.literal(), layout.mov(), layout.branch()] {
        let mut world = World::new(&FUNCTIONS, CTR_NEITHER);
        let write = |world: &World, insn| match at == layout.literal() {
            true => world.text.poke_literal(at, 0x1234),
            false => world.text.poke(at, insn),
        };
        write(&world, BODY);
        let words = |world: &World| {
            let words = (layout.literal()..layout.end()).step_by(4);
            words.map(|at| world.text.peek(at)).collect::<Vec<_>>()
        };
        let theirs = words(&world);
        let done = shutdown(&mut world, true).expect("goes on without");
        assert_eq!((done.callsites, done.left), (4, 1), "{at:#x}");
        assert_eq!(words(&world), theirs, "{at:#x}");
        assert_eq!(start_again(&mut world), Ok(1), "{at:#x}");
        assert_eq!(words(&world), theirs, "{at:#x}");
        assert_eq!(world.record(1).reason(), Some(Reason::Foreign));
    }
}

/// Somebody else's word, and on the way back a write that fails: it is told, not passed over.
#[test]
fn a_shutdown_that_leaves_a_callsite_stuck_says_so() {
    let mut world = World::new(&FUNCTIONS, CTR_NEITHER);
    let ops = guarded();
    world.register(ops, &Filter::ALL).expect("registers");
    let at = world.layout(3).branch();
    world.text.poke(at, BODY);
    // Three callsites are switched off by two writes each; none can be switched on again.
    world.text.refuse(|_, i, _| i >= 6);
    let Err(Error::Patch(error)) = shutdown(&mut world, true) else {
        panic!("three callsites are stuck");
    };
    assert_eq!((error.at, error.stuck, error.foreign), (at, 3, 1));
    assert!(world.engine.active);
    world.text.heal();
    let done = shutdown(&mut world, true).expect("goes on without");
    assert_eq!((done.ops, done.callsites, done.left), (1, 4, 1));
}

/// An init that failed is made again: whatever could not be undone included.
#[test]
fn init_works_after_an_init_that_failed() {
    for (n, for_good) in (0..10).flat_map(|n| [(n, false), (n, true)]) {
        let mut world = World::compiled(&FUNCTIONS, CTR_NEITHER);
        world.engine.active = false;
        let refuse = move |i| if for_good { i >= n } else { i == n };
        world.text.refuse(move |_, i, _| refuse(i));
        crate::engine::first_patch(&world.text, &world.table).expect_err("writes fail");
        world.text.heal();
        assert_eq!(start_again(&mut world), Ok(0), "write {n}");
        let disabled = World::new(&FUNCTIONS, CTR_NEITHER).text.memory();
        assert_eq!(world.text.memory(), disabled, "write {n}");
        world.register(guarded(), &Filter::ALL).expect("registers");
    }
}
