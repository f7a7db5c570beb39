//! Callsites that somebody else wrote to: each plan that meets one is refused once, and goes on without it from then on.
#![forbid(unsafe_code)]

use super::fake::{BODY, CTR_NEITHER};
use super::world::{TRAMPOLINE, World, guarded, straight_at, unguarded};
use crate::error::{Error, PatchError, Why};
use crate::filter::Filter;
use crate::insn::Insn;
use crate::ops::NOP_OPS;
use crate::table::{Reason, TOUCHED};

const FUNCTIONS: [bool; 5] = [false, true, true, false, true];

/// Two at once: one refusal finds both, and says the first.
#[test]
fn the_same_filter_goes_on_without_what_somebody_else_wrote_to() {
    let filters = [
        Filter::ALL,
        Filter::new(&["#1", "#2", "#3"]),
        Filter::new(&["!#0", "!#4"]),
    ];
    for filter in filters {
        let mut world = World::new(&FUNCTIONS, CTR_NEITHER);
        let (first, second) = (world.layout(1), world.layout(3));
        world.text.poke(first.branch(), BODY);
        world.text.poke_literal(second.literal(), 7);
        let ops = guarded();
        let why = Why::Insn {
            expected: Insn::NOP,
            found: BODY,
        };
        let refused = Error::Patch(PatchError::refused(first.branch(), why, 2));
        assert_eq!(world.register(ops, &filter), Err(refused));
        assert_eq!((ops.is_registered(), world.is_clean()), (false, true));
        let before = [world.state(1), world.state(3)];
        let applied = world.register(ops, &filter).expect("goes on without");
        let all = if filter.is_all() { 5 } else { 3 };
        assert_eq!((applied.matched, applied.quarantined), (all - 2, 2));
        assert_eq!((applied.enabled, ops.callsites()), (all - 2, all - 2));
        assert_eq!([world.state(1), world.state(3)], before);
        for i in [1, 3] {
            assert_eq!(world.record(i).reason(), Some(Reason::Foreign));
            assert!(!world.record(i).has(TOUCHED));
        }
        // Not told again to those who do not ask for it.
        let other = guarded();
        let applied = world.register_at(other, &[2]).expect("registers");
        assert_eq!((applied.matched, applied.quarantined), (1, 0));
        assert!(world.is_clean());
    }
}

/// A refusal that no quarantine heals is told, not the one before it that is healed.
#[test]
fn what_stays_refused_is_told_first() {
    let mut world = World::new(&FUNCTIONS, CTR_NEITHER);
    world
        .register_at(straight_at(TRAMPOLINE), &[3])
        .expect("registers");
    world.text.poke(world.layout(1).branch(), BODY);
    let at = world.layout(3).literal();
    for foreign in [1, 0] {
        let refused = Error::Patch(PatchError::refused(at, Why::Direct, foreign));
        assert_eq!(world.register(guarded(), &Filter::ALL), Err(refused));
    }
}

/// The ops of a callsite whose word is somebody else's can end: the literal lets go of it.
#[test]
fn an_ops_of_a_quarantined_callsite_can_be_taken_away() {
    for shared in [false, true] {
        let mut world = World::new(&FUNCTIONS, CTR_NEITHER);
        let (ops, other) = (unguarded(), unguarded());
        world.register(ops, &Filter::ALL).expect("registers");
        if shared {
            world.register_at(other, &[2]).expect("registers");
        }
        let at = world.layout(2).branch();
        world.text.poke(at, BODY);
        let refused = world.unregister(ops).map_err(|error| match error {
            Error::Patch(error) => (error.at, error.foreign),
            other => panic!("{other}"),
        });
        assert_eq!(refused, Err((at, 1)));
        assert_eq!((ops.is_registered(), ops.callsites()), (true, 5));
        world.unregister(ops).expect("goes on without");
        let left = if shared {
            other.target()
        } else {
            NOP_OPS.target()
        };
        assert_eq!(world.state(2), (left, BODY));
        assert_eq!((ops.is_registered(), ops.callsites()), (false, 0));
        if shared {
            world.unregister(other).expect("the literal lets go");
            assert_eq!(world.state(2), (NOP_OPS.target(), BODY));
        }
        world.sweep(|| true);
        assert_eq!(world.engine.sets.count(), 0, "no set is used any more");
    }
}

/// A straight ops stays while a stuck callsite's BL leads to it: the literal is not asked there.
#[test]
fn a_straight_ops_stays_where_its_word_cannot_be_written() {
    let mut world = World::new(&FUNCTIONS, CTR_NEITHER);
    let ops = straight_at(TRAMPOLINE);
    // The second callsite's BL fails, and the first one's cannot be taken back.
    world.text.refuse(|_, i, _| i >= 3);
    world.register_at(ops, &[0, 1]).expect_err("writes fail");
    world.text.heal();
    assert_eq!(ops.callsites(), 2);
    let refused = world.unregister(ops);
    assert_eq!(refused, Err(Error::Quarantined { callsites: 1 }));
    assert_eq!(world.state(0).0, ops.target());
    assert_eq!(world.state(1).0, NOP_OPS.target());
}
