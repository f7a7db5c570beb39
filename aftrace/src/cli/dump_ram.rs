//! Finds a trace in a memory image.

use std::io::{self, ErrorKind};
use std::ops::Range;
use std::path::PathBuf;

use aftrace::arguments;
use clap::Args;

use super::region::Wanted;
use super::{Outcome, at, files, manual};

const EXAMPLES: &[&str] = &[
    "aftrace dump-ram ram.img --elf kernel.elf -o hung.aft    # in QEMU's monitor: pmemsave 0x40000000 0x10000000 ram.img",
    "aftrace dump-ram /dev/mem --memory 0x40000000+256M    # where RAM does not begin at 0, or has holes",
];

/// Find the trace in a raw memory image, whatever the state of the kernel
///
/// The image is what QEMU's `pmemsave`, a debugger or /dev/mem gives. Regions are found by their header, at multiples of 4096
/// bytes of the image; slots that were not completely written, or hold no event of the kernel's text, are counted and left out.
#[derive(Args)]
#[command(after_help = manual(EXAMPLES))]
pub struct DumpRam {
    /// The image; - is the standard input
    image: PathBuf,
    #[command(flatten)]
    wanted: Wanted,
    /// Look for regions only there in the image (repeat for more)
    #[arg(long, value_name = "START+BYTES", value_parser = arguments::memory)]
    memory: Vec<Range<u64>>,
}

impl DumpRam {
    pub fn run(&self) -> Outcome {
        let image = &self.image;
        let mut file = files::open_again(image)?;
        let everywhere = 0..u64::MAX;
        let within = match self.memory.as_slice() {
            [] => std::slice::from_ref(&everywhere),
            told => told,
        };
        let hint = "is the image of RAM, complete, and from an address that is a multiple of 4096?";
        files::is_free(&self.wanted.output, &[image])?;
        let written = self.wanted.write(&mut file, within, &[image], hint);
        written.map_err(|error| match error.downcast_ref::<io::Error>() {
            // Of the standard output, as which main knows it: no image that is read has such an error.
            Some(ended) if ended.kind() == ErrorKind::BrokenPipe => error,
            Some(unreadable) if self.memory.is_empty() => {
                let why = format!("{unreadable}: where not all of it can be read, say where RAM is: --memory START+BYTES");
                at(image)(why).into()
            }
            _ => at(image)(error).into(),
        })
    }
}
