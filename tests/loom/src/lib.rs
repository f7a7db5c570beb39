//! What runs beside what, tried in every order.
//!
//! | module | what is tested |
//! |---|---|
//! | `locking` | the library's own `src/lock.rs`, over loom's atomics |
//! | `publication` | a model: loom has no DMB and no address dependency; tests/litmus has the real sequence |
//! | `rings` | the library's own `src/ring.rs` and `src/record/reader.rs`, over loom's atomics |
//! | `guard` | the library's own asm of asm/frame.S, interpreted, with interrupts at every instruction |
#![cfg(test)]

mod guard;
mod locking;
mod publication;
mod rings;
mod sync;

#[path = "../../../src/cpu.rs"]
#[allow(dead_code)]
mod cpu;
#[path = "../../../src/lock.rs"]
mod lock;
#[path = "../../../src/record/reader.rs"]
#[allow(dead_code)]
mod reader;
#[path = "../../../src/ring.rs"]
#[allow(dead_code)]
mod ring;
#[path = "../../../src/trace/mod.rs"]
#[allow(dead_code, unused_imports)]
mod trace;

// What src/lock.rs and src/cpu.rs know of the rest of the library.

mod instances {
    pub(crate) const LINE: usize = 64;
}

mod return_stack {
    #[derive(Debug)]
    pub struct ReturnStack;
    pub(crate) static NO_STACK: ReturnStack = ReturnStack;
}

mod kernel_stack {
    #[derive(Debug)]
    pub struct KernelStack;
    pub(crate) static NOWHERE: KernelStack = KernelStack;

    impl KernelStack {
        pub(crate) fn high(&self) -> u64 {
            0
        }
    }
}

mod error {
    #[derive(Debug, PartialEq, Eq)]
    pub(crate) enum Error {
        Reentrant,
    }
}

mod platform {
    pub(crate) trait Platform: Sync {
        fn cpu_index(&self) -> usize;
        fn relax(&self) {
            crate::sync::spin_loop();
        }
    }
}

mod arch {
    pub(crate) fn in_tracer() -> bool {
        false
    }
}
