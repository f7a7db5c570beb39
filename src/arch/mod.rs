//! All that is AArch64: asm entries, system registers, cache maintenance, the linker's symbols. Elsewhere stand-ins, so
//! that the rest builds and is tested on any host.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "aarch64")]
pub(crate) use aarch64::*;

#[cfg(not(target_arch = "aarch64"))]
mod host;
#[cfg(not(target_arch = "aarch64"))]
pub(crate) use host::*;
