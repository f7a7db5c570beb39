//! The core that changes tracing, and announces what it does.

use super::{
    ALL, ANCHOR, ANCHORED, FUNCTIONS, LIVE, MAY, OPS, Random, STATE, STOP, TRACED, branch, word,
    words,
};
use crate::{FTRACE, raw};
use aarch64_ftrace::Filter;
use aarch64_ftrace::insn::Insn;
use core::sync::atomic::Ordering;
use virt::cores;

/// Changes between two audits.
const AUDIT_EACH: u32 = 32;

/// Changes tracing.
///
/// QEMU 10.0, with a thread for each core, loses a patched word once in some ten thousand stores to text that other cores
/// execute: it drops the translation first and stores afterwards, and a core that translates in between keeps the old word
/// until the next store there. (With the cores in one thread, or each word stored twice, it never happened.) So the writer
/// stores each word that a change concerns again, as it stands there, before it calls the change done.
pub struct Writer {
    again: bool,
    random: Random,
    masks: [u32; OPS],
    generation: u64,
    /// The literal of a callsite that nobody traces.
    off: u64,
    /// How many changes were made.
    pub changes: u32,
}

impl Writer {
    /// Registers the anchor. With `again` it stores the words again, see above.
    pub fn new(again: bool) -> Self {
        let mut writer = Self {
            again,
            random: Random::new(99),
            masks: [0; OPS],
            generation: 0,
            off: raw::literal(TRACED[0] as usize - 8),
            changes: 0,
        };
        writer.change(ANCHOR, ANCHORED);
        writer
    }

    /// One change at random, or two: an ops comes, goes, gets another filter, or exchanges its filter with another.
    pub fn step(&mut self) {
        let ops = self.random.below(OPS as u64) as usize;
        let may = MAY[ops];
        let other = 1 + self.random.below(3) as usize;
        match self.random.below(4) {
            0 if may == MAY[other] && ops != ANCHOR && self.masks[other] != self.masks[ops] => {
                let (mine, its) = (self.masks[ops], self.masks[other]);
                self.change(ops, its);
                self.change(other, mine);
            }
            _ => {
                let mut wanted = if self.random.below(3) == 0 {
                    0
                } else {
                    self.random.below(16) as u32
                };
                wanted = if may == MAY[ANCHOR] {
                    wanted
                } else {
                    may * (wanted & 1)
                };
                if ops == ANCHOR {
                    wanted |= ANCHORED;
                }
                if wanted != self.masks[ops] {
                    self.change(ops, wanted);
                }
            }
        }
    }

    /// From the filter that the ops has to another; 0 is none.
    fn change(&mut self, ops: usize, wanted: u32) {
        let before = self.masks[ops];
        let list: [usize; FUNCTIONS] = core::array::from_fn(|i| TRACED[i] as usize);
        let mut at = [0; FUNCTIONS];
        let mut len = 0;
        for function in (0..FUNCTIONS).filter(|function| wanted >> function & 1 == 1) {
            at[len] = list[function];
            len += 1;
        }
        let filter = Filter::at(&at[..len]);
        self.generation += 1;
        // What both filters take stays sure.
        let stays = before & wanted;
        STATE[ops].store(
            word(self.generation, stays, before ^ wanted),
            Ordering::Release,
        );
        LIVE[ops].store(1, Ordering::Release);
        let result = match (before, wanted) {
            (0, _) => FTRACE.register(&ALL[ops], &filter),
            (_, 0) => FTRACE.unregister(&ALL[ops]),
            _ => FTRACE.set_filter(&ALL[ops], &filter),
        };
        if let Err(error) = result {
            panic!("ops {ops} from {before:#b} to {wanted:#b}: {error}");
        }
        self.masks[ops] = wanted;
        self.changes += 1;
        for (function, entry) in TRACED.iter().enumerate() {
            if self.again && (before ^ wanted) >> function & 1 == 1 {
                let at = branch(*entry as usize);
                raw::overwrite_insn(at, raw::insn(at));
            }
        }
        self.generation += 1;
        STATE[ops].store(word(self.generation, wanted, 0), Ordering::Release);
        if wanted == 0 {
            assert!(FTRACE.synchronize(), "every core passes points");
            LIVE[ops].store(0, Ordering::Release);
        }
    }

    /// Whether the text of every function is what the filters say: a BL exactly where an ops traces it, and the literal. Now
    /// and then, whether every other callsite of the kernel is off, and all are legal.
    pub fn text_is_as_planned(&self) -> bool {
        if self.changes.is_multiple_of(AUDIT_EACH) {
            let traced = self.masks.iter().fold(0, |all, mask| all | mask);
            match FTRACE.audit(|_| ()) {
                Ok(audit) if audit.illegal + audit.quarantined > 0 => return false,
                Ok(audit) if audit.enabled != traced.count_ones() as usize => return false,
                Ok(_) => {}
                Err(error) => panic!("audit: {error}"),
            }
        }
        (0..FUNCTIONS).all(|function| {
            let entry = TRACED[function] as usize;
            let mut callers = (0..OPS).filter(|&ops| self.masks[ops] >> function & 1 == 1);
            let (first, more) = (callers.next(), callers.next().is_some());
            let literal = raw::literal(entry - 8);
            let literal_is_right = match first {
                Some(ops) if !more => literal == &raw const ALL[ops] as u64,
                Some(_) => (0..OPS).all(|ops| literal != &raw const ALL[ops] as u64),
                None => literal == self.off,
            };
            let [mov, branch] = words(entry);
            mov == Insn::MOV_X9_X30 && (branch == Insn::NOP) == first.is_none() && literal_is_right
        })
    }

    /// Takes all ops away and lets the workers end.
    pub fn end(&mut self) {
        for ops in 0..OPS {
            if self.masks[ops] != 0 {
                self.change(ops, 0);
            }
        }
        STOP.store(true, Ordering::Release);
        // Whoever sleeps wakes up.
        cores::synchronize();
    }
}
