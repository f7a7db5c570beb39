//! The host side of aarch64-ftrace.
//!
//! After the link, [`embed`] writes the names of a kernel's callsites into the kernel itself, and [`check`] proves from
//! the ELF file that the tracer's own code is never traced. [`trace`] reads what recorders write. The command `aftrace` is a thin layer over this library.
#![forbid(unsafe_code)]

pub mod arguments;
mod brackets;
pub mod check;
pub mod demangle;
mod dwarf;
pub mod elf;
pub mod embed;
pub mod gdb;
mod grammar;
pub mod names;
pub mod run;
pub mod trace;
