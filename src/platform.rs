//! [`Platform`]: all that the tracer asks of the kernel it is linked into.

use crate::error::AliasError;

/// What the embedding kernel supplies. Nothing else of the kernel is used.
///
/// # Safety
/// The tracer patches running code on the strength of these methods. An implementation MUST, for every method, do
/// what its text says; the consequences of one that does not are those of executing arbitrary words.
///
/// # Context
/// All methods but `cpu_index` and `ticks` are called by [`crate::Ftrace`]'s methods, on the core and at the exception
/// level that called those, never from a traced path. `cpu_index` and `ticks` must be callable in every context.
pub unsafe trait Platform: Sync {
    /// Makes the kernel's text writable through an alias, until [`Platform::patch_end`]; returns the distance in
    /// bytes from an executable address to the alias of the same memory (`alias = executable + distance`).
    ///
    /// Called once before a batch of writes. Kernels that map text writable return 0; kernels with a permanent linear
    /// mapping return its distance; W^X kernels map the text range here and take it away in `patch_end`.
    ///
    /// From the return of this method to the call of `patch_end`, an aligned 32-bit or 64-bit store to the alias of any
    /// callsite, from this core, MUST be a single-copy atomic store to Normal memory, Inner Shareable, with the same
    /// cacheability as the text's own mapping (Arm ARM DDI 0487, "Mismatched memory attributes").
    ///
    /// # Errors
    /// [`AliasError`] where there is no alias now. Nothing is written then.
    fn patch_begin(&self) -> Result<isize, AliasError>;

    /// Called once after the last write of a batch that [`Platform::patch_begin`] opened. The default does nothing.
    fn patch_end(&self) {}

    /// Makes every other core that runs kernel code take a context synchronisation event before this returns: an
    /// interrupt to each of them that is waited for does it. With one core running there is nothing to do.
    fn sync_cores(&self);

    /// The number of the core that calls, from 0. It tells the tracer when a core calls into it from inside the tracer's
    /// own lock (from an interrupt handler, say), which is refused instead of waiting forever.
    fn cpu_index(&self) -> usize;

    /// A counter that never goes back, in ticks. The default is CNTVCT_EL0.
    #[inline]
    fn ticks(&self) -> u64 {
        crate::arch::ticks()
    }

    /// Waits until no core and no task can still be inside a tracer that it entered before this call, and returns
    /// `true`; or returns `false` where the kernel cannot tell.
    ///
    /// With `false` (the default) everything works, but the memory of a set that is no longer used is not used again,
    /// and a dynamically allocated ops is leaked when it is unregistered. A kernel on one core that never switches
    /// tasks inside a tracer may return `true` at once.
    fn synchronize(&self) -> bool {
        false
    }
}
