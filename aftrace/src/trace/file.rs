//! A trace file, indexed in one pass: what it says of itself, where each core's events stand, what is damaged. A second pass reads
//! the events of all cores in the order of their time, a piece of each core at a time.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;

use super::added::Added;
pub use super::lost::Lost;
use super::lost::Numbers;
use super::play::{Cursor, Entries, Events};
use super::stream::{Damage, Piece, Reader, u32_at, u64_at};
use super::symbols::in_one_line;
use aarch64_ftrace::trace::{
    EVENT_BYTES, EVENTS_HEAD_BYTES, Event, FRAME_HEAD_BYTES, FrameCounts, FrameKind, HEADER_BYTES,
    Header, HeaderError, Type,
};

/// Bytes of events that are held for all cores together, however many a file names.
const HELD: usize = 16 << 20;
const HELD_BY_CORE: usize = 64 << 10;
/// Of each kind of damage so many are listed, the others counted.
pub const NAMED_MAX: usize = 1000;
/// Names that are kept. A hostile file would have the reader hold several times as much as it is long.
pub const TASKS_MAX: usize = 1 << 18;
/// The same of functions.
pub const SYMBOLS_MAX: usize = 1 << 20;
/// Of fewer calls each is told apart, whatever their ENTRYs.
const FEW: u64 = 1 << 14;
const SLOT: usize = EVENT_BYTES as usize;

/// Why a file is no trace.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TraceError {
    /// The system cannot read it.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// There is no frame in it.
    #[error(
        "{bytes} bytes and no frame of a trace in them: give a .aft file (`aftrace dump-ram` makes one of a memory image, \
         `aftrace run -o` of a console)"
    )]
    NoFrame {
        /// The file's.
        bytes: u64,
    },
    /// No frame says what the events mean.
    #[error(
        "no HEADER frame with a right CRC, so addresses and times mean nothing: was the recording cut off at its beginning?"
    )]
    NoHeader,
    /// The first HEADER says what this reader cannot read: another version of the format, fields that cannot be.
    #[error(
        "the HEADER frame cannot be read: {0}. Read it with the aftrace of the kernel's own release"
    )]
    Header(HeaderError),
}

/// Where events of a core stand in the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) offset: u64,
    pub(super) events: u32,
    /// Events that are missing before it.
    pub(super) missing: u64,
}

/// What a file has of one core.
#[derive(Clone, Debug, Default)]
pub struct Core {
    spans: Vec<Span>,
    /// Events in the file.
    pub events: u64,
    /// Events that the numbers of the frames say are missing in between.
    pub missing: u64,
    /// What the recorder counted, as the last COUNTS frame has it.
    pub counts: Option<FrameCounts>,
    next: Option<u64>,
    /// Missing before the next span.
    before: u64,
}

/// A function's name by the addresses at which it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// Of its entry.
    pub address: u64,
    /// How long it is; 0 where that is not known.
    pub bytes: u32,
    /// Its path.
    pub name: String,
}

/// Hears how many bytes of how many are behind; each pass over the file begins anew.
pub type Progress = Box<dyn Fn(u64, u64)>;

/// An indexed trace.
pub struct Trace {
    file: File,
    progress: Progress,
    entries: u64,
    exits: u64,
    /// What the recorder says of itself.
    pub header: Header,
    /// By core.
    pub cores: BTreeMap<u16, Core>,
    /// Names of tasks.
    pub tasks: BTreeMap<u32, String>,
    /// Names of functions that the file brings along.
    pub symbols: Vec<Symbol>,
    /// What is no frame, at most [`NAMED_MAX`].
    pub damage: Vec<Damage>,
    /// Frames with a right CRC whose payload does not fit their kind, or has more names than are kept, by offset; as many.
    pub malformed: Vec<u64>,
    /// What is missing; as much.
    pub lost: Vec<Lost>,
    /// Of the three, what is not listed.
    pub unlisted: u64,
    /// Frames of kinds that this reader does not know.
    pub unknown: u64,
    /// Frames in all.
    pub frames: u64,
    /// Bytes in all.
    pub bytes: u64,
    /// Ticks and reason of the END frame.
    pub end: Option<(u64, u32)>,
    /// Headers that differ from the first: several boots in one file.
    pub other_headers: u64,
    /// The profile and the coverage that the kernel has added up itself.
    pub added: Added,
}

