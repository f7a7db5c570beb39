//! [`HostFile`]: a file on the machine that runs the emulator or the debugger.
#![forbid(unsafe_code)]

use super::{Sink, SinkError};
use crate::arch::semihosting;
use core::ffi::CStr;

/// A file of the host's, by semihosting. Closed when it is dropped.
///
/// # Context
/// Only where a debugger or an emulator serves semihosting (`-semihosting` of QEMU, `monitor arm semihosting enable` of
/// OpenOCD): elsewhere the HLT that asks for it is an undefined instruction. The core stands still while the host writes.
#[derive(Debug)]
pub struct HostFile {
    handle: usize,
}

impl HostFile {
    /// Makes the file, or empties it. A path that is not absolute begins where the emulator was started.
    ///
    /// # Errors
    /// [`SinkError::Device`] with the host's errno.
    pub fn create(path: &CStr) -> Result<Self, SinkError> {
        match semihosting::open(path) {
            Some(handle) => Ok(Self { handle }),
            None => Err(SinkError::Device(semihosting::errno())),
        }
    }
}

impl Sink for HostFile {
    fn write(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        match semihosting::write(self.handle, bytes) {
            0 => Ok(()),
            _ => Err(SinkError::Device(semihosting::errno())),
        }
    }
}

impl Drop for HostFile {
    fn drop(&mut self) {
        semihosting::close(self.handle);
    }
}
