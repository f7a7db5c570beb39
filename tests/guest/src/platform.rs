//! The board's platform, which notes what the tracer asks of it.

use aarch64_ftrace::{AliasError, Platform};
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use virt::platform::Virt;

/// How often a call waited for its turn.
pub static RELAXED: AtomicU32 = AtomicU32::new(0);
/// Whether a call waits for its grace period.
pub static WAITING: AtomicBool = AtomicBool::new(false);

/// [`Virt`], noted in [`RELAXED`] and [`WAITING`].
pub struct Noted;

// SAFETY: every method does what Virt's does.
unsafe impl Platform for Noted {
    fn patch_begin(&self) -> Result<isize, AliasError> {
        Virt.patch_begin()
    }

    fn patch_end(&self) {
        Virt.patch_end();
    }

    fn sync_cores(&self) {
        Virt.sync_cores();
    }

    fn relax(&self) {
        RELAXED.fetch_add(1, Ordering::Relaxed);
        Virt.relax();
    }

    fn cpu_index(&self) -> usize {
        Virt.cpu_index()
    }

    fn synchronize(&self) -> bool {
        WAITING.store(true, Ordering::SeqCst);
        let grace = Virt.synchronize();
        WAITING.store(false, Ordering::SeqCst);
        grace
    }
}
