//! The tracer's contract on this board, shared by the test kernels and the benches. `hello` writes its own to show it.

use crate::{cores, mmu, quiescent};
use aarch64_ftrace::{AliasError, Platform};

/// QEMU's virt machine, for kernels that never switch tasks inside a traced call: [`Platform::synchronize`] counts on that.
pub struct Virt;

// SAFETY: between the two calls `mmu` maps the text's alias for every core, with the text's own memory type, cacheability and
// shareability; `cores::synchronize` waits until each other running core has taken an interrupt, or answered while it waited;
// cores are numbered; `quiescent::wait` says true only when each has passed a point that no tracer is below.
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

    fn relax(&self) {
        cores::answer();
        cores::pause();
    }

    fn cpu_index(&self) -> usize {
        cores::index()
    }

    fn synchronize(&self) -> bool {
        quiescent::wait()
    }
}
