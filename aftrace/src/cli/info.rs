//! Says what a trace contains.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;

use aftrace::trace::file::Trace;
use aftrace::trace::symbols::hex;
use clap::Args;

use super::select::verdict;
use super::{Outcome, at, files, manual, stdout};

const EXAMPLES: &[&str] = &["aftrace info trace.aft    # which build, which cores, what was lost"];

/// Say what a trace contains: build, clock, cores, what was lost
#[derive(Args)]
#[command(after_help = manual(EXAMPLES))]
pub struct Info {
    /// The trace, a .aft file; - is the standard input
    trace: PathBuf,
}

impl Info {
    pub fn run(&self) -> Outcome {
        let file = files::open_again(&self.trace)?;
        let trace = Trace::index(file, Box::new(|_, _| {})).map_err(at(&self.trace))?;
        let header = &trace.header;
        let mut out = stdout();
        writeln!(
            out,
            "file        {} bytes, {} frames, {} of them of unknown kinds",
            trace.bytes, trace.frames, trace.unknown
        )?;
        writeln!(out, "build id    {}", hex(header.build_id()))?;
        writeln!(
            out,
            "clock       {} ticks a second; the region was made at {}",
            header.frequency, header.made
        )?;
        let slide = header.text_start.wrapping_sub(header.link_start);
        writeln!(
            out,
            "text        {:#x}, {} bytes; slide {slide:#x}",
            header.text_start, header.text_bytes
        )?;
        writeln!(
            out,
            "boots       {}; headers of other recordings in the file: {}",
            header.boots, trace.other_headers
        )?;
        writeln!(
            out,
            "names       {} functions, {} tasks",
            trace.symbols.len(),
            trace.tasks.len()
        )?;
        let added = &trace.added;
        if !added.profile.is_empty() || added.coverage.is_some() {
            let covered = added.coverage.as_ref().map_or(0, BTreeSet::len);
            writeln!(
                out,
                "added up    {} lines of a profile, {covered} functions of a coverage (aftrace report --profile, --coverage)",
                added.profile.len()
            )?;
        }
        match trace.end {
            Some((ticks, reason)) => {
                const REASONS: [&str; 5] = [
                    "unknown",
                    "asked for",
                    "panic",
                    "trigger",
                    "found after a warm reset",
                ];
                let reason = REASONS.get(reason as usize).copied().unwrap_or("unknown");
                writeln!(out, "end         at {ticks}, {reason}")?;
            }
            None => writeln!(out, "end         none: the stream was cut off")?,
        }
        writeln!(
            out,
            "{:>5} {:>12} {:>12} {:>12} {:>12} {:>12} {:>12} {:>12}",
            "CORE",
            "EVENTS",
            "MISSING",
            "WRITTEN",
            "OVERWRITTEN",
            "DROPPED",
            "UNFINISHED",
            "REFUSED"
        )?;
        for (core, index) in &trace.cores {
            write!(out, "{core:>5} {:>12} {:>12}", index.events, index.missing)?;
            match index.counts {
                Some(c) => writeln!(
                    out,
                    " {:>12} {:>12} {:>12} {:>12} {:>12}",
                    c.written, c.overwritten, c.dropped, c.unfinished, c.refused
                )?,
                None => writeln!(out, "   the recorder's counts are not in the file")?,
            }
        }
        out.flush()?;
        Ok(verdict(&self.trace, &trace))
    }
}
