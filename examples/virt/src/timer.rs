//! The generic timer: the counter, and a periodic interrupt from this core's EL1 virtual timer.

use crate::{board, irq};
use aarch64_cpu::asm::barrier;
use aarch64_cpu::registers::{
    CNTFRQ_EL0, CNTV_CTL_EL0, CNTV_CVAL_EL0, CNTVCT_EL0, ReadWriteable, Readable, Writeable,
};
use core::sync::atomic::{AtomicU64, Ordering};
use spin::Mutex;

static PERIOD: AtomicU64 = AtomicU64::new(0);
static ON_TICK: Mutex<Option<fn()>> = Mutex::new(None);

/// Ticks of CNTVCT_EL0, read in program order.
#[inline]
pub fn ticks() -> u64 {
    barrier::isb(barrier::SY);
    CNTVCT_EL0.get()
}

/// Makes CNTVCT_EL0 of this core that many ticks less than CNTPCT_EL0 (CNTVOFF_EL2). False, and nothing done, where the image was
/// entered at EL1: only EL2 can do this.
pub fn set_offset(ticks: u64) -> bool {
    if crate::boot_el() != 2 {
        return false;
    }
    // SAFETY: virt_el2_vectors answers an HVC with x0 destroyed, and sets the offset.
    unsafe { core::arch::asm!("hvc #1", out("x0") _, in("x1") ticks, options(nostack)) };
    true
}

/// Ticks a second.
#[inline]
pub fn frequency() -> u64 {
    CNTFRQ_EL0.get()
}

/// Ticks in nanoseconds.
pub fn ticks_to_ns(ticks: u64) -> u64 {
    (u128::from(ticks) * 1_000_000_000 / u128::from(frequency())) as u64
}

/// Calls `on_tick` from this core's timer interrupt, `hertz` times a second.
pub fn start_periodic(hertz: u64, on_tick: fn()) {
    let period = frequency() / hertz.max(1);
    PERIOD.store(period, Ordering::Relaxed);
    irq::masked(|| *ON_TICK.lock() = Some(on_tick));
    CNTV_CVAL_EL0.set(CNTVCT_EL0.get() + period);
    CNTV_CTL_EL0.write(CNTV_CTL_EL0::ENABLE::SET);
    irq::handle(board::TIMER_IRQ, interrupt);
}

/// No more ticks on this core.
pub fn stop() {
    CNTV_CTL_EL0.modify(CNTV_CTL_EL0::ENABLE::CLEAR);
}

fn interrupt() {
    let period = PERIOD.load(Ordering::Relaxed);
    let now = CNTVCT_EL0.get();
    // From the last deadline, so that ticks do not drift; from now on when some were missed.
    let next = CNTV_CVAL_EL0.get() + period;
    CNTV_CVAL_EL0.set(if next > now { next } else { now + period });
    let on_tick = *ON_TICK.lock();
    if let Some(on_tick) = on_tick {
        on_tick();
    }
}
