//! Exceptions: the saved registers, the way to the interrupt handlers, and a report in words for what nobody handles.

use crate::{console, irq};
use aarch64_cpu::registers::{HCR_EL2, VBAR_EL1, Writeable};
use core::arch::global_asm;
use core::fmt;
use core::mem::offset_of;
use spin::Mutex;

/// Whether the frame has the vector registers.
const FP: bool = cfg!(target_feature = "neon");

/// The registers of interrupted code. What a handler writes here is what that code goes on with.
#[derive(Debug)]
#[repr(C, align(16))]
pub struct TrapFrame {
    /// x0 to x30.
    pub x: [u64; 31],
    _pad: u64,
    /// Where it goes on.
    pub elr: u64,
    /// Its PSTATE.
    pub spsr: u64,
    /// q0 to q31.
    #[cfg(target_feature = "neon")]
    pub q: [u128; 32],
    /// Floating point status, in the low 32 bits.
    #[cfg(target_feature = "neon")]
    pub fpsr: u64,
    /// Floating point control, in the low 32 bits.
    #[cfg(target_feature = "neon")]
    pub fpcr: u64,
}

#[cfg(target_feature = "neon")]
const VECTORS: (usize, usize) = (offset_of!(TrapFrame, q), offset_of!(TrapFrame, fpsr));
#[cfg(not(target_feature = "neon"))]
const VECTORS: (usize, usize) = (0, 0);

global_asm!(
    include_str!("vectors.S"),
    BYTES = const size_of::<TrapFrame>(),
    EC_SHIFT = const EC_SHIFT,
    EC_HVC = const EC_HVC,
    VSE = const HCR_EL2::VSE::SET.value,
    AMO = const HCR_EL2::AMO::SET.value,
    SYS_EXIT = const 0x18,
    STOPPED_APPLICATION_EXIT = const 0x2_0026,
    EXIT_EL2 = const 103,
    ELR = const offset_of!(TrapFrame, elr),
    Q = const VECTORS.0,
    FPSR = const VECTORS.1,
    FP = const FP as u8,
);

/// ESR_ELx.EC, and the class of an HVC from AArch64.
const EC_SHIFT: u32 = 26;
const EC_HVC: u64 = 0x16;

/// What caused a synchronous exception or an SError.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Syndrome {
    /// ESR_EL1.
    pub esr: u64,
    /// FAR_EL1: the address, where the class has one.
    pub far: u64,
}

impl Syndrome {
    /// The exception class, ESR_EL1.EC.
    pub fn class(&self) -> u64 {
        self.esr >> EC_SHIFT & 0x3f
    }

    /// A data abort by a write (ESR_EL1.ISS.WnR).
    pub fn is_write_abort(&self) -> bool {
        matches!(self.class(), 0x24 | 0x25) && self.esr >> 6 & 1 == 1
    }
}

impl fmt::Display for Syndrome {
    /// Words: Arm ARM DDI 0487, "ESR_EL1, Exception Syndrome Register (EL1)".
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let class = match self.class() {
            0x00 => "undefined instruction",
            0x07 => "FP or SIMD is switched off (CPACR_EL1)",
            0x0d => "branch to a place without BTI",
            0x0e => "illegal execution state",
            0x15 => "SVC",
            0x16 => "HVC",
            0x17 => "SMC",
            0x18 => "trapped system register",
            0x1c => "pointer authentication failed",
            0x20 | 0x21 => "instruction abort",
            0x22 => "misaligned PC",
            0x24 | 0x25 => "data abort",
            0x26 => "misaligned SP",
            0x2c => "floating point exception",
            0x2f => "SError",
            0x30 | 0x31 => "hardware breakpoint",
            0x32 | 0x33 => "software step",
            0x34 | 0x35 => "watchpoint",
            0x3c => "BRK",
            _ => "exception of an unlisted class",
        };
        f.write_str(class)?;
        if !matches!(self.class(), 0x20 | 0x21 | 0x24 | 0x25) {
            return write!(f, " (ESR {:#x})", self.esr);
        }
        let how = match self.esr & 0x3f {
            0x04..=0x07 => "nothing is mapped there",
            0x09..=0x0b => "access flag is clear",
            0x0c..=0x0f => "not permitted",
            0x10 => "the bus answered with an error",
            0x21 => "misaligned",
            _ => "fault of an unlisted status",
        };
        let access = match (self.class(), self.is_write_abort()) {
            (0x20 | 0x21, _) => "execution",
            (_, true) => "write",
            (_, false) => "read",
        };
        write!(
            f,
            " ({how}: {access} at {:#x}, ESR {:#x})",
            self.far, self.esr
        )
    }
}

