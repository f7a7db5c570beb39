//@ cpu: neoverse-n1
//@ target: softfloat
//@ profile: release
//! What `cargo xtask test --only command` boots to see its names on the host: a generic function, a method of a trait, a closure,
//! functions that were merged, and a caller that was inlined. Booted plainly it records nothing. The host looks for the
//! lines behind the comments in brackets.
#![no_std]
#![no_main]

use aarch64_ftrace::Mode;
use core::hint::black_box;
use guest::FTRACE;
use guest::record::{RECORDER, counts, install, sure};
use virt::println;

virt::entry!(main);
aarch64_ftrace::reserve_names!(128 * 1024);
aarch64_ftrace::reserve_boot_config!(1024);

mod shop {
    use core::hint::black_box;

    pub struct Cart<T>(pub T);

    pub trait Priced {
        fn price(&self) -> u64;
    }

    impl Priced for Cart<u64> {
        #[inline(never)]
        // [price]
        fn price(&self) -> u64 {
            black_box(self.0 + 1)
        }
    }

    #[inline(never)]
    // [put]
    pub fn put<T: Into<u64>>(what: T) -> u64 {
        black_box(what.into() + 2)
    }

    /// The linker keeps the names of both.
    // SAFETY: nothing else has this name.
    #[unsafe(no_mangle)]
    #[inline(never)]
    pub extern "C" fn shop_duty(price: u64) -> u64 {
        black_box(price * 7 + 3)
    }

    /// To the last instruction the same: the compiler keeps one of both.
    // SAFETY: nothing else has this name.
    #[unsafe(no_mangle)]
    #[inline(never)]
    pub extern "C" fn shop_tax(price: u64) -> u64 {
        black_box(price * 7 + 3)
    }

    #[inline(always)]
    pub fn sum(n: u64) -> u64 {
        // [in sum]
        let first = put(n);
        black_box(first) + 1
    }

    #[inline(never)]
    // [buy]
    pub fn buy(n: u64) -> u64 {
        // [in buy]
        let sum = sum(n);
        black_box(sum + shop_tax(n) + shop_duty(n))
    }
}

// Code without a record, which stands behind some function: no name is right for it.
core::arch::global_asm!(
    ".pushsection .text.without_a_record, \"ax\"",
    ".global without_a_record",
    ".type without_a_record, %function",
    "without_a_record:",
    ".rept 16",
    "nop",
    ".endr",
    "ret",
    ".size without_a_record, . - without_a_record",
    ".popsection",
);

unsafe extern "C" {
    fn without_a_record();
}

fn main() {
    guest::init();
    let asm = without_a_record as *const () as usize;
    for offset in [4, 16, 64] {
        if let Some(symbol) = FTRACE.symbol(asm + offset) {
            println!("asm is taken for {symbol}");
        }
    }
    install(Mode::Overwrite, 1);
    let config = match FTRACE_BOOT_CONFIG.config() {
        Ok(config) => config,
        Err(error) => panic!("{error}"),
    };
    sure(RECORDER.boot(&config));
    // [closure]
    let closure = |n: u64| black_box(n + 5);
    let call: &dyn Fn(u64) -> u64 = black_box(&closure);
    let cart: &dyn shop::Priced = black_box(&shop::Cart(3_u64));
    println!("result {}", shop::buy(1) + cart.price() + call(4));
    counts("ring", 0);
}
