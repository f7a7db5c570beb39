//! Finds trace regions in a raw memory image, whatever the state of the kernel, and makes frames of what their rings hold.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;

use super::file::Symbol;
use super::stream::u64_at;
use aarch64_ftrace::trace::{
    CONTROL_BYTES, Control, EVENT_BYTES, EndReason, Event, FrameCounts, FrameKind, HEADER_BYTES,
    Header, HeaderError, NO_CORE, PAYLOAD_BYTES_MAX, TASK_ENTRY_BYTES, TaskEntry, TaskName, Type,
    counts_payload, end_payload, events_head, frame_head,
};

/// Regions begin at multiples of this.
const STEP: usize = 4096;
const SLOT: usize = EVENT_BYTES as usize;
/// Events in a frame.
const BATCH: usize = 4096;

/// A region in the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// Where it begins in the image.
    pub offset: u64,
    /// What it says of itself, or why that is not to be believed.
    pub header: Result<Header, HeaderError>,
}

/// What was found in one ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ring {
    /// Its core.
    pub core: u32,
    /// 0 written to, 1 snapshot, 2 spare.
    pub role: u32,
    /// Events whose laps fit.
    pub events: u64,
    /// What became of the others.
    pub counts: FrameCounts,
    /// Why nothing was read, where nothing was.
    pub refused: Option<String>,
}

/// What was found in a region.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extracted {
    /// Its rings that were asked for, and those whose control block is damaged.
    pub rings: Vec<Ring>,
    /// Names of tasks.
    pub names: usize,
    /// Names of tasks that are half written, or damaged.
    pub torn_names: usize,
}

/// All places of the image within these offsets at which a region's magic stands, in ascending order.
///
/// # Errors
/// The system cannot read the image.
pub fn find(image: &mut (impl Read + Seek), within: Range<u64>) -> io::Result<Vec<Region>> {
    let mut found = Vec::new();
    let mut bytes = [0; HEADER_BYTES];
    // Only the place of a header of each page: an image may be large, and a debugger's line slow.
    let Some(first) = within.start.checked_next_multiple_of(STEP as u64) else {
        return Ok(found);
    };
    for offset in (first..within.end).step_by(STEP) {
        image.seek(SeekFrom::Start(offset))?;
        if read_full(image, &mut bytes)? < bytes.len() {
            break;
        }
        let header = Header::from_bytes(&bytes);
        if header != Err(HeaderError::Magic) {
            found.push(Region { offset, header });
        }
    }
    Ok(found)
}

