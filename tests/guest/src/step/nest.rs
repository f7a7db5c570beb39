//! One way through the asm, stepped again and again: at each of its instructions something else interrupts it, and calls the same
//! traced function, and from a handler inside that once more. Every call looks at its registers and is counted.

use super::ledger::{self, Faults};
use super::{Steps, retired, run, with_mask_of};
use crate::context::{self, Context, daif, raise};
use crate::probe;
use crate::raw;
use crate::{AREA, FTRACE, register, unregister};
use aarch64_ftrace::{Filter, Ops, ReturnStack};
use core::arch::asm;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use spin::Mutex;
use virt::println;
use virt::trap::TrapFrame;

/// What is on the probe's callsite, and on those of the handlers of IRQ, FIQ and SError.
#[derive(Clone, Copy)]
pub struct Case {
    /// For whoever reads.
    pub name: &'static str,
    /// Puts everything as it must be before a pass.
    pub prepare: fn(),
    /// Follows each call of what interrupts.
    pub after_each: fn(),
    /// Calls [`window`], in whatever it is to be in.
    pub enter: fn(),
    /// What is counted so far.
    pub counted: fn() -> u64,
    /// How much each call adds to that, and how much where the guard of its context is free.
    pub each: u64,
    /// See `each`.
    pub guarded: u64,
    /// Whether the function returns to a handler.
    pub hijacked: bool,
    /// Whether it does where the guard of its context is free.
    pub hijacked_guarded: bool,
    /// Whether what hijacks is called by a set's entry, which does not hijack of itself.
    pub from_set: bool,
    /// Whether what was recorded in a pass is right.
    pub intact: fn() -> bool,
    /// Whether tracers may destroy what a function may destroy.
    pub tracers: bool,
    /// Whether the ledger has what happens: not where a tracer changes registers that are the function's.
    pub measured: bool,
}

impl Case {
    /// Counted by the tracers of `probe`: so many on each callsite without the guard, and so many with it.
    pub const fn tracers(name: &'static str, each: u64, guarded: u64) -> Self {
        Self {
            name,
            prepare: || {},
            after_each: || {},
            enter: window,
            counted: probe::delivered,
            each,
            guarded,
            hijacked: false,
            hijacked_guarded: false,
            from_set: false,
            intact: || true,
            tracers: true,
            measured: true,
        }
    }

    /// Counted by what is built in: `each` a call.
    pub const fn builtin(name: &'static str, counted: fn() -> u64, each: u64) -> Self {
        Self {
            counted,
            tracers: false,
            ..Self::tracers(name, each, 0)
        }
    }
}

/// A stack without frames.
static NO_ROOM: ReturnStack = ReturnStack::new();

impl Case {
    /// A call that is to be hijacked, and finds no room.
    pub fn no_room(name: &'static str) -> Self {
        let enter = || {
            let Some(stack) = FTRACE.return_stack() else {
                panic!("the core is online")
            };
            // SAFETY: nothing is open, here and below.
            unsafe { FTRACE.switch_return_stack(&NO_ROOM) };
            window();
            // SAFETY: as above.
            unsafe { FTRACE.switch_return_stack(stack) };
        };
        Self {
            enter,
            ..Self::builtin(name, || NO_ROOM.overruns(), 1)
        }
    }

    /// A call on a core that is not online: nothing of what `counted` counts.
    pub fn offline(name: &'static str, counted: fn() -> u64) -> Self {
        let enter = || {
            raw::clear_area_register();
            window();
            FTRACE.cpu_online(&AREA);
        };
        Self {
            enter,
            ..Self::builtin(name, counted, 0)
        }
    }
}

/// What interrupts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pass {
    /// Nothing: the ledger is written.
    Ledger,
    /// The exception of the stepper itself.
    Step,
    /// The same, with the interrupt mask of what it interrupts: a context that the guard does not tell from it.
    SameMask,
    /// What the handler makes pending.
    Pending(Context),
}

const PASSES: [Pass; 6] = [
    Pass::Ledger,
    Pass::Step,
    Pass::SameMask,
    Pass::Pending(Context::Irq),
    Pass::Pending(Context::Fiq),
    Pass::Pending(Context::SError),
];

