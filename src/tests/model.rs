//! Random callsites, ops, filters and sequences of changes against a naive model: a set of ops for each callsite.
#![forbid(unsafe_code)]

use super::fake::ALL_CTRS;
use super::rules::{every_word_is_published, literal_is_valid_at_every_step};
use super::world::{
    BASE, World, builtin_at, direct_at, guarded, guarded_at, straight_at, unguarded,
};
use crate::callsite::Layout;
use crate::engine::Applied;
use crate::error::{Error, PatchError, Why};
use crate::filter::Filter;
use crate::insn::{BRANCH_RANGE, Insn};
use crate::ops::{Kind, NOP_OPS, Ops};
use crate::table::TOUCHED;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::vec::Vec;

/// A straight ops in reach of a BL, and one that the trampoline must serve.
const NEAR: usize = BASE - 0x4000;
const FAR: usize = BASE + 2 * BRANCH_RANGE as usize;

#[derive(Clone, Debug)]
enum Step {
    /// Ops, filter.
    Register(usize, Take),
    SetFilter(usize, Take),
    Unregister(usize),
    /// Whether the grace period has passed.
    Sweep(bool),
}

#[derive(Clone, Debug)]
enum Take {
    All,
    /// Functions (modulo how many there are), each by an address so far into its callsite.
    At(Vec<(usize, usize)>),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let take = prop_oneof![
        1 => Just(Take::All),
        4 => prop::collection::vec((0..64usize, 0..16usize), 1..5).prop_map(Take::At),
    ];
    let step = prop_oneof![
        4 => (0..OPS, take.clone()).prop_map(|(ops, take)| Step::Register(ops, take)),
        4 => (0..OPS, take).prop_map(|(ops, take)| Step::SetFilter(ops, take)),
        2 => (0..OPS).prop_map(Step::Unregister),
        1 => any::<bool>().prop_map(Step::Sweep),
    ];
    prop::collection::vec(step, 1..24)
}

const OPS: usize = 10;

/// One of each kind, two of those that share.
fn all_ops(own: usize) -> [&'static Ops; OPS] {
    [
        guarded(),
        unguarded(),
        guarded(),
        unguarded(),
        guarded_at(own),
        direct_at(NEAR),
        straight_at(NEAR),
        straight_at(FAR),
        builtin_at(NEAR),
        builtin_at(FAR),
    ]
}

/// What should be.
struct Model {
    ops: [&'static Ops; OPS],
    own: usize,
    /// The ops that each function calls.
    calls: Vec<BTreeSet<usize>>,
    /// When each was registered.
    order: BTreeMap<usize, usize>,
    now: usize,
    touched: BTreeSet<usize>,
}

/// Of a change: the filter's functions, and what `Applied` counts.
type Counts = (usize, usize, usize, usize, bool);

impl Model {
    /// Makes `ops` be called by `wanted` and by nobody else, or says at which function that fails.
    fn change(&mut self, ops: usize, wanted: &BTreeSet<usize>) -> Result<Counts, usize> {
        let is_direct = |i: &usize| self.ops[*i].head.kind == Kind::Direct;
        let mut calls = self.calls.clone();
        let (mut on, mut off, mut swapped, mut own) = (0, 0, 0, false);
        let mut matched = 0;
        let mut touched = self.touched.clone();
        for (i, called) in calls.iter_mut().enumerate() {
            let before = called.clone();
            let takes = wanted.contains(&i);
            let is_own = ops == OWN && i == self.own;
            own |= takes && is_own;
            if takes && !is_own {
                matched += 1;
                called.insert(ops);
            } else {
                called.remove(&ops);
            }
            if *called == before {
                continue;
            }
            touched.insert(i);
            match (before.len(), called.len()) {
                (0, _) => on += 1,
                (_, 0) => off += 1,
                _ if before.iter().chain(called.iter()).any(is_direct) => return Err(i),
                _ => swapped += 1,
            }
        }
        self.calls = calls;
        self.touched = touched;
        Ok((matched, on, off, swapped, own))
    }

    fn wanted(&self, take: &Take) -> BTreeSet<usize> {
        let count = self.calls.len();
        match take {
            Take::All => (0..count).collect(),
            Take::At(functions) => functions.iter().map(|(i, _)| i % count).collect(),
        }
    }

