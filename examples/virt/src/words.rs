//! The semihosting command line: what a test run is told (Arm semihosting, SYS_GET_CMDLINE).

use core::arch::asm;

const GET_COMMAND_LINE: u64 = 0x15;

/// The words that QEMU was given as `arg=`, without a kernel name.
pub fn command_line(buffer: &mut [u8; 64]) -> &str {
    let mut block = [buffer.as_mut_ptr() as u64, buffer.len() as u64];
    let mut answer = GET_COMMAND_LINE;
    // SAFETY: the semihosting trap; the block names a buffer of this length, and its own length field is rewritten.
    unsafe {
        asm!("hlt #0xf000", inout("x0") answer, in("x1") block.as_mut_ptr(), options(nostack, preserves_flags))
    };
    let len = if answer == 0 { block[1] as usize } else { 0 };
    let text = buffer
        .get(..len)
        .and_then(|bytes| core::str::from_utf8(bytes).ok());
    text.unwrap_or("").trim_end_matches('\0')
}
