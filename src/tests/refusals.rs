//! What is refused before anything is written: unexpected words and literals, targets out of reach, bad filters.
#![forbid(unsafe_code)]

use super::fake::{BODY, CTR_NEITHER, Event};
use super::rules::every_word_is_published;
use super::world::{
    BASE, TRAMPOLINE, World, direct_at, guarded, guarded_at, straight_at, unguarded,
};
use crate::error::{Error, PatchError, Why};
use crate::filter::Filter;
use crate::insn::{BRANCH_RANGE, Insn};
use crate::names::NamesError;
use crate::ops::{NOP_OPS, Ops};
use crate::table::Reason;
use std::vec;
use std::vec::Vec;

const FUNCTIONS: [bool; 4] = [false, true, true, false];

fn foreign(at: usize, why: Why) -> Error {
    Error::Patch(PatchError::refused(at, why, 1))
}

fn patch(at: usize, why: Why) -> Error {
    Error::Patch(PatchError {
        at,
        why,
        undone: 0,
        stuck: 0,
        foreign: 0,
    })
}

/// Runs a call that is refused: nothing is written, no flag and no count is left behind.
fn refused(
    world: &mut World,
    ops: &'static Ops,
    call: impl FnOnce(&mut World) -> Result<crate::Applied, Error>,
) -> Error {
    let before = (world.text.memory(), ops.is_registered(), ops.callsites());
    let error = call(world).expect_err("refused");
    let after = (world.text.memory(), ops.is_registered(), ops.callsites());
    assert_eq!(after, before);
    assert_eq!(world.take_log(), [], "{error:?}");
    assert!(world.is_clean(), "{error:?} left flags behind");
    error
}

/// Whatever makes the plan meet it: switching on, another set, a new filter.
#[test]
fn an_unexpected_word_is_refused_before_any_write() {
    let why = |expected| Why::Insn {
        expected,
        found: BODY,
    };
    for plan in 0..4 {
        let mut world = World::new(&FUNCTIONS, CTR_NEITHER);
        let (ops, other) = (guarded(), guarded());
        let (at, bl) = (world.layout(2).branch(), world.bl(2));
        if plan > 0 {
            world.register(ops, &Filter::ALL).expect("registers");
        }
        world.take_log();
        world.text.poke(at, BODY);
        let expected = if plan == 0 { Insn::NOP } else { bl };
        let error = match plan {
            0 => refused(&mut world, ops, |world| world.register(ops, &Filter::ALL)),
            1 => refused(&mut world, other, |world| {
                world.register(other, &Filter::ALL)
            }),
            2 => refused(&mut world, ops, |world| world.set_filter_at(ops, &[0, 1])),
            _ => {
                // The other way round: some are to be switched on, this one off.
                world.set_filter_at(ops, &[2]).expect("it stays as it is");
                world.take_log();
                refused(&mut world, ops, |world| world.set_filter_at(ops, &[0, 1]))
            }
        };
        assert_eq!(error, foreign(at, why(expected)), "plan {plan}");
        assert_eq!(world.record(2).reason(), Some(Reason::Foreign));
    }
}

/// Switching off all that is on compares each word just before it is written: what was done is undone. A BL that goes
/// elsewhere is as unexpected as any other word.
#[test]
fn an_unexpected_word_stops_switching_off_and_all_are_on_again() {
    for found in [
        BODY,
        Insn::NOP,
        Insn::bl(BASE, TRAMPOLINE + 4).expect("in reach"),
    ] {
        let mut world = World::new(&FUNCTIONS, CTR_NEITHER);
        let (ops, at) = (guarded(), world.layout(2).branch());
        world.register(ops, &Filter::ALL).expect("registers");
        let expected = world.bl(2);
        world.text.poke(at, found);
        let before = world.text.memory();
        world.take_log();
        let error = world.unregister(ops).expect_err("refused");
        let why = Why::Insn { expected, found };
        let (undone, stuck, foreign) = (2, 0, 1);
        assert_eq!(
            error,
            Error::Patch(PatchError {
                at,
                why,
                undone,
                stuck,
                foreign
            })
        );
        assert_eq!(world.text.memory(), before);
        every_word_is_published(&world.take_log(), world.text.needs());
        assert!(ops.is_registered() && world.is_clean());
        assert_eq!(ops.callsites(), 4);
        world.unregister(ops).expect("goes on without");
        assert_eq!(world.text.peek(at), found, "the word is somebody else's");
    }
}

