//! The contexts in which a kernel may be interrupted: SVC, BRK, IRQ, FIQ, SError, each raised at a known instruction of the
//! program, and one handler for all of them.

use core::arch::asm;
use core::sync::atomic::{AtomicUsize, Ordering};
use virt::trap::{Syndrome, TrapFrame};

/// A way into an exception handler at EL1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Context {
    /// Synchronous: SVC.
    Svc,
    /// Synchronous: BRK.
    Brk,
    /// An interrupt of the GIC's group 1.
    Irq,
    /// An interrupt of the GIC's group 0.
    Fiq,
    /// A virtual SError, which EL2 makes pending: needs a kernel that was entered there.
    SError,
}

/// All of them.
pub const ALL: [Context; 5] = [
    Context::Svc,
    Context::Brk,
    Context::Irq,
    Context::Fiq,
    Context::SError,
];

/// Exception classes: Arm ARM DDI 0487, "ESR_EL1, Exception Syndrome Register (EL1)".
const EC_SVC: u64 = 0x15;
const EC_BRK: u64 = 0x3c;
const INSN_BYTES: u64 = 4;
/// The SGI that is an FIQ.
const FIQ_SGI: u32 = 2;
/// The SVC that only asks for the handler.
const SVC_NUMBER: u64 = 0;

static HANDLER: AtomicUsize = AtomicUsize::new(0);

/// Sets what every context calls, and what other synchronous exceptions go to.
pub fn handle(handler: fn(Context)) {
    HANDLER.store(handler as usize, Ordering::Relaxed);
    virt::irq::handle(crate::irq::SGI, on_irq);
    virt::irq::handle_as_fiq(FIQ_SGI, on_fiq);
    virt::trap::set_sync_handler(Some(on_sync));
    virt::trap::set_serror_handler(Some(on_serror));
}

fn call(context: Context) {
    let handler = HANDLER.load(Ordering::Relaxed);
    // SAFETY: `handle` stored a function of this type there before it let any context in.
    let handler = unsafe { core::mem::transmute::<usize, fn(Context)>(handler) };
    handler(context);
}

/// The handler of IRQs.
#[inline(never)]
pub fn on_irq() {
    call(Context::Irq);
}

/// The handler of FIQs.
#[inline(never)]
pub fn on_fiq() {
    call(Context::Fiq);
}

/// The handler of SErrors.
#[inline(never)]
pub fn on_serror(_: &mut TrapFrame, _: Syndrome) -> bool {
    call(Context::SError);
    true
}

/// The handler of SVC and BRK.
#[inline(never)]
pub fn on_sync(frame: &mut TrapFrame, syndrome: Syndrome) -> bool {
    match syndrome.class() {
        EC_SVC if syndrome.esr & 0xffff == SVC_NUMBER => call(Context::Svc),
        EC_BRK => {
            frame.elr += INSN_BYTES;
            call(Context::Brk);
        }
        _ => return false,
    }
    true
}

impl Context {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Svc => "SVC",
            Self::Brk => "BRK",
            Self::Irq => "IRQ",
            Self::Fiq => "FIQ",
            Self::SError => "SError",
        }
    }

    /// Whether PSTATE.DAIF holds it back.
    pub fn is_masked(self) -> bool {
        let bit = match self {
            Self::Svc | Self::Brk => return false,
            Self::SError => 8,
            Self::Irq => 7,
            Self::Fiq => 6,
        };
        daif() >> bit & 1 == 1
    }
}

aarch64_ftrace::notrace! {
    /// PSTATE.DAIF, in bits 9 to 6.
    pub fn daif() -> u64 {
        let daif: u64;
        // SAFETY: reading the interrupt mask has no effect.
        unsafe { asm!("mrs {}, daif", out(reg) daif, options(nomem, nostack, preserves_flags)) };
        daif
    }

    /// Sets PSTATE.DAIF, bits 9 to 6.
    pub fn set_daif(daif: u64) {
        // SAFETY: every context has a handler.
        unsafe { asm!("msr daif, {}", "isb", in(reg) daif, options(nostack, preserves_flags)) };
    }
}

/// Raises a context. A synchronous one has been handled when this returns. Of the others it is certain that they are pending:
/// they are taken at the first instruction whose mask lets them in.
#[inline(never)]
pub fn raise(context: Context) {
    match context {
        // SAFETY: `handle` set a handler, which returns with all registers as they were.
        Context::Svc => unsafe { asm!("svc #{}", const SVC_NUMBER) },
        // SAFETY: as above.
        Context::Brk => unsafe { asm!("brk #0") },
        Context::Irq => virt::gic::sgi_core0(crate::irq::SGI),
        Context::Fiq => virt::fiq::sgi_core0(FIQ_SGI),
        Context::SError => assert!(
            virt::trap::pend_serror(),
            "SErrors need `virtualization: yes`"
        ),
    }
    // Taken at once, or seen here as pending: ISR_EL1's bits stand where DAIF's stand.
    while context.is_masked() && virt::irq::pending() == 0 {
        core::hint::spin_loop();
    }
}
