//! The newcomer's kernel: it traces three of its own functions, by name, while it runs.
#![no_std]
#![no_main]

use aarch64_ftrace::{AliasError, Error, Filter, Fregs, Ftrace, Ops, Platform};
use core::hint::black_box;
use virt::println;

virt::entry!(main);
aarch64_ftrace::reserve_names!(64 * 1024);

struct Board;

// SAFETY: virt maps the text a second time, writable, here for good; only one core runs, and no tasks.
unsafe impl Platform for Board {
    fn patch_begin(&self) -> Result<isize, AliasError> {
        Ok(virt::mmu::map_alias())
    }

    fn sync_cores(&self) {}

    fn cpu_index(&self) -> usize {
        0
    }
}

static FTRACE: Ftrace = Ftrace::new(&Board);
static TRACER: Ops = Ops::new(on_call);

aarch64_ftrace::notrace! {
    extern "C" fn on_call(ip: usize, parent_ip: usize, _: &Ops, fregs: &mut Fregs) {
        let symbols = (FTRACE.symbol(ip), FTRACE.symbol(parent_ip));
        if let (Some(function), Some(caller)) = symbols {
            let argument = fregs.arg(0).unwrap_or(0);
            println!("  {}({argument}) from {caller}", function.name);
        }
    }
}

mod kitchen {
    #[inline(never)]
    pub fn dinner(guests: u64) -> u64 {
        soup(guests) + bread(guests + 1) + bread(guests + 2)
    }

    #[inline(never)]
    fn soup(plates: u64) -> u64 {
        boil(plates * 3) + plates
    }

    #[inline(never)]
    fn boil(litres: u64) -> u64 {
        crate::black_box(litres * 7)
    }

    #[inline(never)]
    fn bread(slices: u64) -> u64 {
        crate::black_box(slices * 2)
    }
}

fn main() -> Result<(), Error> {
    println!("{}", FTRACE.init()?);
    println!("untraced: {}", kitchen::dinner(black_box(2)));
    let filter = Filter::new(&["hello::kitchen::*", "!*::boil"]);
    println!("{}", FTRACE.register(&TRACER, &filter)?);
    println!("traced: {}", kitchen::dinner(black_box(2)));
    println!("{}", FTRACE.unregister(&TRACER)?);
    Ok(())
}
