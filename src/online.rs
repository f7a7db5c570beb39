//! Cores that come and go, and waiting until none of them is inside a tracer.
#![forbid(unsafe_code)]

use crate::arch;
use crate::cpu::CpuArea;
use crate::error::Error;
use crate::tracer::Ftrace;

impl Ftrace {
    /// Gives the calling core its area: guarded tracers run there from now on.
    ///
    /// The register that holds it (TPIDRRO_EL0 unless a Cargo feature says otherwise) must be zero from before the
    /// core's first traced function until this call. The boot core's area is set by [`Ftrace::init`].
    ///
    /// # Context
    /// On the core itself, at any exception level from EL1, any interrupt mask.
    pub fn cpu_online(&self, area: &'static CpuArea) {
        arch::set_cpu_area(area, self.core());
        self.list_area();
    }

    /// Makes the calling core's area known to recorders.
    pub(crate) fn list_area(&self) {
        if let Some(area) = arch::cpu_area() {
            area.list(self.platform.cpu_index() as u32);
        }
    }

    /// Takes the calling core's area away: guarded tracers no longer run there, others still do. For a core that is about to
    /// be switched off, or that gets another area.
    ///
    /// # Errors
    /// [`Error::Reentrant`] from inside a guarded tracer, or from a function whose return is hijacked.
    ///
    /// # Context
    /// As [`Ftrace::cpu_online`].
    pub fn cpu_offline(&self) -> Result<(), Error> {
        let hijacked = self.return_stack().is_some_and(|stack| stack.depth() > 0);
        if arch::in_tracer() || hijacked {
            return Err(Error::Reentrant);
        }
        arch::clear_cpu_area();
        Ok(())
    }

    /// Waits until nobody is inside a tracer, or on the way into one, because of a function that was entered before this
    /// call: what only an ops used that was taken away before can be given up when this returns `true`.
    ///
    /// `false` where the kernel cannot tell ([`crate::Platform::synchronize`]), and inside a guarded tracer: nothing was waited for.
    ///
    /// # Context
    /// From ordinary code, not from a tracer, nor from a handler that may have interrupted one.
    pub fn synchronize(&self) -> bool {
        !arch::in_tracer() && self.platform.synchronize()
    }
}
