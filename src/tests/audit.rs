//! The audit: what the engine makes is legal, and nothing else is.
#![forbid(unsafe_code)]

use super::fake::{BODY, CTR_NEITHER};
use super::world::{TRAMPOLINE, World, builtin_at, direct_at, guarded, straight_at, unguarded};
use crate::engine::{Audit, Finding};
use crate::error::Why;
use crate::filter::Filter;
use crate::insn::Insn;
use crate::ops::NOP_OPS;
use std::vec;
use std::vec::Vec;

const FUNCTIONS: [bool; 6] = [false, true, true, false, true, false];

fn audit(world: &mut World) -> (Audit, Vec<Finding>) {
    let mut found = vec![];
    world.take_log();
    let audit = world.with_work(|engine, work| engine.audit(work, |finding| found.push(finding)));
    assert_eq!(world.take_log(), [], "an audit writes nothing");
    (audit, found)
}

/// Disabled, one ops, a set, direct, straight in reach and not, built in.
fn all_kinds() -> World {
    let mut world = World::new(&FUNCTIONS, CTR_NEITHER);
    world.register_at(guarded(), &[0, 1]).expect("registers");
    world.register_at(unguarded(), &[1]).expect("registers");
    world
        .register_at(direct_at(0x1000), &[2])
        .expect("registers");
    world
        .register_at(straight_at(TRAMPOLINE - 0x40), &[3])
        .expect("registers");
    world
        .register_at(straight_at(0x1000), &[4])
        .expect("registers");
    world
}

#[test]
fn whatever_the_engine_makes_is_legal() {
    let mut world = all_kinds();
    let legal = Audit {
        callsites: 6,
        enabled: 5,
        illegal: 0,
        quarantined: 0,
    };
    assert_eq!(audit(&mut world), (legal, vec![]));
    world
        .register_at(builtin_at(0x1000), &[5])
        .expect("registers");
    let legal = Audit {
        enabled: 6,
        ..legal
    };
    assert_eq!(audit(&mut world), (legal, vec![]));
}

/// What is remembered of one callsite is not taken for the next: a straight ops' neighbours have the trampoline's BL.
#[test]
fn neighbours_are_judged_each_by_its_own_literal() {
    let mut world = World::new(&FUNCTIONS, CTR_NEITHER);
    let straight = straight_at(TRAMPOLINE - 0x40);
    world.register_at(straight, &[0, 2, 4]).expect("registers");
    world.register_at(guarded(), &[1, 5]).expect("registers");
    let (counts, findings) = audit(&mut world);
    assert_eq!((counts.enabled, findings), (5, vec![]));
}

/// Each word of each kind of callsite, changed to whatever stands elsewhere in a text.
#[test]
fn every_word_that_the_engine_did_not_make_is_found() {
    for i in 0..FUNCTIONS.len() {
        let layout = all_kinds().layout(i);
        let words = (layout.literal()..layout.end()).step_by(4);
        let pad = layout.bti().then_some(layout.entry());
        for at in words {
            let others = [
                BODY,
                Insn::NOP,
                Insn::MOV_X9_X30,
                Insn(0),
                Insn::bl(at, TRAMPOLINE).expect("in reach"),
                Insn::bl(at, TRAMPOLINE - 0x40).expect("in reach"),
                Insn::bl(at, TRAMPOLINE + 4).expect("in reach"),
                Insn::b(at, TRAMPOLINE).expect("in reach"),
            ];
            for other in others {
                let mut world = all_kinds();
                let expected = world.text.peek(at);
                if other == expected {
                    continue;
                }
                world.text.poke(at, other);
                let found = world.text.peek_literal(layout.literal());
                let literal = at < layout.entry();
                let (at, why) = match literal {
                    true => (layout.literal(), Why::Literal { found }),
                    false if Some(at) == pad => {
                        let (expected, found) = (Insn::BTI_C, other);
                        (at, Why::Insn { expected, found })
                    }
                    false => (
                        at,
                        Why::Insn {
                            expected,
                            found: other,
                        },
                    ),
                };
                let (counts, findings) = audit(&mut world);
                let finding = Finding {
                    index: i,
                    at,
                    why,
                    quarantined: false,
                };
                assert_eq!(findings, [finding]);
                assert_eq!((counts.callsites, counts.illegal), (6, 1));
            }
        }
    }
}

/// A literal that is live, but not what the word says: a BL without an ops, a NOP with one, another ops' BL.
#[test]
fn words_must_match_their_literal() {
    for (i, literal) in [
        (0, NOP_OPS.target()),
        (3, all_kinds().state(0).0),
        (5, 0x1234),
    ] {
        let mut world = all_kinds();
        let ops = world.state(0).0;
        let literal = if i == 3 { ops } else { literal };
        let at = world.layout(i).literal();
        world.text.poke_literal(at, literal);
        assert_eq!(audit(&mut world).0.illegal, 1, "callsite {i}");
    }
    let mut world = all_kinds();
    let ops = world.state(0).0;
    world.text.poke_literal(world.layout(5).literal(), ops);
    assert_eq!(audit(&mut world).0.illegal, 1, "a NOP with an ops");
}

/// What a plan passes over, because it does not change there, the audit still finds; and what is quarantined, too.
#[test]
fn what_plans_pass_over_and_what_is_quarantined_is_found() {
    let mut world = World::new(&FUNCTIONS, CTR_NEITHER);
    let ops = guarded();
    world.register(ops, &Filter::ALL).expect("registers");
    let at = world.layout(2).literal();
    world.text.poke_literal(at, 0x1234);
    world
        .set_filter_at(ops, &[0, 2])
        .expect_err("it would change");
    let finding = Finding {
        index: 2,
        at,
        why: Why::Literal { found: 0x1234 },
        quarantined: true,
    };
    let (counts, found) = audit(&mut world);
    assert_eq!((counts.quarantined, found), (1, vec![finding]));
    world.set_filter_at(ops, &[0]).expect("passes over it");
    assert_eq!(audit(&mut world).1, [finding]);
}
