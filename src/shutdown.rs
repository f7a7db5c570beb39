//! What a kernel asks of a tracer that it wants to trust, or to be rid of: the audit, and shutdown.

use crate::engine::{Audit, Finding, Shutdown};
use crate::error::Error;
use crate::tracer::Ftrace;

impl Ftrace {
    /// Looks at every callsite and proves it in a state that the tracer makes: its literal is a live ops or set, its words
    /// are NOP or the BL that this literal asks for, MOV X9, X30 stands before it and the landing pad is there. `each` gets
    /// every callsite for which that is not so, in order of address. Writes nothing, and opens no alias of the text.
    ///
    /// About 51 instructions a callsite where all have one tracer (`cargo xtask bench`, row `audit`), more where neighbours
    /// have different ones: each change of literal from one callsite to the next is looked up anew.
    ///
    /// # Errors
    /// [`Error::NotInitialised`], [`Error::Reentrant`].
    ///
    /// # Context
    /// As [`Ftrace::register`]. `each` must not call what changes tracing: it gets [`Error::Reentrant`].
    pub fn audit(&'static self, each: impl FnMut(Finding)) -> Result<Audit, Error> {
        self.with_reader(|engine, work| Ok(engine.audit(work, each)))
    }

    /// Takes every ops away, whoever registered it. All callsites are then disabled: two instructions each that do nothing.
    /// [`Ftrace::init`] starts anew.
    ///
    /// # Errors
    /// As [`Ftrace::unregister`], of the first ops that cannot be taken away. Those taken away before it stay so, it and
    /// the others are as before, and calling again goes on. Words that somebody else wrote are no error: they are left, and
    /// counted in [`Shutdown::left`].
    ///
    /// # Context
    /// As [`Ftrace::unregister`]; other cores may run traced code.
    pub fn shutdown(&'static self) -> Result<Shutdown, Error> {
        self.with_work(|engine, work| engine.shutdown(work, false))
    }

    /// As [`Ftrace::shutdown`], and gives every callsite the NOPs that the compiler wrote: the text is, byte for byte, what
    /// it was before [`Ftrace::init`], wherever [`Shutdown::left`] is 0.
    ///
    /// # Errors
    /// As [`Ftrace::shutdown`]; and [`Error::Patch`] where a NOP could not be written: all callsites are disabled then, no
    /// ops is registered, and calling again goes on.
    ///
    /// # Safety
    /// MOV X9, X30 to NOP is not among the changes that the architecture allows while another core executes the word (Arm
    /// ARM DDI 0487, "Concurrent modification and execution of instructions"), and the literals become words that name no
    /// ops. From the call of this function until its return
    /// * every other core must be off, or run code without callsites, and must not have been stopped between a traced
    ///   function's entry and the end of the tracer that it called; the same holds for every task that is switched away;
    /// * before it runs traced code again, each of these cores takes a context synchronisation event (it does where
    ///   [`crate::Platform::sync_cores`] reaches it, or where it is switched on afterwards).
    pub unsafe fn shutdown_to_compiled(&'static self) -> Result<Shutdown, Error> {
        self.with_work(|engine, work| engine.shutdown(work, true))
    }
}
