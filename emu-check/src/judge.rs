//! The rules of patching, as a machine that is fed every store to text and every barrier, in order.
//!
//! The steps of a written word are in `steps.rs`, what may be written where in `stores.rs`; here is when it must be done.
//!
//! A word that may be exchanged while it is executed (NOP, BL) must be Done, and every running core must have taken a
//! context synchronisation event since then, when the call that patched it returns. Any other word must be Done, and the
//! core must have taken such an event, before that core executes it.
//!
//! A call returns when the writing core executes, on the same stack and above where it stored, an instruction that stands
//! outside the tracer's own range, right behind a BL into that range. No symbol of any Rust function is needed for that.
//! Where the compiler has not optimised, the tracer calls functions of `core` that call it back: such a BL stands below the
//! one that began the call, and its return ends nothing.

use std::collections::{BTreeMap, HashMap};

use crate::image::{Image, Role};
use crate::insn::NOP;

mod steps;
mod stores;

pub use steps::Cache;
use steps::{Step, Written};
pub use stores::Store;

/// More stack than the tracer's own frames ever take: a return further up is another stack's.
const STACK_REACH: u64 = 64 << 10;
const SHOWN: usize = 200;

#[derive(Default)]
struct Site {
    literal: Option<u64>,
    /// What init wrote: the ops of a callsite without a tracer. Its entry tells nothing, a tracer may have the same.
    first: Option<u64>,
    literal_at: u64,
    literal_by: usize,
    valid: bool,
    mov: bool,
    branch: bool,
}

#[derive(Clone, Copy, Default)]
pub struct Core {
    pub running: bool,
    synchronised: u64,
    ordered: u64,
    /// Stack pointer at the first store of the patching call under way.
    batch: Option<u64>,
    /// Stack pointer at the outermost BL into the tracer that has not returned.
    inside: Option<u64>,
    wrote_mov: bool,
}

/// What was seen; a run that saw nothing proves nothing.
#[derive(Default)]
pub struct Totals {
    pub words: u64,
    pub literals: u64,
    pub batches: u64,
    pub events: u64,
    pub executed: u64,
    pub unreturned: u64,
    pub violations: u64,
}

pub struct Judge {
    pub image: Image,
    pub cores: Vec<Core>,
    pub totals: Totals,
    pub shown: Vec<String>,
    pub cache: Option<Cache>,
    /// From an executable address to the address that the last store to text used.
    pub alias: u64,
    seq: u64,
    text: Vec<u32>,
    sites: Vec<Site>,
    pending: BTreeMap<u64, Written>,
    /// Words that are not exchangeable, with the time from which on a core may synchronise and execute them.
    cold: HashMap<u64, u64>,
    init_over: bool,
}

impl Judge {
    pub fn new(image: Image, cores: usize) -> Self {
        Self {
            text: image.words.clone(),
            sites: image.callsites.iter().map(|_| Site::default()).collect(),
            image,
            cores: vec![Core::default(); cores],
            totals: Totals::default(),
            shown: Vec::new(),
            cache: None,
            alias: 0,
            seq: 1,
            pending: BTreeMap::new(),
            cold: HashMap::new(),
            init_over: false,
        }
    }

    fn violation(&mut self, core: usize, at: u64, what: impl std::fmt::Display) {
        self.totals.violations += 1;
        if self.shown.len() < SHOWN {
            let name = self.image.symbol(at).unwrap_or("?");
            self.shown
                .push(format!("violation: core {core}, {at:#x} ({name}): {what}"));
        }
    }

    fn event(&mut self, core: usize) -> u64 {
        self.seq += 1;
        self.totals.events += 1;
        if !self.cores[core].running {
            // Reset is a context synchronisation event, and this is the first that is seen of the core.
            self.cores[core].running = true;
            self.cores[core].synchronised = self.seq;
        }
        self.seq
    }

    pub fn stop(&mut self, core: usize) {
        self.cores[core].running = false;
    }

