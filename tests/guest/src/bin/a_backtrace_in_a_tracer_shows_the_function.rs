//! The two frame records that an entry builds: a backtrace in a tracer begins with the traced function and its caller, in a
//! call and in a set.
#![no_std]
#![no_main]

use aarch64_ftrace::{Filter, Fregs, Ops};
use core::arch::asm;
use core::hint::black_box;
use guest::{FTRACE, register, unregister};
use virt::println;

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);

#[inline(never)]
fn inner(n: u64) -> u64 {
    black_box(n + 1)
}

#[inline(never)]
fn middle(n: u64) -> u64 {
    black_box(inner(n) + 1)
}

#[inline(never)]
fn outer(n: u64) -> u64 {
    black_box(middle(n) + 1)
}

aarch64_ftrace::notrace! {
    /// The address without its signature, where functions sign their return addresses.
    fn unsigned(lr: usize) -> usize {
        let address: usize;
        // SAFETY: XPACLRI, a hint, changes x30 alone.
        unsafe {
            asm!("mov x30, {lr}", "hint #7", "mov {address}, x30", lr = in(reg) lr, address = lateout(reg) address,
                out("x30") _, options(nomem, nostack, preserves_flags))
        };
        address
    }

    /// Walks the frame records from its own frame pointer.
    #[inline(never)]
    extern "C" fn walk(_: usize, parent: usize, _: &Ops, fregs: &mut Fregs) {
        let mut frame: usize;
        // SAFETY: reads a register; the kernel is compiled with frame pointers, so it is this function's record.
        unsafe { asm!("mov {}, x29", out(reg) frame, options(nomem, nostack, preserves_flags)) };
        for depth in 0..4 {
            // SAFETY: frame records of this core's stack, as AAPCS64 lays them out, four deep from where main began.
            let [next, lr] = unsafe { (frame as *const [usize; 2]).read() };
            let lr = unsigned(lr);
            // The tracer itself returns into the entry's asm, which has no name.
            match FTRACE.symbol(lr) {
                Some(symbol) if depth > 0 => println!("  {depth} {}", symbol.name),
                _ => println!("  {depth} in the entry: {}", guest::raw::ranges().notrace.contains(&lr)),
            }
            frame = next;
        }
        println!("  parent is lr: {}", parent as u64 == fregs.lr());
    }
}

static ONE: Ops = Ops::new(walk);
static TWO: Ops = Ops::unguarded(guest::count);

fn main() {
    guest::init();
    let at = [inner as *const () as usize];
    register(&ONE, &Filter::at(&at));
    println!("call: {}", outer(1));
    register(&TWO, &Filter::at(&at));
    println!("set: {}", outer(1));
    unregister(&TWO);
    unregister(&ONE);
}
