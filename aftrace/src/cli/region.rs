//! What the verbs on memory share: which region, which names, where the trace goes.

use std::error::Error;
use std::io::{self, Read, Seek, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use aarch64_ftrace::trace::Header;
use aftrace::trace::ram::{self, FrameWriter};
use aftrace::trace::symbols::{Symbols, hex};
use clap::Args;

use super::output::{Aside, is_standard, whole};
use super::{INCOMPLETE, at, read};

/// What to take out of memory.
#[derive(Args)]
pub struct Wanted {
    /// Where to write the trace; - is the standard output
    #[arg(short, long, value_name = "TRACE", default_value = "ram.aft")]
    pub output: PathBuf,
    /// The kernel that was running: the trace gets its names. It must be the build that made the region
    #[arg(long, value_name = "KERNEL")]
    pub elf: Option<PathBuf>,
    /// Take the names although the kernel's build id is not the region's
    #[arg(long, requires = "elf")]
    any_build: bool,
    /// The snapshot in place of the rings that are written to
    #[arg(long)]
    snapshot: bool,
    /// Which region with a right header, from 0
    #[arg(long, default_value_t = 0)]
    region: usize,
    /// The kernel was booted by this command: nothing else has to show that it recorded.
    #[arg(skip)]
    is_booted: bool,
}

impl Wanted {
    /// The names of the kernel that made a region.
    ///
    /// # Errors
    /// It is no kernel, or another build.
    fn kernel_names(&self, path: &Path, header: &Header) -> Result<Symbols, String> {
        let names = Symbols::of_kernel(&read(path)?, header, self.any_build).map_err(at(path))?;
        note_build(path, &names, self.any_build || self.is_booted);
        Ok(names)
    }

    /// All that a kernel recorded.
    pub fn of_kernel(output: PathBuf, kernel: PathBuf) -> Self {
        Self {
            output,
            elf: Some(kernel),
            any_build: false,
            snapshot: false,
            region: 0,
            is_booted: true,
        }
    }

    /// Looks for regions at these offsets of a memory, says what is found, and writes the wanted one as a trace. Nothing is
    /// written before region and names are sure, and none of the inputs is written over.
    pub fn write(
        &self,
        memory: &mut (impl Read + Seek),
        within: &[Range<u64>],
        inputs: &[&Path],
        hint: &str,
    ) -> Result<ExitCode, Box<dyn Error>> {
        let mut regions = Vec::new();
        for range in within {
            regions.extend(ram::find(memory, range.clone())?);
        }
        for region in &regions {
            match &region.header {
                Ok(header) => note!(
                    "aftrace: region at {:#x}: {} cores, {} rings, build id {}, boot {}",
                    region.offset,
                    header.cpus,
                    header.rings,
                    hex(header.build_id()),
                    header.boots
                ),
                Err(error) => note!("aftrace: region at {:#x}: {error}", region.offset),
            }
        }
        let mut good = regions
            .iter()
            .filter_map(|region| Some((region.offset, region.header.as_ref().ok()?)));
        let Some((offset, header)) = good.nth(self.region) else {
            let right = regions
                .iter()
                .filter(|region| region.header.is_ok())
                .count();
            let asked = self.region;
            return Err(format!(
                "{right} regions with a right header, number {asked} was asked for: {hint}"
            )
            .into());
        };
        let names = match &self.elf {
            Some(path) => self.kernel_names(path, header)?,
            None => Symbols::default(),
        };
        let output = &self.output;
        let found = whole(output, inputs, |_, out| {
            ram::extract(
                memory,
                offset,
                header,
                u32::from(self.snapshot),
                &names.every_name(),
                &mut FrameWriter::new(out),
            )
        })?;
        let mut incomplete = false;
        for ring in &found.rings {
            match &ring.refused {
                Some(why) => {
                    incomplete = true;
                    note!("aftrace: core {}: {why}", ring.core);
                }
                None => self.said(format!(
                    "core {}: {} events; {} overwritten, {} dropped, {} unfinished",
                    ring.core,
                    ring.events,
                    ring.counts.overwritten,
                    ring.counts.dropped,
                    ring.counts.unfinished
                ))?,
            }
        }
        let events: u64 = found.rings.iter().map(|ring| ring.events).sum();
        match events {
            0 => note!(
                "aftrace: {}: no event in it: was recording on, and was any of the functions called?",
                output.display()
            ),
            _ => note!("aftrace: {}: {events} events", output.display()),
        }
        if found.torn_names > 0 {
            let (torn, whole) = (found.torn_names, found.names);
            note!("aftrace: {torn} names of tasks are half written or damaged, {whole} are whole");
        }
        Ok(ExitCode::from(if incomplete { INCOMPLETE } else { 0 }))
    }

    /// Says on the standard output, if anybody listens there, and the trace is not there itself.
    fn said(&self, line: String) -> io::Result<()> {
        if is_standard(&self.output) {
            note!("{line}");
            return Ok(());
        }
        writeln!(Aside(io::stdout()), "{line}")
    }
}

/// Says where it is only taken to be so that a kernel is the one that recorded.
pub fn note_build(path: &Path, names: &Symbols, is_taken: bool) {
    if !is_taken && !names.is_of_same_build() {
        note!(
            "aftrace: {}: nothing shows that this kernel recorded, as not both have a build id: link it with --build-id=sha1",
            path.display()
        );
    }
}
