//! A stepper: between two SVCs every instruction of this core ends in an exception (software step, Arm ARM DDI 0487, "Software Step
//! exceptions"), whose handler calls a function of the guest. What that does happens at this instruction: interrupts that it
//! makes pending are taken before the next one.
//!
//! A loop of exclusives is stepped through once; the exceptions take the monitor away, its store fails, and it comes round again. The
//! second time it runs on its own, up to a hardware breakpoint behind it. So there are as many steps as instructions are retired
//! without the stepper, and [`retired`] counts those.
//!
//! One core, and nothing nested: the window is entered once for each run.

pub mod entries;
pub mod ledger;
pub mod nest;

use crate::context::{self, set_daif};
use crate::probe::{BEGIN, END};
use crate::raw;
use aarch64_ftrace::insn::{INSN_SIZE, Insn};
use core::arch::asm;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use virt::trap::{Syndrome, TrapFrame};

/// Exception classes: Arm ARM DDI 0487, "ESR_EL1, Exception Syndrome Register (EL1)".
const EC_SVC: u64 = 0x15;
const EC_BREAKPOINT: u64 = 0x31;
const EC_STEP: u64 = 0x33;
/// The number of an SVC, in ESR_EL1.
const SVC_NUMBER: u64 = 0xffff;

/// SPSR_EL1: the step is still to be made; debug exceptions are masked; all of DAIF.
const SPSR_SS: u64 = 1 << 21;
const SPSR_D: u64 = 1 << 9;
const SPSR_DAIF: u64 = 0b1111 << 6;

/// MDSCR_EL1: software step; debug exceptions at EL1 too; breakpoints.
const MDSCR_SS: u64 = 1 << 0;
const MDSCR_KDE: u64 = 1 << 13;
const MDSCR_MDE: u64 = 1 << 15;

/// DBGBCR0_EL1: enabled, at EL1, all four bytes of the instruction.
const BREAKPOINT: u64 = 1 << 0 | 0b01 << 1 | 0b1111 << 5;

/// What the two SVCs do.
const OFF: usize = 0;
const COUNT: usize = 1;
const STEP: usize = 2;

/// How far a loop of exclusives may reach, in instructions.
const LOOP: usize = 16;

static MODE: AtomicUsize = AtomicUsize::new(OFF);
static AT_STOP: AtomicUsize = AtomicUsize::new(0);
static STEPS: AtomicU64 = AtomicU64::new(0);
static STOPS: AtomicU64 = AtomicU64::new(0);
static COUNTER: AtomicU64 = AtomicU64::new(0);
/// The loop of exclusives that is being stepped through: its first instruction, and behind it.
static FIRST: AtomicUsize = AtomicUsize::new(0);
static BEHIND: AtomicUsize = AtomicUsize::new(0);

/// What a run did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steps {
    /// Instructions stepped.
    pub steps: u64,
    /// Times that the guest's function was called: also behind each loop of exclusives that had to come round again.
    pub stops: u64,
}

/// Sets the handler of synchronous exceptions: [`crate::context::handle`] is called before.
pub fn install() {
    // SAFETY: unlocks the debug registers of this core (OSLAR_EL1), and leaves every breakpoint off.
    unsafe {
        asm!(
            "msr oslar_el1, xzr",
            "msr mdscr_el1, xzr",
            "msr dbgbcr0_el1, xzr",
            "isb",
            options(nostack, preserves_flags)
        )
    };
    virt::set_sync_handler(Some(on_sync));
}

/// Runs `window`, which makes the two SVCs, and calls `at_stop` at each instruction between them, with the registers before it.
///
/// # Panics
/// Where debug exceptions are masked (PSTATE.D) in the window.
pub fn run(window: impl FnOnce(), at_stop: fn(&TrapFrame)) -> Steps {
    AT_STOP.store(at_stop as usize, Relaxed);
    STEPS.store(0, Relaxed);
    STOPS.store(0, Relaxed);
    within(STEP, window);
    Steps {
        steps: STEPS.load(Relaxed),
        stops: STOPS.load(Relaxed),
    }
}

/// Instructions that `window` retires between its two SVCs, without the stepper. Needs `icount: yes`.
///
/// # Panics
/// Where the core does not count them.
pub fn retired(window: impl FnOnce()) -> u64 {
    assert!(
        virt::pmu::has_instructions(),
        "instructions retired need `icount: yes`"
    );
    let empty = || {
        // SAFETY: `install` set the handler, which returns with all registers as they were.
        unsafe { asm!("svc #{}", "svc #{}", const BEGIN, const END) };
    };
    within(COUNT, empty);
    let nothing = COUNTER.load(Relaxed);
    within(COUNT, window);
    COUNTER.load(Relaxed).wrapping_sub(nothing)
}

fn within(mode: usize, window: impl FnOnce()) {
    MODE.store(mode, Relaxed);
    window();
    MODE.store(OFF, Relaxed);
}

