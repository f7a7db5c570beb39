//! Every fuzz target in one program, which libFuzzer drives: each harness panics where its parser breaks a promise.
//! `cargo test` gives the same harnesses mutations that are the same every time (aftrace/tests/fuzz.rs, src/tests/fuzz.rs).
//!
//! Environment: `FUZZ_TARGET` names the target, without it their names are printed; `FUZZ_SEEDS` is a folder that the
//! target's seeds are written to first.
#![no_main]

#[path = "../aftrace/tests/fixture/mod.rs"]
mod fixture;

#[path = "harness/attach.rs"]
mod attach;
#[path = "harness/boot.rs"]
mod boot;
#[path = "harness/dumps.rs"]
mod dumps;
#[path = "harness/files.rs"]
mod files;
#[path = "harness/gdb.rs"]
mod gdb;
#[path = "harness/kernel.rs"]
mod kernel;
#[path = "harness/library.rs"]
mod library;
#[path = "harness/planted.rs"]
mod planted;
#[path = "harness/repair.rs"]
mod repair;
#[path = "harness/seeds.rs"]
mod seeds;
#[path = "harness/trace.rs"]
mod trace;
#[path = "harness/typed.rs"]
mod typed;

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::process::exit;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

/// Panics where a promise is broken; whether the input was accepted is for `cargo test`.
type Harness = fn(&[u8]) -> bool;
type Seeds = fn() -> Vec<Vec<u8>>;

const TARGETS: &[(&str, Harness, Seeds)] = &[
    ("attach", attach::attach, seeds::images),
    ("boot", boot::space, seeds::boot_spaces),
    ("cobs", trace::cobs, seeds::stuffed),
    ("console", files::console, seeds::consoles),
    ("dump", dumps::dump, seeds::files),
    ("elf", kernel::kernel, seeds::kernels),
    ("file", files::file, seeds::files),
    #[cfg(fuzzing)]
    (
        "filter",
        aarch64_ftrace::fuzz::filter,
        aarch64_ftrace::fuzz::filter_seeds,
    ),
    ("frame", trace::frame, seeds::frames),
    ("gdb", gdb::gdb, seeds::stubs),
    ("header", library::header, seeds::headers),
    ("insn", library::insn, seeds::words),
    ("names", library::names, seeds::names),
    ("planted", planted::planted, Vec::new),
    #[cfg(fuzzing)]
    (
        "prologue",
        aarch64_ftrace::fuzz::prologue,
        aarch64_ftrace::fuzz::prologue_seeds,
    ),
    ("ram", files::ram, seeds::images),
    ("region", trace::region, seeds::regions),
    ("stream", files::stream, seeds::files),
    ("symbol", kernel::symbol, seeds::symbols),
    #[cfg(fuzzing)]
    (
        "table",
        aarch64_ftrace::fuzz::table,
        aarch64_ftrace::fuzz::table_seeds,
    ),
    ("tree", boot::tree, seeds::trees),
    ("typed", typed::typed, seeds::typed),
];

/// The most that may be asked for at once: a thousand times the largest seed. What an input claims to have must not be taken
/// at its word. The sum is libFuzzer's to watch.
const ALLOCATION_MAX: usize = 16 << 20;

struct Bounded;

#[global_allocator]
static ALLOCATOR: Bounded = Bounded;

// SAFETY: the system's allocator, which fails where more is asked for than the limit.
unsafe impl GlobalAlloc for Bounded {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() > ALLOCATION_MAX {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's promise is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is the same.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if size > ALLOCATION_MAX {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's promise is the same.
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if layout.size() > ALLOCATION_MAX {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's promise is the same.
        unsafe { System.alloc_zeroed(layout) }
    }
}

static CHOSEN: OnceLock<Harness> = OnceLock::new();

fuzz_target!(init: choose(), |data: &[u8]| {
    if let Some(harness) = CHOSEN.get() {
        let _ = harness(data);
    }
});

fn choose() {
    let Some(wanted) = std::env::var_os("FUZZ_TARGET") else {
        for (name, ..) in TARGETS {
            println!("{name}");
        }
        exit(0);
    };
    let Some(&(_, harness, seeds)) = TARGETS.iter().find(|(name, ..)| wanted == *name) else {
        eprintln!("no target {}", wanted.display());
        exit(1);
    };
    CHOSEN.get_or_init(|| harness);
    if let Some(folder) = std::env::var_os("FUZZ_SEEDS")
        && let Err(error) = write(Path::new(&folder), &seeds())
    {
        eprintln!("{}: {error}", folder.display());
        exit(1);
    }
}

fn write(folder: &Path, seeds: &[Vec<u8>]) -> std::io::Result<()> {
    for (number, seed) in seeds.iter().enumerate() {
        std::fs::write(folder.join(format!("seed-{number}")), seed)?;
    }
    Ok(())
}
