//! Harness of the host's readers: trace files and all that is made of them, memory images, consoles.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Cursor, Read, Seek as _, Write as _};

use aarch64_ftrace::trace::{FRAME_HEAD_BYTES, Frame};
use aftrace::trace::added::{self, AddedError};
use aftrace::trace::calls::{Calls, Step};
use aftrace::trace::dump::{chrome, folded};
use aftrace::trace::file::Trace;
use aftrace::trace::filter::Filter;
use aftrace::trace::live::Lines;
use aftrace::trace::ram::{self, FrameWriter};
use aftrace::trace::replay::{Style, replay};
use aftrace::trace::report::{Key, Report};
use aftrace::trace::stream::{Piece, Reader};
use aftrace::trace::symbols::{Naming, Symbols};
use aftrace::trace::text;
use aftrace::trace::uart::{Demultiplexer, Output};

use super::dumps::wanted;
use super::{repair, seeds};

/// Regions and rings of one input that are read; more would only take longer.
const REGIONS_MAX: usize = 2;
const PAGE: usize = 4096;

/// A source that gives a few bytes at a time.
struct Dripping<'a>(&'a [u8]);

impl Read for Dripping<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = (1 + self.0.len() % 7).min(self.0.len()).min(into.len());
        let (now, later) = self.0.split_at(count);
        into[..count].copy_from_slice(now);
        self.0 = later;
        Ok(count)
    }
}

/// A stream of frames: the bytes as they are, then with the frames' CRCs put right. Each byte belongs to one piece.
pub fn stream(data: &[u8]) -> bool {
    let mut repaired = data.to_vec();
    repair::frames(&mut repaired);
    let (frames, _) = pieces(data);
    frames + pieces(&repaired).0 > 0
}

/// How many frames there are, and how many bytes of damage.
fn pieces(bytes: &[u8]) -> (usize, u64) {
    let mut reader = Reader::new(Dripping(bytes));
    let (mut frames, mut damage, mut behind) = (0, 0, 0);
    while let Some(piece) = reader.next().expect("reading memory does not fail") {
        let (offset, length) = match piece {
            Piece::Frame(frame) => {
                frames += 1;
                (
                    frame.offset,
                    (FRAME_HEAD_BYTES + frame.payload.len()) as u64,
                )
            }
            Piece::Damage(part) => {
                damage += part.bytes;
                (part.offset, part.bytes)
            }
        };
        assert!(
            offset == behind && length > 0,
            "a gap, or a piece of nothing"
        );
        behind = offset + length;
    }
    assert_eq!(behind, bytes.len() as u64, "bytes at the end left out");
    (frames, damage)
}

thread_local! {
    /// Used again and again: a new file for each input would take most of the time.
    /// What runs, as far as the console is concerned.
    static KERNEL: Vec<u8> = seeds::kernels().swap_remove(0);
    static FILE: RefCell<File> = RefCell::new(tempfile::tempfile().expect("a temporary file"));
}

/// The bytes as a file, indexed.
pub(crate) fn opened(bytes: &[u8]) -> Option<Trace> {
    FILE.with_borrow_mut(|file| {
        let mut write = || {
            file.set_len(0)?;
            file.rewind()?;
            file.write_all(bytes)?;
            file.rewind()?;
            file.try_clone()
        };
        let file = write().expect("a temporary file is written");
        match Trace::index(file, Box::new(|_, _| {})) {
            Ok(trace) => Some(trace),
            Err(error) => {
                let _ = error.to_string();
                None
            }
        }
    })
}

/// A trace file through all that `aftrace` makes of one, frames' CRCs put right.
pub fn file(data: &[u8]) -> bool {
    let mut bytes = data.to_vec();
    repair::frames(&mut bytes);
    let Some(trace) = opened(&bytes) else {
        return false;
    };
    let made = play(&trace)
        .and_then(|()| convert(&trace, &Filter::default()))
        .and_then(|()| convert(&trace, &wanted(&trace, data.len())));
    made.expect("what was indexed can be read");
    true
}

fn play(trace: &Trace) -> io::Result<()> {
    let mut items = trace.play()?;
    let mut count = 0;
    while items.next()?.is_some() {
        count += 1;
    }
    assert_eq!(count, trace.events(), "events that are not played");
    let mut calls = Calls::new(trace.play()?);
    let mut entered = 0_u64;
    while let Some(step) = calls.next()? {
        match step {
            Step::Enter(_) => entered += 1,
            Step::Leave(leave) if leave.entered => {
                entered = entered
                    .checked_sub(1)
                    .expect("left more often than entered");
            }
            Step::Abandoned(..) => {
                entered = entered.checked_sub(1).expect("given up, never entered");
            }
            _ => {}
        }
    }
    assert_eq!(
        entered,
        calls.unfinished().len() as u64,
        "calls without an end"
    );
    Ok(())
}

