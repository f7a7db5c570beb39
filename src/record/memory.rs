//! A region: how the kernel's memory is cut into header, control blocks and rings.

use super::error::RecordError;
use super::task_names::{Entry, TaskNames};
use crate::ring::{Control, Mode, Role};
use crate::storage::Storage;
use crate::trace::{
    CONTROL_BYTES, HEADER_BYTES, Header, NO_CORE, REGION_ALIGN, RING_BYTES_MAX, RING_BYTES_MIN,
    RegionError, TASK_ENTRY_BYTES, TASK_NAMES_MAX, TEXT_BYTES_MAX,
};
use core::mem::MaybeUninit;
use core::ops::Range;
use core::ptr::NonNull;

/// Most cores of a region: a frame's number for no core is none of theirs.
pub(super) const CORES_MAX: usize = NO_CORE as usize;

/// What a recorder's memory is to be cut into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Rings, one for each core from 0.
    pub cores: usize,
    /// Bytes of each ring: a power of two from 4096 up; 16 bytes an event.
    pub ring_bytes: u64,
    /// What happens when a ring is full.
    pub mode: Mode,
    /// A second ring for each core, for [`Recorder::snapshot`](super::Recorder::snapshot): twice the memory.
    pub spare: bool,
    /// Tasks that can have names at a time ([`Recorder::name_task`](super::Recorder::name_task)): 64 bytes each.
    pub task_names: usize,
}

impl Sizes {
    /// Bytes of memory that these sizes need; `None` where they are not allowed.
    pub const fn bytes(&self) -> Option<u64> {
        // Within bounds: 17 bits times 40.
        match self.check() {
            Ok(()) => Some(self.rings() as u64 * self.ring_bytes + self.data_offset()),
            Err(_) => None,
        }
    }

    /// Rings of all cores, spare ones too.
    const fn rings(&self) -> usize {
        self.cores << self.spare as u32
    }

    /// Where the first ring's data begins.
    const fn data_offset(&self) -> u64 {
        let names = self.task_names * TASK_ENTRY_BYTES;
        (self.names_offset() + names).next_multiple_of(REGION_ALIGN) as u64
    }

    /// Where the table of the tasks' names begins.
    const fn names_offset(&self) -> usize {
        HEADER_BYTES + self.rings() * CONTROL_BYTES
    }

    const fn check(&self) -> Result<(), RecordError> {
        if self.cores == 0 || self.cores > CORES_MAX {
            return Err(RecordError::Cores(self.cores));
        }
        if !self.ring_bytes.is_power_of_two()
            || self.ring_bytes < RING_BYTES_MIN
            || self.ring_bytes > RING_BYTES_MAX
        {
            return Err(RecordError::RingBytes(self.ring_bytes));
        }
        if self.task_names > TASK_NAMES_MAX as usize {
            return Err(RecordError::TaskNames(self.task_names));
        }
        Ok(())
    }
}

/// Memory for a recorder, as a `static`: aligned, and handed out once.
#[repr(C, align(4096))]
pub struct RecordMemory<const BYTES: usize>(Storage<MaybeUninit<u8>, BYTES>);

const _: () = assert!(align_of::<RecordMemory<0>>() == REGION_ALIGN);

impl<const BYTES: usize> RecordMemory<BYTES> {
    /// Memory that nobody has.
    pub const fn new() -> Self {
        Self(Storage::new([MaybeUninit::uninit(); BYTES]))
    }

