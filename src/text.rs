//! [`Text`]: the patchable text as the engine sees it, so that the engine runs on any host against a fake.
#![forbid(unsafe_code)]

use crate::cache::CacheType;
use crate::error::WriteFault;
use crate::insn::Insn;

/// The kernel's text, to look at.
pub trait ReadText {
    /// Reads an instruction word.
    fn insn(&self, at: usize) -> Insn;
    /// Reads a literal.
    fn literal(&self, at: usize) -> u64;
}

/// The kernel's text between `patch_begin` and `patch_end`.
///
/// The engine orders every access itself: an implementation does exactly what it is asked, in that order.
pub trait Text: ReadText {
    /// Stores an instruction word: one aligned 32-bit store.
    ///
    /// # Errors
    /// [`WriteFault`], with the word unchanged.
    fn store_insn(&self, at: usize, insn: Insn) -> Result<(), WriteFault>;
    /// Stores an instruction word that may not change while it is executed, and makes it visible: the store, [`clean`],
    /// [`complete`], [`invalidate`], [`complete`], [`synchronise`], whatever the cache type. This core executes nothing else
    /// in between, so no function whose word is new but not yet visible: however little the compiler has optimised, what
    /// patches may call functions that it patches.
    ///
    /// # Errors
    /// [`WriteFault`], with the word unchanged.
    ///
    /// [`clean`]: Self::clean
    /// [`complete`]: Self::complete
    /// [`invalidate`]: Self::invalidate
    /// [`synchronise`]: Self::synchronise
    fn store_cold(&self, at: usize, insn: Insn) -> Result<(), WriteFault>;
    /// Stores a literal: one aligned 64-bit store.
    ///
    /// # Errors
    /// [`WriteFault`], with the literal unchanged.
    fn store_literal(&self, at: usize, value: u64) -> Result<(), WriteFault>;

    // A store goes to the alias, a load to the address that executes. Where the alias is not of this memory, the store succeeds and
    // nothing has changed: only looking tells.

    /// [`store_insn`](Self::store_insn), and looks whether it has arrived.
    ///
    /// # Errors
    /// [`WriteFault`], with the word unchanged.
    #[inline(always)]
    fn write_insn(&self, at: usize, insn: Insn) -> Result<(), WriteFault> {
        self.store_insn(at, insn)?;
        arrived(self.insn(at) == insn)
    }
    /// [`store_cold`](Self::store_cold), and looks whether it has arrived.
    ///
    /// # Errors
    /// [`WriteFault`], with the word unchanged.
    #[inline(always)]
    fn write_cold(&self, at: usize, insn: Insn) -> Result<(), WriteFault> {
        self.store_cold(at, insn)?;
        arrived(self.insn(at) == insn)
    }
    /// [`store_literal`](Self::store_literal), and looks whether it has arrived.
    ///
    /// # Errors
    /// [`WriteFault`], with the literal unchanged.
    #[inline(always)]
    fn write_literal(&self, at: usize, value: u64) -> Result<(), WriteFault> {
        self.store_literal(at, value)?;
        arrived(self.literal(at) == value)
    }
    /// Orders earlier stores before later ones, for every core (DMB ISHST).
    fn order_stores(&self);
    /// DC CVAU: cleans the data cache line of `at` to the point of unification.
    fn clean(&self, at: usize);
    /// IC IVAU: invalidates the instruction cache line of `at` to the point of unification, on every core.
    fn invalidate(&self, at: usize);
    /// DSB ISH: waits for the maintenance before it.
    fn complete(&self);
    /// ISB: this core fetches anew.
    fn synchronise(&self);
    /// Every other core takes a context synchronisation event.
    fn sync_cores(&self);
    /// Which maintenance is needed.
    fn cache_type(&self) -> CacheType;
}

#[inline(always)]
fn arrived(is_there: bool) -> Result<(), WriteFault> {
    if is_there { Ok(()) } else { Err(WriteFault) }
}
