//! Writes that fail: once, from one on, only words, only literals, or any of them; and say so, or do not, and are lost. What
//! was done is undone, and what cannot be undone is quarantined and counted.
#![forbid(unsafe_code)]

use super::fake::{ALL_CTRS, CTR_NEITHER, Event, Failing, Write};
use super::rules::{every_word_is_published, literal_is_valid_at_every_step};
use super::world::{World, direct_at, guarded, unguarded};
use crate::engine::Applied;
use crate::error::{Error, PatchError, Why};
use crate::filter::Filter;
use crate::insn::Insn;
use crate::ops::{NOP_OPS, Ops};
use crate::table::Reason;
use proptest::prelude::*;
use std::vec::Vec;

const FUNCTIONS: [bool; 6] = [false, true, true, false, true, false];

/// A plan, its state before, and the writes that it makes when none fails.
#[derive(Clone, Copy, Debug)]
enum Plan {
    /// Three callsites from NOP to BL.
    Enable,
    /// Three callsites from BL to NOP.
    Disable,
    /// Three callsites from one set to another.
    Swap,
    /// One switched on, one off, one into a set, one out of a set.
    Mixed,
    /// A callsite's only tracer is its own asm.
    Direct,
    /// All callsites from NOP to BL, as one batch that looks nothing up.
    EnableAll,
    /// All callsites from BL to NOP, likewise.
    DisableAll,
}

const FAILINGS: [Failing; 2] = [Failing::Loud, Failing::Silent];

const PLANS: [Plan; 7] = [
    Plan::Enable,
    Plan::Disable,
    Plan::Swap,
    Plan::Mixed,
    Plan::Direct,
    Plan::EnableAll,
    Plan::DisableAll,
];

/// A world in which a plan is about to be carried out.
struct Scene {
    world: World,
    plan: Plan,
    ops: &'static Ops,
    others: [&'static Ops; 2],
    was_registered: bool,
}

impl Scene {
    fn new(plan: Plan, ctr: u64) -> Self {
        let mut world = World::new(&FUNCTIONS, ctr);
        let others = [guarded(), unguarded()];
        let ops = match plan {
            Plan::Direct => direct_at(world.trampoline + 0x100),
            _ => unguarded(),
        };
        let sets = |world: &mut World| {
            world.register_at(others[0], &[1, 2, 4])?;
            world.register_at(others[1], &[2, 4])
        };
        match plan {
            Plan::Enable | Plan::Direct => sets(&mut world),
            Plan::Disable => world.register_at(ops, &[0, 3, 5]),
            Plan::Swap => sets(&mut world),
            Plan::Mixed => sets(&mut world).and_then(|_| world.register_at(ops, &[0, 2, 4])),
            Plan::DisableAll => world.register(ops, &Filter::ALL),
            // The others come and go: nothing is called.
            Plan::EnableAll => sets(&mut world)
                .and_then(|_| world.unregister(others[0]))
                .and_then(|_| world.unregister(others[1])),
        }
        .expect("the scene is set");
        world.take_log();
        let was_registered = ops.is_registered();
        Self {
            world,
            plan,
            ops,
            others,
            was_registered,
        }
    }

    fn run(&mut self) -> Result<Applied, Error> {
        let (world, ops) = (&mut self.world, self.ops);
        match self.plan {
            Plan::Enable | Plan::Direct => world.register_at(ops, &[0, 3, 5]),
            Plan::Disable | Plan::DisableAll => world.unregister(ops),
            Plan::EnableAll => world.register(ops, &Filter::ALL),
            Plan::Swap => world.register_at(ops, &[1, 2, 4]),
            Plan::Mixed => world.set_filter_at(ops, &[1, 3, 4]),
        }
    }

    /// How many callsites call the ops, as their literals and words say.
    fn callers(&self) -> usize {
        let calls = |i: &usize| {
            let (literal, _) = self.world.state(*i);
            let members = self.world.members(literal).unwrap_or_default();
            literal == self.ops.target() || members.iter().any(|ops| std::ptr::eq(*ops, self.ops))
        };
        (0..FUNCTIONS.len()).filter(calls).count()
    }

    /// Whether the callsite has the literal of one state and the word of another.
    fn is_half_way(&self, index: usize) -> bool {
        let (literal, word) = self.world.state(index);
        (literal == NOP_OPS.target()) != (word == Insn::NOP)
    }

    fn quarantined(&self) -> Vec<usize> {
        let is_stuck = |i: &usize| self.world.record(*i).reason() == Some(Reason::Quarantined);
        (0..FUNCTIONS.len()).filter(is_stuck).collect()
    }