/// As above, where the literal changes while the function before is written: it stays what somebody else made it.
#[test]
fn a_literal_that_changes_while_all_are_switched_off_stays_and_all_are_on_again() {
    let mut world = World::new(&FUNCTIONS, CTR_NEITHER);
    let (ops, layout, found) = (guarded(), world.layout(2), 0x1234);
    world.register(ops, &Filter::ALL).expect("registers");
    let mut before = world.text.memory();
    world.text.refuse(move |text, n, _| {
        if n == 3 {
            text.poke_literal(layout.literal(), found);
        }
        false
    });
    let error = world.unregister(ops).expect_err("refused");
    let expected = PatchError {
        at: layout.literal(),
        why: Why::Literal { found },
        undone: 2,
        stuck: 0,
        foreign: 1,
    };
    assert_eq!(error, Error::Patch(expected));
    let at = (layout.literal() - BASE) / 4;
    before[at..at + 2].copy_from_slice(&[found as u32, 0]);
    assert_eq!(world.text.memory(), before);
    assert_eq!(world.record(2).reason(), Some(Reason::Foreign));
    assert!(ops.is_registered() && world.is_clean());
    world.text.heal();
    world.unregister(ops).expect("goes on without");
    assert_eq!(world.state(2), (found, world.bl(2)));
}

#[test]
fn an_unexpected_literal_is_refused_before_any_write() {
    for found in [0, 0xdead_beef_dead_beef, guarded().target()] {
        let mut world = World::new(&FUNCTIONS, CTR_NEITHER);
        let at = world.layout(2).literal();
        let ops = guarded();
        world.text.poke_literal(at, found);
        let error = refused(&mut world, ops, |world| world.register(ops, &Filter::ALL));
        assert_eq!(error, foreign(at, Why::Literal { found }));
        let applied = world.register(ops, &Filter::ALL).expect("goes on without");
        assert_eq!((applied.matched, applied.quarantined), (3, 1));
        world.unregister(ops).expect("unregisters");
        assert_eq!(world.text.peek_literal(at), found);
    }
}

/// A word or literal that changes between the check and the write: refused then, and what was done is undone.
#[test]
fn a_change_during_the_plan_is_refused_and_the_plan_undone() {
    let ops = guarded();
    let layout = World::new(&FUNCTIONS, CTR_NEITHER).layout(2);
    for word in [true, false] {
        let mut world = World::new(&FUNCTIONS, CTR_NEITHER);
        let before = world.text.memory();
        // Somebody else patches the third function while the second one is being written.
        world.text.refuse(move |text, n, _| {
            match word {
                _ if n != 3 => {}
                true => text.poke(layout.branch(), BODY),
                false => text.poke_literal(layout.literal(), 0x1234),
            }
            false
        });
        let error = world.register(ops, &Filter::ALL).expect_err("refused");
        let (at, why) = match word {
            true => (
                layout.branch(),
                Why::Insn {
                    expected: Insn::NOP,
                    found: BODY,
                },
            ),
            false => (layout.literal(), Why::Literal { found: 0x1234 }),
        };
        assert_eq!(
            error,
            Error::Patch(PatchError {
                at,
                why,
                undone: 2,
                stuck: 0,
                foreign: 1,
            })
        );
        world.text.heal();
        match word {
            true => world.text.poke(layout.branch(), Insn::NOP),
            false => world.text.poke_literal(layout.literal(), NOP_OPS.target()),
        }
        assert_eq!(world.text.memory(), before);
        assert_eq!((ops.is_registered(), ops.callsites()), (false, 0));
        assert!(world.is_clean());
        let applied = world.register(ops, &Filter::ALL).expect("goes on without");
        assert_eq!((applied.matched, applied.quarantined), (3, 1));
        world.unregister(ops).expect("unregisters");
    }
}

#[test]
fn a_trampoline_out_of_reach_is_refused() {
    let mut world = World::new(&FUNCTIONS, CTR_NEITHER);
    let ops = guarded();
    let at = world.layout(0).branch();
    for to in [at + BRANCH_RANGE as usize, at - BRANCH_RANGE as usize - 4] {
        world.trampoline = to;
        let error = refused(&mut world, ops, |world| world.register(ops, &Filter::ALL));
        assert_eq!(error, patch(at, Why::Range { to }));
    }
    // From the very edge it works.
    world.trampoline = at + BRANCH_RANGE as usize - 4;
    world.register(ops, &Filter::ALL).expect("in reach");
}

