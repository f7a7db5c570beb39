//! The rules of patching, as a machine that is fed every store to text and every barrier, in order.
//!
//! A written word goes through these steps on the core that wrote it:
//!
//! ```text
//! Stored -- DC CVAU of its line --> Cleaned -- DSB --> Unified -- IC IVAU of its line --> Invalidated -- DSB --> Done
//! ```
//!
//! A word that may be exchanged while it is executed (NOP, BL) must be Done, and every running core must have taken a
//! context synchronisation event since then, when the call that patched it returns. Any other word must be Done, and the
//! core must have taken such an event, before that core executes it.
//!
//! A call returns when the writing core executes, on the same stack and above where it stored, an instruction that stands
//! outside the tracer's own range, right behind a BL into that range. No symbol of any Rust function is needed for that.

use std::collections::{BTreeMap, HashMap};

use crate::image::{Image, Role};
use crate::insn::{self, MOV_X9_X30, NOP};

/// More stack than the tracer's own frames ever take: a return further up is another stack's.
const STACK_REACH: u64 = 64 << 10;
const SHOWN: usize = 200;
const COMPILED_LITERAL: u64 = (NOP as u64) << 32 | NOP as u64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Stored,
    Cleaned,
    Unified,
    Invalidated,
    Done(u64),
}

impl Step {
    fn missing(self) -> &'static str {
        match self {
            Self::Stored => "DC CVAU of its line after the store",
            Self::Cleaned => "DSB after DC CVAU",
            Self::Unified => "IC IVAU of its line after DC CVAU and DSB",
            Self::Invalidated => "DSB after IC IVAU",
            Self::Done(_) => "nothing",
        }
    }
}

struct Written {
    core: usize,
    step: Step,
    /// Its line was invalidated while the cleaning was not waited for.
    hasty: bool,
    exchangeable: bool,
}

impl Written {
    fn missing(&self) -> &'static str {
        if self.hasty {
            "DSB between DC CVAU and IC IVAU"
        } else {
            self.step.missing()
        }
    }
}

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

/// CTR_EL0's part.
#[derive(Clone, Copy)]
pub struct Cache {
    pub data_line: u64,
    pub code_line: u64,
    pub needs_clean: bool,
    pub needs_invalidate: bool,
}

impl Cache {
    pub fn from_ctr(ctr: u64) -> Self {
        Self {
            data_line: 4 << (ctr >> 16 & 0xf),
            code_line: 4 << (ctr & 0xf),
            needs_clean: ctr >> 28 & 1 == 0,
            needs_invalidate: ctr >> 29 & 1 == 0,
        }
    }
}

/// A store, as the core made it.
pub struct Store {
    pub core: usize,
    pub at: u64,
    pub bytes: u64,
    pub value: u64,
    pub sp: u64,
    /// What stands at an ops' address: its entry, if it can be read.
    pub entry_of: fn(u64) -> Option<u64>,
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

    pub fn clean(&mut self, core: usize, at: u64) {
        self.event(core);
        let size = self.cache.map_or(64, |cache| cache.data_line);
        self.advance(core, Some((at, size)), |word| {
            (word.step == Step::Stored).then_some(Step::Cleaned)
        });
    }

    pub fn invalidate(&mut self, core: usize, at: Option<u64>) {
        self.event(core);
        let size = self.cache.map_or(64, |cache| cache.code_line);
        self.advance(core, at.map(|at| (at, size)), |word| {
            word.hasty |= word.step == Step::Cleaned;
            word.hasty &= word.step != Step::Unified;
            (word.step == Step::Unified).then_some(Step::Invalidated)
        });
    }

    pub fn complete(&mut self, core: usize) {
        let now = self.event(core);
        self.cores[core].ordered = now;
        let needs_invalidate = self.cache.is_none_or(|cache| cache.needs_invalidate);
        self.advance(core, None, |word| match word.step {
            Step::Cleaned if needs_invalidate => Some(Step::Unified),
            Step::Cleaned | Step::Invalidated => Some(Step::Done(now)),
            _ => None,
        });
    }

    fn advance(
        &mut self,
        core: usize,
        line: Option<(u64, u64)>,
        next: impl Fn(&mut Written) -> Option<Step>,
    ) {
        let range = line.map_or(0..u64::MAX, |(at, size)| {
            let start = at & !(size - 1);
            start..start + size
        });
        for (_, word) in self.pending.range_mut(range) {
            if word.core == core
                && let Some(step) = next(word)
            {
                word.step = step;
            }
        }
    }

    pub fn order(&mut self, core: usize) {
        self.cores[core].ordered = self.event(core);
    }

    pub fn synchronise(&mut self, core: usize) {
        self.cores[core].synchronised = self.event(core);
    }

