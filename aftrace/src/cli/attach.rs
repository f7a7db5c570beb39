//! Finds a trace in the memory of a target that a debugger's stub stands before.

use std::ops::Range;
use std::process::ExitCode;
use std::time::Duration;

use aftrace::arguments;
use aftrace::elf::{Addresses, Kernel};
use aftrace::gdb::{Client, Memory};
use clap::Args;

use super::region::Wanted;
use super::{EXIT_CODES, INCOMPLETE, Outcome, at, read};

/// Read the trace of a target through a stub for GDB, whatever the state of the kernel
///
/// QEMU has one with `-gdb tcp::1234`, OpenOCD at its gdb_port. The stub stops the target when it is connected to; the trace is
/// read, and the target runs on. Without --memory the writable segments of the kernel are looked through, as the stopped core maps
/// them: regions in its own .bss or .data are found there. A core that has lost its mapping, or a region elsewhere, wants
/// `--physical --memory 0x40000000+256M`.
#[derive(Args)]
#[command(after_help = EXIT_CODES)]
pub struct Attach {
    /// Where the stub listens: [HOST]:PORT
    stub: String,
    #[command(flatten)]
    wanted: Wanted,
    /// Look there for regions (repeat for more)
    #[arg(long, value_name = "START+BYTES", value_parser = arguments::memory, required_unless_present = "elf")]
    memory: Vec<Range<u64>>,
    /// Addresses are physical ones: QEMU's stub can
    #[arg(long)]
    physical: bool,
    /// Leave the target stopped, as for a debugger that comes next
    #[arg(long)]
    keep_stopped: bool,
    /// Wait for an answer this long
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    patience: u64,
}

impl Attach {
    pub fn run(&self) -> Outcome {
        let within = self.within()?;
        let mut client = Client::connect(&self.stub, Duration::from_secs(self.patience))?;
        let physical = match self.physical {
            true => client.use_physical(),
            false => Ok(()),
        };
        let mut memory = Memory::new(client);
        let written = match physical {
            Ok(()) => self.wanted.write(
                &mut memory,
                &within,
                "does the core map the kernel where it was linked? Try --physical --memory START+BYTES with the range of its RAM",
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
            eprintln!(
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