impl Trace {
    /// Indexes the file.
    ///
    /// # Errors
    /// [`TraceError`].
    pub fn open(path: &Path) -> Result<Self, TraceError> {
        Self::index(File::open(path)?, Box::new(|_, _| {}))
    }

    /// Indexes a file that is open; `progress` hears of this pass and of all that follow.
    ///
    /// # Errors
    /// [`TraceError`].
    pub fn index(file: File, progress: Progress) -> Result<Self, TraceError> {
        let mut header = Err(TraceError::NoHeader);
        let mut trace = Self {
            file: file.try_clone()?,
            progress,
            entries: 0,
            exits: 0,
            header: Header::default(),
            cores: BTreeMap::new(),
            tasks: BTreeMap::new(),
            symbols: Vec::new(),
            damage: Vec::new(),
            malformed: Vec::new(),
            lost: Vec::new(),
            unlisted: 0,
            unknown: 0,
            frames: 0,
            bytes: file.metadata()?.len(),
            end: None,
            other_headers: 0,
            added: Added::default(),
        };
        let mut reader = Reader::new(file);
        let mut numbers = Numbers::default();
        while let Some(piece) = reader.next()? {
            let frame = match piece {
                Piece::Frame(frame) => frame,
                Piece::Damage(damage) => {
                    numbers.after_damage = true;
                    list(&mut trace.damage, damage, &mut trace.unlisted);
                    continue;
                }
            };
            for lost in numbers.take(&frame).into_iter().flatten() {
                list(&mut trace.lost, lost, &mut trace.unlisted);
            }
            (trace.progress)(frame.offset, trace.bytes);
            trace.frames += 1;
            let Some(kind) = FrameKind::from_code(frame.kind) else {
                trace.unknown += 1;
                continue;
            };
            if trace
                .take(kind, frame.core, frame.offset, frame.payload, &mut header)
                .is_none()
            {
                list(&mut trace.malformed, frame.offset, &mut trace.unlisted);
            }
        }
        if let Some(lost) = numbers.end(trace.bytes) {
            list(&mut trace.lost, lost, &mut trace.unlisted);
        }
        trace.cores.values_mut().for_each(Core::end);
        if trace.frames == 0 {
            return Err(TraceError::NoFrame { bytes: trace.bytes });
        }
        (trace.progress)(trace.bytes, trace.bytes);
        trace.header = header?;
        Ok(trace)
    }

    fn take(
        &mut self,
        kind: FrameKind,
        core: u16,
        offset: u64,
        payload: &[u8],
        header: &mut Result<Header, TraceError>,
    ) -> Option<()> {
        match kind {
            FrameKind::Header => {
                let bytes: &[u8; HEADER_BYTES] = payload.get(..HEADER_BYTES)?.try_into().ok()?;
                match (Header::from_bytes(bytes), &mut *header) {
                    (Ok(found), Ok(first)) => self.other_headers += u64::from(*first != found),
                    (Ok(found), Err(_)) => *header = Ok(found),
                    (Err(error), found) => {
                        if matches!(found, Err(TraceError::NoHeader)) {
                            *found = Err(TraceError::Header(error));
                        }
                        return None;
                    }
                }
            }
            FrameKind::Events => {
                let events = payload.len().checked_sub(EVENTS_HEAD_BYTES)?;
                if !events.is_multiple_of(SLOT) {
                    return None;
                }
                let slots = payload[EVENTS_HEAD_BYTES..].chunks_exact(SLOT);
                for slot in slots {
                    let kind = Event([u64_at(slot, 0), u64_at(slot, 8)]).kind();
                    self.entries += u64::from(kind == Some(Type::Entry));
                    self.exits += u64::from(kind == Some(Type::Exit));
                }
                self.cores.entry(core).or_default().add(
                    Span {
                        offset: offset + (FRAME_HEAD_BYTES + EVENTS_HEAD_BYTES) as u64,
                        events: (events / SLOT) as u32,
                        missing: u64_at(payload, 8),
                    },
                    u64_at(payload, 0),
                );
            }
            FrameKind::Counts => {
                if payload.len() < 40 {
                    return None;
                }
                let at = |index: usize| u64_at(payload, 8 * index);
                self.cores.entry(core).or_default().counts = Some(FrameCounts {
                    written: at(0),
                    overwritten: at(1),
                    dropped: at(2),
                    unfinished: at(3),
                    refused: at(4),
                });
            }
            FrameKind::Tasks => {
                take_tasks(&mut self.tasks, payload)?;
            }
            FrameKind::Symbols => {
                let mut rest = payload;
                while !rest.is_empty() {
                    let name = text(rest, 12)?;
                    if self.symbols.len() >= SYMBOLS_MAX {
                        return None;
                    }
                    self.symbols.push(Symbol {
                        address: u64_at(rest, 0),
                        bytes: u32_at(rest, 8),
                        name: name.to_owned(),
                    });
                    rest = &rest[14 + name.len()..];
                }
            }
            FrameKind::End => {
                let payload = payload.get(..16)?;
                self.end = Some((u64_at(payload, 0), u32_at(payload, 8)));
            }
            FrameKind::Profile => self.added.take_profile(core, payload)?,
            FrameKind::Coverage => self.added.take_coverage(payload)?,
            FrameKind::Console => {}
        }
        Some(())
    }