/// Runs `what` in the stepper's handler with the interrupt mask of the code that is stepped: a context that the mask does not
/// tell from it.
pub fn with_mask_of(frame: &TrapFrame, what: fn()) {
    let (mask, debug) = (context::daif(), mdscr());
    set_mdscr(0);
    set_daif(frame.spsr & SPSR_DAIF);
    what();
    set_daif(mask);
    set_mdscr(debug);
}

fn on_sync(frame: &mut TrapFrame, syndrome: Syndrome) -> bool {
    match syndrome.class() {
        EC_SVC if syndrome.esr & SVC_NUMBER == u64::from(BEGIN) => begin(frame),
        EC_SVC if syndrome.esr & SVC_NUMBER == u64::from(END) => end(frame),
        EC_STEP => {
            STEPS.fetch_add(1, Relaxed);
            stop(frame);
        }
        EC_BREAKPOINT => {
            set_breakpoint(0, 0);
            FIRST.store(0, Relaxed);
            set_mdscr(MDSCR_SS | MDSCR_KDE | MDSCR_MDE);
            frame.spsr |= SPSR_SS;
            stop(frame);
        }
        _ => return context::on_sync(frame, syndrome),
    }
    true
}

fn begin(frame: &mut TrapFrame) {
    match MODE.load(Relaxed) {
        COUNT => COUNTER.store(virt::pmu::instructions_raw(), Relaxed),
        STEP => {
            assert!(frame.spsr & SPSR_D == 0, "PSTATE.D is set: nothing steps");
            FIRST.store(0, Relaxed);
            frame.spsr |= SPSR_SS;
            set_mdscr(MDSCR_SS | MDSCR_KDE | MDSCR_MDE);
        }
        _ => {}
    }
}

fn end(frame: &mut TrapFrame) {
    match MODE.load(Relaxed) {
        COUNT => {
            let now = virt::pmu::instructions_raw();
            COUNTER.store(now.wrapping_sub(COUNTER.load(Relaxed)), Relaxed);
        }
        STEP => {
            frame.spsr &= !SPSR_SS;
            set_mdscr(0);
        }
        _ => {}
    }
}

fn stop(frame: &mut TrapFrame) {
    frame.spsr |= SPSR_SS;
    let pc = frame.elr as usize;
    let (first, behind) = (FIRST.load(Relaxed), BEHIND.load(Relaxed));
    if pc == first {
        // It has come round: on its own from here.
        set_breakpoint(behind, BREAKPOINT);
        set_mdscr(MDSCR_KDE | MDSCR_MDE);
        frame.spsr &= !SPSR_SS;
    } else if !(first..behind).contains(&pc) {
        let behind = behind_loop(pc);
        FIRST.store(behind.map_or(0, |_| pc), Relaxed);
        BEHIND.store(behind.unwrap_or(0), Relaxed);
    }
    STOPS.fetch_add(1, Relaxed);
    let at_stop = AT_STOP.load(Relaxed);
    // SAFETY: `run` stored a function of this type there before it let any stop happen.
    let at_stop = unsafe { core::mem::transmute::<usize, fn(&TrapFrame)>(at_stop) };
    at_stop(frame);
}

/// The address behind the loop that begins with the load-exclusive at `pc`.
fn behind_loop(pc: usize) -> Option<usize> {
    if !is_exclusive(raw::insn(pc), true) {
        return None;
    }
    let at = |i: usize| pc + i * INSN_SIZE;
    let store = (1..LOOP).find(|&i| is_exclusive(raw::insn(at(i)), false))?;
    let branch = (store..store + LOOP).find(|&i| is_cbnz(raw::insn(at(i))))?;
    Some(at(branch + 1))
}

/// LDXR or LDAXR, or else STXR or STLXR, of any size: Arm ARM DDI 0487, "Load/store exclusive register".
fn is_exclusive(insn: Insn, load: bool) -> bool {
    insn.0 & 0x3fe0_0000 == 0x0800_0000 | u32::from(load) << 22
}

/// CBNZ of 32 bits: the status of a store.
fn is_cbnz(insn: Insn) -> bool {
    insn.0 & 0xff00_0000 == 0x3500_0000
}

fn mdscr() -> u64 {
    let value: u64;
    // SAFETY: a read without effect.
    unsafe { asm!("mrs {}, mdscr_el1", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

fn set_mdscr(value: u64) {
    // SAFETY: debug exceptions of this core, which go to `on_sync`.
    unsafe { asm!("msr mdscr_el1, {}", "isb", in(reg) value, options(nostack, preserves_flags)) };
}

fn set_breakpoint(at: usize, control: u64) {
    // SAFETY: as above; breakpoint 0 is on every core.
    unsafe {
        asm!("msr dbgbvr0_el1, {}", "msr dbgbcr0_el1, {}", "isb", in(reg) at, in(reg) control, options(nostack, preserves_flags))
    };
}
