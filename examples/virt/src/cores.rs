//! The other cores: started and stopped through PSCI, each with its own stack, MMU and vectors as the boot core has them.
//!
//! PSCI: Arm DEN 0022, CPU_ON, CPU_OFF, AFFINITY_INFO, SYSTEM_RESET. QEMU offers it by HVC when the machine has no EL2, by SMC when it has.
//!
//! ```text
//! Off --start_core--> Starting --it arrives--> Online --stop--> Leaving --its last instruction--> Leaving, and off for PSCI
//!                                                                  ^------------- start_core ------------------'
//! ```
//!
//! A core counts as running from before its first instruction until after its last one: whoever patches text or gives up
//! memory waits for it all that time.

use crate::board;
use aarch64_cpu::asm::barrier;
use aarch64_cpu::registers::{MPIDR_EL1, Readable};
use core::arch::asm;
use core::fmt;
use core::ops::Range;
use core::sync::atomic::{AtomicU32, Ordering};
use spin::Mutex;

const CPU_ON_64: u64 = 0xc400_0003;
/// PSCI's answer to what it does not have.
const NOT_SUPPORTED: i64 = -1;
const CPU_OFF: u64 = 0x8400_0002;
const SYSTEM_RESET: u64 = 0x8400_0009;
const AFFINITY_INFO_64: u64 = 0xc400_0004;
/// AFFINITY_INFO: the core executes nothing.
const IS_OFF: i64 = 1;
/// PSCI's ALREADY_ON and ON_PENDING.
const ALREADY_ON: i64 = -4;
const ON_PENDING: i64 = -5;
const AFFINITY0: u64 = 0xff;

/// What a core runs, by its number.
type Main = Mutex<Option<fn(usize)>>;

static MAINS: [Main; board::MAX_CORES] = [const { Mutex::new(None) }; board::MAX_CORES];
/// See [`before_arrival`].
static BEFORE_ARRIVAL: Mutex<Option<fn()>> = Mutex::new(None);

/// The states of the picture above.
const OFF: u32 = 0;
const STARTING: u32 = 1;
const ONLINE: u32 = 2;
const LEAVING: u32 = 3;
static STATES: [AtomicU32; board::MAX_CORES] = {
    let mut states = [const { AtomicU32::new(OFF) }; board::MAX_CORES];
    states[0] = AtomicU32::new(ONLINE);
    states
};

/// The software interrupt of [`synchronize`].
const SYNC_SGI: u32 = 15;
/// Wakes the cores that sleep in [`sleep_until`].
const WAKE_SGI: u32 = 14;
/// How many do.
static SLEEPERS: AtomicU32 = AtomicU32::new(0);
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

/// The cores that run and have arrived, a bit each.
pub fn online() -> u32 {
    let online = |core: &usize| STATES[*core].load(Ordering::Acquire) == ONLINE;
    (0..board::MAX_CORES)
        .filter(online)
        .fold(0, |mask, core| mask | 1 << core)
}

/// Whether the core executes anything, or is about to.
pub(crate) fn is_running(core: usize) -> bool {
    match STATES[core].load(Ordering::Acquire) {
        OFF => false,
        LEAVING => psci(AFFINITY_INFO_64, core as u64, 0, 0) != IS_OFF,
        _ => true,
    }
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
    let refused = |code| Err(StartError::Firmware { core, code });
    loop {
        let before = STATES[core].load(Ordering::Acquire);
        match before {
            STARTING => return refused(ON_PENDING),
            ONLINE => return refused(ALREADY_ON),
            // Its stack is in use until it is off.
            LEAVING if is_running(core) => core::hint::spin_loop(),
            _ => {
                let taken = STATES[core].compare_exchange(
                    before,
                    STARTING,
                    Ordering::AcqRel,
                    Ordering::Acquire,
                );
                if taken.is_ok() {
                    break;
                }
            }
        }
    }
    *slot.lock() = Some(main);
    // Whoever patches from here on waits for this core; what was patched before, it finds when it starts.
    barrier::dsb(barrier::SY);
    let entry = virt_secondary as *const () as usize;
    // The core arrives with its MMU off.
    let entry = crate::mmu::physical(entry).unwrap_or(entry) as u64;
    match psci(CPU_ON_64, core as u64, entry, core as u64) {
        0 => Ok(()),
        code => {
            STATES[core].store(OFF, Ordering::Release);
            wake_sleepers();
            refused(code)
        }
    }
}

/// What each core that starts from here on runs first, before it counts as arrived: for who wants to see that it is waited for.
pub fn before_arrival(what: Option<fn()>) {
    *BEFORE_ARRIVAL.lock() = what;
}

/// Switches this core off; [`start_core`] brings it back, to `main` and with a fresh stack.
///
/// From ordinary code of the core, with nothing of its stack in use elsewhere, and after `Ftrace::cpu_offline`.
///
/// # Panics
///
/// When the firmware refuses.
pub fn stop() -> ! {
    let _masked = crate::irq::save();
    crate::gic::quiet_core();
    let me = index();
    STATES[me].store(LEAVING, Ordering::Release);
    wake_sleepers();
    let code = psci(CPU_OFF, 0, 0, 0);
    panic!("PSCI CPU_OFF of core {me} answered {code}");
}

