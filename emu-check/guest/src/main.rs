//! Patches a function by hand. The semihosting command line says which step is left out; the plug-in must say the same.
//!
//! Nothing of the tracer's engine runs here: the steps are written out, so that each can be missing.
#![no_std]
#![no_main]

use aarch64_ftrace::callsite::{COMPILED_LITERAL, Layout};
use aarch64_ftrace::insn::Insn;
use aarch64_ftrace::{Fregs, Ops, notrace};
use core::arch::asm;
use core::sync::atomic::{AtomicIsize, AtomicU32, Ordering};
use virt::println;

virt::entry!(main);

/// What is done wrong; `xtask` knows the same words, and what the plug-in must answer to each. `count` and
/// `same-word` do nothing wrong.
const FAULTS: [&str; 22] = [
    "none",
    "same-word",
    "count",
    "clean",
    "clean-dsb",
    "invalidate",
    "invalidate-dsb",
    "line",
    "isb",
    "other-core",
    "order",
    "literal-first",
    "literal-halves",
    "literal-wide",
    "ops",
    "half-patched",
    "word",
    "target",
    "late-mov",
    "mov-missing",
    "mov-unsynchronised",
    "elsewhere",
];

const CACHE_LINE: usize = 64;

unsafe extern "C" {
    fn ftrace_caller();
    fn ftrace_entry_nop();
}

static CALLS: AtomicU32 = AtomicU32::new(0);
/// From the text to its writable alias.
static DISTANCE: AtomicIsize = AtomicIsize::new(0);
static TRACER: Ops = Ops::unguarded(tracer);
// SAFETY: the library's own entry for callsites without a tracer, which is such asm.
static NOTHING: Ops = unsafe { Ops::direct(ftrace_entry_nop) };
// SAFETY: as above; another ops, so that its callsite counts as enabled.
static DIRECT: Ops = unsafe { Ops::direct(ftrace_entry_nop) };
/// No ops: its first word is no address of the text.
static NO_OPS: [u64; 2] = [0; 2];

/// The traced function.
#[inline(never)]
fn victim(number: u32) -> u32 {
    core::hint::black_box(number) + 1
}

/// One that no fault but its own touches.
#[inline(never)]
fn bystander(number: u32) -> u32 {
    core::hint::black_box(number) + 2
}

notrace! {
    extern "C" fn tracer(_ip: usize, _parent: usize, _ops: &Ops, _fregs: &mut Fregs) {
        CALLS.fetch_add(1, Ordering::Relaxed);
    }

    fn store_word(at: usize, word: u32) {
        let alias = at.wrapping_add_signed(DISTANCE.load(Ordering::Relaxed)) as *mut u32;
        // SAFETY: the alias maps all of the text writable; the callers give words of a callsite.
        unsafe { asm!("str {0:w}, [{1}]", in(reg) word, in(reg) alias, options(nostack, preserves_flags)) };
    }

    fn store_literal(at: usize, literal: u64) {
        let alias = at.wrapping_add_signed(DISTANCE.load(Ordering::Relaxed)) as *mut u64;
        // SAFETY: as above.
        unsafe { asm!("str {}, [{}]", in(reg) literal, in(reg) alias, options(nostack, preserves_flags)) };
    }

    fn order() {
        // SAFETY: a barrier.
        unsafe { asm!("dmb ishst", options(nostack, preserves_flags)) };
    }

    /// The steps after a store to the word, but for the one that is left out.
    fn publish(at: usize, fault: &str) {
        let line = if fault == "line" { at ^ CACHE_LINE } else { at };
        if fault != "clean" {
            // SAFETY: cleaning a mapped line changes no data.
            unsafe { asm!("dc cvau, {}", in(reg) line, options(nostack, preserves_flags)) };
        }
        if fault != "clean-dsb" {
            complete();
        }
        if fault != "invalidate" {
            // SAFETY: invalidating an instruction cache line loses nothing.
            unsafe { asm!("ic ivau, {}", in(reg) at, options(nostack, preserves_flags)) };
        }
        if fault != "invalidate-dsb" {
            complete();
        }
        if fault != "isb" {
            // SAFETY: a barrier.
            unsafe { asm!("isb", options(nostack, preserves_flags)) };
        }
        if fault != "other-core" && fault != "invalidate-dsb" && fault != "isb" {
            virt::cores::synchronize();
        }
    }

    fn complete() {
        // SAFETY: a barrier.
        unsafe { asm!("dsb ish", options(nostack, preserves_flags)) };
    }

    /// Compiled to disabled.
    #[inline(never)]
    fn prepare(site: Layout, fault: &str) {
        store_literal(site.literal(), &raw const NOTHING as u64);
        store_word(site.mov(), Insn::MOV_X9_X30.0);
        publish(site.mov(), fault);
    }

    /// Disabled to enabled.
    #[inline(never)]
    fn enable(site: Layout, fault: &str) {
        enable_for(site, &TRACER, fault);
    }

    #[inline(never)]
    fn enable_for(site: Layout, ops: &'static Ops, fault: &str) {
        let branch = match Insn::bl(site.branch(), ftrace_caller as *const () as usize) {
            Ok(branch) => branch.0,
            Err(_) => return,
        };
        let literal = core::ptr::from_ref(ops) as u64;
        match fault {
            "literal-first" => {}
            "literal-halves" => {
                store_word(site.literal(), literal as u32);
                store_word(site.literal() + 4, (literal >> 32) as u32);
                store_literal(site.literal(), literal);
            }
            "literal-wide" => {
                store_literal(site.literal(), literal);
                // The upper half of the literal and the instruction behind it, both as they are.
                store_literal(site.literal() + 4, literal >> 32 | (Insn::MOV_X9_X30.0 as u64) << 32);
            }
            "ops" => store_literal(site.literal(), &raw const NO_OPS as u64),
            _ => store_literal(site.literal(), literal),
        }
        if fault != "order" {
            order();
        }
        match fault {
            "word" => store_word(site.branch(), Insn::MOV_X9_X30.0),
            "target" => store_word(site.branch(), branch + 1),
            _ => store_word(site.branch(), branch),
        }
        if fault == "literal-first" {
            order();
            store_literal(site.literal(), literal);
        }
        publish(site.branch(), fault);
    }

    /// Enabled to disabled, rightly.
    #[inline(never)]
    fn disable(site: Layout) {
        store_word(site.branch(), Insn::NOP.0);
        order();
        store_literal(site.literal(), &raw const NOTHING as u64);
        publish(site.branch(), "none");
    }

    /// What has no place in the others.
    #[inline(never)]
    fn single(site: Layout, fault: &str) {
        match fault {
            // Changes nothing, so nothing is missing, and init is not over.
            "same-word" => store_word(site.mov(), Insn::NOP.0),
            "half-patched" => store_literal(site.literal(), &raw const NO_OPS as u64),
            "elsewhere" => store_word(site.end(), Insn::NOP.0),
            "late-mov" => {
                store_word(site.mov(), Insn::MOV_X9_X30.0);
                publish(site.mov(), "none");
            }
            _ => {}
        }
    }
}

