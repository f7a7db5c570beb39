//! A function in asm with a callsite of its own, and a caller that fills every register that must survive: what the function
//! sees at its first instruction behind the callsite, and what its caller sees after the return, is compared with what it was.

use core::arch::global_asm;
use core::fmt;
use core::mem::offset_of;
use core::sync::atomic::{AtomicU64, Ordering};
use virt::println;

/// Whether there are vector registers that a function's arguments travel in.
pub const HAS_VECTORS: bool = cfg!(target_feature = "neon");

const VECTORS: usize = if HAS_VECTORS { 32 } else { 0 };

/// x0 to x30, sp, q0 to q31.
#[repr(C)]
struct Registers {
    x: [u64; 31],
    sp: u64,
    q: [u128; VECTORS],
}

/// Registers as [`call`] fills them, and what became of them.
#[repr(C)]
pub struct Seen {
    entry: Registers,
    back: Registers,
}

const fn pattern(i: usize) -> u64 {
    0x5a5a_5a5a_5a5a_5a5a ^ (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

const fn fill() -> Registers {
    let mut registers = Registers {
        x: [0; 31],
        sp: 0,
        q: [0; VECTORS],
    };
    let mut i = 0;
    while i < registers.x.len() {
        registers.x[i] = pattern(i);
        i += 1;
    }
    let mut i = 0;
    while i < registers.q.len() {
        registers.q[i] = (pattern(100 + i) as u128) << 64 | pattern(200 + i) as u128;
        i += 1;
    }
    registers
}

#[unsafe(no_mangle)]
static PROBE_FILL: Registers = fill();

#[unsafe(no_mangle)]
static PROBE_DELIVERED: AtomicU64 = AtomicU64::new(0);

/// The SVCs around the call of [`call_stepped`].
pub(crate) const BEGIN: u16 = 1;
pub(crate) const END: u16 = 2;

/// The flags that a call begins with: N and Z in SPSR and NZCV.
pub(crate) const NZCV: u64 = 0b1100 << 28;

global_asm!(
    include_str!("probe.S"),
    HAS_VECTORS = const HAS_VECTORS as u8,
    ENTRY = const offset_of!(Seen, entry),
    BACK = const offset_of!(Seen, back),
    Q = const offset_of!(Registers, q),
    NZCV = const NZCV,
    BEGIN = const BEGIN,
    END = const END,
);

unsafe extern "C" {
    fn probe_caller(seen: *mut Seen);
    fn probe_caller_stepped(seen: *mut Seen);
    safe fn probe_tracee();
    fn probe_direct_trash();
    safe fn probe_trash(
        ip: usize,
        parent: usize,
        ops: &aarch64_ftrace::Ops,
        fregs: &mut aarch64_ftrace::Fregs,
    );
}

/// The tracer that destroys whatever a function may.
pub const TRASH: aarch64_ftrace::TracerFn = probe_trash;
/// The direct tracer that destroys whatever it may.
pub const DIRECT_TRASH: aarch64_ftrace::EntryFn = probe_direct_trash;

/// How often these two have been called.
pub fn delivered() -> u64 {
    PROBE_DELIVERED.load(Ordering::Relaxed)
}

/// The function's entry.
pub fn entry() -> usize {
    probe_tracee as *const () as usize
}

/// Calls the function once; says `what` and which registers it did not see as they were.
pub fn run(what: &str) {
    let seen = call();
    println!(
        "{what}: {}, lr {:+}, sp {:+}",
        seen.changed(),
        seen.lr(),
        seen.sp()
    );
}

/// As [`run`], where the function's return is hijacked: `lr` is another then.
pub fn run_hijacked(what: &str) {
    let seen = call();
    println!(
        "{what}: {}, lr hijacked: {}, sp {:+}",
        seen.changed(),
        seen.lr() != 0,
        seen.sp()
    );
}

/// Calls the function.
pub fn call() -> Seen {
    let mut seen = Seen::new();
    // SAFETY: it writes there and to its own frame, and keeps what a function must keep.
    unsafe { probe_caller(&raw mut seen) };
    seen
}

/// Calls the function between two SVCs.
pub fn call_stepped() -> Seen {
    let mut seen = Seen::new();
    // SAFETY: as `call`; a handler of the SVCs is the caller's to set, without one the kernel ends there.
    unsafe { probe_caller_stepped(&raw mut seen) };
    seen
}

/// How many registers changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changed {
    general: usize,
    vectors: usize,
    back_general: usize,
    back_vectors: usize,
}

/// Vectors that arguments travel in, and behind them those whose low halves a call keeps.
const ARGUMENTS: usize = 8;
const KEPT: usize = 16;

/// x0-x8, x18-x29.
const GENERAL: usize = 21;

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {GENERAL} general registers changed, {} vectors; at the return {} and {}",
            self.general, self.vectors, self.back_general, self.back_vectors
        )
    }
}

impl Seen {
    const fn new() -> Self {
        const NOT_WRITTEN: u64 = 0xeeee_eeee_eeee_eeee;
        Self {
            entry: Registers {
                x: [NOT_WRITTEN; 31],
                sp: NOT_WRITTEN,
                q: [0; VECTORS],
            },
            back: Registers {
                x: [NOT_WRITTEN; 31],
                sp: NOT_WRITTEN,
                q: [0; VECTORS],
            },
        }
    }

    /// Registers that the function did not see as its caller had set them, or its caller not as the function had left them.
    pub fn changed(&self) -> Changed {
        let (general, vectors) = self.entry.changed(|word| word, |word| word);
        let (back_general, back_vectors) = self.back.changed(|word| !word, |word| !word);
        Changed {
            general,
            vectors,
            back_general,
            back_vectors,
        }
    }

    /// Whether the function and its caller saw everything as it was, all of q0 to q31 included where no tracer is that
    /// may destroy some of them. `lr` aside.
    pub fn is_whole(&self, all_vectors: bool) -> bool {
        let none = Changed {
            general: 0,
            vectors: 0,
            back_general: 0,
            back_vectors: 0,
        };
        let rest = PROBE_FILL.q.iter().zip(&self.back.q).skip(ARGUMENTS);
        self.changed() == none
            && self.sp() == 0
            && !(all_vectors && rest.clone().any(|(put, seen)| put != seen))
    }

    /// What the function's LR was less what it returned to.
    pub fn lr(&self) -> i64 {
        self.entry.x[30].wrapping_sub(self.back.x[30]) as i64
    }

    /// The function's sp less its caller's.
    pub fn sp(&self) -> i64 {
        self.entry.sp.wrapping_sub(self.back.sp) as i64
    }
}

impl Registers {
    /// General registers (x29, the frame pointer, is sp), and vectors: of q8 to q15 the low halves are kept by a call. `by` is what
    /// the function has done to its arguments, which are its results.
    fn changed(&self, by: fn(u64) -> u64, by_vector: fn(u128) -> u128) -> (usize, usize) {
        let general = (0..9)
            .filter(|&i| self.x[i] != by(PROBE_FILL.x[i]))
            .chain((18..29).filter(|&i| self.x[i] != PROBE_FILL.x[i]))
            .count();
        let vectors = self.q.iter().zip(&PROBE_FILL.q).enumerate().take(KEPT);
        let vectors = vectors
            .filter(|&(i, (&seen, &put))| match i {
                0..ARGUMENTS => seen != by_vector(put),
                _ => seen as u64 != put as u64,
            })
            .count();
        (general + usize::from(self.x[29] != self.sp), vectors)
    }
}
