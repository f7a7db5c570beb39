//! Frames as lines of text, while they come: what `aftrace run` shows between the lines of the console.

use std::collections::BTreeMap;
use std::io::{self, Write};

use aarch64_ftrace::trace::{
    EVENT_BYTES, EVENTS_HEAD_BYTES, Event, Frame, FrameKind, HEADER_BYTES, Header, Type,
};

use super::file::take_tasks;
use super::locations::Locations;
use super::replay::{duration, other, seconds};
use super::stream::u64_at;
use super::symbols::{Naming, SymbolError, Symbols};
use crate::elf::Kernel;

/// What a header says, and the kernel's names for it.
pub struct Lines {
    kernel: Vec<u8>,
    naming: Naming,
    known: Option<(Header, Symbols)>,
    tasks: BTreeMap<u32, String>,
    /// Events that were shown.
    pub events: u64,
    /// Frames that came before any header, or do not fit their kind.
    pub passed_over: u64,
}

impl Lines {
    /// With the ELF file that runs, its names shown so.
    ///
    /// # Errors
    /// [`SymbolError`]: lines are wanted, and the file has none.
    pub fn new(kernel: Vec<u8>, naming: Naming) -> Result<Self, SymbolError> {
        if naming.asks_kernel() {
            Locations::of_kernel(&Kernel::parse(&kernel)?)?;
        }
        Ok(Self {
            kernel,
            naming,
            known: None,
            tasks: BTreeMap::new(),
            events: 0,
            passed_over: 0,
        })
    }

    /// Shows a frame whose CRC is right. Of another build than the kernel, addresses are shown, which is said.
    ///
    /// # Errors
    /// Those of `out`; `InvalidData` where the file is no kernel.
    pub fn show(&mut self, frame: &[u8], out: &mut impl Write) -> io::Result<()> {
        let Ok((frame, _)) = Frame::parse(frame) else {
            self.passed_over += 1;
            return Ok(());
        };
        match (FrameKind::from_code(frame.kind), &self.known) {
            (Some(FrameKind::Header), _) => self.header(frame.payload, out),
            (Some(FrameKind::Events), Some((_, symbols))) => {
                match lines((symbols, &self.tasks), frame.core, frame.payload, out)? {
                    Some(events) => self.events += events,
                    None => self.passed_over += 1,
                }
                Ok(())
            }
            (Some(FrameKind::Tasks), _) => {
                if take_tasks(&mut self.tasks, frame.payload).is_none() {
                    self.passed_over += 1;
                }
                Ok(())
            }
            (Some(FrameKind::Events), None) => {
                self.passed_over += 1;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn header(&mut self, payload: &[u8], out: &mut impl Write) -> io::Result<()> {
        let header = payload
            .first_chunk::<HEADER_BYTES>()
            .and_then(|bytes| Header::from_bytes(bytes).ok());
        let Some(header) = header else {
            self.passed_over += 1;
            return Ok(());
        };
        if self
            .known
            .as_ref()
            .is_some_and(|(known, _)| *known == header)
        {
            return Ok(());
        }
        let symbols = match Symbols::named(&self.kernel, &header, false, self.naming) {
            Ok(symbols) => symbols,
            Err(SymbolError::OtherBuild { kernel, trace }) => {
                writeln!(
                    out,
                    "[ aftrace ] what follows is of another build: build id {trace}, the kernel's is {kernel}: addresses are shown"
                )?;
                Symbols::none(header)
            }
            Err(error) => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
        };
        self.known = Some((header, symbols));
        self.tasks.clear();
        Ok(())
    }
}

/// A line for each event, and one for those that are missing before them; how many there were.
fn lines(
    (symbols, tasks): (&Symbols, &BTreeMap<u32, String>),
    core: u16,
    payload: &[u8],
    out: &mut impl Write,
) -> io::Result<Option<u64>> {
    let Some((head, events)) = payload.split_first_chunk::<EVENTS_HEAD_BYTES>() else {
        return Ok(None);
    };
    let (events, rest) = events.as_chunks::<{ EVENT_BYTES as usize }>();
    if !rest.is_empty() {
        return Ok(None);
    }
    let missing = u64_at(head, 8);
    if missing > 0 {
        writeln!(out, "[ core {core} ] {missing} events lost")?;
    }
    let mut time = 0;
    for bytes in events {
        let event = Event::from_bytes(*bytes);
        // DATA has no time of its own: it belongs to the event before it.
        if event.kind() != Some(Type::Data) {
            time = event.time();
        }
        let at = seconds(symbols.nanoseconds(time));
        write!(out, "[ core {core} {at} ] ")?;
        let name = symbols.shown(event.callsite_low());
        match event.kind() {
            Some(Type::Function) => {
                writeln!(out, "{name} <- {}", symbols.shown_caller(event.upper()))?
            }
            Some(Type::Entry) => {
                writeln!(out, "{name} {{ <- {}", symbols.shown_caller(event.upper()))?
            }
            Some(Type::Exit) => {
                let ticks = event.upper().into();
                writeln!(out, "}} {name} {}", duration(symbols.nanoseconds(ticks)))?;
            }
            Some(Type::Task) => match tasks.get(&event.upper()) {
                Some(name) => writeln!(out, "task {} {name}", event.upper())?,
                None => writeln!(out, "task {}", event.upper())?,
            },
            _ => writeln!(out, "{}", other(symbols, event).unwrap_or_default())?,
        }
    }
    Ok(Some(events.len() as u64))
}
