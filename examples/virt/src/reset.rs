//! The warm reset, and the memory that it leaves as it was.

use aarch64_ftrace::record::Persistent;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, Ordering};

unsafe extern "C" {
    static mut __persistent_start: u8;
    static __persistent_end: u8;
}

/// The memory, for the first who asks: `.persistent` of linker.ld, whole pages.
pub fn persistent() -> Option<Persistent> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    let start = NonNull::new(&raw mut __persistent_start)?;
    let bytes = &raw const __persistent_end as usize - start.as_ptr() as usize;
    if TAKEN.swap(true, Ordering::AcqRel) {
        return None;
    }
    // SAFETY: the section is RAM that boot.S maps, the heap ends before it, and it is given once.
    Some(unsafe { Persistent::new(start, bytes) })
}

/// Resets the machine (PSCI SYSTEM_RESET), which boots the image again.
///
/// # Panics
/// Where the firmware does not do it.
pub fn warm_reset() -> ! {
    crate::console::flush();
    let code = crate::cores::system_reset();
    panic!("PSCI SYSTEM_RESET answered {code}");
}
