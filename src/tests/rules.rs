//! The rules that hold for every log, whatever the plan: what other cores may see between two stores, and which
//! maintenance follows.
#![forbid(unsafe_code)]

use super::fake::Event;
use super::world::World;
use crate::cache::CacheType;
use crate::callsite::Layout;
use crate::insn::{INSN_SIZE, Insn};
use crate::ops::{NOP_OPS, Ops};
use std::collections::BTreeMap;
use std::vec::Vec;

/// Replays a log on the memory as it was before, and looks at the callsite after each store, as another core could:
///
/// * only a literal or the patched word of a callsite is stored, never another word;
/// * the word is NOP or a BL, to the trampoline or to the straight ops that the literal names;
/// * the literal is `NOP_OPS`, a set or one of `live`;
/// * where the word is a BL, the callsite calls what it called before, or that with `changes` added or taken out; somebody, unless
///   the NOP that was to stand there is lost;
/// * literal and word of one callsite are never stored without a barrier between;
/// * a barrier stands before all, so that what the literals name is initialised for whoever reads them.
pub(super) fn literal_is_valid_at_every_step(
    world: &World,
    before: &[u32],
    log: &[Event],
    live: &[&'static Ops],
    changes: &'static Ops,
) {
    let layouts = world.layouts();
    let mut memory = before.to_vec();
    let called = |memory: &[u32], layout: Layout| {
        let may_be_nobody = log.contains(&Event::Lost(layout.branch()));
        call(world, memory, layout, live, may_be_nobody)
    };
    let first: Vec<_> = layouts.iter().map(|&l| called(before, l)).collect();
    // Of each callsite: what was stored since the last barrier.
    let mut unordered = BTreeMap::new();
    for event in log {
        let at = match *event {
            Event::Literal(at, value) => {
                memory[index(world, at)] = value as u32;
                memory[index(world, at) + 1] = (value >> 32) as u32;
                at
            }
            Event::Word(at, insn) => {
                memory[index(world, at)] = insn.0;
                at
            }
            Event::Dmb | Event::Dsb => {
                unordered.clear();
                continue;
            }
            _ => continue,
        };
        let i = layouts
            .iter()
            .position(|layout| match event {
                Event::Literal(..) => layout.literal() == at,
                _ => layout.branch() == at,
            })
            .unwrap_or_else(|| panic!("{event:x?} is not at a callsite's literal or word"));
        if let Some(other) = unordered.insert(i, at) {
            assert_eq!(
                other, at,
                "callsite {i}: a store to {other:#x} and one to {at:#x} have no barrier between"
            );
        }
        let now = called(&memory, layouts[i]);
        assert!(
            now.is_empty() || now == first[i] || differ_by(&now, &first[i], changes),
            "callsite {i} calls neither the old nor the new ops after {event:x?}"
        );
    }
    assert_eq!(
        memory,
        world.text.memory(),
        "stores that are not in the log"
    );
}

/// Whether one has the ops and the other has not, and else they are the same.
fn differ_by(a: &[*const Ops], b: &[*const Ops], by: *const Ops) -> bool {
    let others =
        |all: &[*const Ops]| -> Vec<_> { all.iter().copied().filter(|each| *each != by).collect() };
    others(a) == others(b) && a.contains(&by) != b.contains(&by)
}

/// Which ops a callsite with these words calls. Panics where the words are not executable.
fn call(
    world: &World,
    memory: &[u32],
    layout: Layout,
    live: &[&'static Ops],
    may_be_nobody: bool,
) -> Vec<*const Ops> {
    let word = Insn(memory[index(world, layout.branch())]);
    let at = index(world, layout.literal());
    let literal = u64::from(memory[at]) | u64::from(memory[at + 1]) << 32;
    let one = live.iter().find(|ops| ops.target() == literal);
    let members = match one {
        Some(ops) => std::vec![core::ptr::from_ref::<Ops>(ops)],
        None => world
            .members(literal)
            .unwrap_or_else(|| panic!("{layout:?}: the literal {literal:#x} is not live"))
            .into_iter()
            .map(core::ptr::from_ref)
            .collect(),
    };
    assert_eq!(
        Insn(memory[index(world, layout.mov())]),
        Insn::MOV_X9_X30,
        "{layout:?}"
    );
    if word == Insn::NOP {
        return Vec::new();
    }
    let to = match word.branch_target(layout.branch()) {
        Some(to) if word == Insn::bl(layout.branch(), to).expect("decoded") => to,
        _ => panic!("{layout:?}: {word} stands where NOP or BL must"),
    };
    if to != world.trampoline {
        let straight = one.unwrap_or_else(|| panic!("{layout:?}: BL to {to:#x}"));
        assert!(straight.head.straight, "{layout:?}: not a straight ops");
        assert_eq!(straight.head.entry as usize, to, "{layout:?}");
    }
    assert!(
        may_be_nobody || literal != NOP_OPS.target(),
        "{layout:?}: a BL without an ops"
    );
    members
}

fn index(world: &World, at: usize) -> usize {
    (at - world.text.range().start) / INSN_SIZE
}

/// How far the maintenance of a word has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Stored,
    Cleaned,
    CleanComplete,
    Invalidated,
    Complete,
    Fetched,
    Published,
}

/// After the last store of every word: DC CVAU (unless IDC), DSB, IC IVAU (unless DIC), DSB, ISB, every other core.
/// The other cores come last of all, and maintenance that the core does not need is left out.
pub(super) fn every_word_is_published(log: &[Event], needs: CacheType) {
    let mut stages: BTreeMap<usize, Stage> = BTreeMap::new();
    for &event in log {
        let step = |at: usize, stage: Stage| -> Stage {
            match (event, stage) {
                (Event::Clean(clean), Stage::Stored) if clean == at => Stage::Cleaned,
                (Event::Dsb, Stage::Cleaned) if needs.needs_invalidate => Stage::CleanComplete,
                (Event::Dsb, Stage::Cleaned | Stage::Invalidated) => Stage::Complete,
                (Event::Invalidate(line), Stage::CleanComplete) if line == at => Stage::Invalidated,
                (Event::Isb, Stage::Complete) => Stage::Fetched,
                (Event::SyncCores, Stage::Fetched) => Stage::Published,
                (_, stage) => stage,
            }
        };
        for (&at, stage) in &mut stages {
            *stage = step(at, *stage);
        }
        match event {
            Event::Word(at, _) if needs.needs_clean => {
                stages.insert(at, Stage::Stored);
            }
            Event::Word(at, _) => {
                stages.insert(at, Stage::Cleaned);
            }
            Event::Cold(at, _) => {
                stages.insert(at, Stage::Fetched);
            }
            Event::Clean(_) => assert!(needs.needs_clean, "{event:x?} is not needed: {log:x?}"),
            Event::Invalidate(_) => {
                assert!(needs.needs_invalidate, "{event:x?} is not needed: {log:x?}");
            }
            _ => {}
        }
    }
    for (at, stage) in &stages {
        assert_eq!(*stage, Stage::Published, "word {at:#x}: {log:x?}");
    }
    if !stages.is_empty() {
        assert_eq!(log.last(), Some(&Event::SyncCores), "{log:x?}");
    }
    let literals = log.iter().rposition(|e| matches!(e, Event::Literal(..)));
    let complete = log
        .iter()
        .rposition(|e| matches!(e, Event::Dsb | Event::Cold(..)));
    assert!(
        literals <= complete,
        "a literal is not complete when the call returns: {log:x?}"
    );
}
