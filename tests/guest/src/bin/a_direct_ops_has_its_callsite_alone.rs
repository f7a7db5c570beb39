//! Direct ops: through the literal with x11, straight without the trampoline; beside others they are refused, and nothing
//! changes then.
#![no_std]
#![no_main]

use aarch64_ftrace::insn::Insn;
use aarch64_ftrace::{Error, Filter, Ops, PatchError, Why};
use core::arch::global_asm;
use core::hint::black_box;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use guest::{FTRACE, callsite, count, raw, register, take_counts, unregister};
use virt::println;

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

// Counts in DIRECT_COUNT, and keeps the ops of the last call.
global_asm!(
    ".pushsection .text.ftrace_notrace.direct, \"ax\", %progbits",
    ".global direct_counter",
    "direct_counter:",
    "bti c",
    "adrp x12, DIRECT_COUNT",
    "add x12, x12, :lo12:DIRECT_COUNT",
    "ldr x13, [x12]",
    "add x13, x13, #1",
    "str x13, [x12]",
    "mov x10, x30",
    "mov x30, x9",
    "ret x10",
    ".popsection",
);

#[unsafe(no_mangle)]
static DIRECT_COUNT: AtomicU64 = AtomicU64::new(0);

unsafe extern "C" {
    fn direct_counter();
}

// SAFETY: written as Ops::direct asks for.
static DIRECT: Ops = unsafe { Ops::direct(direct_counter) };
// SAFETY: as above; it does not read x11.
static STRAIGHT: Ops = unsafe { Ops::straight(direct_counter) };
static PLAIN: Ops = Ops::new(count);

#[inline(never)]
fn first(n: u64) -> u64 {
    black_box(n + 1)
}

#[inline(never)]
fn second(n: u64) -> u64 {
    black_box(n * 2)
}

fn calls(what: &str) {
    let sum = first(3) + second(4);
    let [plain] = take_counts::<1>();
    println!(
        "{what}: results {sum}, direct {}, plain {plain}",
        DIRECT_COUNT.swap(0, Relaxed)
    );
}

fn refused(what: &str, answer: Result<aarch64_ftrace::Applied, Error>) {
    match answer {
        Err(Error::Patch(PatchError {
            why: Why::Direct,
            undone,
            stuck,
            ..
        })) => {
            println!("{what}: refused, {undone} undone, {stuck} stuck");
        }
        other => println!("{what}: {other:?}"),
    }
}

fn main() {
    guest::init();
    let (one, two) = (first as *const () as usize, second as *const () as usize);
    let branch = callsite(one as *const ()).layout().branch();
    let target = |at| raw::insn(at).branch_target(at);
    calls("nothing");
    register(&DIRECT, &Filter::at(&[one]));
    calls("direct on first");
    println!(
        "  BL to the trampoline: {}",
        target(branch) == Some(raw::trampoline())
    );
    refused(
        "plain on both",
        FTRACE.register(&PLAIN, &Filter::at(&[two, one])),
    );
    calls("direct on first still");
    register(&PLAIN, &Filter::at(&[two]));
    refused(
        "direct on both",
        FTRACE.set_filter(&DIRECT, &Filter::at(&[one, two])),
    );
    refused(
        "plain on both",
        FTRACE.set_filter(&PLAIN, &Filter::at(&[one, two])),
    );
    calls("direct on first, plain on second");
    unregister(&DIRECT);
    calls("plain on second");
    unregister(&PLAIN);
    register(&STRAIGHT, &Filter::at(&[one, two]));
    calls("straight on both");
    println!(
        "  BL past the trampoline: {}",
        target(branch) == Some(direct_counter as *const () as usize)
    );
    refused(
        "plain on first",
        FTRACE.register(&PLAIN, &Filter::at(&[one])),
    );
    unregister(&STRAIGHT);
    calls("nothing");
    println!("  NOP again: {}", raw::insn(branch) == Insn::NOP);
}
