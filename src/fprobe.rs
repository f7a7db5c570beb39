//! [`Fprobe`]: the ops of a [`Probe`].

use crate::arch;
use crate::fregs::Fregs;
use crate::ops::{Kind, Ops};
use crate::probe::{PROBE_WORDS, Probe};
use core::fmt;
use core::ops::Deref;

/// Calls a [`Probe`] when a function is entered and when it returns, as Linux's fgraph_ops and fprobe. Make it a `static` and
/// register it as any ops; as many as there is memory for may be on one function, beside a recorder's graph, a profiler and
/// tracers. Their entries come in the order of registration, their exits in the opposite one.
///
/// It needs a return stack ([`crate::Ftrace::switch_return_stack`]): each call that is to have an exit takes two of its frames,
/// with the words among them. A call that finds no room is counted there ([`crate::ReturnStack::overruns`]), and neither
/// method is called. A call that an earlier tracer returns from in the function's place is none.
///
/// Both methods are called under the guard of the core and interrupt mask. An exit that finds it taken is counted in
/// [`crate::CpuArea::refused`] and left out: a function that returns with another mask than it was entered with, into a
/// tracer that called it. When the ops is unregistered, calls that are open return without an exit.
///
/// ```
/// use aarch64_ftrace::{Fprobe, Fregs, PROBE_WORDS, Probe};
/// use core::sync::atomic::{AtomicU64, Ordering};
///
/// /// How often a function has answered with zero what was not asked with zero.
/// struct Failures(AtomicU64);
///
/// aarch64_ftrace::notrace! {
/// impl Probe for Failures {
///     fn entry(&self, _: usize, _: usize, fregs: &mut Fregs, words: &mut [u64; PROBE_WORDS]) -> bool {
///         words[0] = fregs.arg(0).unwrap_or(0);
///         words[0] != 0
///     }
///
///     fn exit(&self, _: usize, _: usize, fregs: &mut Fregs, _: &[u64; PROBE_WORDS]) {
///         if fregs.arg(0) == Some(0) {
///             self.0.fetch_add(1, Ordering::Relaxed);
///         }
///     }
/// }
/// }
///
/// static FAILURES: Failures = Failures(AtomicU64::new(0));
/// static PROBE: Fprobe = Fprobe::new(&FAILURES);
/// # let _ = &PROBE;
/// // FTRACE.register(&PROBE, &Filter::new(&["disk::read*"]))?;
/// ```
// No field is public and `Ops` does not come out: in a box of its own it could be freed while calls are open.
#[repr(C)]
pub struct Fprobe {
    /// First, so that it has the same address.
    ops: Ops,
    probe: &'static dyn Probe,
}

const _: () = assert!(core::mem::offset_of!(Fprobe, ops) == 0);

impl Fprobe {
    /// The ops of `probe`, not registered.
    pub const fn new(probe: &'static dyn Probe) -> Self {
        Self {
            ops: Ops::builtin(Kind::Fprobe, arch::entry::FPROBE, entered),
            probe,
        }
    }

    /// The one that an ops is the first field of.
    fn of(ops: &Ops) -> Option<&'static Self> {
        if ops.head.kind != Kind::Fprobe {
            return None;
        }
        let at = core::ptr::from_ref(ops).addr();
        let fprobe = core::ptr::with_exposed_provenance::<Self>(at);
        // SAFETY: an ops of this kind is the first field of an `Fprobe` and nowhere else. Callsites and frames have it from a
        // registration, which took it as a `'static` from `deref`, where the whole was exposed.
        unsafe { fprobe.as_ref() }
    }
}

impl Deref for Fprobe {
    type Target = Ops;

    fn deref(&self) -> &Ops {
        let _ = core::ptr::from_ref(self).expose_provenance();
        &self.ops
    }
}

impl fmt::Debug for Fprobe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Fprobe").field(&self.ops).finish()
    }
}

/// What the set entries call, under the guard, and the call entry where others wait for the return: what asm/fprobe.S does else.
extern "C" fn entered(ip: usize, _: usize, ops: &Ops, fregs: &mut Fregs) {
    let (Some(fprobe), Some(area)) = (Fprobe::of(ops), arch::cpu_area()) else {
        return;
    };
    let stack = area.return_stack();
    if !stack.has_room_for_words(fregs) {
        return;
    }
    let mut words = [0; PROBE_WORDS];
    let parent_ip = stack.real_returns().real(fregs.lr() as usize);
    if fprobe.probe.entry(ip, parent_ip, fregs, &mut words) {
        stack.hijack_with_words(fregs, ip, arch::fprobe_handler(), ops, words);
    }
}

/// What asm/fprobe.S calls, under the guard, with the address of an `Fprobe`'s ops, which is the `Fprobe`'s own.
#[cfg_attr(
    not(target_arch = "aarch64"),
    allow(dead_code, reason = "the asm calls them")
)]
pub(crate) mod called {
    use super::Fprobe;
    use crate::arch;
    use crate::cpu::CpuArea;
    use crate::fregs::Fregs;
    use crate::probe::PROBE_WORDS;

    pub(crate) extern "C" fn entry(
        fprobe: &Fprobe,
        ip: usize,
        parent_ip: usize,
        fregs: &mut Fregs,
        words: &mut [u64; PROBE_WORDS],
    ) -> bool {
        fprobe.probe.entry(ip, parent_ip, fregs, words)
    }

    /// The registers are as the function has left them; its frames have been taken off the return stack.
    pub(crate) extern "C" fn exit(
        fprobe: &Fprobe,
        ip: usize,
        parent_ip: usize,
        fregs: &mut Fregs,
        words: &[u64; PROBE_WORDS],
    ) {
        fprobe.probe.exit(ip, parent_ip, fregs, words);
    }

    /// As [`exit`], where the address in its frame is a return handler's.
    pub(crate) extern "C" fn exit_hijacked(
        fprobe: &Fprobe,
        ip: usize,
        handler: usize,
        fregs: &mut Fregs,
        words: &[u64; PROBE_WORDS],
    ) {
        let real = |area: &CpuArea| area.return_stack().real_returns().real(handler);
        let parent_ip = arch::cpu_area().map_or(handler, real);
        fprobe.probe.exit(ip, parent_ip, fregs, words);
    }
}
