//! Where a callsite's BL goes: to the trampoline, or, further than a BL reaches from it, to the nearest veneer.
#![forbid(unsafe_code)]

use crate::insn::{BranchError, Insn};

/// A slot that `veneer!` reserved, by its distance from this entry of the section `ftrace_veneers`: the kernel may
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