/// PSTATE.DAIF shifted by this is the offset of its guard in a CpuArea (docs/architecture.md, "The guard").
const DAIF_TO_SLOT: u32 = 3;
const ELR_NOT_EXPECTED: u64 = u64::MAX;

static AFTER_EACH: Mutex<fn()> = Mutex::new(|| {});
static HIJACKED: AtomicBool = AtomicBool::new(false);
static HIJACKED_GUARDED: AtomicBool = AtomicBool::new(false);
static TRACERS: AtomicBool = AtomicBool::new(false);
static EACH: AtomicU64 = AtomicU64::new(0);
static GUARDED: AtomicU64 = AtomicU64::new(0);
/// Where the pending interrupt is to be taken.
static ELR: AtomicU64 = AtomicU64::new(ELR_NOT_EXPECTED);

static TAKEN: AtomicU64 = AtomicU64::new(0);
static TAKEN_ELSEWHERE: AtomicU64 = AtomicU64::new(0);
static COUNTS: AtomicU64 = AtomicU64::new(0);
static REFUSALS: AtomicU64 = AtomicU64::new(0);
static DAMAGED: AtomicU64 = AtomicU64::new(0);

/// What a pass found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Found {
    steps: u64,
    counted: u64,
    refused: u64,
    /// Calls whose registers were not what they had to be.
    damaged: u64,
    /// Whether what was recorded is.
    intact: bool,
    /// Interrupts, and of them those that were taken at another instruction than the one at hand.
    taken: u64,
    elsewhere: u64,
    faults: Faults,
}

/// Sets up contexts and stepper; interrupts and debug exceptions are let in from here on.
pub fn install() {
    context::handle(handler);
    super::install();
    ledger::begin();
    context::set_daif(0);
}

/// Steps through a case, in all passes.
pub fn through(case: &Case) {
    let mut stops = 0;
    let measured = |pass: &Pass| case.measured || *pass != Pass::Ledger;
    for pass in PASSES.into_iter().filter(measured) {
        let (steps, wanted, found) = step(case, pass);
        stops += steps.stops;
        if wanted != found {
            println!(
                "{}, {pass:?}:\n  wanted {wanted:?}\n  found  {found:?}",
                case.name
            );
        }
    }
    println!("{}: {stops} stops", case.name);
}

fn step(case: &Case, pass: Pass) -> (Steps, Found, Found) {
    HIJACKED.store(case.hijacked, Relaxed);
    HIJACKED_GUARDED.store(case.hijacked_guarded, Relaxed);
    TRACERS.store(case.tracers, Relaxed);
    *AFTER_EACH.lock() = case.after_each;
    (case.prepare)();
    let retired = retired(case.enter);
    (case.prepare)();
    for count in [&TAKEN, &TAKEN_ELSEWHERE, &COUNTS, &REFUSALS, &DAMAGED] {
        count.store(0, Relaxed);
    }
    EACH.store(case.each, Relaxed);
    GUARDED.store(case.guarded, Relaxed);
    let (counted, refused) = ((case.counted)(), AREA.refused());
    let steps = run(
        case.enter,
        match pass {
            // Its tracer changes where the function returns to.
            Pass::Ledger if case.from_set => ledger::at_stop_of_return,
            Pass::Ledger => ledger::at_stop,
            Pass::Step => |_| call(),
            Pass::SameMask => |frame| with_mask_of(frame, call),
            Pass::Pending(Context::Irq) => |frame| pend(frame, Context::Irq),
            Pass::Pending(Context::Fiq) => |frame| pend(frame, Context::Fiq),
            Pass::Pending(_) => |frame| pend(frame, Context::SError),
        },
    );
    let found = Found {
        steps: steps.steps,
        counted: (case.counted)() - counted,
        refused: AREA.refused() - refused,
        damaged: DAMAGED.load(Relaxed),
        intact: (case.intact)(),
        taken: TAKEN.load(Relaxed),
        elsewhere: TAKEN_ELSEWHERE.load(Relaxed),
        faults: ledger::end_way(),
    };
    let wanted = Found {
        steps: retired,
        counted: COUNTS.load(Relaxed),
        refused: REFUSALS.load(Relaxed),
        damaged: 0,
        intact: true,
        taken: if let Pass::Pending(_) = pass {
            steps.stops
        } else {
            0
        },
        elsewhere: 0,
        faults: Faults::default(),
    };
    (steps, wanted, found)
}