fn read_full(source: &mut impl Read, into: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < into.len() {
        match source.read(&mut into[length..]) {
            Ok(0) => break,
            Ok(bytes) => length += bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

/// Writes frames, numbered from 0.
pub struct FrameWriter<W> {
    out: W,
    number: u32,
}

impl<W: Write> FrameWriter<W> {
    /// To `out`.
    pub const fn new(out: W) -> Self {
        Self { out, number: 0 }
    }

    /// One frame.
    ///
    /// # Errors
    /// Those of the output; `InvalidInput` where the payload is longer than a frame's.
    pub fn frame(&mut self, kind: FrameKind, core: u16, payload: &[&[u8]]) -> io::Result<()> {
        let head = frame_head(kind, core, self.number, payload)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        self.number = self.number.wrapping_add(1);
        self.out.write_all(&head)?;
        payload.iter().try_for_each(|part| self.out.write_all(part))
    }

    /// Names of tasks, in as many frames as they take.
    ///
    /// # Errors
    /// Those of the output.
    pub fn tasks(&mut self, names: impl Iterator<Item = TaskName>) -> io::Result<()> {
        let mut payload = Vec::new();
        for name in names {
            let text = name.name().as_bytes();
            payload.extend(name.id.to_le_bytes());
            payload.extend((text.len() as u16).to_le_bytes());
            payload.extend(text);
            if payload.len() > PAYLOAD_BYTES_MAX as usize / 2 {
                self.frame(FrameKind::Tasks, NO_CORE, &[&payload])?;
                payload.clear();
            }
        }
        match payload.is_empty() {
            true => Ok(()),
            false => self.frame(FrameKind::Tasks, NO_CORE, &[&payload]),
        }
    }

    /// Names of functions, in as many frames as they take. A name that is longer than its length field says is cut off.
    ///
    /// # Errors
    /// Those of the output.
    pub fn symbols(&mut self, symbols: &[Symbol]) -> io::Result<()> {
        const NAME_MAX: usize = u16::MAX as usize;
        const FIXED: usize = 14;
        let mut payload = Vec::new();
        for symbol in symbols {
            let fits = |end: &usize| symbol.name.is_char_boundary(*end);
            let end = (0..=symbol.name.len().min(NAME_MAX)).rev().find(fits);
            let name = &symbol.name[..end.unwrap_or(0)];
            if payload.len() + FIXED + name.len() > PAYLOAD_BYTES_MAX as usize {
                self.frame(FrameKind::Symbols, NO_CORE, &[&payload])?;
                payload.clear();
            }
            payload.extend(symbol.address.to_le_bytes());
            payload.extend(symbol.bytes.to_le_bytes());
            payload.extend((name.len() as u16).to_le_bytes());
            payload.extend(name.as_bytes());
        }
        match payload.is_empty() {
            true => Ok(()),
            false => self.frame(FrameKind::Symbols, NO_CORE, &[&payload]),
        }
    }
}

/// Reads the rings of a region with this role and writes them as a trace, with these names.
///
/// # Errors
/// The image cannot be read, or the trace not be written.
pub fn extract<W: Write>(
    image: &mut (impl Read + Seek),
    region: u64,
    header: &Header,
    role: u32,
    names: &[Symbol],
    out: &mut FrameWriter<W>,
) -> io::Result<Extracted> {
    out.frame(FrameKind::Header, NO_CORE, &[&header.to_bytes()])?;
    out.symbols(names)?;
    let entries = task_entries(image, region, header)?;
    out.tasks(entries.iter().filter_map(|entry| entry.name()))?;
    let count = |what: fn(&TaskEntry) -> bool| entries.iter().filter(|entry| what(entry)).count();
    let mut found = Extracted {
        names: count(|entry| entry.name().is_some()),
        torn_names: count(|entry| *entry == TaskEntry::Torn),
        ..Extracted::default()
    };
    let mut claimed = BTreeMap::new();
    let mut last = 0;
    for index in 0..u64::from(header.rings) {
        let mut block = [0; CONTROL_BYTES];
        let offset = u64::from(header.controls) + index * CONTROL_BYTES as u64;
        image.seek(SeekFrom::Start(region.saturating_add(offset)))?;
        if read_full(image, &mut block)? < block.len() {
            break;
        }
        let control = Control::read(&block);
        let checked = control.check(index as u32, header.region_bytes);
        // Of a damaged block the role is not to be believed either.
        if control.role != role && checked.is_ok() {
            continue;
        }
        let rejected = checked
            .map_err(|error| error.to_string())
            .and_then(|()| claim(&control, &mut claimed));
        let mut ring = Ring {
            core: control.core,
            role,
            events: 0,
            counts: FrameCounts::default(),
            refused: rejected.err(),
        };
        if ring.refused.is_none() {
            let region = (region, header);
            copy(image, region, (&control, &mut ring), &mut last, out)?;
        }
        found.rings.push(ring);
    }
    out.frame(
        FrameKind::End,
        NO_CORE,
        &[&end_payload(last, EndReason::Asked)],
    )?;
    Ok(found)
}

/// The entries of the region's table of the tasks' names, as far as the image has them.
fn task_entries(
    image: &mut (impl Read + Seek),
    region: u64,
    header: &Header,
) -> io::Result<Vec<TaskEntry>> {
    let mut entries = Vec::new();
    let (first, stride) = (header.task_names, u64::from(header.task_name_stride));
    for index in 0..u64::from(header.task_name_count) {
        let mut entry = [0; TASK_ENTRY_BYTES];
        let offset = u64::from(first) + index * stride;
        image.seek(SeekFrom::Start(region.saturating_add(offset)))?;
        if read_full(image, &mut entry)? < entry.len() {
            break;
        }
        entries.push(TaskEntry::from_bytes(&entry));
    }
    Ok(entries)
}

/// Takes a ring's data, if nobody has: from where to where others have it stands in `claimed`.
fn claim(control: &Control, claimed: &mut BTreeMap<u64, u64>) -> Result<(), String> {
    let end = control.data + control.bytes();
    let before = claimed.range(..end).next_back();
    if before.is_some_and(|(_, &other)| other > control.data) {
        return Err("its data is another ring's".to_owned());
    }
    claimed.insert(control.data, end);
    Ok(())
}

/// Writes the events of a ring, and its counts.
fn copy<W: Write>(
    image: &mut (impl Read + Seek),
    (region, header): (u64, &Header),
    (control, ring): (&Control, &mut Ring),
    last: &mut u64,
    out: &mut FrameWriter<W>,
) -> io::Result<()> {
    let (bytes, end, mut position) = (control.bytes(), control.stop(), control.oldest());
    ring.counts = control.counts();
    let mut batch = Vec::with_capacity(BATCH * SLOT);
    let (mut first, mut lost) = (position, ring.counts.overwritten);
    let mut slots = vec![0; BATCH * SLOT];
    while position < end {
        // To the ring's own end, then on from its beginning.
        let here = (slots.len() as u64)
            .min(end - position)
            .min(bytes - (position & control.mask));
        let slots = &mut slots[..here as usize];
        let offset = control.data + (position & control.mask);
        image.seek(SeekFrom::Start(region.saturating_add(offset)))?;
        let read = read_full(image, slots)?;
        if read == 0 {
            // The image ends before: nothing of this lap is left, and a hostile ring can be larger than any image.
            flush(control, &mut batch, first, &mut lost, out)?;
            let gone = (end - position).min(bytes - (position & control.mask));
            lost += gone / EVENT_BYTES;
            ring.counts.unfinished += gone / EVENT_BYTES;
            position += gone;
            first = position;
            continue;
        }
        // What an image that ends early does not have is zeroes, as is what a stub refuses to read.
        slots[read..].fill(0);
        for slot in slots.chunks_exact(SLOT) {
            let event = Event([u64_at(slot, 0), u64_at(slot, 8)]);
            // Zeroes are no event, although each sixteenth lap would fit.
            if event.0 != [0; 2]
                && event.is_of(position, control.shift as u32)
                && event.may_be_of(header.text_start, header.text_bytes)
            {
                if event.kind() != Some(Type::Data) {
                    *last = (*last).max(event.time());
                }
                batch.extend(event.without_lap().to_bytes());
                ring.events += 1;
            } else {
                flush(control, &mut batch, first, &mut lost, out)?;
                lost += 1;
                ring.counts.unfinished += 1;
                first = position + EVENT_BYTES;
            }
            position += EVENT_BYTES;
            if batch.len() == BATCH * SLOT {
                flush(control, &mut batch, first, &mut lost, out)?;
                first = position;
            }
        }
    }
    if lost > 0 && batch.is_empty() {
        // Behind the last event: in a frame without events.
        let head = events_head(end / EVENT_BYTES, lost);
        out.frame(FrameKind::Events, control.core as u16, &[&head])?;
    }
    flush(control, &mut batch, first, &mut lost, out)?;
    out.frame(
        FrameKind::Counts,
        control.core as u16,
        &[&counts_payload(ring.counts)],
    )
}

fn flush<W: Write>(
    control: &Control,
    batch: &mut Vec<u8>,
    first: u64,
    lost: &mut u64,
    out: &mut FrameWriter<W>,
) -> io::Result<()> {
    if batch.is_empty() {
        return Ok(());
    }
    let head = events_head(first / EVENT_BYTES, std::mem::take(lost));
    out.frame(FrameKind::Events, control.core as u16, &[&head, batch])?;
    batch.clear();
    Ok(())
}
