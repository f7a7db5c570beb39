//! What may be written to the text, where, by which store, and after what.

use super::{Judge, Step, Written};
use crate::image::Role;
use crate::insn::{self, MOV_X9_X30, NOP};

const COMPILED_LITERAL: u64 = (NOP as u64) << 32 | NOP as u64;

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

impl Judge {
    /// A store that touches the text.
    pub fn store(&mut self, store: &Store) {
        let now = self.event(store.core);
        if self.changes_nothing(store) {
            return;
        }
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

    /// An instruction word that stood there already, and is not on its way to anybody: there is nothing that a core could miss.
    fn changes_nothing(&self, store: &Store) -> bool {
        let is_word = matches!(
            self.image.roles.get(&store.at),
            Some(Role::Mov(_) | Role::Branch(_))
        );
        is_word
            && store.bytes == 4
            && self.text[(store.at - self.image.text.start) as usize / 4] == store.value as u32
            && !self.pending.contains_key(&store.at)
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
}