#[test]
fn direct_ops_share_with_nobody() {
    let direct = direct_at(TRAMPOLINE + 0x80);
    for (first, second) in [
        (direct, guarded()),
        (unguarded(), direct),
        (direct, straight_at(TRAMPOLINE + 0x90)),
    ] {
        let mut world = World::new(&FUNCTIONS, CTR_NEITHER);
        world.register_at(first, &[1, 2]).expect("registers");
        world.take_log();
        let at = world.layout(2).literal();
        let error = refused(&mut world, second, |world| {
            world.register_at(second, &[0, 2, 3])
        });
        assert_eq!(error, patch(at, Why::Direct));
        world
            .register_at(second, &[0, 3])
            .expect("has them for itself");
        world.unregister(first).expect("unregisters");
        world.unregister(second).expect("unregisters");
    }
}

#[test]
fn a_tracer_is_never_attached_to_itself() {
    let mut world = World::new(&FUNCTIONS, CTR_NEITHER);
    let ops = guarded_at(world.layout(1).entry());
    let applied = world.register(ops, &Filter::ALL).expect("registers");
    assert_eq!(
        (applied.matched, applied.enabled, applied.own_tracer),
        (3, 3, true)
    );
    assert_eq!(world.state(1), (NOP_OPS.target(), Insn::NOP));
    let applied = world.set_filter_at(ops, &[1]).expect("registers");
    assert_eq!(
        (applied.matched, applied.disabled, applied.own_tracer),
        (0, 3, true)
    );
    // Others may trace it.
    world.register_at(guarded(), &[1]).expect("registers");
    // Not even where its callsite is damaged does it leave anything behind.
    let at = world.layout(1).literal();
    world.text.poke_literal(at, 0x1234);
    world
        .set_filter_at(ops, &[1, 2])
        .expect("the damaged one does not change");
    assert!(world.is_clean());
}

#[test]
fn bad_filters_change_nothing() {
    let mut world = World::new(&FUNCTIONS, CTR_NEITHER);
    let ops = guarded();
    let outside = world.text.range().end + 64;
    let inside = world.layout(1).entry();
    let many: Vec<&str> = vec!["#0"; 33];
    let outside_text = std::format!("{outside:#x}");
    let one = [outside];
    let two = [inside, BASE - 1];
    let text = ["#0", &outside_text];
    let cases: [(Filter<'_>, Error); 9] = [
        (Filter::at(&one), Error::NoCallsiteAt(outside)),
        (Filter::at(&two), Error::NoCallsiteAt(BASE - 1)),
        (Filter::new(&text), Error::NoCallsiteAt(outside)),
        (
            Filter::new(&["#1", "#4"]),
            Error::NoSuchIndex { index: 4, count: 4 },
        ),
        (Filter::new(&["#0", "#x"]), Error::Number { pattern: 1 }),
        (Filter::new(&["0xhello"]), Error::Number { pattern: 0 }),
        (Filter::new(&many), Error::TooManyPatterns { count: 33 }),
        (
            Filter::new(&["#0", "a::*"]),
            Error::Names(NamesError::NoSection),
        ),
        (
            Filter::new(&["#0"]).notrace(&["a"]),
            Error::Names(NamesError::NoSection),
        ),
    ];
    for (filter, expected) in cases {
        let error = refused(&mut world, ops, |world| world.register(ops, &filter));
        assert_eq!(error, expected);
    }
    world.register_at(ops, &[0]).expect("registers");
    world.take_log();
    let error = refused(&mut world, ops, |world| {
        world.set_filter(ops, &Filter::at(&[outside]))
    });
    assert_eq!(error, Error::NoCallsiteAt(outside));
}

/// A pattern that only reaches what is left alone matches nothing.
#[test]
fn a_pattern_without_a_match_changes_nothing() {
    let world = World::compiled(&FUNCTIONS, CTR_NEITHER);
    world.text.poke(world.layout(1).entry(), BODY);
    let records = world
        .layouts()
        .iter()
        .map(|at| at.literal() as u64)
        .collect();
    let mut world = World::of_text(world.text, records);
    crate::engine::first_patch(&world.text, &world.table).expect("nothing is refused");
    assert!(world.take_log().contains(&Event::SyncCores));
    let ops = guarded();
    let filter = Filter::new(&["#0", "#1"]);
    let error = refused(&mut world, ops, |world| world.register(ops, &filter));
    assert_eq!(error, Error::NoMatch { pattern: 1 });
    // To take away what is not there is no mistake.
    let applied = world
        .register(ops, &Filter::new(&["!#1"]))
        .expect("registers");
    assert_eq!((applied.matched, ops.callsites()), (3, 3));
}
