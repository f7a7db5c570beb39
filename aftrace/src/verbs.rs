//! The verbs that read traces.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;
use std::process::ExitCode;

use aarch64_ftrace::glob;
use aftrace::trace::file::Trace;
use aftrace::trace::ram::{self, FrameWriter};
use aftrace::trace::replay::{self, Style};
use aftrace::trace::report::{Key, Report};
use aftrace::trace::symbols::{Symbols, hex};
use aftrace::trace::uart::{self, Output};
use aftrace::trace::{dump, text};

use crate::arguments::{Format, Input, Select, Tracer, at};
use crate::{FAILED, INCOMPLETE, Outcome};

fn stdout() -> BufWriter<io::StdoutLock<'static>> {
    BufWriter::with_capacity(1 << 16, io::stdout().lock())
}

pub fn replay(input: &Input, select: &Select, style: &Style) -> Outcome {
    let (trace, symbols) = input.open()?;
    replay::replay(
        &trace,
        &symbols,
        &select.filter(trace.header.frequency),
        style,
        stdout(),
    )?;
    Ok(input.verdict(&trace))
}

pub fn report(
    input: &Input,
    select: &Select,
    sort: Key,
    short: bool,
    newer: Option<&Path>,
) -> Outcome {
    let (trace, symbols) = input.open()?;
    let report = Report::new(&trace, &symbols, &select.filter(trace.header.frequency))?;
    let Some(newer) = newer else {
        report.write(&symbols, sort, short, stdout())?;
        return Ok(input.verdict(&trace));
    };
    let other = Input {
        trace: newer.to_owned(),
        elf: input.elf.clone(),
        any_build: input.any_build,
    };
    let (newer, newer_symbols) = other.open()?;
    let newer_report = Report::new(
        &newer,
        &newer_symbols,
        &select.filter(newer.header.frequency),
    )?;
    report.write_difference(&symbols, &newer_report, &newer_symbols, stdout())?;
    let (first, second) = (input.verdict(&trace), other.verdict(&newer));
    Ok(if trace.is_damaged() { first } else { second })
}

pub fn dump(input: &Input, select: &Select, format: &Format) -> Outcome {
    let (trace, symbols) = input.open()?;
    let filter = select.filter(trace.header.frequency);
    if format.chrome {
        dump::chrome::write(&trace, &symbols, &filter, stdout())?;
    } else if format.folded {
        let mut out = stdout();
        for line in dump::folded::lines(&trace, &symbols, &filter)? {
            writeln!(out, "{line}")?;
        }
        out.flush()?;
    } else if let Some(path) = &format.flamegraph {
        let lines = dump::folded::lines(&trace, &symbols, &filter)?;
        let file = File::create(path).map_err(at(path))?;
        dump::folded::flame_graph(
            &lines,
            &input.trace.display().to_string(),
            BufWriter::new(file),
        )
        .map_err(at(path))?;
    } else {
        match format.text {
            Some(Tracer::Function) => text::function(&trace, &symbols, &filter, stdout())?,
            _ => text::function_graph(&trace, &symbols, &filter, stdout())?,
        }
    }
    Ok(input.verdict(&trace))
}

pub fn info(path: &Path) -> Outcome {
    let trace = Trace::open(path).map_err(at(path))?;
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
        "CORE", "EVENTS", "MISSING", "WRITTEN", "OVERWRITTEN", "DROPPED", "UNFINISHED", "REFUSED"
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
    let input = Input {
        trace: path.to_owned(),
        elf: None,
        any_build: false,
    };
    Ok(input.verdict(&trace))
}

pub fn symbols(path: &Path, filter: Option<&str>) -> Outcome {
    let trace = Trace::open(path).map_err(at(path))?;
    let mut out = stdout();
    for symbol in Symbols::of_trace(&trace).all() {
        if filter.is_none_or(|glob| glob::matches(glob, symbol.name.bytes())) {
            writeln!(
                out,
                "{:#x} {} {}",
                symbol.address, symbol.bytes, symbol.name
            )?;
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

pub fn dump_ram(image: &Path, output: &Path, snapshot: bool, nth: usize) -> Outcome {
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
    let Some((offset, header)) = good.nth(nth) else {
        return Err(format!(
            "{}: {} regions with a right header, number {nth} was asked for: is the image of RAM, complete, and from an address that is \
             a multiple of 4096?",
            image.display(),
            regions.iter().filter(|region| region.header.is_ok()).count()
        )
        .into());
    };
    let mut out = BufWriter::new(File::create(output).map_err(at(output))?);
    let rings = ram::extract(
        &mut file,
        offset,
        header,
        u32::from(snapshot),
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

pub fn console(console: &Path, output: &Path) -> Outcome {
    let source = File::open(console).map_err(at(console))?;
    let mut out = BufWriter::new(File::create(output).map_err(at(output))?);
    let (mut frames, mut bad) = (0_u64, 0_u64);
    let mut shown = stdout();
    uart::extract(source, |each| match each {
        Output::Text(text) => shown.write_all(&text),
        Output::Frame(frame) => {
            frames += 1;
            out.write_all(&frame)
        }
        Output::Bad { offset, bytes } => {
            bad += 1;
            eprintln!(
                "aftrace: {}: at offset {offset} {bytes} bytes are no frame",
                console.display()
            );
            Ok(())
        }
    })?;
    out.flush()?;
    shown.flush()?;
    eprintln!(
        "aftrace: {frames} frames written to {}, {bad} damaged",
        output.display()
    );
    match (frames, bad) {
        (0, 0) => {
            eprintln!(
                "aftrace: the console carried no frame: does the kernel send its trace to this line?"
            );
            Ok(ExitCode::from(FAILED))
        }
        (_, 0) => Ok(ExitCode::SUCCESS),
        _ => Ok(ExitCode::from(INCOMPLETE)),
    }
}
