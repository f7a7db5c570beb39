//! Stores and branches that may fault: what the core says of them, instead of the kernel's end.

use core::arch::asm;
use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use virt::board::MAX_CORES;
use virt::cores;
use virt::trap::{Syndrome, TrapFrame};

/// ESR_EL1.EC, as Arm ARM DDI 0487, "ESR_EL1, Exception Syndrome Register (EL1)".
const INSTRUCTION_ABORT: u64 = 0x21;
const DATA_ABORT: u64 = 0x25;
const BRANCH_TARGET: u64 = 0x0d;
const POINTER_AUTHENTICATION: u64 = 0x1c;
/// No fault: no exception has this class.
const NONE: u64 = u64::MAX;
const INSN_SIZE: u64 = 4;
const LR: usize = 30;
/// PSTATE.BTYPE in SPSR_EL1.
const BTYPE: u64 = 0b11 << 10;

static ESR: [AtomicU64; MAX_CORES] = [const { AtomicU64::new(NONE) }; MAX_CORES];
static FAR: [AtomicU64; MAX_CORES] = [const { AtomicU64::new(0) }; MAX_CORES];

/// A synchronous exception.
#[derive(Clone, Copy)]
pub struct Fault {
    /// ESR_EL1.
    pub esr: u64,
    /// FAR_EL1.
    pub far: u64,
}

/// What happened, by its class; the level of the descriptor that decided, for aborts.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (class, status) = (self.esr >> 26 & 0x3f, self.esr & 0x3f);
        f.write_str(match (class, self.esr >> 6 & 1) {
            (DATA_ABORT, 1) => "store: ",
            (DATA_ABORT, _) => "load: ",
            (INSTRUCTION_ABORT, _) => "execution: ",
            (BRANCH_TARGET, _) => {
                return write!(f, "branch target exception, BTYPE {}", status & 3);
            }
            (POINTER_AUTHENTICATION, _) => return f.write_str("pointer authentication failed"),
            _ => return write!(f, "class {class:#x}"),
        })?;
        f.write_str(match status >> 2 {
            0b0001 => "translation fault",
            0b0011 => "permission fault",
            _ => return write!(f, "status {status:#x}"),
        })?;
        write!(f, ", level {}", status & 3)
    }
}

/// Goes on behind a store that faults, and at the caller of a function that cannot be entered or left.
fn handler(frame: &mut TrapFrame, syndrome: Syndrome) -> bool {
    match syndrome.class() {
        DATA_ABORT => frame.elr += INSN_SIZE,
        INSTRUCTION_ABORT | BRANCH_TARGET => frame.elr = frame.x[LR],
        // `damaged_return` says where to.
        POINTER_AUTHENTICATION => frame.elr = frame.x[9],
        _ => return false,
    }
    frame.spsr &= !BTYPE;
    ESR[cores::index()].store(syndrome.esr, Relaxed);
    FAR[cores::index()].store(syndrome.far, Relaxed);
    true
}

/// Runs something with all faults caught; the last one on this core, if there was one.
fn caught(what: impl FnOnce()) -> Option<Fault> {
    let core = cores::index();
    virt::set_sync_handler(Some(handler));
    ESR[core].store(NONE, Relaxed);
    what();
    let esr = ESR[core].load(Relaxed);
    (esr != NONE).then(|| Fault {
        esr,
        far: FAR[core].load(Relaxed),
    })
}

/// Stores a word.
pub fn store(at: usize, word: u32) -> Option<Fault> {
    caught(|| {
        // SAFETY: guests give the word that stands there already, or an address that faults.
        unsafe {
            asm!("str {:w}, [{}]", in(reg) word, in(reg) at, options(nostack, preserves_flags))
        }
    })
}

/// Loads a word.
pub fn load(at: usize) -> Option<Fault> {
    caught(|| {
        // SAFETY: a load of memory that nothing happens by, or a fault.
        unsafe { asm!("ldr wzr, [{}]", in(reg) at, options(nostack, preserves_flags)) }
    })
}

/// Calls a function that does nothing (its first instruction may be a RET) by BLR.
pub fn call(at: usize) -> Option<Fault> {
    caught(|| {
        // SAFETY: what is called returns at once, or its fault goes on behind the BLR.
        unsafe { asm!("blr {}", in(reg) at, clobber_abi("C")) }
    })
}

/// Signs a return address, damages it and authenticates it. A core with FPAC faults; nothing returns to it.
pub fn damaged_return() -> Option<Fault> {
    caught(|| {
        // SAFETY: x30 is given back; the fault goes on at the label in x9. PACIASP and AUTIASP are hints.
        unsafe {
            asm!(
                "mov x10, x30", "adr x9, 2f", "hint #25", "eor x30, x30, #0x4", "hint #29",
                "2: mov x30, x10", out("x9") _, out("x10") _, out("x30") _, options(nostack, preserves_flags)
            );
        }
    })
}
