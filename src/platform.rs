//! [`Platform`]: all that the tracer asks of the kernel it is linked into.

use crate::error::AliasError;

/// What the embedding kernel supplies. Nothing else of the kernel is used.
///
/// # Safety
/// The tracer patches running code on the strength of these methods. An implementation MUST, for every method, do
/// what its text says; the consequences of one that does not are those of executing arbitrary words.
///
/// # Context
/// All methods but `cpu_index` are called by [`crate::Ftrace`]'s methods, on the core and at the exception level that called
/// those, never from a traced path. `cpu_index` must be callable in every context.
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
    /// Each store is looked at, at the executable address, before anything else is done there: an alias of other memory is an error
    /// ([`Why::Fault`](crate::Why::Fault)), and the text is as before.
    ///
    /// # Errors
    /// [`AliasError`] where there is no alias now. Nothing is written then.
    fn patch_begin(&self) -> Result<isize, AliasError>;

    /// Called once after the last write of a batch that [`Platform::patch_begin`] opened. The default does nothing.
    fn patch_end(&self) {}

    /// Makes every other core that runs kernel code take a context synchronisation event before this returns: an
    /// interrupt to each of them that is waited for does it. With one core running there is nothing to do.
    ///
    /// A core that is on its way up MUST be waited for as well from before its first traced function on; one that is on its
    /// way down, until it executes nothing any more. Cores that are off need nothing: what a core fetches after reset is
    /// current once it has invalidated its instruction cache (IC IALLU, and DSB, ISB), which its start-up code MUST do.
    fn sync_cores(&self);

    /// Called again and again while a call waits for its turn, because another core is changing tracing; that core may be in
    /// [`Platform::sync_cores`] and waiting for this one. The default is a hint to the core.
    ///
    /// A kernel whose cores change tracing with interrupts masked MUST do here what the interrupt of `sync_cores` would do:
    /// take a context synchronisation event, and tell the other core so. Otherwise the two wait for each other for ever.
    fn relax(&self) {
        core::hint::spin_loop();
    }

    /// The number of the core that calls, from 0. It tells the tracer when a core calls into it from inside the tracer's
    /// own lock (from an interrupt handler, say), which is refused instead of waiting forever.
    fn cpu_index(&self) -> usize;

    /// The grace period: waits until nobody who entered a traced function before this call is still on the way into a
    /// tracer, or inside one, and returns `true`; or returns `false`, without waiting, where the kernel cannot tell.
    ///
    /// "On the way" begins when a core executes a callsite's BL: it may be interrupted between that and the load of the
    /// literal, or between the load and the tracer's first instruction, and go on there at any later time. An interrupt that
    /// a core answers is therefore no proof: the code that it interrupted may be the trampoline or a tracer. Nor is a guard
    /// that is free ([`crate::CpuArea`]): unguarded tracers have none, and guarded ones are on the way before they take it.
    /// What proves it is a point in the program that no tracer can be below:
    ///
    /// * **Tasks are never switched inside a traced call** (one context a core, or a scheduler that only switches where tasks
    ///   ask for it): each core has passed such a point since the call, for instance its scheduler, its main loop, or
    ///   an idle loop that waits with interrupts masked. A core that is idle so, or off, counts as passed.
    /// * **Tasks may be preempted inside a traced call**: each *task* has passed one, which is a switch that it asked for
    ///   itself, its return from user mode, or its end. Cores prove nothing then.
    /// * **One core, tasks never switched inside a traced call, no handler that calls this**: `true` at once.
    ///
    /// The core that waits has passed, if it is called from where this documentation allows ([`crate::Ftrace::synchronize`]);
    /// from an interrupt handler, which may have interrupted a tracer, an implementation MUST return `false`.
    ///
    /// Order: what the caller stored before, among it the literals, MUST be visible to whatever a core loads after its point
    /// (a DMB ISH on both sides, between the stores and the first look at the other core, and between the core's own mark
    /// and its next load). What a core did before its point MUST be visible to the caller when this returns
    /// (load-acquire of the mark, store-release by the core). tests/litmus has both, as `grace-before` and `grace-after`.
    ///
    /// It is called after the change, without the tracer's lock: other cores may change tracing meanwhile. It is called once
    /// for each call that leaves an interned set unused (a function with several tracers lost or got one), once for each
    /// `unregister_boxed`, and never by a traced function. So traced functions pay nothing for it, and such a change takes
    /// as long as the slowest core needs to its next point.
    ///
    /// With `false` (the default) everything works, but memory is only ever used again for the same purpose: sets that are
    /// no longer used are kept (there are never more than there were combinations of tracers), and a dynamically allocated
    /// ops is leaked when it is unregistered.
    fn synchronize(&self) -> bool {
        false
    }
}
