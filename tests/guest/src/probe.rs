//! A function in asm with a callsite of its own, and a caller that fills every register that must survive: what the function
//! sees at its first instruction behind the callsite is compared with what the caller put there.

use core::arch::global_asm;
use virt::println;

/// x0-x8, x19-x29.
const GENERAL: usize = 20;
/// q0-q7 as pairs of words, then d8-d15; empty on soft-float.
const VECTORS: usize = if cfg!(target_feature = "neon") { 24 } else { 0 };

const fn pattern<const N: usize>(seed: u64) -> [u64; N] {
    let mut words = [0; N];
    let mut i = 0;
    while i < N {
        words[i] = seed.wrapping_mul(0x0101_0101_0101_0101)
            ^ (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        i += 1;
    }
    words
}

#[unsafe(no_mangle)]
static PROBE_FILL: [u64; GENERAL] = pattern(0x5a);
#[unsafe(no_mangle)]
static PROBE_FILL_VECTORS: [u64; 24] = pattern(0xc3);

/// What the function saw: general registers, x30 less what it must be, sp less what it must be, vectors.
#[repr(C)]
struct Seen {
    general: [u64; GENERAL],
    lr: u64,
    sp: u64,
    vectors: [u64; 24],
}

global_asm!(
    ".pushsection .bss.probe, \"aw\", %nobits",
    ".balign 16",
    ".global probe_seen",
    "probe_seen: .skip {SEEN}",
    ".popsection",
    ".pushsection .text.probe_tracee, \"ax\", %progbits",
    ".balign 8",
    "5: nop",
    "nop",
    ".global probe_tracee",
    ".type probe_tracee, %function",
    "probe_tracee:",
    "nop",
    "nop",
    // Behind the callsite: x16 and x17 are free at a function's entry.
    "adrp x16, probe_seen",
    "add x16, x16, :lo12:probe_seen",
    "stp x0, x1, [x16, #0]",
    "stp x2, x3, [x16, #16]",
    "stp x4, x5, [x16, #32]",
    "stp x6, x7, [x16, #48]",
    "stp x8, x19, [x16, #64]",
    "stp x20, x21, [x16, #80]",
    "stp x22, x23, [x16, #96]",
    "stp x24, x25, [x16, #112]",
    "stp x26, x27, [x16, #128]",
    "stp x28, x29, [x16, #144]",
    "mov x17, sp",
    "stp x30, x17, [x16, #160]",
    ".if {VECTORS}",
    "stp q0, q1, [x16, #176]",
    "stp q2, q3, [x16, #208]",
    "stp q4, q5, [x16, #240]",
    "stp q6, q7, [x16, #272]",
    "stp d8, d9, [x16, #304]",
    "stp d10, d11, [x16, #320]",
    "stp d12, d13, [x16, #336]",
    "stp d14, d15, [x16, #352]",
    ".endif",
    "ret",
    ".size probe_tracee, . - probe_tracee",
    ".popsection",
    // The record, linked to the function's section as the compiler links its own.
    ".pushsection __patchable_function_entries, \"awo\", %progbits, .text.probe_tracee",
    ".balign 8",
    ".quad 5b",
    ".popsection",
    // Saves what its own caller owns, fills the registers, calls, and leaves lr and sp as differences.
    ".pushsection .text.ftrace_notrace.probe_caller, \"ax\", %progbits",
    ".balign 8",
    ".global probe_caller",
    "probe_caller:",
    "stp x29, x30, [sp, #-176]!",
    "stp x19, x20, [sp, #16]",
    "stp x21, x22, [sp, #32]",
    "stp x23, x24, [sp, #48]",
    "stp x25, x26, [sp, #64]",
    "stp x27, x28, [sp, #80]",
    ".if {VECTORS}",
    "stp d8, d9, [sp, #96]",
    "stp d10, d11, [sp, #112]",
    "stp d12, d13, [sp, #128]",
    "stp d14, d15, [sp, #144]",
    "adrp x17, PROBE_FILL_VECTORS",
    "add x17, x17, :lo12:PROBE_FILL_VECTORS",
    "ldp q0, q1, [x17, #0]",
    "ldp q2, q3, [x17, #32]",
    "ldp q4, q5, [x17, #64]",
    "ldp q6, q7, [x17, #96]",
    "ldp d8, d9, [x17, #128]",
    "ldp d10, d11, [x17, #144]",
    "ldp d12, d13, [x17, #160]",
    "ldp d14, d15, [x17, #176]",
    ".endif",
    "adrp x17, PROBE_FILL",
    "add x17, x17, :lo12:PROBE_FILL",
    "ldp x0, x1, [x17, #0]",
    "ldp x2, x3, [x17, #16]",
    "ldp x4, x5, [x17, #32]",
    "ldp x6, x7, [x17, #48]",
    "ldp x8, x19, [x17, #64]",
    "ldp x20, x21, [x17, #80]",
    "ldp x22, x23, [x17, #96]",
    "ldp x24, x25, [x17, #112]",
    "ldp x26, x27, [x17, #128]",
    "ldp x28, x29, [x17, #144]",
    "bl probe_tracee",
    "6: adrp x16, probe_seen",
    "add x16, x16, :lo12:probe_seen",
    "ldp x0, x1, [x16, #160]",
    "adr x2, 6b",
    "sub x0, x0, x2",
    "mov x2, sp",
    "sub x1, x1, x2",
    "stp x0, x1, [x16, #160]",
    ".if {VECTORS}",
    "ldp d8, d9, [sp, #96]",
    "ldp d10, d11, [sp, #112]",
    "ldp d12, d13, [sp, #128]",
    "ldp d14, d15, [sp, #144]",
    ".endif",
    "ldp x19, x20, [sp, #16]",
    "ldp x21, x22, [sp, #32]",
    "ldp x23, x24, [sp, #48]",
    "ldp x25, x26, [sp, #64]",
    "ldp x27, x28, [sp, #80]",
    "ldp x29, x30, [sp], #176",
    "ret",
    // A tracer that destroys whatever a function may destroy: x0-x17, the flags, v0-v7, v16-v31, the top halves of v8-v15.
    ".global probe_trash",
    "probe_trash:",
    "bti c",
    ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17",
    "mvn x\\n, x30",
    ".endr",
    "cmp x0, x30",
    ".if {VECTORS}",
    ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
    "movi v\\n\\().16b, #0x77",
    ".endr",
    ".irp n, 8, 9, 10, 11, 12, 13, 14, 15",
    "ins v\\n\\().d[1], x0",
    ".endr",
    ".endif",
    "ret",
    // The same as a direct tracer, which owns x9-x17 and the flags only.
    ".global probe_direct_trash",
    "probe_direct_trash:",
    "bti c",
    "bti c",
    "mov x10, x30",
    "mov x30, x9",
    ".irp n, 9, 11, 12, 13, 14, 15, 16, 17",
    "mvn x\\n, xzr",
    ".endr",
    "cmp x9, #1",
    "ret x10",
    ".popsection",
    SEEN = const size_of::<Seen>(),
    VECTORS = const VECTORS,
);

unsafe extern "C" {
    safe fn probe_caller();
    safe fn probe_tracee();
    fn probe_direct_trash();
    safe fn probe_trash(
        ip: usize,
        parent: usize,
        ops: &aarch64_ftrace::Ops,
        fregs: &mut aarch64_ftrace::Fregs,
    );
    static mut probe_seen: Seen;
}

/// The tracer that destroys whatever a function may.
pub const TRASH: aarch64_ftrace::TracerFn = probe_trash;
/// The direct tracer that destroys whatever it may.
pub const DIRECT_TRASH: aarch64_ftrace::EntryFn = probe_direct_trash;

/// The function's entry.
pub fn entry() -> usize {
    probe_tracee as *const () as usize
}

/// Calls the function once; says `what` and which registers it did not see as they were.
pub fn run(what: &str) {
    let (changed, lr) = look();
    println!("{what}: {changed}, lr {lr:+}, sp {:+}", changed.sp);
}

/// As [`run`], where the function's return is hijacked: `lr` is another then.
pub fn run_hijacked(what: &str) {
    let (changed, lr) = look();
    println!(
        "{what}: {changed}, lr hijacked: {}, sp {:+}",
        lr != 0,
        changed.sp
    );
}

/// What the function saw changed.
struct Changed {
    general: usize,
    vectors: usize,
    sp: i64,
}

impl core::fmt::Display for Changed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self {
            general, vectors, ..
        } = self;
        write!(
            f,
            "{general} of {GENERAL} general registers changed, {vectors} vector words"
        )
    }
}

fn look() -> (Changed, i64) {
    let seen = &raw mut probe_seen;
    // SAFETY: plain words that only the asm above writes, on one core.
    unsafe { seen.write_bytes(0xee, 1) };
    probe_caller();
    // SAFETY: as above; all bit patterns are words.
    let seen = unsafe { seen.read_volatile() };
    let general = seen
        .general
        .iter()
        .zip(PROBE_FILL)
        .filter(|(seen, put)| *seen != put)
        .count();
    let vectors = seen.vectors[..VECTORS]
        .iter()
        .zip(PROBE_FILL_VECTORS)
        .filter(|(seen, put)| *seen != put)
        .count();
    let changed = Changed {
        general,
        vectors,
        sp: seen.sp as i64,
    };
    (changed, seen.lr as i64)
}
