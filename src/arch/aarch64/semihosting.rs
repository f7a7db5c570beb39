//! Files of the host, by semihosting: "Semihosting for AArch32 and AArch64" (Arm, semihosting.rst), the operations named here.

use core::arch::asm;
use core::ffi::CStr;

const SYS_OPEN: usize = 0x01;
const SYS_CLOSE: usize = 0x02;
const SYS_WRITE: usize = 0x05;
const SYS_ERRNO: usize = 0x13;
/// ISO C's "wb", in SYS_OPEN's table.
const WRITE_BINARY: usize = 5;

/// A handle; `None` where the host does not open it.
pub(crate) fn open(path: &CStr) -> Option<usize> {
    let path = path.to_bytes_with_nul();
    let length = path.len() - 1;
    let handle = call(SYS_OPEN, [path.as_ptr() as usize, WRITE_BINARY, length]);
    (handle != usize::MAX).then_some(handle)
}

/// How many of the bytes were not written.
pub(crate) fn write(handle: usize, bytes: &[u8]) -> usize {
    call(SYS_WRITE, [handle, bytes.as_ptr() as usize, bytes.len()])
}

pub(crate) fn close(handle: usize) {
    call(SYS_CLOSE, [handle, 0, 0]);
}

/// The host's number of the last error.
pub(crate) fn errno() -> i64 {
    call(SYS_ERRNO, [0; 3]) as i64
}

fn call(operation: usize, block: [usize; 3]) -> usize {
    let mut answer = operation;
    // SAFETY: the trap of semihosting. These operations only read memory: the block, and what it points to, which the callers
    // above have as a reference.
    unsafe {
        asm!("hlt #0xf000", inout("x0") answer, in("x1") &raw const block, options(nostack, preserves_flags))
    };
    answer
}
