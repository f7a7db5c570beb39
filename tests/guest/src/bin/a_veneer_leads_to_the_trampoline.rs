//@ cpu: cortex-a53, max
//@ profile: release
//@ emu-check: a BL to a veneer is written by hand, where the tracer would write one to the trampoline
//! A veneer's slot leads a callsite's BL on to the trampoline, with every argument as it was: the section that the tracer reads
//! has it, and the linker keeps both. Which callsite takes it, to the byte, the host tests prove.
#![no_std]
#![no_main]

use aarch64_ftrace::insn::Insn;
use aarch64_ftrace::{Filter, Ops};
use core::hint::black_box;
use guest::{FTRACE, callsite, raw, register, take_counts};
use virt::println;

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);
aarch64_ftrace::veneer!(".text.ftrace_veneer");

static TRACER: Ops = Ops::new(guest::count);

unsafe extern "C" {
    static __start_ftrace_veneers: i64;
    static __stop_ftrace_veneers: i64;
}

#[inline(never)]
fn traced(a: u64, b: u64, c: u64, d: u64, e: u64, f: u64, g: u64) -> u64 {
    black_box(a | b << 8 | c << 16 | d << 24 | e << 32 | f << 40 | g << 48)
}

fn call(what: &str) {
    let result = traced(1, 2, 3, 4, 5, 6, 7);
    println!("{what}: {result:#x}, counted {:?}", take_counts::<1>());
}

fn main() {
    guest::init();
    let start = &raw const __start_ftrace_veneers;
    let bytes = &raw const __stop_ftrace_veneers as usize - start as usize;
    // SAFETY: the section is there, as `veneer!` was used.
    let distance = unsafe { start.read() };
    let slot = (start as usize).wrapping_add_signed(distance as isize);
    println!("veneers: {}", bytes / size_of::<i64>());
    println!("in the text: {}", virt::mmu::text().contains(&slot));
    register(&TRACER, &Filter::at(&[traced as *const () as usize]));
    call("by the trampoline");
    let at = callsite(traced as *const ()).layout().branch();
    let right = raw::insn(at);
    match Insn::bl(at, slot) {
        Ok(bl) => raw::overwrite_insn(at, bl),
        Err(error) => panic!("{error:?}"),
    }
    call("by the veneer");
    let found = FTRACE.audit(|finding| println!("audit: the branch {}", finding.at == at));
    println!("illegal: {:?}", found.map(|audit| audit.illegal));
    raw::overwrite_insn(at, right);
    guest::unregister(&TRACER);
    call("nothing");
}