    /// Whether something is missing that damage took, or that does not fit: what the exit code tells.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        !self.damage.is_empty() || !self.malformed.is_empty() || !self.lost.is_empty()
    }

    /// Events in the file.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.cores.values().map(|core| core.events).sum()
    }

    /// A task's name, as a person reads it.
    #[must_use]
    pub fn task_name(&self, id: u32) -> String {
        let name = self.tasks.get(&id).cloned();
        name.unwrap_or_else(|| format!("task {id}"))
    }

    /// The events in the order of their time; those of one core in the order in which they stand.
    ///
    /// # Errors
    /// The system cannot read the file any more.
    pub fn play(&self) -> io::Result<Events<'_>> {
        let held = (HELD / self.cores.len().max(1)).clamp(SLOT, HELD_BY_CORE) / SLOT * SLOT;
        let mut cursors = Vec::new();
        for (&core, index) in &self.cores {
            let mut cursor = Cursor::new(core, &index.spans, held);
            cursor.advance(&self.file)?;
            cursors.push(cursor);
        }
        let events = cursors.iter().map(Cursor::events).sum();
        let entries = match (self.entries, self.exits) {
            (0, _) => Entries::None,
            (entries, exits) if exits > entries || entries < FEW => Entries::Some,
            _ => Entries::All,
        };
        let progress = &self.progress;
        Ok(Events::new(&self.file, cursors, progress, events, entries))
    }
}

fn list<T>(into: &mut Vec<T>, what: T, unlisted: &mut u64) {
    match into.len() < NAMED_MAX {
        true => into.push(what),
        false => *unlisted += 1,
    }
}

/// Takes the names of a TASKS frame to those that there are; `None` where the payload is damaged, or they are too many.
pub(super) fn take_tasks(tasks: &mut BTreeMap<u32, String>, payload: &[u8]) -> Option<()> {
    let mut rest = payload;
    while !rest.is_empty() {
        let name = text(rest, 4)?;
        let task = u32_at(rest, 0);
        if tasks.len() >= TASKS_MAX && !tasks.contains_key(&task) {
            return None;
        }
        tasks.insert(task, in_one_line(name));
        rest = &rest[6 + name.len()..];
    }
    Some(())
}

/// The text behind its length, which stands at `at`.
fn text(bytes: &[u8], at: usize) -> Option<&str> {
    let length = bytes.get(at..at + 2)?;
    let length = usize::from(u16::from_le_bytes([length[0], length[1]]));
    str::from_utf8(bytes.get(at + 2..at + 2 + length)?).ok()
}

impl Core {
    fn add(&mut self, mut span: Span, first: u64) {
        let end = first.saturating_add(u64::from(span.events));
        // The frame's own count knows what the ring lost; the numbers also know of frames that went missing.
        if let Some(expected) = self.next {
            span.missing = span.missing.max(first.saturating_sub(expected));
        }
        self.next = Some(end);
        self.missing = self.missing.saturating_add(span.missing);
        self.events += u64::from(span.events);
        span.missing = span
            .missing
            .saturating_add(std::mem::take(&mut self.before));
        // A file may have any number of frames without an event.
        match span.events {
            0 => self.before = span.missing,
            _ => self.spans.push(span),
        }
    }

    /// What is missing behind the last event stands in a span of its own.
    fn end(&mut self) {
        if self.before > 0 {
            self.spans.push(Span {
                offset: 0,
                events: 0,
                missing: std::mem::take(&mut self.before),
            });
        }
    }
}