    /// A core executes a callsite's first or second word.
    pub fn execute(&mut self, core: usize, at: u64, word: u32) {
        if !self.cores[core].running {
            self.event(core);
        }
        self.totals.executed += 1;
        match self.image.roles.get(&at).copied() {
            Some(Role::Mov(_)) => self.execute_cold(core, at),
            Some(Role::Branch(index)) if word != NOP => {
                let site = &self.sites[index];
                if !site.valid || !site.mov {
                    self.violation(core, at, "half-patched callsite executed");
                }
            }
            Some(Role::Literal(index)) if self.sites[index].literal.is_some() => {
                self.violation(core, at, "literal executed as an instruction");
            }
            _ => {}
        }
    }

    fn execute_cold(&mut self, core: usize, at: u64) {
        let since = match self.pending.get(&at) {
            Some(Written {
                step: Step::Done(since),
                ..
            }) => *since,
            Some(word) => {
                let what = format!(
                    "executed before its maintenance: missing {}",
                    word.missing()
                );
                self.violation(core, at, what);
                return;
            }
            None => match self.cold.get(&at) {
                Some(since) => *since,
                None => return,
            },
        };
        if self.cores[core].synchronised <= since {
            self.violation(
                core,
                at,
                "executed without a context synchronisation event after the word's last DSB",
            );
        }
    }

    /// A core is about to execute a BL into the tracer, from outside of it.
    pub fn called(&mut self, core: usize, sp: u64) {
        let inside = &mut self.cores[core].inside;
        // Below the outermost call on its stack, it is part of that.
        if !inside.is_some_and(|outermost| sp < outermost && outermost - sp < STACK_REACH) {
            *inside = Some(sp);
        }
    }

    /// A core arrives behind a BL into the tracer. True where that ended a patching call.
    pub fn returned(&mut self, core: usize, sp: u64) -> bool {
        let state = &mut self.cores[core];
        let is_outermost = match state.inside {
            Some(outermost) if sp < outermost && outermost - sp < STACK_REACH => false,
            _ => {
                state.inside = None;
                true
            }
        };
        let ends = is_outermost
            && state
                .batch
                .is_some_and(|batch| sp > batch && sp - batch < STACK_REACH);
        if ends {
            self.end_of_call(core);
        }
        ends
    }

    fn end_of_call(&mut self, core: usize) {
        let mine: Vec<u64> = self
            .pending
            .iter()
            .filter(|(_, word)| word.core == core)
            .map(|(&at, _)| at)
            .collect();
        for at in mine {
            let Some(word) = self.pending.remove(&at) else {
                continue;
            };
            let Step::Done(since) = word.step else {
                self.violation(core, at, format!("missing {}", word.missing()));
                continue;
            };
            if !word.exchangeable {
                self.cold.insert(at, since);
                continue;
            }
            for other in 0..self.cores.len() {
                let Core {
                    running,
                    synchronised,
                    ..
                } = self.cores[other];
                if running && synchronised <= since {
                    let what = format!(
                        "missing a context synchronisation event on core {other} between the last DSB and the return of the patching call"
                    );
                    self.violation(core, at, what);
                }
            }
        }
        let state = &mut self.cores[core];
        state.batch = None;
        self.init_over |= core::mem::take(&mut state.wrote_mov);
    }

    /// The end of the run: calls that nobody saw return are judged now.
    pub fn finish(&mut self) {
        for core in 0..self.cores.len() {
            if self.cores[core].batch.is_some() {
                self.totals.unreturned += 1;
                self.end_of_call(core);
            }
        }
    }

    /// The executable address that cache maintenance by `at` means: the address itself, or the alias last stored through.
    pub fn executable_of(&self, at: u64) -> u64 {
        let behind = at.wrapping_sub(self.alias);
        if self.image.text.contains(&behind) {
            behind
        } else {
            at
        }
    }
}
