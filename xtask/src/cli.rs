//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::kernel::{Profile, Target};
use crate::qemu::Machine;
use crate::setup::rust::Way;
use crate::ui::say;
use crate::{
    bench, board, cycles, demo, emu_check, fuzz, litmus, pictures, scale, setup, test, ui,
};

/// Set-up, demo, test and bench of aarch64-ftrace. Each command does the set-up it needs.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
pub struct Cli {
    /// Take the source of Rust's library by this way only, and keep what it fetches under target/.
    #[arg(long, global = true, value_enum)]
    way: Option<Way>,
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what is missing: the source of Rust's library, QEMU.
    Setup,
    /// Boot the demo kernel and trace it by a script typed at its shell.
    Demo,
    /// Boot the demo kernel and leave you at its prompt.
    Shell,
    /// Measure: the table of the seed patch beside Linux's, in instructions and in time.
    Bench {
        /// One JSON object a line on stdout, and nothing else there.
        #[arg(long)]
        json: bool,
        /// The tables out of what a board printed: the text from its serial line.
        #[arg(long, value_name = "FILE", conflicts_with = "json")]
        log: Option<PathBuf>,
    },
    /// Build an image that a Raspberry Pi boots from its card, and say how.
    Board {
        #[arg(value_enum)]
        board: board::Board,
        /// Name of its binary: bench-table, hello, or a guest of tests/guest.
        #[arg(long, default_value = "bench-table")]
        kernel: String,
    },
    /// Judge the patch sequences and the rings of tests/litmus in the Arm memory model (herd7).
    Litmus {
        /// Only tests whose name contains this.
        name: Option<String>,
    },
    /// Judge the executed order of patching in QEMU, with a plug-in (emu-check/); of all kernels, or of one.
    EmuCheck(emu_check::Options),
    /// Estimate each entry's executed path with llvm-mca, as a ratio to the plain call entry, for six cores.
    Cycles,
    /// Give every parser hostile inputs for some time (libFuzzer, fuzz/), and count them.
    Fuzz(fuzz::Options),
    /// Measure aftrace on a large trace, beside uftrace and trace-cmd: events a second, and the most memory held.
    Scale(scale::Options),
    /// Make the README's pictures anew: the demo kernel's boot, recorded and drawn.
    Pictures,
    /// Run every check; the last line counts them.
    Test(test::Options),
    /// Boot one kernel with this terminal as its console.
    Run(Run),
}

#[derive(clap::Args)]
struct Run {
    /// Name of its binary: demo, hello, or a guest of tests/guest.
    kernel: String,
    /// CPU model of QEMU.
    #[arg(long, default_value = "cortex-a72")]
    cpu: String,
    /// Cores.
    #[arg(long, default_value_t = 1)]
    smp: u32,
    /// Version of the interrupt controller.
    #[arg(long, default_value_t = 3)]
    gic: u32,
    /// Count instructions as time (-icount shift=0).
    #[arg(long)]
    icount: bool,
    /// Enter the kernel at EL2.
    #[arg(long)]
    virtualization: bool,
    #[arg(long, value_enum, default_value_t = Target::Softfloat)]
    target: Target,
    #[arg(long, value_enum, default_value_t = Profile::Release)]
    profile: Profile,
    /// Words for the semihosting command line.
    words: Vec<String>,
}

impl Cli {
    /// Does what the command line says.
    ///
    /// # Errors
    /// Whatever stops the command.
    pub fn run(self) -> Result<()> {
        match self.command {
            Task::Setup => {
                let toolchain = setup::compiler(self.way)?;
                let qemu = setup::emulator::ready(true)?;
                say(format!("set-up: {}; QEMU {qemu}", toolchain.describe()));
                Ok(())
            }
            Task::Demo => demo::demo(&setup::ready(self.way)?),
            Task::Shell => demo::shell(&setup::ready(self.way)?),
            Task::Board { board, kernel } => {
                board::run(&setup::compiler(self.way)?, board, &kernel)
            }
            Task::Bench { log: Some(log), .. } => bench::log::show(&log),
            Task::Bench { json, log: None } => {
                if json {
                    ui::say_on_stderr();
                }
                bench::run(&setup::ready(self.way)?, json)
            }
            Task::EmuCheck(options) => emu_check::run(&setup::ready(self.way)?, &options),
            Task::Cycles => cycles::run(&setup::ready(self.way)?),
            Task::Litmus { name } => litmus::run(name.as_deref()),
            Task::Fuzz(options) => fuzz::run(&options),
            Task::Pictures => pictures::run(&setup::ready(self.way)?),
            Task::Scale(options) => scale::run(&options),
            Task::Test(options) => test::run(&setup::ready(self.way)?, &options),
            Task::Run(run) => {
                let machine = Machine {
                    cpu: run.cpu,
                    cores: run.smp,
                    gic: run.gic,
                    icount: run.icount,
                    virtualization: run.virtualization,
                    words: run.words,
                    limit: Duration::MAX,
                    ..Machine::default()
                };
                let ready = setup::ready(self.way)?;
                demo::run(&ready, &run.kernel, &machine, run.target, run.profile)
            }
        }
    }
}