/// Where a case's ops are to be: the probe, and the handlers of IRQ, FIQ and SError.
pub fn functions() -> [usize; 4] {
    [
        probe::entry(),
        context::on_irq as *const () as usize,
        context::on_fiq as *const () as usize,
        context::on_serror as *const () as usize,
    ]
}

/// Registers all ops, steps through the case, unregisters them.
pub fn with(all: &[&'static Ops], case: &Case) {
    for ops in all {
        register(ops, &Filter::at(&functions()));
    }
    through(case);
    for ops in all {
        unregister(ops);
    }
}

/// The call that is stepped.
pub fn window() {
    let hijacked = expect();
    let float = FloatState::set();
    check(&probe::call_stepped(), hijacked);
    DAMAGED.fetch_add(u64::from(FloatState::get() != float), Relaxed);
}

/// FPCR and FPSR, on a target that has them.
#[derive(PartialEq, Eq)]
struct FloatState([u64; 2]);

impl FloatState {
    /// What no reset leaves: rounding towards plus infinity, and two of the cumulative flags. No code here rounds.
    fn set() -> Self {
        const STATE: [u64; 2] = [0b01 << 22, 0b1_0001];
        #[cfg(target_feature = "neon")]
        // SAFETY: no code here computes with floats.
        unsafe {
            asm!("msr fpcr, {}", "msr fpsr, {}", in(reg) STATE[0], in(reg) STATE[1], options(nostack))
        };
        Self(STATE)
    }

    fn get() -> Self {
        #[cfg(target_feature = "neon")]
        {
            let (control, status): (u64, u64);
            // SAFETY: a read of two registers.
            unsafe {
                asm!("mrs {}, fpcr", "mrs {}, fpsr", out(reg) control, out(reg) status, options(nostack))
            };
            Self([control, status])
        }
        #[cfg(not(target_feature = "neon"))]
        Self::set()
    }
}

/// A call from whatever interrupts.
fn call() {
    let hijacked = expect();
    check(&probe::call(), hijacked);
    let after_each = *AFTER_EACH.lock();
    after_each();
}

/// Makes an interrupt pending, which the next instruction lets in.
fn pend(frame: &TrapFrame, context: Context) {
    ELR.store(frame.elr, Relaxed);
    raise(context);
}

/// What every context calls: IRQ, FIQ and SError have come here through a traced function.
fn handler(context: Context) {
    if context == Context::Svc {
        return call();
    }
    let elr: u64;
    // SAFETY: a read of what the exception left; nothing has been taken since.
    unsafe { asm!("mrs {}, elr_el1", out(reg) elr, options(nomem, nostack, preserves_flags)) };
    TAKEN.fetch_add(1, Relaxed);
    let elsewhere = ELR.swap(ELR_NOT_EXPECTED, Relaxed) != elr;
    TAKEN_ELSEWHERE.fetch_add(u64::from(elsewhere), Relaxed);
    expect();
    call();
    raise(Context::Svc);
}

/// A call comes, with the interrupt mask that is set now. Whether it is to be hijacked.
fn expect() -> bool {
    let free = guard_is_free();
    let guarded = GUARDED.load(Relaxed);
    let counts = EACH.load(Relaxed) + guarded * u64::from(free == Some(true));
    COUNTS.fetch_add(counts, Relaxed);
    let refused = guarded != 0 && free == Some(false);
    REFUSALS.fetch_add(u64::from(refused), Relaxed);
    HIJACKED.load(Relaxed) || HIJACKED_GUARDED.load(Relaxed) && free == Some(true)
}

/// Whether no guarded tracer runs with this interrupt mask; `None` on a core that has no area.
fn guard_is_free() -> Option<bool> {
    let area = raw::area_register() as usize;
    // SAFETY: the area begins with the guard's slots, which are aligned words.
    let slot =
        || unsafe { ((area + (daif() >> DAIF_TO_SLOT) as usize) as *const u64).read_volatile() };
    (area != 0).then(|| slot() == 0)
}

fn check(seen: &probe::Seen, hijacked: bool) {
    let whole = seen.is_whole(!TRACERS.load(Relaxed));
    let right = whole && hijacked == (seen.lr() != 0);
    DAMAGED.fetch_add(u64::from(!right), Relaxed);
}
