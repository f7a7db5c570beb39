//! Cores that call a traced function without a pause while somebody reads, also from interrupts, and count how often.

use crate::record::{RECORDER, sure};
use crate::{FTRACE, register};
use aarch64_ftrace::trace::{Event, Type};
use aarch64_ftrace::{CpuArea, Filter};
use core::arch::asm;
use core::hint::black_box;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use virt::board::MAX_CORES;

/// Interrupts of each core a second, which call too.
const HERTZ: u64 = 2000;
/// Calls before the next core has its turn, where they share a thread of the emulator.
const BURST: u32 = 50;

static AREAS: [CpuArea; MAX_CORES] = [const { CpuArea::new() }; MAX_CORES];
static CALLS: [AtomicU64; MAX_CORES] = [const { AtomicU64::new(0) }; MAX_CORES];
static STOP: AtomicBool = AtomicBool::new(false);
static RUNNING: AtomicU32 = AtomicU32::new(0);
static INTERRUPTS: AtomicU64 = AtomicU64::new(0);

#[inline(never)]
fn work(n: u64) -> u64 {
    black_box(n + 1)
}

/// One call, which the core's recorder writes; always from the same place.
#[inline(never)]
pub fn call(core: usize) {
    work(7);
    CALLS[core].fetch_add(1, Ordering::Release);
}

fn busy(core: usize) {
    FTRACE.cpu_online(&AREAS[core]);
    RECORDER.cpu_online();
    virt::irq::unmask();
    virt::timer::start_periodic(HERTZ, interrupted);
    while !STOP.load(Ordering::Acquire) {
        (0..BURST).for_each(|_| call(core));
        give_way();
    }
    // No interrupt calls once this core is said to have ended.
    virt::timer::stop();
    let _ = virt::irq::save();
    RUNNING.fetch_sub(1, Ordering::AcqRel);
}

fn interrupted() {
    INTERRUPTS.fetch_add(1, Ordering::Relaxed);
    call(virt::cores::index());
}

/// How many interrupts have called.
pub fn interrupts() -> u64 {
    INTERRUPTS.load(Ordering::Relaxed)
}

/// Lets the other cores run, where they share a thread of the emulator with this one.
pub fn give_way() {
    // SAFETY: a hint.
    unsafe { asm!("yield", options(nomem, nostack, preserves_flags)) };
}

/// Records the function, and starts all the other cores; returns how many cores there are.
///
/// # Panics
/// Where there is one core.
pub fn start() -> usize {
    let filter = [work as *const () as usize];
    register(sure(RECORDER.ops()), &Filter::at(&filter));
    let mut cores = 1;
    while virt::start_core(cores, busy).is_ok() {
        cores += 1;
    }
    assert!(cores > 1);
    RUNNING.fetch_add(cores as u32 - 1, Ordering::AcqRel);
    cores
}

/// Waits until each of these cores has called so often.
pub fn wait(cores: impl Iterator<Item = usize> + Clone, calls: u64) {
    while cores.clone().any(|core| self::calls(core) < calls) {
        give_way();
    }
}

/// Calls that a core has made; exact when it has stopped.
pub fn calls(core: usize) -> u64 {
    CALLS[core].load(Ordering::Acquire)
}

/// Lets the other cores end, and waits for it.
pub fn stop() {
    STOP.store(true, Ordering::Release);
    while RUNNING.load(Ordering::Acquire) > 0 {
        give_way();
    }
}

/// Asserts that it is what a call leaves, and nothing else.
///
/// # Panics
/// Where it is not.
pub fn assert_whole(event: Event) {
    let entry = work as *const () as usize as u64;
    let site = sure(RECORDER.header()).text_address(event.callsite_low());
    assert_eq!(event.kind(), Some(Type::Function));
    assert!(site >= entry && site - entry <= 16, "{site:#x}");
    static PARENT: AtomicU32 = AtomicU32::new(0);
    let first = PARENT.swap(event.upper(), Ordering::Relaxed);
    assert!(first == 0 || first == event.upper(), "{first:#x}");
}
