//! A small kernel that is traced while it runs: tasks, a timer, a heap, a workload worth tracing, and a shell from which a
//! person switches tracing on and off by name.
#![no_std]
#![no_main]

extern crate alloc;

mod bench;
mod checksum;
mod disk;
mod format;
mod index;
mod input;
mod klog;
mod net;
mod sched;
mod shell;
mod sync;
mod tasks;
mod tracing;
mod workload;

use aarch64_ftrace::Error;
use virt::{irq, println};

virt::entry!(main);
// A debug build has some 17,000 functions.
aarch64_ftrace::reserve_names!(320 * 1024);
// What `aftrace record` has traced from boot on.
aarch64_ftrace::reserve_boot_config!(1024);

/// The packer builds its tables on the stack before it boxes them, several times over in a debug build.
const SHELL_STACK_BYTES: usize = 4 * 1024 * 1024;

fn main() -> Result<(), Error> {
    println!(
        "demo kernel: entered at EL{}, GICv{}, counter at {} Hz",
        virt::boot_el(),
        virt::gic::version(),
        format::grouped(virt::timer::frequency())
    );
    let report = tracing::FTRACE.init()?;
    println!("{report}");
    klog::log(klog::Level::Info, format_args!("{report}"));
    if let Err(error) = tracing::start_recorder() {
        println!("no flight recorder: {error}");
    }
    sched::start();
    match FTRACE_BOOT_CONFIG.config() {
        Ok(config) => {
            if let Err(error) = tracing::boot(&config) {
                println!("not traced from boot on: {error}");
            }
        }
        Err(error) => println!("boot configuration: {error}"),
    }
    sched::spawn("shell", SHELL_STACK_BYTES, shell::run);
    tasks::start();
    input::start();
    irq::unmask();
    sched::idle()
}
