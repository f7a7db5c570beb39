//! Patches a function by hand. The semihosting command line says which step is left out; the plug-in must say the same.
//!
//! Nothing of the tracer's engine runs here: the steps are written out, so that each can be missing.
#![no_std]
#![no_main]

use aarch64_ftrace::callsite::{COMPILED_LITERAL, Layout};
use aarch64_ftrace::insn::Insn;
use aarch64_ftrace::{Fregs, Ops, notrace};
use core::sync::atomic::{AtomicU32, Ordering};
use virt::println;

mod second;
mod steps;

use steps::{DISTANCE, order, publish, store_literal, store_word};

virt::entry!(main);

/// What is done wrong; `xtask` knows the same words, and what the plug-in must answer to each. `count`, `same-word`,
/// `order-by-dsb` and `clean-again` do nothing wrong.
const FAULTS: [&str; 39] = [
    "none",
    "same-word",
    "order-by-dsb",
    "clean-again",
    "count",
    "clean",
    "clean-dsb",
    "invalidate",
    "invalidate-dsb",
    "line",
    "invalidate-line",
    "invalidate-first",
    "near-dsb",
    "store-dsb",
    "by-another",
    "isb",
    "isb-early",
    "other-core",
    "order",
    "load-dmb",
    "literal-first",
    "literal-halves",
    "literal-wide",
    "ops",
    "half-patched",
    "literal-compiled",
    "literal-run",
    "word",
    "word-wide",
    "target",
    "late-mov",
    "mov-word",
    "mov-back",
    "mov-back-unsynchronised",
    "mov-missing",
    "mov-early",
    "mov-unsynchronised",
    "mov-other-core",
    "elsewhere",
];

unsafe extern "C" {
    fn ftrace_caller();
    fn ftrace_entry_nop();
}

static CALLS: AtomicU32 = AtomicU32::new(0);
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

    /// Compiled to disabled.
    #[inline(never)]
    fn prepare(site: Layout, fault: &str) {
        store_literal(site.literal(), &raw const NOTHING as u64);
        store_word(site.mov(), Insn::MOV_X9_X30.0);
        if fault == "mov-early" {
            core::hint::black_box(victim(0));
        }
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
            order(fault);
        }
        match fault {
            "word" => store_word(site.branch(), Insn::MOV_X9_X30.0),
            "word-wide" => store_literal(site.mov(), (branch as u64) << 32 | Insn::MOV_X9_X30.0 as u64),
            "target" => store_word(site.branch(), branch + 1),
            _ => store_word(site.branch(), branch),
        }
        if fault == "literal-first" {
            order(fault);
            store_literal(site.literal(), literal);
        }
        publish(site.branch(), fault);
    }

    /// Enabled to disabled, rightly.
    #[inline(never)]
    fn disable(site: Layout) {
        store_word(site.branch(), Insn::NOP.0);
        order("none");
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
            "literal-compiled" => store_literal(site.literal(), COMPILED_LITERAL),
            "literal-run" => {
                // SAFETY: none: an ops' address is no instruction. The kernel ends here, and the plug-in saw why.
                let literal: extern "C" fn() = unsafe { core::mem::transmute(site.literal()) };
                literal();
            }
            "elsewhere" => store_word(site.end(), Insn::NOP.0),
            "mov-back" => {
                store_word(site.mov(), Insn::NOP.0);
                publish(site.mov(), "none");
            }
            "mov-back-unsynchronised" => {
                disable(site);
                store_word(site.mov(), Insn::NOP.0);
                publish(site.mov(), "isb");
            }
            "mov-word" => {
                store_word(site.mov(), Insn::MOV_X9_X30.0 - 1);
                publish(site.mov(), "none");
            }
            "late-mov" => {
                store_word(site.mov(), Insn::MOV_X9_X30.0);
                publish(site.mov(), "none");
            }
            _ => {}
        }
    }
}

/// The first word as it must be, but for the core that executes it next.
fn prepare_for_another(here: Layout) {
    prepare(here, "other-core");
    second::goes();
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
    let busy = ["mov-other-core", "by-another"].contains(&fault);
    second::BUSY.store(busy, Ordering::Release);
    // Without a second core this fails, and all runs on one.
    if virt::start_core(1, second::begins).is_ok() {
        while virt::cores::online() != 0b11 {
            core::hint::spin_loop();
        }
    }
    let (here, aside) = (site(victim), site(bystander));
    assert!(COMPILED_LITERAL != 0 && here != aside);
    if fault == "same-word" {
        single(here, fault);
    }
    match fault {
        // Nothing between the last DSB and the execution: the caller goes on without an ISB.
        "mov-unsynchronised" => prepare(here, "isb"),
        "mov-other-core" => prepare_for_another(here),
        "mov-early" => prepare(here, fault),
        "mov-missing" => {}
        // The second core is busy.
        "by-another" => prepare(here, "other-core"),
        _ => prepare(here, "none"),
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
        "literal-compiled",
        "literal-run",
        "elsewhere",
        "late-mov",
        "mov-word",
        "mov-back",
        "mov-back-unsynchronised",
        "mov-early",
        "mov-unsynchronised",
        "mov-other-core",
    ]
    .contains(&fault);
    enable(here, if single_fault { "none" } else { fault });
    if single_fault {
        let of_mov = ["late-mov", "mov-word"].contains(&fault);
        single(if of_mov { aside } else { here }, fault);
    }
    // These leave what cannot be executed.
    let broken = [
        "ops",
        "literal-compiled",
        "word",
        "target",
        "mov-missing",
        "elsewhere",
    ];
    if !broken.contains(&fault) {
        core::hint::black_box(victim(2));
    }
    disable(here);
    println!("{fault}: {} calls", CALLS.load(Ordering::Relaxed));
    Ok(())
}
