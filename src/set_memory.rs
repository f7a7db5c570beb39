//! Memory for interned sets: the global allocator with feature `alloc`, else memory that the tracer or the kernel gives.

use core::alloc::Layout;
use core::ptr::NonNull;

/// Memory for interned sets.
#[cfg(feature = "alloc")]
pub(crate) struct SetMemory;

#[cfg(feature = "alloc")]
impl SetMemory {
    pub(crate) const fn new() -> Self {
        Self
    }

    pub(crate) fn allocate(&mut self, layout: Layout) -> Option<NonNull<u8>> {
        // SAFETY: a set is never of size 0.
        NonNull::new(unsafe { alloc::alloc::alloc(layout) })
    }

    /// # Safety
    /// `at` came from `allocate` with this `layout` and is not used any more.
    pub(crate) unsafe fn free(&mut self, at: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { alloc::alloc::dealloc(at.as_ptr(), layout) };
    }

    /// The global allocator needs no more memory from us.
    pub(crate) fn add(&mut self, _: &'static mut [core::mem::MaybeUninit<u8>]) -> bool {
        true
    }
}

/// How many regions the kernel can give.
#[cfg(not(feature = "alloc"))]
const REGIONS: usize = 4;

/// Memory for interned sets.
#[cfg(not(feature = "alloc"))]
pub(crate) struct SetMemory {
    heaps: [linked_list_allocator::Heap; REGIONS],
}

#[cfg(not(feature = "alloc"))]
impl SetMemory {
    pub(crate) const fn new() -> Self {
        Self {
            heaps: [const { linked_list_allocator::Heap::empty() }; REGIONS],
        }
    }

    pub(crate) fn allocate(&mut self, layout: Layout) -> Option<NonNull<u8>> {
        self.heaps
            .iter_mut()
            .find_map(|heap| heap.allocate_first_fit(layout).ok())
    }

    /// # Safety
    /// `at` came from `allocate` with this `layout` and is not used any more.
    pub(crate) unsafe fn free(&mut self, at: NonNull<u8>, layout: Layout) {
        let heap = self
            .heaps
            .iter_mut()
            .find(|heap| (heap.bottom()..heap.top()).contains(&at.as_ptr()));
        if let Some(heap) = heap {
            // SAFETY: the caller's promise, and this is the heap that `at` lies in.
            unsafe { heap.deallocate(at, layout) };
        }
    }

    /// Adds a region; `false` where no more can be kept.
    pub(crate) fn add(&mut self, region: &'static mut [core::mem::MaybeUninit<u8>]) -> bool {
        let Some(heap) = self.heaps.iter_mut().find(|heap| heap.size() == 0) else {
            return false;
        };
        heap.init_from_slice(region);
        true
    }
}