/// The boot core can be asked too; boot calls this.
pub(crate) fn init() {
    crate::irq::handle(SYNC_SGI, answer);
    crate::irq::handle(WAKE_SGI, crate::quiescent::kicked);
}

/// Makes every other running core take a context synchronisation event (the entry of an exception is one) before this
/// returns. A core that has interrupts masked is waited for: never call this while holding a lock that another core
/// takes with interrupts masked, unless that core calls [`answer`] while it waits.
pub fn synchronize() {
    let me = index();
    // What was patched is visible before it is decided which cores there are.
    barrier::dsb(barrier::ISH);
    let others = |core: &usize| *core != me && is_running(*core);
    let mut others = (0..board::MAX_CORES).filter(others).peekable();
    if others.peek().is_none() {
        return;
    }
    let asked = ASKED.fetch_add(1, Ordering::AcqRel).wrapping_add(1);
    crate::gic::sgi_all_others(SYNC_SGI);
    for core in others {
        sleep_until(core, false, || {
            (SEEN[core].load(Ordering::Acquire).wrapping_sub(asked) as i32) >= 0
        });
    }
}

/// Waits until `done`, which core `core` brings about before it calls [`wake_sleepers`], or until that core is off. It sleeps
/// where it can: an emulator with fewer cores than its guest then runs the others meanwhile. With `kick` the others are
/// interrupted first.
pub(crate) fn sleep_until(core: usize, kick: bool, done: impl Fn() -> bool) {
    // An interrupt that the caller masks ends each sleep at once.
    let never_taken = !crate::irq::enabled();
    SLEEPERS.fetch_add(1, Ordering::AcqRel);
    if kick {
        crate::gic::sgi_all_others(WAKE_SGI);
    }
    loop {
        // Two cores may wait for each other with interrupts masked: each answers while it waits.
        answer();
        // Masked from the look on, so that the interrupt that wakes is not taken before the sleep.
        let mask = crate::irq::save();
        barrier::dmb(barrier::ISH);
        let over = done() || !is_running(core);
        if !over && STATES[core].load(Ordering::Acquire) != LEAVING {
            aarch64_cpu::asm::wfi();
            if never_taken {
                pause();
            }
        }
        crate::irq::restore(mask);
        if over {
            break;
        }
    }
    SLEEPERS.fetch_sub(1, Ordering::AcqRel);
}

/// A turn of a loop that waits for another core, which an emulator with one thread for all of them then runs.
pub fn pause() {
    // SAFETY: a hint.
    unsafe { asm!("yield", options(nomem, nostack, preserves_flags)) };
}

/// After a store that another core may wait for in [`sleep_until`].
pub(crate) fn wake_sleepers() {
    barrier::dmb(barrier::ISH);
    if SLEEPERS.load(Ordering::Acquire) != 0 {
        crate::gic::sgi_all_others(WAKE_SGI);
    }
}

/// Takes a context synchronisation event on this core, and says so to the cores that are in [`synchronize`].
pub fn answer() {
    // Masked: an interrupt in between would answer a later question, which this would then take back.
    crate::irq::masked(|| {
        let asked = ASKED.load(Ordering::Acquire);
        let seen = &SEEN[index()];
        if seen.load(Ordering::Relaxed) != asked {
            barrier::isb(barrier::SY);
            seen.store(asked, Ordering::Release);
            wake_sleepers();
        }
    });
}

/// PSCI SYSTEM_RESET; its answer, where it gives one.
pub(crate) fn system_reset() -> i64 {
    psci(SYSTEM_RESET, 0, 0, 0)
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

/// Where the stack of a core lies that `boot.S` gives it: what it runs on until it switches to a task.
///
/// # Panics
/// Where there is no such core.
pub fn stack(core: usize) -> Range<usize> {
    unsafe extern "C" {
        static __stacks_start: u8;
    }
    assert!(core < board::MAX_CORES, "core {core} has no stack");
    let low = &raw const __stacks_start as usize + core * board::STACK_BYTES;
    low..low + board::STACK_BYTES
}

/// A further core, with MMU, caches and a stack; `boot.S` calls it.
#[unsafe(no_mangle)]
extern "C" fn virt_start_secondary(core: usize) -> ! {
    crate::trap::init();
    crate::gic::init_core();
    crate::pmu::init();
    init();
    let first = *BEFORE_ARRIVAL.lock();
    if let Some(first) = first {
        first();
    }
    STATES[core].store(ONLINE, Ordering::Release);
    // From here on it takes the interrupt; who asked earlier is answered now.
    answer();
    let main = MAINS.get(core).and_then(|main| *main.lock());
    if let Some(main) = main {
        main(core);
    }
    crate::irq::unmask();
    loop {
        crate::quiescent::idle();
    }
}