    /// A store that touches the text.
    pub fn store(&mut self, store: &Store) {
        let now = self.event(store.core);
        let state = &mut self.cores[store.core];
        if state.batch.is_none() {
            state.batch = Some(store.sp);
            self.totals.batches += 1;
        }
        match (self.image.roles.get(&store.at).copied(), store.bytes) {
            (Some(Role::Literal(index)), 8) if store.at.is_multiple_of(8) => {
                self.literal(index, store, now)
            }
            (Some(Role::Mov(index)), 4) => {
                self.word(store);
                self.mov(index, store);
            }
            (Some(Role::Branch(index)), 4) => {
                self.word(store);
                self.branch(index, store);
            }
            (Some(Role::Literal(_)), bytes) => {
                let what = format!(
                    "literal written by a store of {bytes} bytes: one aligned 64-bit store is needed"
                );
                self.violation(store.core, store.at, what);
            }
            (Some(_), bytes) => {
                let what = format!(
                    "instruction word written by a store of {bytes} bytes: one aligned 32-bit store is needed"
                );
                self.violation(store.core, store.at, what);
            }
            (None, bytes) => {
                let what = format!("{bytes} bytes of text written that are no callsite's");
                self.violation(store.core, store.at, what);
            }
        }
    }

    fn literal(&mut self, index: usize, store: &Store, now: u64) {
        self.totals.literals += 1;
        let compiled = store.value == COMPILED_LITERAL;
        let entry = if compiled {
            None
        } else {
            (store.entry_of)(store.value)
        };
        let valid = entry.is_some_and(|entry| self.image.text.contains(&entry) && entry % 4 == 0);
        let site = &mut self.sites[index];
        site.literal = Some(store.value);
        if !self.init_over {
            site.first.get_or_insert(store.value);
        }
        site.literal_at = now;
        site.literal_by = store.core;
        site.valid = valid;
        let enabled = site.branch;
        if !valid && (!compiled || enabled) {
            let what = format!("literal {:#x} is no initialised ops", store.value);
            self.violation(store.core, store.at, what);
        }
    }

    /// An instruction word: what every one needs.
    fn word(&mut self, store: &Store) {
        self.totals.words += 1;
        let slot = (store.at - self.image.text.start) as usize / 4;
        let new = store.value as u32;
        let old = core::mem::replace(&mut self.text[slot], new);
        let clean = self.cache.is_none_or(|cache| cache.needs_clean);
        let exchangeable = insn::exchangeable(old) && insn::exchangeable(new);
        self.cold.remove(&store.at);
        self.pending.insert(
            store.at,
            Written {
                core: store.core,
                step: if clean { Step::Stored } else { Step::Cleaned },
                hasty: false,
                exchangeable,
            },
        );
    }

    fn mov(&mut self, index: usize, store: &Store) {
        let word = store.value as u32;
        self.sites[index].mov = word == MOV_X9_X30;
        self.cores[store.core].wrote_mov = true;
        match word {
            MOV_X9_X30 if self.init_over => {
                self.violation(store.core, store.at, "MOV X9, X30 written after init");
            }
            MOV_X9_X30 | NOP => {}
            _ => {
                let what =
                    format!("word {word:#010x} written: only MOV X9, X30 and NOP may stand here");
                self.violation(store.core, store.at, what);
            }
        }
    }

    fn branch(&mut self, index: usize, store: &Store) {
        let word = store.value as u32;
        self.sites[index].branch = word != NOP;
        if word == NOP {
            return;
        }
        let Some(target) = insn::bl_target(store.at, word) else {
            let what = format!("word {word:#010x} written: only NOP and BL may stand here");
            self.violation(store.core, store.at, what);
            return;
        };
        let site = &self.sites[index];
        let entry = site.literal.filter(|_| site.valid).and_then(store.entry_of);
        let unordered =
            site.literal_by == store.core && site.literal_at > self.cores[store.core].ordered;
        let (mov, valid) = (site.mov, site.valid && site.literal != site.first);
        if !self.image.trampolines.contains(&target) && entry != Some(target) {
            let what = format!(
                "BL to {target:#x}: neither ftrace_caller nor the entry of this callsite's ops"
            );
            self.violation(store.core, store.at, what);
        }
        if !mov {
            self.violation(
                store.core,
                store.at,
                "BL written, MOV X9, X30 is missing before it",
            );
        }
        if !valid {
            self.violation(
                store.core,
                store.at,
                "BL written before its literal points to an ops",
            );
        } else if unordered {
            self.violation(
                store.core,
                store.at,
                "missing DMB ISHST between the literal's store and the BL's",
            );
        }
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

    /// A core arrives behind a BL into the tracer. True where that ended a patching call.
    pub fn returned(&mut self, core: usize, sp: u64) -> bool {
        let ends = self.cores[core]
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
