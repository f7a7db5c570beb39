//! Init: from the compiled to the disabled state, and back when a write fails.
#![forbid(unsafe_code)]

use super::fake::Event::{Cold, Literal, SyncCores};
use super::fake::{ALL_CTRS, BODY, CTR_NEITHER, Failing, Fake};
use super::rules::every_word_is_published;
use super::world::{BASE, World};
use crate::engine::first_patch;
use crate::error::{PatchError, Why};
use crate::insn::Insn;
use crate::ops::NOP_OPS;
use crate::table::Reason;
use std::vec::Vec;

const FUNCTIONS: [bool; 4] = [true, false, true, false];

/// The third function is not as compiled: it is left alone.
fn compiled(ctr: u64) -> World {
    let (text, records) = Fake::new(BASE, &FUNCTIONS, ctr);
    text.poke(records[2] as usize, BODY);
    World::of_text(text, records)
}

#[test]
fn log_of_init() {
    for ctr in ALL_CTRS {
        let world = compiled(ctr);
        let untouched = world.layout(2);
        let words = || [0, 4, 8, 12, 16].map(|by| world.text.peek(untouched.literal() + by));
        let before = words();
        first_patch(&world.text, &world.table).expect("nothing is refused");
        let patched: Vec<_> = [0, 1, 3].map(|i| world.layout(i)).into();
        let mut expected = Vec::new();
        for at in &patched {
            expected.push(Literal(at.literal(), NOP_OPS.target()));
            expected.push(Cold(at.mov(), Insn::MOV_X9_X30));
        }
        expected.push(SyncCores);
        assert_eq!(world.take_log(), expected, "CTR {ctr:#x}");
        assert_eq!(words(), before, "what is left alone is written");
    }
}

#[test]
fn a_fault_at_each_write_gives_back_the_compiled_text() {
    let failings = [Failing::Loud, Failing::Silent];
    for (ctr, failing) in ALL_CTRS
        .into_iter()
        .flat_map(|ctr| failings.map(|f| (ctr, f)))
    {
        let world = compiled(ctr);
        world.text.fail(failing);
        let before = world.text.memory();
        let writes: Vec<usize> = [0, 1, 3]
            .map(|i| [world.layout(i).literal(), world.layout(i).mov()])
            .concat();
        for (n, &at) in writes.iter().enumerate() {
            world.text.refuse(move |_, i, _| i == n);
            let failed = first_patch(&world.text, &world.table);
            let (why, undone, stuck) = (Why::Fault, n / 2, 0);
            assert_eq!(
                failed,
                Err(PatchError {
                    at,
                    why,
                    undone,
                    stuck,
                    foreign: 0,
                }),
                "{failing:?} write {n}"
            );
            assert_eq!(world.text.memory(), before, "{failing:?} write {n}");
            every_word_is_published(&world.take_log(), world.text.needs());
        }
        world.text.heal();
        first_patch(&world.text, &world.table).expect("nothing is refused any more");
    }
}

#[test]
fn what_cannot_be_given_back_is_counted() {
    for (n, failing) in (0..6).flat_map(|n| [Failing::Loud, Failing::Silent].map(|f| (n, f))) {
        let world = compiled(CTR_NEITHER);
        world.text.fail(failing);
        world.text.refuse(move |_, i, _| i >= n);
        let error = first_patch(&world.text, &world.table).expect_err("writes fail");
        // Every callsite that one of the first n writes touched: two writes each.
        assert_eq!(
            (error.undone, error.stuck),
            (0, n.div_ceil(2)),
            "from write {n}"
        );
        let changed = [0, 1, 3].map(|i| !world.text.is_compiled(world.layout(i)));
        assert_eq!(
            changed.iter().filter(|changed| **changed).count(),
            error.stuck
        );
        let stuck = [0, 1, 3].map(|i| world.record(i).reason() == Some(Reason::Quarantined));
        assert_eq!(stuck, changed, "from write {n}: what is stuck is listed");
    }
}