    /// The ops of a function in calling order: those that guard themselves, then by registration.
    fn in_order(&self, i: usize) -> Vec<usize> {
        let mut ops: Vec<usize> = self.calls[i].iter().copied().collect();
        ops.sort_by_key(|ops| (self.ops[*ops].head.kind == Kind::Guarded, self.order[ops]));
        ops
    }
}

/// The ops in `all_ops` whose tracer is one of the functions.
const OWN: usize = 4;

/// Does a step on both, and compares what they say.
fn do_step(world: &mut World, model: &mut Model, step: &Step) {
    let ops_of = |i: usize| model.ops[i];
    let (applied, expected) = match step {
        Step::Sweep(grace) => {
            world.sweep(|| *grace);
            if *grace {
                let shared: BTreeSet<_> = model.calls.iter().filter(|ops| ops.len() > 1).collect();
                assert_eq!(
                    world.engine.sets.count(),
                    shared.len(),
                    "sets after a sweep"
                );
            }
            return;
        }
        Step::Register(i, take) if model.order.contains_key(i) => {
            let refused = with_filter(world, take, |world, filter| {
                world.register(ops_of(*i), filter)
            });
            (refused, Err(Error::AlreadyRegistered))
        }
        Step::Register(i, take) => {
            let ops = ops_of(*i);
            let applied = with_filter(world, take, |world, filter| world.register(ops, filter));
            let expected = model.change(*i, &model.wanted(take));
            if expected.is_ok() {
                model.now += 1;
                model.order.insert(*i, model.now);
            }
            (applied, expected.map_err(|at| direct(world, at)))
        }
        Step::SetFilter(i, take) => {
            let ops = ops_of(*i);
            let applied = with_filter(world, take, |world, filter| world.set_filter(ops, filter));
            let expected = match model.order.contains_key(i) {
                true => model
                    .change(*i, &model.wanted(take))
                    .map_err(|at| direct(world, at)),
                false => Err(Error::NotRegistered),
            };
            (applied, expected)
        }
        Step::Unregister(i) => {
            let applied = world.unregister(ops_of(*i));
            let expected = match model.order.remove(i) {
                Some(_) => model
                    .change(*i, &BTreeSet::new())
                    .map_err(|at| direct(world, at)),
                None => Err(Error::NotRegistered),
            };
            (applied, expected)
        }
    };
    let counts = |a: Applied| (a.matched, a.enabled, a.disabled, a.swapped, a.own_tracer);
    assert_eq!(applied.map(counts), expected, "{step:?}");
}

fn with_filter<R>(
    world: &mut World,
    take: &Take,
    what: impl FnOnce(&mut World, &Filter<'_>) -> R,
) -> R {
    let Take::At(functions) = take else {
        return what(world, &Filter::ALL);
    };
    let count = world.table.len();
    let at: Vec<usize> = functions
        .iter()
        .map(|(i, offset)| world.layout(i % count).literal() + offset)
        .collect();
    what(world, &Filter::at(&at))
}

fn direct(world: &World, i: usize) -> Error {
    Error::Patch(PatchError {
        at: world.layout(i).literal(),
        why: Why::Direct,
        undone: 0,
        stuck: 0,
        foreign: 0,
    })
}

/// Every word of the text, and all that the engine says of it, is what the model says.
fn compare(world: &mut World, model: &Model, compiled: &[u32]) {
    let mut expected = compiled.to_vec();
    let base = world.text.range().start;
    let mut sets: BTreeMap<Vec<usize>, u64> = BTreeMap::new();
    for i in 0..world.table.len() {
        let layout = world.layout(i);
        let ops = model.in_order(i);
        let (literal, _) = world.state(i);
        let called: Vec<_> = world
            .called_by(i)
            .into_iter()
            .map(std::ptr::from_ref)
            .collect();
        let wanted: Vec<_> = ops
            .iter()
            .map(|&i| std::ptr::from_ref(model.ops[i]))
            .collect();
        assert_eq!(called, wanted, "function {i}");
        match *ops {
            [] => assert_eq!(literal, NOP_OPS.target()),
            [one] => assert_eq!(literal, model.ops[one].target()),
            _ => assert_eq!(
                *sets.entry(ops.clone()).or_insert(literal),
                literal,
                "interned"
            ),
        }
        let word = word(world, layout, &ops, model);
        let mut set = |at: usize, word: u32| expected[(at - base) / 4] = word;
        set(layout.literal(), literal as u32);
        set(layout.literal() + 4, (literal >> 32) as u32);
        set(layout.mov(), Insn::MOV_X9_X30.0);
        set(layout.branch(), word.0);
        let touched = world.record(i).has(TOUCHED);
        assert_eq!(touched, model.touched.contains(&i), "touched {i}");
    }
    let different: BTreeSet<_> = sets.values().collect();
    assert_eq!(different.len(), sets.len(), "different ops, different sets");
    assert_eq!(world.text.memory(), expected, "text");
    assert!(world.is_clean(), "flags of a call outlive it");
    for (i, ops) in model.ops.iter().enumerate() {
        let count = model
            .calls
            .iter()
            .filter(|calls| calls.contains(&i))
            .count();
        let registered = model.order.contains_key(&i);
        assert_eq!(
            (ops.is_registered(), ops.callsites()),
            (registered, count),
            "ops {i}"
        );
    }
}

fn word(world: &World, layout: Layout, ops: &[usize], model: &Model) -> Insn {
    match *ops {
        [] => Insn::NOP,
        [one] if model.ops[one].head.straight && model.ops[one].head.entry as usize == NEAR => {
            Insn::bl(layout.branch(), NEAR).expect("in reach")
        }
        _ => Insn::bl(layout.branch(), world.trampoline).expect("in reach"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn callsites_are_what_the_model_says(
        functions in prop::collection::vec(any::<bool>(), 1..10),
        ctr in prop::sample::select(ALL_CTRS.to_vec()),
        own in 0..64usize,
        backward in any::<bool>(),
        steps in steps(),
    ) {
        let own = own % functions.len();
        let compiled = World::compiled(&functions, ctr).text.memory();
        let mut world = World::new(&functions, ctr);
        if !backward {
            world.trampoline = world.text.range().end + 0x1000;
        }
        let mut model = Model {
            ops: all_ops(world.layout(own).entry()),
            own,
            calls: functions.iter().map(|_| BTreeSet::new()).collect(),
            order: BTreeMap::new(),
            now: 0,
            touched: BTreeSet::new(),
        };
        for step in &steps {
            let before = world.text.memory();
            let live: BTreeSet<usize> = model.order.keys().copied().collect();
            do_step(&mut world, &mut model, step);
            let live: Vec<_> = live
                .iter()
                .chain(model.order.keys())
                .map(|&i| model.ops[i])
                .collect();
            let log = world.take_log();
            match step {
                Step::Register(i, _) | Step::SetFilter(i, _) | Step::Unregister(i) => {
                    literal_is_valid_at_every_step(&world, &before, &log, &live, model.ops[*i]);
                }
                Step::Sweep(_) => prop_assert_eq!(&log, &[]),
            }
            every_word_is_published(&log, world.text.needs());
            compare(&mut world, &model, &compiled);
        }
    }

    #[test]
    fn a_plan_and_its_inverse_are_the_identity(
        functions in prop::collection::vec(any::<bool>(), 1..10),
        ctr in prop::sample::select(ALL_CTRS.to_vec()),
        shared in prop::collection::vec((0..64usize, 0..16usize), 1..6),
        changed in prop::collection::vec((0..64usize, 0..16usize), 1..6),
        kinds in (0..4usize, 0..4usize),
    ) {
        let mut world = World::new(&functions, ctr);
        let ops = all_ops(FAR);
        let (first, second) = (ops[kinds.0], all_ops(FAR)[kinds.1]);
        let empty = world.text.memory();
        with_filter(&mut world, &Take::At(shared.clone()), |world, filter| world.register(first, filter))?;
        let before = world.text.memory();
        with_filter(&mut world, &Take::At(changed.clone()), |world, filter| world.register(second, filter))?;
        world.unregister(second)?;
        prop_assert_eq!(world.text.memory(), before.clone());
        // A filter and back.
        with_filter(&mut world, &Take::At(changed), |world, filter| world.set_filter(first, filter))?;
        with_filter(&mut world, &Take::At(shared), |world, filter| world.set_filter(first, filter))?;
        prop_assert_eq!(world.text.memory(), before);
        world.unregister(first)?;
        prop_assert_eq!(world.text.memory(), empty);
    }
}
