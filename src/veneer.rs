//! Where a callsite's BL goes: to the trampoline, or, further than a BL reaches from it, to the nearest veneer.

use crate::insn::{BranchError, Insn};

/// A slot that [`crate::veneer!`] reserved, by its distance from this entry of the section `ftrace_veneers`: the kernel may
/// run elsewhere than it was linked.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct Veneer(pub(crate) i64);

impl Veneer {
    /// The slot's address.
    fn address(&'static self) -> usize {
        (core::ptr::from_ref(self) as usize).wrapping_add_signed(self.0 as isize)
    }
}

/// What BLs reach. One and the same callsite always gets one and the same target.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Targets {
    pub(crate) trampoline: usize,
    pub(crate) veneers: &'static [Veneer],
}

impl Targets {
    /// The BL of an enabled callsite whose branch stands at `at`.
    ///
    /// # Errors
    /// [`BranchError`] towards the trampoline where neither it nor a veneer is in reach.
    #[inline]
    pub(crate) fn branch(&self, at: usize) -> Result<Insn, BranchError> {
        Insn::bl(at, self.trampoline).or_else(|error| self.nearest_veneer(at).ok_or(error))
    }

    #[cold]
    fn nearest_veneer(&self, at: usize) -> Option<Insn> {
        self.veneers
            .iter()
            .filter_map(|veneer| {
                let to = veneer.address();
                Some((to.abs_diff(at), Insn::bl(at, to).ok()?))
            })
            .min_by_key(|(distance, _)| *distance)
            .map(|(_, insn)| insn)
    }
}

/// Reserves a veneer to the trampoline in a section of the kernel's text, for functions further than 128 MiB from
/// `.text.ftrace_notrace`.
///
/// ```
/// # #[cfg(target_arch = "aarch64")]
/// aarch64_ftrace::veneer!(".text.far.ftrace_veneer");
/// ```
///
/// The linker script places the section within 128 MiB of the functions that need it, and within 4 GiB of the trampoline.
/// The tracer finds the slot through the section `ftrace_veneers`, which needs no line in a linker script: 8 bytes, and
/// 16 for the slot. Where several slots are in reach of a function, the nearest serves it. A call through it costs three
/// instructions more.
///
/// Write it once for each such region, in the kernel's own crate (a library that nothing else is taken from is not linked).
#[cfg(target_arch = "aarch64")]
#[macro_export]
macro_rules! veneer {
    ($section:literal) => {
        // A BL lands here, which needs no pad; the trampoline's own pad takes the BR (x16 and x17 may land on BTI C).
        // Out: x16; all else as at the callsite, LR above all, by which the trampoline finds the literal.
        ::core::arch::global_asm!(
            concat!(".pushsection ", $section, ", \"ax\", %progbits"),
            ".balign 16",
            "3:  adrp x16, ftrace_caller_far",
            "add x16, x16, :lo12:ftrace_caller_far",
            "br x16",
            ".popsection",
            // Retained by the linker, and with it the slot that it refers to.
            ".pushsection ftrace_veneers, \"aR\", %progbits",
            ".balign 8",
            "4:  .quad 3b - 4b",
            ".popsection",
        );
    };
}
