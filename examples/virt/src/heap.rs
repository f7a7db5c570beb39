//! The global allocator: linked_list_allocator over the RAM behind the image, up to what survives a reset, locked with interrupts masked.

use crate::irq;
use core::alloc::{GlobalAlloc, Layout};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, Ordering};
use linked_list_allocator::Heap;
use spin::Mutex;

struct Global(Mutex<Heap>);

#[global_allocator]
static GLOBAL: Global = Global(Mutex::new(Heap::empty()));

unsafe extern "C" {
    static mut __heap_start: u8;
    static __persistent_start: u8;
}

/// Gives the allocator its memory; boot calls it once.
pub(crate) fn init() {
    let start = &raw mut __heap_start;
    let bytes = &raw const __persistent_start as usize - start as usize;
    // SAFETY: between the two symbols nothing else lies, and boot calls this once.
    irq::masked(|| unsafe { GLOBAL.0.lock().init(start, bytes) });
}

static QUARANTINE: AtomicBool = AtomicBool::new(false);

/// What every byte of freed memory holds after [`quarantine`].
pub const POISON: u8 = 0xdd;

/// From now on memory that is freed is filled with [`POISON`] and stays in use for ever, so that whoever still reads it
/// finds that and nothing else.
pub fn quarantine() {
    QUARANTINE.store(true, Ordering::Release);
}

/// Bytes in use and bytes free.
pub fn usage() -> (usize, usize) {
    irq::masked(|| {
        let heap = GLOBAL.0.lock();
        (heap.used(), heap.free())
    })
}

// SAFETY: `Heap` hands out disjoint blocks of the layout asked for, under one lock.
unsafe impl GlobalAlloc for Global {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        irq::masked(|| self.0.lock().allocate_first_fit(layout))
            .map_or(core::ptr::null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some(block) = NonNull::new(block) else {
            return;
        };
        if QUARANTINE.load(Ordering::Acquire) {
            // SAFETY: the caller's contract: the block has this size and nobody else uses it.
            return unsafe { block.write_bytes(POISON, layout.size()) };
        }
        // SAFETY: the caller's contract: `block` came from `alloc` with this layout.
        irq::masked(|| unsafe { self.0.lock().deallocate(block, layout) });
    }
}
