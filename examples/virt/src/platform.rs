//! The tracer's contract on this board, shared by the test kernels and the benches. `hello` writes its own to show it.

use crate::{cores, mmu};
use aarch64_ftrace::{AliasError, Platform};

/// QEMU's virt machine, for kernels that never switch tasks inside a tracer: [`Platform::synchronize`] counts on that.
pub struct Virt;

// SAFETY: between the two calls `mmu` maps the text's alias for every core, with the text's own memory type, cacheability and
// shareability; `cores::synchronize` waits until each other running core has taken an interrupt; cores are numbered.
unsafe impl Platform for Virt {
    fn patch_begin(&self) -> Result<isize, AliasError> {
        Ok(mmu::map_alias())
    }

    fn patch_end(&self) {
        mmu::unmap_alias();
    }

    fn sync_cores(&self) {
        cores::synchronize();
    }

    fn cpu_index(&self) -> usize {
        cores::index()
    }

    fn synchronize(&self) -> bool {
        // Alone, and not in a tracer: nobody is in one. Other cores may be in one with interrupts on.
        cores::online().count_ones() == 1
    }
}
