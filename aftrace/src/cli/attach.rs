//! Finds a trace in the memory of a target that a debugger's stub stands before.

use std::net::TcpStream;
use std::ops::Range;
use std::process::ExitCode;
use std::time::Duration;

use aftrace::arguments;
use aftrace::elf::{Addresses, Kernel};
use aftrace::gdb::{Client, GdbError, Memory};
use clap::Args;

use super::region::Wanted;
use super::{INCOMPLETE, Outcome, at, manual, read};

const EXAMPLES: &[&str] = &[
    "aftrace attach :1234 --elf kernel.elf -o hung.aft",
    "aftrace attach :1234 --physical --memory 0x40000000+256M    # whatever the core maps",
];

/// Read the trace of a target through a stub for GDB, whatever the state of the kernel
///
/// QEMU has one with `-gdb tcp::1234`, OpenOCD at its gdb_port. The target is stopped, the trace is read, and the target runs on; with
/// --running it is not stopped, where the stub can read then: QEMU's cannot, OpenOCD's can at the gdb_port of a `mem_ap` target. What is
/// written over while it is read is counted as unfinished. Without --memory the writable segments of the kernel are looked through, as the stopped core maps
/// them: regions in its own .bss or .data are found there. A core that has lost its mapping, or a region elsewhere, wants
/// `--physical --memory 0x40000000+256M`.
#[derive(Args)]
#[command(after_help = manual(EXAMPLES))]
pub struct Attach {
    /// Where the stub listens: [HOST]:PORT
    stub: String,
    #[command(flatten)]
    wanted: Wanted,
    /// Look there for regions (repeat for more)
    #[arg(long, value_name = "START+BYTES", value_parser = arguments::memory, required_unless_present = "elf")]
    memory: Vec<Range<u64>>,
    /// Addresses are physical ones: QEMU's stub can, and OpenOCD's by its `mdw phys`
    #[arg(long)]
    physical: bool,
    /// Leave the target stopped, as for a debugger that comes next
    #[arg(long)]
    keep_stopped: bool,
    /// Read while the target runs
    #[arg(long, conflicts_with = "keep_stopped")]
    running: bool,
    /// Wait for an answer this long
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    patience: u64,
}

impl Attach {
    pub fn run(&self) -> Outcome {
        let within = self.within()?;
        let mut client = Client::connect(&self.stub, Duration::from_secs(self.patience))?;
        let ready = self.prepare(&mut client);
        let mut memory = Memory::new(client);
        let written = match ready {
            Ok(()) => self.wanted.write(
                &mut memory,
                &within,
                &[],
                "does the core map the kernel where it was linked? Try --physical --memory START+BYTES with the range of its RAM. \
                 OpenOCD says zeroes where it cannot read, unless it is told `gdb_report_data_abort enable`",
            ),
            Err(error) => Err(error.into()),
        };
        let unreadable = memory.unreadable();
        // Whatever has happened: the target is left as it was found.
        let client = memory.into_client();
        let left = match self.keep_stopped {
            true => client.leave_stopped(),
            false => client.detach(),
        };
        if unreadable > 0 {
            note!(
                "aftrace: {unreadable} bytes that the stub refuses to read were taken for zeroes"
            );
        }
        let code = written.map_err(|error| format!("{}: {error}", self.stub))?;
        left?;
        Ok(match unreadable {
            0 => code,
            _ => ExitCode::from(INCOMPLETE),
        })
    }

    fn prepare(&self, client: &mut Client<TcpStream>) -> Result<(), GdbError> {
        if self.physical {
            client.use_physical()?;
        }
        match self.running {
            true => client.run_on(),
            false => client.halt(),
        }
    }

    /// Where regions may begin.
    fn within(&self) -> Result<Vec<Range<u64>>, String> {
        match &self.wanted.elf {
            Some(path) if self.memory.is_empty() => {
                let bytes = read(path)?;
                let kernel = Kernel::parse(&bytes).map_err(at(path))?;
                Ok(kernel.writable(match self.physical {
                    true => Addresses::Physical,
                    false => Addresses::Virtual,
                }))
            }
            _ => Ok(self.memory.clone()),
        }
    }
}
