//! Finds a trace in a memory image.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use aarch64_ftrace::trace::Header;
use aftrace::trace::ram::{self, FrameWriter};
use aftrace::trace::symbols::{Symbols, hex};
use clap::Args;

use super::{EXIT_CODES, INCOMPLETE, Outcome, at, read};

/// Find the trace in a raw memory image, whatever the state of the kernel
///
/// The image is what QEMU's `pmemsave`, a debugger or /dev/mem gives. Regions are found by their header, at multiples of 4096
/// bytes; slots that were not completely written are counted and left out.
#[derive(Args)]
#[command(after_help = EXIT_CODES)]
pub struct DumpRam {
    /// The image
    image: PathBuf,
    /// Where to write the trace
    #[arg(short, long, value_name = "TRACE", default_value = "ram.aft")]
    output: PathBuf,
    /// The kernel that was running: the trace gets its names. It must be the build that made the region
    #[arg(long, value_name = "KERNEL")]
    elf: Option<PathBuf>,
    /// Take the names although the kernel's build id is not the region's
    #[arg(long, requires = "elf")]
    any_build: bool,
    /// The snapshot in place of the rings that are written to
    #[arg(long)]
    snapshot: bool,
    /// Which region with a right header, from 0
    #[arg(long, default_value_t = 0)]
    region: usize,
}

impl DumpRam {
    pub fn run(&self) -> Outcome {
        let (image, output) = (&self.image, &self.output);
        let mut file = File::open(image).map_err(at(image))?;
        let regions = ram::find(&mut file).map_err(at(image))?;
        for region in &regions {
            match &region.header {
                Ok(header) => eprintln!(
                    "aftrace: region at {:#x}: {} cores, {} rings, build id {}, boot {}",
                    region.offset,
                    header.cpus,
                    header.rings,
                    hex(header.build_id()),
                    header.boots
                ),
                Err(error) => eprintln!("aftrace: region at {:#x}: {error}", region.offset),
            }
        }
        let mut good = regions
            .iter()
            .filter_map(|region| Some((region.offset, region.header.as_ref().ok()?)));
        let Some((offset, header)) = good.nth(self.region) else {
            return Err(format!(
                "{}: {} regions with a right header, number {} was asked for: is the image of RAM, complete, and from an address that is \
                 a multiple of 4096?",
                image.display(),
                regions.iter().filter(|region| region.header.is_ok()).count(),
                self.region
            )
            .into());
        };
        // Before anything is written.
        let names = match &self.elf {
            Some(path) => kernel_names(path, header, self.any_build)?,
            None => Symbols::default(),
        };
        let mut out = BufWriter::new(File::create(output).map_err(at(output))?);
        let rings = ram::extract(
            &mut file,
            offset,
            header,
            u32::from(self.snapshot),
            names.all(),
            &mut FrameWriter::new(&mut out),
        )?;
        out.flush()?;
        let mut incomplete = false;
        for ring in &rings {
            match &ring.refused {
                Some(why) => {
                    incomplete = true;
                    eprintln!("aftrace: core {}: {why}", ring.core);
                }
                None => println!(
                    "core {}: {} events; {} overwritten, {} dropped, {} unfinished",
                    ring.core,
                    ring.events,
                    ring.counts.overwritten,
                    ring.counts.dropped,
                    ring.counts.unfinished
                ),
            }
        }
        Ok(ExitCode::from(if incomplete { INCOMPLETE } else { 0 }))
    }
}

/// The names of the kernel that made a region.
///
/// # Errors
/// It is no kernel, or another build.
pub fn kernel_names(path: &Path, header: &Header, any_build: bool) -> Result<Symbols, String> {
    let names = Symbols::of_kernel(&read(path)?, header, any_build).map_err(at(path))?;
    if header.build_id().is_empty() {
        eprintln!(
            "aftrace: {}: the region has no build id, so nothing shows that this kernel made it",
            path.display()
        );
    }
    Ok(names)
}
