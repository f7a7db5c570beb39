//! The steps after a store to the text, written out so that each can be missing.

use aarch64_ftrace::notrace;
use core::arch::asm;
use core::sync::atomic::{AtomicIsize, Ordering};

use crate::second;

const CACHE_LINE: usize = 64;

/// From the text to its writable alias.
pub static DISTANCE: AtomicIsize = AtomicIsize::new(0);
notrace! {
    pub fn store_word(at: usize, word: u32) {
        let alias = at.wrapping_add_signed(DISTANCE.load(Ordering::Relaxed)) as *mut u32;
        // SAFETY: the alias maps all of the text writable; the callers give words of a callsite.
        unsafe { asm!("str {0:w}, [{1}]", in(reg) word, in(reg) alias, options(nostack, preserves_flags)) };
    }

    pub fn store_literal(at: usize, literal: u64) {
        let alias = at.wrapping_add_signed(DISTANCE.load(Ordering::Relaxed)) as *mut u64;
        // SAFETY: as above.
        unsafe { asm!("str {}, [{}]", in(reg) literal, in(reg) alias, options(nostack, preserves_flags)) };
    }

    pub fn order(fault: &str) {
        if fault == "order-by-dsb" {
            return complete(fault);
        }
        if fault == "load-dmb" {
            // SAFETY: a barrier.
            return unsafe { asm!("dmb ishld", options(nostack, preserves_flags)) };
        }
        // SAFETY: a barrier.
        unsafe { asm!("dmb ishst", options(nostack, preserves_flags)) };
    }

    /// The steps after a store to the word, but for the one that is left out.
    pub fn publish(at: usize, fault: &str) {
        let beside = at ^ CACHE_LINE;
        if fault == "by-another" {
            second::maintains(at);
            synchronise();
            return virt::cores::synchronize();
        }
        if fault == "invalidate-first" {
            invalidate(at);
            complete(fault);
        }
        if fault != "clean" {
            clean(if fault == "line" { beside } else { at });
        }
        if fault != "clean-dsb" {
            complete(fault);
        }
        match fault {
            "invalidate" | "invalidate-first" => {}
            "invalidate-line" => invalidate(beside),
            _ => invalidate(at),
        }
        if fault == "isb-early" {
            synchronise();
        }
        if fault != "invalidate-dsb" {
            complete(fault);
        }
        if fault == "clean-again" {
            clean(at);
        }
        if !["isb", "isb-early"].contains(&fault) {
            synchronise();
        }
        // It begins with a DSB of its own.
        if !["isb", "isb-early", "other-core", "invalidate-dsb"].contains(&fault) {
            virt::cores::synchronize();
        }
    }

    pub fn clean(at: usize) {
        // SAFETY: cleaning a mapped line changes no data.
        unsafe { asm!("dc cvau, {}", in(reg) at, options(nostack, preserves_flags)) };
    }

    pub fn invalidate(at: usize) {
        // SAFETY: invalidating an instruction cache line loses nothing.
        unsafe { asm!("ic ivau, {}", in(reg) at, options(nostack, preserves_flags)) };
    }

    pub fn synchronise() {
        // SAFETY: a barrier.
        unsafe { asm!("isb", options(nostack, preserves_flags)) };
    }

    pub fn complete(fault: &str) {
        match fault {
            // SAFETY: a barrier; as the two others.
            "near-dsb" => unsafe { asm!("dsb nsh", options(nostack, preserves_flags)) },
            // SAFETY: see above.
            "store-dsb" => unsafe { asm!("dsb ishst", options(nostack, preserves_flags)) },
            // SAFETY: see above.
            _ => unsafe { asm!("dsb ish", options(nostack, preserves_flags)) },
        }
    }
}