/// Instructions of one call, by the PMU; with what reading it takes.
#[inline(never)]
fn call_measured() -> u64 {
    let before = virt::pmu::instructions_raw();
    core::hint::black_box(victim(2));
    virt::pmu::instructions_raw() - before
}

/// What a traced call executes more than an untraced one, for each entry: the plug-in must count the same, and the NOP that
/// the BL replaced.
fn count(here: Layout) {
    let untraced = call_measured();
    for (name, ops) in [
        ("ftrace_entry_nop", &DIRECT),
        ("ftrace_entry_call", &TRACER),
    ] {
        enable_for(here, ops, "none");
        let traced = [call_measured(), call_measured()];
        disable(here);
        for traced in traced {
            println!("{name} {}", traced - untraced);
        }
    }
}

fn site(function: fn(u32) -> u32) -> Layout {
    Layout::new(
        function as usize - aarch64_ftrace::callsite::ENTRY_OFFSET,
        false,
    )
}

fn main() -> Result<(), &'static str> {
    let mut buffer = [0; 64];
    let fault = virt::words::command_line(&mut buffer).trim();
    if !FAULTS.contains(&fault) {
        return Err("the command line names no fault");
    }
    DISTANCE.store(virt::mmu::map_alias(), Ordering::Relaxed);
    // The second core waits for interrupts; without one this fails, and all runs on one core.
    if virt::start_core(1, |_| {}).is_ok() {
        while virt::cores::online() != 0b11 {
            core::hint::spin_loop();
        }
    }
    let (here, aside) = (site(victim), site(bystander));
    assert!(COMPILED_LITERAL != 0 && here != aside);
    if fault == "same-word" {
        single(here, fault);
    }
    if fault == "mov-unsynchronised" {
        // Nothing between the last DSB and the execution: the caller goes on without an ISB.
        prepare(here, "isb");
    } else if fault != "mov-missing" {
        prepare(here, "none");
    }
    core::hint::black_box(victim(1));
    if fault == "count" {
        count(here);
        return Ok(());
    }
    if fault == "mov-missing" {
        prepare(aside, "none");
    }
    let single_fault = [
        "half-patched",
        "elsewhere",
        "late-mov",
        "mov-unsynchronised",
    ]
    .contains(&fault);
    enable(here, if single_fault { "none" } else { fault });
    if single_fault {
        single(if fault == "late-mov" { aside } else { here }, fault);
    }
    // These leave what cannot be executed.
    if !["ops", "word", "target", "mov-missing", "elsewhere"].contains(&fault) {
        core::hint::black_box(victim(2));
    }
    disable(here);
    println!("{fault}: {} calls", CALLS.load(Ordering::Relaxed));
    Ok(())
}