fn convert(trace: &Trace, filter: &Filter) -> io::Result<()> {
    let naming = Naming {
        short: filter.depth.is_multiple_of(2),
        aliases: true,
        ..Naming::default()
    };
    let symbols = Symbols::of_trace(trace).shown_as(naming);
    let mut out = io::sink();
    let report = Report::new(trace, &symbols, filter)?;
    report.write(&symbols, &[Key::Total], &mut out)?;
    report.write_difference(&symbols, (&report, &symbols), &[Key::Own], &mut out)?;
    for shown in [
        added::write_profile(trace, &symbols, filter, &[Key::Total], &mut out),
        added::write_coverage(trace, &symbols, filter, &mut out),
    ] {
        // Without any, or none that is chosen, there is nothing to show, which is said.
        match shown {
            Ok(()) | Err(AddedError::None(..) | AddedError::Nothing(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    let style = Style {
        tail: Some(3),
        timestamps: true,
    };
    for style in [Style::default(), style] {
        replay(trace, &symbols, filter, &style, &mut out)?;
    }
    text::function(trace, &symbols, filter, &mut out)?;
    text::function_graph(trace, &symbols, filter, &mut out)?;
    let mut json = Vec::new();
    chrome::write(trace, &symbols, filter, &mut json)?;
    serde_json::from_slice::<serde_json::Value>(&json).expect("JSON");
    folded::lines(trace, &symbols, filter).map(drop)
}

/// A memory image: what is made of each region is a whole trace.
pub fn ram(data: &[u8]) -> bool {
    let mut image = data.to_vec();
    for page in (0..image.len()).step_by(PAGE).take(REGIONS_MAX) {
        repair::region(&mut image[page..]);
    }
    let mut image = Cursor::new(image);
    let found = ram::find(&mut image, 0..u64::MAX).expect("reading memory does not fail");
    let mut any = false;
    for region in found.iter().take(REGIONS_MAX) {
        let Ok(header) = &region.header else { continue };
        let mut trace = Vec::new();
        let mut out = FrameWriter::new(&mut trace);
        let found = ram::extract(&mut image, region.offset, header, 0, &[], &mut out)
            .expect("reading and writing memory does not fail");
        let (frames, damage) = pieces(&trace);
        assert!(frames >= 2 && damage == 0, "{damage} bytes are no frame");
        let trace = opened(&trace).expect("a trace");
        let events: u64 = found.rings.iter().map(|ring| ring.events).sum();
        assert!(!trace.is_damaged() && trace.events() == events);
        assert!(trace.tasks.len() <= found.names, "a name out of nothing");
        any = true;
    }
    any
}

/// A console with text and frames: the same comes out however its bytes come in, and its frames are shown as lines.
pub fn console(data: &[u8]) -> bool {
    let whole = outputs(std::iter::once(data));
    let kernel = KERNEL.with(Clone::clone);
    let mut lines = Lines::new(kernel, Naming::default()).expect("no lines are wanted");
    for output in &whole {
        if let Output::Frame(frame) = output {
            let shown = lines.show(frame, &mut io::sink());
            shown.expect("it is a kernel; of another build, addresses are shown");
        }
    }
    let parts = outputs(data.chunks(5));
    assert!(whole == parts, "it depends on how the bytes come");
    let frames = whole
        .iter()
        .filter(|output| matches!(output, Output::Frame(_)));
    frames.count() > 0
}

/// Text that stands together is one output here.
fn outputs<'a>(parts: impl Iterator<Item = &'a [u8]>) -> Vec<Output> {
    let mut all: Vec<Output> = Vec::new();
    let mut take = |output| match (all.last_mut(), output) {
        (Some(Output::Text(text)), Output::Text(more)) => text.extend(more),
        (_, output) => {
            if let Output::Frame(frame) = &output {
                let parsed = Frame::parse(frame);
                assert!(
                    parsed.is_ok_and(|(_, length)| length == frame.len()),
                    "a frame that is none"
                );
            }
            all.push(output);
        }
    };
    let mut console = Demultiplexer::new();
    for part in parts {
        console.push(part, &mut take);
    }
    console.end(&mut take);
    all
}
