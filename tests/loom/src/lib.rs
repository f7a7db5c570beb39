//! What runs beside what, tried in every order.
//!
//! | module | what is tested |
//! |---|---|
//! | `locking` | the library's own `src/lock.rs`, over loom's atomics |
//! | `publication` | a model: loom has no DMB and no address dependency; tests/litmus has the real sequence |
//! | `registering` | the library's own `src/registry.rs` under its own lock, over loom's atomics |
//! | `rings` | the library's own `src/ring.rs` and `src/record/reader.rs`, over loom's atomics |
//! | `stacks` | the library's own `src/stack_tracer/slot.rs`, over loom's atomics |
//! | `guard` | the library's own asm of asm/frame.S, interpreted, with interrupts at every instruction |
#![cfg(test)]

mod guard;
mod locking;
mod publication;
mod registering;
mod rings;
mod stacks;
mod sync;

#[path = "../../../src/cpu.rs"]
#[allow(dead_code)]
mod cpu;
#[path = "../../../src/lock.rs"]
mod lock;
#[path = "../../../src/record/reader.rs"]
#[allow(dead_code)]
mod reader;
#[path = "../../../src/registry.rs"]
mod registry;
#[path = "../../../src/ring.rs"]
#[allow(dead_code)]
mod ring;
#[path = "../../../src/stack_tracer/slot.rs"]
#[allow(dead_code)]
mod slot;
#[path = "../../../src/trace/mod.rs"]
#[allow(dead_code, unused_imports)]
mod trace;

// What src/lock.rs, src/cpu.rs, src/registry.rs and src/stack_tracer/slot.rs know of the rest of the library.

mod instances {
    pub(crate) const LINE: usize = 64;
}

mod ops {
    use loom::sync::atomic::{AtomicPtr, AtomicU32};

    pub(crate) struct Kind;

    impl Kind {
        pub(crate) fn has_instances(&self) -> bool {
            false
        }
    }

    pub(crate) struct Head {
        pub(crate) kind: Kind,
    }

    pub(crate) struct Ops {
        pub(crate) head: Head,
        pub(crate) order: AtomicU32,
        pub(crate) next: AtomicPtr<Ops>,
    }

    impl Ops {
        /// Lives for ever, as the library's do; made within a run, because loom's atomics belong to one.
        pub(crate) fn leaked() -> &'static Self {
            Box::leak(Box::new(Self {
                head: Head { kind: Kind },
                order: AtomicU32::new(0),
                next: AtomicPtr::new(core::ptr::null_mut()),
            }))
        }

        pub(crate) fn is_called_by(&self, target: u64) -> bool {
            core::ptr::from_ref(self) as u64 == target
        }
    }
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

        pub(crate) fn bounds(&self) -> std::ops::Range<usize> {
            0..0
        }
    }

    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub(crate) struct Return {
        pub(crate) address: u64,
        pub(crate) record: Option<u64>,
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

    pub(crate) fn ticks() -> u64 {
        0
    }
}
