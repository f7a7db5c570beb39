//! Dynamic function tracing for AArch64 kernels that are not Linux.
//!
//! Every function of a kernel built with `-Zpatchable-function-entry=4,2` has its own ops: a 64-bit literal before the
//! function, found by one common trampoline from LR, as Linux's DYNAMIC_FTRACE_WITH_CALL_OPS (Mark Rutland, 2023). One
//! tracer on one function costs the same however many other tracers exist; a function without a tracer costs two
//! instructions.
//!
//! Begin with [`Ftrace`], [`Ops`], [`Filter`] and [`Platform`]. The README has a whole kernel in 70 lines.
//!
//! The library needs no allocator and no unstable feature; the kernel's flags do. On a host that is not AArch64 it
//! builds with entries that do nothing, so that all of its logic runs under `cargo test`.
#![no_std]

#[cfg(feature = "alloc")]
extern crate alloc;

#[cfg(any(test, fuzzing))]
extern crate std;

mod arch;
mod areas;
pub mod bootconfig;
#[cfg(feature = "alloc")]
mod boxed;
pub mod cache;
pub mod callsite;
mod counters;
mod cover;
mod cpu;
mod engine;
mod error;
mod filter;
mod fprobe;
mod fregs;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
pub mod glob;
mod graph;
mod image;
pub mod insn;
mod instances;
mod introspect;
mod kernel_stack;
mod lock;
pub mod names;
mod notrace;
mod online;
mod ops;
mod patch;
mod plan;
mod platform;
mod probe;
mod prologue;
pub mod record;
mod registry;
mod return_stack;
mod ring;
mod set;
mod set_memory;
mod shutdown;
pub mod sink;
mod stack_tracer;
mod storage;
mod sync;
mod table;
#[cfg(test)]
mod tests;
mod text;
pub mod trace;
mod tracer;
mod veneer;

#[cfg(feature = "alloc")]
pub use boxed::{BoxedError, Registered};
pub use counters::{Count, Profile, Times};
pub use cover::Cover;
pub use cpu::CpuArea;
pub use engine::{Applied, Audit, Finding, Shutdown};
pub use error::{AliasError, Error, PatchError, Why, WriteFault};
pub use filter::{Filter, MAX_PATTERNS};
pub use fprobe::Fprobe;
pub use fregs::Fregs;
pub use graph::{ARGUMENTS_MAX, DEPTH_MAX, GraphOptions};
pub use image::Image;
pub use instances::CounterLine;
pub use introspect::{Callsite, Callsites, Reject, Rejects, Symbol};
pub use kernel_stack::KernelStack;
pub use ops::{EntryFn, Ops, TracerFn};
pub use platform::Platform;
pub use probe::{PROBE_WORDS, Probe};
pub use record::dump_on_panic;
pub use return_stack::{RealReturns, ReturnFrame, ReturnMark, ReturnStack};
pub use ring::{Counts, Mode};
pub use stack_tracer::{DeepStack, STACK_FRAMES, StackFrame, StackSlot, StackTracer};
pub use storage::Storage;
pub use table::{Reason, TextRanges};
pub use tracer::{Ftrace, InitReport, Memory};
