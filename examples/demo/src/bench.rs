//! The table of the patch that this project implements: what a call costs by the number of tracers on it (relevant) and on
//! other functions (irrelevant). `cargo xtask bench` has more rows, exact instructions, and Linux's figures beside them.

use crate::format::{Align, Table};
use crate::tracing::FTRACE;
use aarch64_ftrace::{Error, Filter, Fregs, Ops};
use alloc::format;
use alloc::string::String;
use core::arch::{asm, global_asm};
use virt::{irq, pmu, print, println, timer};

#[path = "../../../benches/table/src/rows.rs"]
mod rows;

/// Calls of a row, as in the patch.
const CALLS: u64 = 100_000;
/// The least of so many runs counts: whatever else the host does only adds.
const RUNS: usize = 4;
const MOST: usize = 100;

// A tracer that only returns. In asm, because a Rust function has a callsite and a frame of its own.
global_asm!(
    ".section .text.ftrace_notrace.demo_bench, \"ax\"",
    ".balign 16",
    "demo_bench_tracer: ret",
    ".previous",
);

unsafe extern "C" {
    safe fn demo_bench_tracer(ip: usize, parent_ip: usize, ops: &Ops, fregs: &mut Fregs);
}

static HERE: [Ops; MOST] = [const { Ops::unguarded(demo_bench_tracer) }; MOST];
static ELSEWHERE: [Ops; MOST] = [const { Ops::unguarded(demo_bench_tracer) }; MOST];

#[inline(never)]
extern "C" fn tracee() {}

#[inline(never)]
extern "C" fn other_tracee() {
    // Not the same body, or the compiler makes one function of the two.
    core::hint::black_box(0);
}

/// What a row cost: all calls together.
#[derive(Clone, Copy)]
struct Cost {
    ticks: u64,
    instructions: u64,
}

/// Prints the table.
///
/// # Errors
///
/// Those of the tracer.
pub fn run() -> Result<(), Error> {
    let counted = pmu::has_instructions();
    let mut table = Table::new(&[
        ("relevant", Align::Right),
        ("irrelevant", Align::Right),
        ("ns a call", Align::Right),
        ("ratio to 0/0", Align::Right),
        ("instructions a call", Align::Right),
    ]);
    let mut base = None;
    for (relevant, irrelevant) in &rows::ROWS[..rows::SEED] {
        let cost = row(
            &HERE[..*relevant as usize],
            &ELSEWHERE[..*irrelevant as usize],
        )?;
        let base: Cost = *base.get_or_insert(cost);
        let instructions = if counted {
            tenths(cost.instructions, CALLS)
        } else {
            String::from("-")
        };
        table.row(&[
            relevant,
            irrelevant,
            &tenths(timer::ticks_to_ns(cost.ticks), CALLS),
            &tenths(cost.ticks, base.ticks),
            &instructions,
        ]);
    }
    print!("{table}");
    if !counted {
        println!("  instructions are counted under QEMU's -icount only");
    }
    Ok(())
}

/// Registers the tracers, measures, and takes them away again.
fn row(here: &'static [Ops], elsewhere: &'static [Ops]) -> Result<Cost, Error> {
    let here = here.iter().map(|ops| (ops, tracee as *const () as usize));
    let elsewhere = elsewhere
        .iter()
        .map(|ops| (ops, other_tracee as *const () as usize));
    for (ops, function) in here.clone().chain(elsewhere.clone()) {
        FTRACE.register(ops, &Filter::at(&[function]))?;
    }
    let cost = (0..RUNS).map(|_| measure()).min_by_key(|cost| cost.ticks);
    for (ops, _) in here.chain(elsewhere) {
        FTRACE.unregister(ops)?;
    }
    Ok(cost.unwrap_or(Cost {
        ticks: 0,
        instructions: 0,
    }))
}

fn measure() -> Cost {
    irq::masked(|| {
        let instructions = pmu::instructions_raw();
        let ticks = timer::ticks();
        // SAFETY: `tracee` is an extern "C" function without arguments, and clobber_abi covers what one may change.
        unsafe {
            asm!(
                "2: blr x20",
                "subs x21, x21, #1",
                "b.ne 2b",
                in("x20") tracee as *const (),
                inout("x21") CALLS => _,
                clobber_abi("C"),
            )
        };
        let ticks = timer::ticks() - ticks;
        let instructions = pmu::instructions_raw().wrapping_sub(instructions) & 0xffff_ffff;
        Cost {
            ticks,
            instructions,
        }
    })
}

/// A quotient with one decimal.
fn tenths(dividend: u64, divisor: u64) -> String {
    let tenths = (dividend * 10 + divisor / 2) / divisor.max(1);
    format!("{}.{}", tenths / 10, tenths % 10)
}