/// A handler of synchronous exceptions or SErrors: true when it has dealt with it, for instance by moving `elr` on.
pub type SyncHandler = fn(&mut TrapFrame, Syndrome) -> bool;

static SYNC: Mutex<Option<SyncHandler>> = Mutex::new(None);
static SERROR: Mutex<Option<SyncHandler>> = Mutex::new(None);

/// Sets what synchronous exceptions go to before they are reported as the kernel's end; `None` takes it away.
pub fn set_sync_handler(handler: Option<SyncHandler>) {
    irq::masked(|| *SYNC.lock() = handler);
}

/// Sets what SErrors go to before they are reported as the kernel's end; `None` takes it away.
pub fn set_serror_handler(handler: Option<SyncHandler>) {
    irq::masked(|| *SERROR.lock() = handler);
}

/// Makes a virtual SError pending for this core (HCR_EL2.VSE), which is taken as soon as PSTATE.A lets it in: the only SError that
/// QEMU's TCG raises. False, and nothing done, where the image was entered at EL1: only EL2 can do this.
///
/// HCR_EL2.AMO is set with it, so that physical SErrors, which this machine does not have, would go to EL2 from then on.
pub fn pend_serror() -> bool {
    if crate::boot_el() != 2 {
        return false;
    }
    // SAFETY: virt_el2_vectors answers an HVC with x0 destroyed and nothing else.
    unsafe { core::arch::asm!("hvc #0", out("x0") _, options(nostack)) };
    true
}

unsafe extern "C" {
    static virt_vectors: u8;
    static virt_vectors_end: u8;
}

/// Where `vectors.S` lies: asm, which has no names of its own in a trace.
pub fn vectors() -> core::ops::Range<usize> {
    &raw const virt_vectors as usize..&raw const virt_vectors_end as usize
}

/// Points this core at the vectors; boot calls it on each.
pub(crate) fn init() {
    VBAR_EL1.set(&raw const virt_vectors as u64);
    aarch64_cpu::asm::barrier::isb(aarch64_cpu::asm::barrier::SY);
}

/// The numbers of the vectors that a kernel at EL1 with its own stack pointer takes.
const SYNC_ELX: u64 = 4;
const IRQ_ELX: u64 = 5;
const FIQ_ELX: u64 = 6;
const SERROR_ELX: u64 = 7;

/// Every exception; `vectors.S` calls it with the interrupted code's registers.
#[unsafe(no_mangle)]
extern "C" fn virt_trap_handler(frame: &mut TrapFrame, vector: u64, esr: u64, far: u64) {
    let syndrome = Syndrome { esr, far };
    match vector {
        IRQ_ELX => irq::dispatch(),
        FIQ_ELX => irq::dispatch_fiq(),
        SYNC_ELX | SERROR_ELX => {
            let handlers = if vector == SYNC_ELX { &SYNC } else { &SERROR };
            let handler = *handlers.lock();
            if !handler.is_some_and(|handler| handler(frame, syndrome)) {
                die(frame, format_args!("{syndrome}"));
            }
        }
        _ => die(
            frame,
            format_args!("exception by vector {vector}, {syndrome}"),
        ),
    }
}

fn die(frame: &TrapFrame, what: fmt::Arguments) -> ! {
    let core = crate::cores::index();
    console::force_print(format_args!(
        "\nexception on core {core}: {what}\n  at ELR {:#x}, LR {:#x}, FP {:#x}, SPSR {:#x}\n",
        frame.elr, frame.x[30], frame.x[29], frame.spsr
    ));
    for (row, values) in frame.x.chunks(4).enumerate() {
        console::force_print(format_args!("  x{:<2}", row * 4));
        for value in values {
            console::force_print(format_args!(" {value:016x}"));
        }
        console::force_print(format_args!("\n"));
    }
    crate::exit(102)
}
