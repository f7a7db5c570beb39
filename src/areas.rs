//! All areas of cores, as recorders see them.

use crate::cpu::CpuArea;
use crate::ring::Control;

/// The areas that were made known, newest first.
pub(crate) fn all() -> impl Iterator<Item = &'static CpuArea> {
    core::iter::successors(area(CpuArea::newest()), |area| self::area(area.older()))
}

/// Whether no other area is of the same core.
pub(crate) fn is_only(area: &CpuArea) -> bool {
    !all().any(|other| other.core() == area.core() && !core::ptr::eq(other, area))
}

fn area(at: *const CpuArea) -> Option<&'static CpuArea> {
    // SAFETY: only `CpuArea::list` puts pointers there, and what it puts came from a `&'static CpuArea`.
    unsafe { at.as_ref() }
}

/// The ring that recorders on the core of this area write to.
pub(crate) fn ring(area: &CpuArea) -> &'static Control {
    // SAFETY: only `CpuArea::set_ring` stores there, from a `&'static Control` (or an area's own, which is static too), and
    // it is never null.
    unsafe { &*area.ring_address() }
}
