//! The other cores: started through PSCI, each with its own stack, MMU and vectors as the boot core has them.
//!
//! PSCI: Arm DEN 0022, CPU_ON. QEMU offers it by HVC when the machine has no EL2, by SMC when it has.

use crate::board;
use aarch64_cpu::registers::{MPIDR_EL1, Readable};
use core::arch::asm;
use core::fmt;
use core::sync::atomic::{AtomicU32, Ordering};
use spin::Mutex;

const CPU_ON_64: u64 = 0xc400_0003;
/// PSCI's answer to what it does not have.
const NOT_SUPPORTED: i64 = -1;
const AFFINITY0: u64 = 0xff;

/// What a core runs, by its number.
type Main = Mutex<Option<fn(usize)>>;

static MAINS: [Main; board::MAX_CORES] = [const { Mutex::new(None) }; board::MAX_CORES];
static ONLINE: AtomicU32 = AtomicU32::new(1);

/// The software interrupt of [`synchronize`].
const SYNC_SGI: u32 = 15;
/// How many times a synchronisation was asked for, and which of them each core has seen.
static ASKED: AtomicU32 = AtomicU32::new(0);
static SEEN: [AtomicU32; board::MAX_CORES] = [const { AtomicU32::new(0) }; board::MAX_CORES];

/// Why a core did not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartError {
    /// There is no stack for this core: raise `MAX_CORES` in board.rs and in linker.ld.
    TooMany {
        /// The core asked for.
        core: usize,
    },
    /// The firmware refused; give QEMU a larger `-smp` if the code is -2 (invalid parameters).
    Firmware {
        /// The core asked for.
        core: usize,
        /// PSCI's answer: -1 no such firmware, -2 no such core, -4 already on, -5 on its way.
        code: i64,
    },
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::TooMany { core } => write!(
                f,
                "core {core} has no stack: MAX_CORES is {}",
                board::MAX_CORES
            ),
            Self::Firmware { core, code } => {
                write!(f, "PSCI CPU_ON of core {core} answered {code}")
            }
        }
    }
}

/// The number of the core that runs this, from 0.
#[inline]
pub fn index() -> usize {
    (MPIDR_EL1.get() & AFFINITY0) as usize
}

/// The cores that run, a bit each.
pub fn online() -> u32 {
    ONLINE.load(Ordering::Acquire)
}

/// Starts core `core`; it runs `main(core)` with interrupts masked, and waits for interrupts for ever when that returns.
/// Returns when the core is on its way: [`online`] says when it has arrived.
///
/// # Errors
///
/// [`StartError::TooMany`] beyond [`board::MAX_CORES`], [`StartError::Firmware`] with PSCI's answer.
pub fn start_core(core: usize, main: fn(usize)) -> Result<(), StartError> {
    unsafe extern "C" {
        fn virt_secondary();
    }
    let slot = MAINS.get(core).ok_or(StartError::TooMany { core })?;
    *slot.lock() = Some(main);
    let entry = virt_secondary as *const () as usize;
    // The core arrives with its MMU off.
    let entry = crate::mmu::physical(entry).unwrap_or(entry) as u64;
    match psci(CPU_ON_64, core as u64, entry, core as u64) {
        0 => Ok(()),
        code => Err(StartError::Firmware { core, code }),
    }
}

/// The boot core can be asked too; boot calls this.
pub(crate) fn init() {
    crate::irq::handle(SYNC_SGI, answer);
}

/// Makes every other running core take a context synchronisation event (the entry of an exception is one) before this
/// returns. A core that has interrupts masked is waited for: never call this while holding a lock that another core
/// takes with interrupts masked.
pub fn synchronize() {
    let me = index();
    let others = online() & !(1 << me);
    if others == 0 {
        return;
    }
    let asked = ASKED.fetch_add(1, Ordering::AcqRel).wrapping_add(1);
    crate::gic::sgi_all_others(SYNC_SGI);
    for (core, seen) in SEEN.iter().enumerate() {
        while others >> core & 1 == 1
            && (seen.load(Ordering::Acquire).wrapping_sub(asked) as i32) < 0
        {
            // Two cores may ask each other with interrupts masked: each answers while it waits.
            answer();
        }
    }
}

/// Takes a context synchronisation event on this core and says so.
fn answer() {
    let asked = ASKED.load(Ordering::Acquire);
    aarch64_cpu::asm::barrier::isb(aarch64_cpu::asm::barrier::SY);
    SEEN[index()].store(asked, Ordering::Release);
}

fn psci(function: u64, x1: u64, x2: u64, x3: u64) -> i64 {
    if !board::HAS_PSCI {
        return NOT_SUPPORTED;
    }
    let answer: u64;
    if crate::boot_el() == 2 {
        // SAFETY: the SMC calling convention keeps everything but x0..x17.
        unsafe {
            asm!("smc #0", inlateout("x0") function => answer, in("x1") x1, in("x2") x2, in("x3") x3,
                clobber_abi("C"))
        };
    } else {
        // SAFETY: as above.
        unsafe {
            asm!("hvc #0", inlateout("x0") function => answer, in("x1") x1, in("x2") x2, in("x3") x3,
                clobber_abi("C"))
        };
    }
    answer as i64
}

/// A further core, with MMU, caches and a stack; `boot.S` calls it.
#[unsafe(no_mangle)]
extern "C" fn virt_start_secondary(core: usize) -> ! {
    crate::trap::init();
    crate::gic::init_core();
    crate::pmu::init();
    crate::irq::handle(SYNC_SGI, answer);
    ONLINE.fetch_or(1 << core, Ordering::AcqRel);
    // What was patched before the others knew of this core is seen from here on.
    answer();
    let main = MAINS.get(core).and_then(|main| *main.lock());
    if let Some(main) = main {
        main(core);
    }
    crate::irq::unmask();
    loop {
        aarch64_cpu::asm::wfi();
    }
}

/// Waits until an interrupt is pending for this core.
pub fn wait_for_interrupt() {
    aarch64_cpu::asm::wfi();
}