    /// The memory, for the first who asks.
    pub fn take(&'static self) -> Option<&'static mut [MaybeUninit<u8>]> {
        self.0.take()
    }
}

impl<const BYTES: usize> Default for RecordMemory<BYTES> {
    fn default() -> Self {
        Self::new()
    }
}

/// A region that was made: its memory is cut, and belongs to its rings for ever.
pub(crate) struct Region {
    header: Header,
    rings: &'static [MaybeUninit<Control>],
    task_names: TaskNames,
    memory: Range<usize>,
}

impl Region {
    /// Cuts the memory and writes header and control blocks.
    ///
    /// # Errors
    /// See [`RecordError`]; nothing is written then.
    pub(crate) fn make(
        memory: &'static mut [MaybeUninit<u8>],
        sizes: Sizes,
        header: Header,
    ) -> Result<Self, RecordError> {
        sizes.check()?;
        if header.text_bytes == 0 || header.text_bytes > TEXT_BYTES_MAX {
            let bytes = header.text_bytes;
            return Err(RecordError::TextTooLarge { bytes });
        }
        let at = memory.as_ptr() as usize;
        if !at.is_multiple_of(REGION_ALIGN) {
            return Err(RecordError::Misaligned { at });
        }
        let (needed, given) = (sizes.bytes().unwrap_or(u64::MAX), memory.len() as u64);
        if needed > given {
            return Err(RecordError::TooSmall { needed, given });
        }
        let header = Header {
            cpus: sizes.cores as u32,
            rings: sizes.rings() as u32,
            region_bytes: needed,
            controls: HEADER_BYTES as u32,
            ..header
        };
        let header = match sizes.task_names as u32 {
            0 => header,
            task_name_count => Header {
                task_names: sizes.names_offset() as u32,
                task_name_count,
                task_name_stride: TASK_ENTRY_BYTES as u32,
                ..header
            },
        };
        // What is more than needed stays as it is.
        let memory = &mut memory[..needed as usize];
        let (head, data) = memory.split_at_mut(sizes.data_offset() as usize);
        data.fill(MaybeUninit::zeroed());
        let (first, blocks) = head.split_at_mut(HEADER_BYTES);
        blocks.fill(MaybeUninit::zeroed());
        let (blocks, names) = blocks.split_at_mut(sizes.names_offset() - HEADER_BYTES);
        let names = NonNull::from(names).cast::<Entry>();
        // SAFETY: so many entries lie there, aligned as the header and control blocks before them are, all zero, which is a free
        // entry; they are nobody else's, for ever.
        let names = unsafe { core::slice::from_raw_parts(names.as_ptr(), sizes.task_names) };
        let blocks = NonNull::from(blocks).cast::<MaybeUninit<Control>>();
        let data = NonNull::from(data).cast();
        for ring in 0..sizes.rings() {
            let offset = ring * sizes.ring_bytes as usize;
            // SAFETY: the offset is within the memory, which `sizes.bytes` counted.
            let slots = unsafe { data.byte_add(offset) };
            // SAFETY: likewise for the control block.
            let block = unsafe { blocks.add(ring) };
            let from_start = sizes.data_offset() + offset as u64;
            // SAFETY: both are of the memory that was given for ever, and of nobody else; aligned as the region is.
            let control = unsafe {
                Control::make(
                    block,
                    slots,
                    sizes.ring_bytes,
                    from_start,
                    (ring % sizes.cores) as u32,
                    sizes.mode,
                )
            };
            if ring >= sizes.cores {
                control.set_role(Role::Spare);
            }
        }
        // Last, so that whoever looks at the RAM finds a header only where all else is in place.
        for (to, from) in first.iter_mut().zip(header.to_bytes()) {
            to.write(from);
        }
        // SAFETY: that many control blocks were made there just now, and are never unmade.
        let rings = unsafe { core::slice::from_raw_parts(blocks.as_ptr(), sizes.rings()) };
        Ok(Self {
            header,
            rings,
            task_names: TaskNames(names),
            memory: at..at + needed as usize,
        })
    }

    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    pub(crate) fn task_names(&self) -> TaskNames {
        self.task_names
    }

    /// Where it is.
    pub(crate) fn memory(&self) -> Range<usize> {
        self.memory.clone()
    }

    pub(crate) fn cores(&self) -> usize {
        self.header.cpus as usize
    }

    pub(crate) fn has_spare(&self) -> bool {
        self.rings.len() > self.cores()
    }

    fn ring(&self, index: usize) -> Option<&'static Control> {
        // SAFETY: `make` has initialised every one of them.
        self.rings
            .get(index)
            .map(|ring| unsafe { ring.assume_init_ref() })
    }

    /// Whether the control blocks of a core can be believed, in a kernel where somebody may have written anywhere.
    ///
    /// # Errors
    /// What is wrong first.
    pub(crate) fn check(&self, core: usize) -> Result<(), RegionError> {
        let numbers = [core, core + self.cores()];
        let rings = numbers.map(|number| (number as u32, self.ring(number)));
        rings
            .into_iter()
            .filter_map(|(number, ring)| {
                Some(ring?.fields().check(number, self.header.region_bytes))
            })
            .collect()
    }

    /// A core's two rings. Which of them is written to, the first one's role says alone.
    fn pair(&self, core: usize) -> Option<(&'static Control, Option<&'static Control>)> {
        let first = (core < self.cores()).then(|| self.ring(core))??;
        Some((first, self.ring(core + self.cores())))
    }

    /// Whether the core is recorded at all.
    pub(crate) fn is_wanted(&self, core: usize) -> bool {
        self.pair(core).is_some_and(|(first, _)| first.is_wanted())
    }

    /// Records the core, or leaves it out.
    pub(crate) fn set_wanted(&self, core: usize, wanted: bool) {
        if let Some((first, _)) = self.pair(core) {
            first.set_wanted(wanted);
        }
    }

    /// The ring that the core's recorders write to.
    pub(crate) fn written(&self, core: usize) -> Option<&'static Control> {
        match self.pair(core)? {
            (first, Some(second)) if !first.is_written() => Some(second),
            (first, _) => Some(first),
        }
    }

    /// The other one, where there is one.
    pub(crate) fn taken(&self, core: usize) -> Option<&'static Control> {
        match self.pair(core)? {
            (first, Some(_)) if !first.is_written() => Some(first),
            (_, second) => second,
        }
    }

    /// Begins a recording in the core's other ring and makes it the one that is written to; gives the one that was. One
    /// caller at a time.
    pub(crate) fn exchange(&self, core: usize, mode: Mode) -> Option<&'static Control> {
        let (first, second) = self.pair(core)?;
        let second = second?;
        if first.is_written() {
            second.begin(mode);
            second.set_role(Role::Written);
            first.set_role(Role::Snapshot);
            Some(first)
        } else {
            first.begin(mode);
            first.set_role(Role::Written);
            second.set_role(Role::Snapshot);
            Some(second)
        }
    }
}