    /// What holds after every failure, whatever could be undone. Returns the error and the log's writes.
    fn fail(&mut self) -> PatchError {
        let states = |scene: &Self| (0..FUNCTIONS.len()).map(|i| scene.world.state(i)).collect();
        let before: Vec<_> = states(self);
        let memory = self.world.text.memory();
        let failed = self.run();
        let log = self.world.take_log();
        let Err(Error::Patch(error)) = failed else {
            panic!(
                "{:?}: a write failed, and the call says {failed:?}",
                self.plan
            );
        };
        assert_eq!(error.why, Why::Fault);
        let live = [self.ops, self.others[0], self.others[1]];
        literal_is_valid_at_every_step(&self.world, &memory, &log, &live, self.ops);
        every_word_is_published(&log, self.world.text.needs());
        let stuck = self.quarantined();
        assert_eq!(error.stuck, stuck.len(), "{error:?}");
        let after: Vec<_> = states(self);
        for (i, state) in after.iter().enumerate() {
            assert!(
                stuck.contains(&i) || *state == before[i],
                "{i} is not as before"
            );
        }
        let mut found = Vec::new();
        self.world
            .with_work(|engine, work| engine.audit(work, |finding| found.push(finding)));
        for (i, finding) in found.iter().map(|finding| (finding.index, finding)) {
            assert!(stuck.contains(&i) && finding.quarantined, "{finding:?}");
        }
        for &i in stuck.iter().filter(|&&i| self.is_half_way(i)) {
            let is_listed = found.iter().any(|finding| finding.index == i);
            assert!(is_listed, "{i} is half-way: {found:?}");
        }
        assert!(self.world.is_clean(), "flags of a call outlive it");
        let callers = self.callers();
        assert_eq!(self.ops.callsites(), callers, "{:?}: {error:?}", self.plan);
        let registered = self.was_registered || callers > 0;
        assert_eq!(
            self.ops.is_registered(),
            registered,
            "{:?}: {error:?}",
            self.plan
        );
        error
    }
}

/// The addresses that a plan writes, in order.
fn writes_of(plan: Plan) -> Vec<usize> {
    use super::fake::Event::{Literal, Word};
    let mut scene = Scene::new(plan, CTR_NEITHER);
    scene.run().expect("nothing is refused");
    let at = |event| match event {
        Literal(at, _) | Word(at, _) => Some(at),
        _ => None,
    };
    scene.world.take_log().into_iter().filter_map(at).collect()
}

/// How many callsites the first `n` of these writes touch, leaving out the last callsite if it is `but`.
fn touched(scene: &Scene, writes: &[usize], but: Option<usize>) -> usize {
    let touches = |i: &usize| {
        let layout = scene.world.layout(*i);
        let has = |at: &usize| [layout.literal(), layout.branch()].contains(at);
        writes.iter().any(has) && !but.is_some_and(|at| has(&at))
    };
    (0..FUNCTIONS.len()).filter(touches).count()
}

#[test]
fn one_failed_write_is_undone_and_the_plan_succeeds_later() {
    let all = PLANS.iter().flat_map(|&plan| {
        let ctrs = ALL_CTRS.into_iter();
        ctrs.flat_map(move |ctr| FAILINGS.map(|failing| (plan, ctr, failing)))
    });
    for (plan, ctr, failing) in all {
        let writes = writes_of(plan);
        let mut scene = Scene::new(plan, ctr);
        scene.world.text.fail(failing);
        let before = scene.world.text.memory();
        for (n, &at) in writes.iter().enumerate() {
            scene.world.text.refuse(move |_, i, _| i == n);
            let undone = touched(&scene, &writes[..n], Some(at));
            let expected = PatchError {
                at,
                why: Why::Fault,
                undone,
                stuck: 0,
                foreign: 0,
            };
            assert_eq!(scene.fail(), expected, "{plan:?}, {failing:?} write {n}");
            let memory = scene.world.text.memory();
            assert_eq!(memory, before, "{plan:?}, {failing:?} write {n}");
        }
        scene.world.text.heal();
        scene.run().expect("nothing is refused any more");
        let mut straight_away = Scene::new(plan, ctr);
        straight_away.run().expect("nothing is refused");
        let counts = |scene: &Scene| (scene.callers(), scene.ops.callsites());
        assert_eq!(counts(&scene), counts(&straight_away), "{plan:?}");
    }
}

#[test]
fn writes_that_fail_for_good_leave_what_cannot_be_undone_quarantined() {
    for (plan, failing) in PLANS.iter().flat_map(|&plan| FAILINGS.map(|f| (plan, f))) {
        let writes = writes_of(plan);
        for (n, &at) in writes.iter().enumerate() {
            let mut scene = Scene::new(plan, CTR_NEITHER);
            scene.world.text.fail(failing);
            scene.world.text.refuse(move |_, i, _| i >= n);
            let stuck = touched(&scene, &writes[..n], None);
            let expected = PatchError {
                at,
                why: Why::Fault,
                undone: 0,
                stuck,
                foreign: 0,
            };
            assert_eq!(
                scene.fail(),
                expected,
                "{plan:?}, {failing:?} from write {n}"
            );
        }
    }
}

/// When only words cannot be written, or only literals, the first callsite that needs one is put back.
#[test]
fn writes_of_one_kind_that_fail_for_good_are_undone() {
    let kinds = [Write::Word, Write::Literal].into_iter();
    for (kind, failing) in kinds.flat_map(|kind| FAILINGS.map(|failing| (kind, failing))) {
        for plan in [
            Plan::Enable,
            Plan::Disable,
            Plan::Direct,
            Plan::EnableAll,
            Plan::DisableAll,
        ] {
            let mut scene = Scene::new(plan, CTR_NEITHER);
            scene.world.text.fail(failing);
            scene.world.text.refuse(move |_, _, write| write == kind);
            let before = scene.world.text.memory();
            let (error, memory) = (scene.fail(), scene.world.text.memory());
            let counts = (error.undone, error.stuck);
            assert_eq!(counts, (0, 0), "{plan:?}, {failing:?} {kind:?}");
            assert_eq!(memory, before, "{plan:?}, {failing:?} {kind:?}");
        }
    }
}

/// A quarantined callsite is left alone: it is not found, not taken by a filter, and never written again.
#[test]
fn what_is_quarantined_is_left_alone() {
    let mut scene = Scene::new(Plan::Enable, CTR_NEITHER);
    // The second callsite's BL fails, and nothing can be undone: the first is stuck enabled, the second half-way.
    scene.world.text.refuse(|_, i, _| i >= 3);
    assert_eq!(scene.fail().stuck, 2);
    scene.world.text.heal();
    let stuck: Vec<_> = [0, 3].map(|i| scene.world.state(i)).into();
    let layout = scene.world.layout(0);
    assert_eq!(scene.world.table.find(layout.entry()), Some(0));
    let alone = guarded();
    let applied = scene.world.register_at(alone, &[0]).expect("without it");
    assert_eq!((applied.matched, applied.quarantined), (0, 1));
    scene.world.unregister(alone).expect("unregisters");
    let everything = guarded();
    let applied = scene
        .world
        .register(everything, &Filter::ALL)
        .expect("registers");
    assert_eq!(
        (applied.matched, applied.quarantined),
        (FUNCTIONS.len() - 2, 2)
    );
    scene.world.unregister(everything).expect("unregisters");
    assert_eq!([0, 3].map(|i| scene.world.state(i)), *stuck);
}

/// An ops that a quarantined callsite still calls is not let go: a box would be freed under a live literal.
#[test]
fn what_a_quarantined_callsite_calls_stays_registered_until_the_literal_can_be_written() {
    let mut scene = Scene::new(Plan::Enable, CTR_NEITHER);
    scene.world.text.refuse(|_, i, _| i >= 3);
    assert_eq!(scene.fail().stuck, 2);
    scene.world.text.heal();
    let ops = scene.ops;
    scene
        .world
        .set_filter_at(ops, &[1, 5])
        .expect("a new filter");
    assert_eq!(ops.callsites(), 4, "two of the filter, two stuck");
    let stuck = [0, 3].map(|i| scene.world.layout(i).literal());
    // The two of the filter (one shares its callsite, one has NOP and literal) can be written, the stuck ones cannot.
    scene.world.text.refuse(|_, i, _| i >= 3);
    for _ in 0..2 {
        let refused = scene.world.unregister(ops);
        assert_eq!(refused, Err(Error::Quarantined { callsites: 2 }));
        assert_eq!((ops.is_registered(), ops.callsites()), (true, 2));
        assert_eq!(scene.callers(), 2);
        scene.world.text.refuse(|_, _, _| true);
    }
    // Others come and go as ever, and count right.
    scene.world.text.heal();
    let other = guarded();
    scene
        .world
        .register(other, &Filter::ALL)
        .expect("registers");
    assert_eq!(other.callsites(), FUNCTIONS.len() - 2);
    scene.world.unregister(other).expect("unregisters");
    assert_eq!((other.is_registered(), other.callsites()), (false, 0));
    scene.world.take_log();
    scene.world.unregister(ops).expect("the literals let go");
    assert_eq!((ops.is_registered(), scene.callers()), (false, 0));
    let expected = [0, 1].map(|i| Event::Literal(stuck[i], NOP_OPS.target()));
    let log = scene.world.take_log();
    assert_eq!(log, [&[Event::Dmb], &expected[..], &[Event::Dsb]].concat());
}

proptest! {
    /// Any pattern of failures at all: every rule of `Scene::fail` holds, or the plan went through.
    #[test]
    fn any_pattern_of_failures(
        plan in prop::sample::select(PLANS.to_vec()),
        ctr in prop::sample::select(ALL_CTRS.to_vec()),
        failing in prop::sample::select(FAILINGS.to_vec()),
        failures in prop::collection::vec(prop::bool::weighted(0.25), 24),
    ) {
        let mut scene = Scene::new(plan, ctr);
        scene.world.text.fail(failing);
        prop_assume!(failures[..writes_of(plan).len()].contains(&true));
        scene.world.text.refuse(move |_, n, _| failures.get(n).copied().unwrap_or(false));
        scene.fail();
    }
}
