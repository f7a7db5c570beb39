//! One core's ring of events: the control block, as docs/trace-format.md has it, and its slots.
//!
//! Writers reserve by one atomic add and store two words; nobody waits for anybody. Whoever reads checks the laps.

use crate::sync::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
use crate::trace::{self, CONTROL_BYTES, Data, EVENT_BYTES, Event, Type, crc32_of};
use core::mem::MaybeUninit;
use core::ptr::NonNull;

/// A ring's control block. The fields' order and size are the format's; asm/record.S uses them by offset.
#[repr(C, align(128))]
#[derive(Debug)]
pub(crate) struct Control {
    /// Behind the last slot reserved.
    head: AtomicU64,
    mask: AtomicU64,
    base: AtomicPtr<Slot>,
    shift: AtomicU64,
    /// Positions from here on are not written (stop when full).
    limit: AtomicU64,
    /// Where the recording began.
    start: AtomicU64,
    /// Of the data from the region's start.
    data: AtomicU64,
    core: AtomicU32,
    role: AtomicU32,
    /// Events that were not written because recording was off.
    refused: AtomicU64,
    /// Where the recording ended; 0 while it goes on.
    end: AtomicU64,
    /// Not zero while the core is left out.
    left_out: AtomicU32,
    _zero: [AtomicU32; 10],
    crc: AtomicU32,
}

const _: () = assert!(size_of::<Control>() == CONTROL_BYTES);

/// Byte offsets for the asm.
#[cfg_attr(not(target_arch = "aarch64"), allow(dead_code))]
pub(crate) mod offset {
    use super::Control;
    use core::mem::offset_of;

    pub(crate) const MASK: usize = offset_of!(Control, mask);
    pub(crate) const SHIFT: usize = offset_of!(Control, shift);
    pub(crate) const LIMIT: usize = offset_of!(Control, limit);
    // The asm adds to the head without an offset, and loads mask and base as a pair.
    const _: () = assert!(offset_of!(Control, head) == 0);
    const _: () = assert!(offset_of!(Control, base) == MASK + size_of::<u64>());
    // The format's own offsets.
    const _: () = assert!(MASK == 8 && SHIFT == 24 && LIMIT == 32);
    const _: () = assert!(offset_of!(Control, start) == 40 && offset_of!(Control, data) == 48);
    const _: () = assert!(offset_of!(Control, core) == 56 && offset_of!(Control, role) == 60);
    const _: () = assert!(offset_of!(Control, refused) == 64 && offset_of!(Control, end) == 72);
    const _: () = assert!(offset_of!(Control, left_out) == 80 && offset_of!(Control, crc) == 124);
}

/// One slot's memory.
#[repr(C, align(16))]
#[derive(Debug)]
pub(crate) struct Slot([AtomicU64; 2]);

const _: () = assert!(size_of::<Slot>() as u64 == EVENT_BYTES);

/// Where all events go while recording is off: one slot, written over and over, and read by nobody.
static OFF_SLOT: Slot = Slot([const { AtomicU64::new(0) }; 2]);

/// The ring of a core whose area is not known to the recorder.
pub(crate) static OFF: Control = Control::off();

/// What a ring has in it, in events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Reserved and meant to be written since the recording began.
    pub written: u64,
    /// Of those, written over by later ones.
    pub overwritten: u64,
    /// Not written because the ring was full (stop when full).
    pub dropped: u64,
    /// Not written because recording was off on this core.
    pub refused: u64,
}

/// What a ring is for: the format's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Role {
    /// Recorders write to it.
    Written = 0,
    /// A snapshot: its recording has ended.
    Snapshot = 1,
    /// Nothing was ever written to it.
    Spare = 2,
}

/// What a ring does when it is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Writes over the oldest events: a flight recorder.
    Overwrite,
    /// Keeps the first events, and counts the others as dropped.
    StopWhenFull,
}

impl Control {
    /// A ring without memory: all its events go into one slot that nobody reads.
    pub(crate) const fn off() -> Self {
        Self {
            head: AtomicU64::new(0),
            mask: AtomicU64::new(0),
            base: AtomicPtr::new(core::ptr::from_ref(&OFF_SLOT).cast_mut()),
            shift: AtomicU64::new(0),
            limit: AtomicU64::new(u64::MAX),
            start: AtomicU64::new(0),
            data: AtomicU64::new(0),
            core: AtomicU32::new(0),
            role: AtomicU32::new(0),
            refused: AtomicU64::new(0),
            end: AtomicU64::new(0),
            left_out: AtomicU32::new(0),
            _zero: [const { AtomicU32::new(0) }; 10],
            crc: AtomicU32::new(0),
        }
    }

    /// Makes a control block in `at`, over `bytes` of memory at `slots`, `data` bytes from the region's start.
    ///
    /// # Safety
    /// `at` is writable and aligned, `slots` is that many bytes, aligned to 16, a power of two; both are the ring's for ever.
    pub(crate) unsafe fn make(
        at: NonNull<MaybeUninit<Self>>,
        slots: NonNull<Slot>,
        bytes: u64,
        data: u64,
        core: u32,
        mode: Mode,
    ) -> &'static Self {
        let control = Self::off();
        control.mask.store(bytes - 1, Ordering::Relaxed);
        control.base.store(slots.as_ptr(), Ordering::Relaxed);
        control
            .shift
            .store(bytes.trailing_zeros().into(), Ordering::Relaxed);
        control.data.store(data, Ordering::Relaxed);
        control.core.store(core, Ordering::Relaxed);
        control.crc.store(control.fixed_crc(), Ordering::Relaxed);
        // One lap on, so that memory of zeroes is no event.
        control.head.store(bytes, Ordering::Relaxed);
        control.begin(mode);
        // SAFETY: the caller's promise.
        let place = unsafe { &mut *at.as_ptr() };
        place.write(control)
    }

    /// Begins a recording here: what was recorded before is forgotten. After [`Control::freeze`] it begins where that ended:
    /// who found the ring before it was taken away and reserved later is in this recording.
    pub(crate) fn begin(&self, mode: Mode) {
        let start = self.reached(self.head.load(Ordering::Relaxed));
        let limit = match mode {
            Mode::Overwrite => u64::MAX,
            Mode::StopWhenFull => start + self.bytes(),
        };
        self.start.store(start, Ordering::Relaxed);
        self.limit.store(limit, Ordering::Relaxed);
        self.end.store(0, Ordering::Relaxed);
    }

    /// Ends the recording: what is reserved from here on belongs to the next one.
    pub(crate) fn freeze(&self) {
        self.end.store(self.head(), Ordering::Relaxed);
    }

    /// What it is for. Sequentially consistent, as [`Control::set_role`]: it decides which of two rings is written to.
    pub(crate) fn is_written(&self) -> bool {
        self.role.load(Ordering::SeqCst) == Role::Written as u32
    }

    pub(crate) fn set_role(&self, role: Role) {
        self.role.store(role as u32, Ordering::SeqCst);
    }

    /// Whether its core is recorded.
    pub(crate) fn is_wanted(&self) -> bool {
        self.left_out.load(Ordering::SeqCst) == 0
    }

    pub(crate) fn set_wanted(&self, wanted: bool) {
        self.left_out.store(u32::from(!wanted), Ordering::SeqCst);
    }

    /// All fields, as who reads the memory finds them.
    pub(crate) fn fields(&self) -> trace::Control {
        let word = |field: &AtomicU64| field.load(Ordering::Relaxed);
        let half = |field: &AtomicU32| field.load(Ordering::Relaxed);
        // The recording's bounds before the head, which only grows.
        let (start, end) = (word(&self.start), word(&self.end));
        trace::Control {
            head: self.head(),
            mask: word(&self.mask),
            shift: word(&self.shift),
            limit: word(&self.limit),
            start,
            data: word(&self.data),
            core: half(&self.core),
            role: half(&self.role),
            refused: word(&self.refused),
            end,
            whole: self.fixed_crc() == half(&self.crc),
        }
    }

    fn fixed_crc(&self) -> u32 {
        let word = |field: &AtomicU64| field.load(Ordering::Relaxed).to_le_bytes();
        let half = |field: &AtomicU32| field.load(Ordering::Relaxed).to_le_bytes();
        let base = self.base.load(Ordering::Relaxed) as u64;
        crc32_of([
            &word(&self.mask)[..],
            &base.to_le_bytes(),
            &word(&self.shift),
            &word(&self.data),
            &half(&self.core),
        ])
    }

    /// Bytes of its memory.
    pub(crate) fn bytes(&self) -> u64 {
        self.mask.load(Ordering::Relaxed) + 1
    }

    /// The position behind the last slot reserved. Acquire: what its core stored before a barrier and before that reservation is in
    /// the slots that are read from here on (tests/litmus/ring-finished.litmus). Writers have no barrier of their own.
    pub(crate) fn head(&self) -> u64 {
        self.head.load(Ordering::Acquire)
    }

    /// The position behind the last slot that was or will be written, whichever recording it is of. Relaxed: it is looked at behind
    /// the words of a slot, whose loads keep it there, and nothing is read by it.
    fn last(&self) -> u64 {
        let head = self.head.load(Ordering::Relaxed);
        head.min(self.limit.load(Ordering::Relaxed))
    }

    /// Where the recording ended, or is now that the head is here.
    fn reached(&self, head: u64) -> u64 {
        match self.end.load(Ordering::Relaxed) {
            0 => head,
            end => end,
        }
    }

    /// The position behind the last slot of the recording that was or will be written.
    pub(crate) fn end(&self) -> u64 {
        let limit = self.limit.load(Ordering::Relaxed);
        self.reached(self.head()).min(limit)
    }

    /// Where the recording began.
    pub(crate) fn start(&self) -> u64 {
        self.start.load(Ordering::Relaxed)
    }

    /// The oldest position that is still there.
    pub(crate) fn oldest(&self) -> u64 {
        let start = self.start();
        start.max(self.last().saturating_sub(self.bytes()))
    }

    /// How many slots were reserved, whatever became of them.
    pub(crate) fn reserved(&self) -> u64 {
        (self.head() - self.start()) / EVENT_BYTES
    }

    /// What is in it.
    pub(crate) fn counts(&self) -> Counts {
        let (head, start) = (self.head(), self.start());
        let limit = self.limit.load(Ordering::Relaxed);
        let reached = self.reached(head).max(start);
        let end = reached.min(limit);
        // Also by those who reserved after the recording's end.
        let oldest = head.min(limit).saturating_sub(self.bytes());
        Counts {
            written: (end - start) / EVENT_BYTES,
            overwritten: oldest.min(end).saturating_sub(start) / EVENT_BYTES,
            dropped: (reached - end) / EVENT_BYTES,
            refused: self.refused.load(Ordering::Relaxed),
        }
    }

    /// Keeps, for whoever reads the memory, how many events were refused while recording was off.
    pub(crate) fn set_refused(&self, refused: u64) {
        self.refused.store(refused, Ordering::Relaxed);
    }

    /// Writes one event, as the asm entries do; `false` where the ring is full or is none.
    ///
    /// # Context
    /// Any.
    pub(crate) fn write(&self, kind: Type, time: u64, callsite: u64, upper: u32) -> bool {
        let Some(position) = self.reserve() else {
            return false;
        };
        self.store(position, kind, time, callsite, upper);
        true
    }

    /// Writes an event and the DATA slots that belong to it, which are reserved together.
    ///
    /// # Context
    /// Any.
    pub(crate) fn write_with(
        &self,
        kind: Type,
        time: u64,
        callsite: u64,
        upper: u32,
        data: &[Data],
    ) {
        let bytes = (1 + data.len() as u64) * EVENT_BYTES;
        let first = self.head.fetch_add(bytes, Ordering::Relaxed);
        let limit = self.limit.load(Ordering::Relaxed);
        let shift = self.shift.load(Ordering::Relaxed) as u32;
        let mut positions = (first..limit).step_by(EVENT_BYTES as usize);
        if let Some(position) = positions.next() {
            self.store(position, kind, time, callsite, upper);
        }
        for (position, data) in positions.zip(data) {
            self.put(position, data.event(position, shift));
        }
    }

    /// Adds a slot to the head: it belongs to the caller. `None` where the ring is full; it is counted as dropped.
    pub(crate) fn reserve(&self) -> Option<u64> {
        let position = self.head.fetch_add(EVENT_BYTES, Ordering::Relaxed);
        (position < self.limit.load(Ordering::Relaxed)).then_some(position)
    }

    /// Stores an event in a slot that was reserved. However late: its laps are those of its position.
    pub(crate) fn store(&self, position: u64, kind: Type, time: u64, callsite: u64, upper: u32) {
        let shift = self.shift.load(Ordering::Relaxed) as u32;
        self.put(
            position,
            Event::new(kind, time, callsite, upper, position, shift),
        );
    }

    fn put(&self, position: u64, event: Event) {
        let slot = self.slot(position);
        slot.0[0].store(event.0[0], Ordering::Relaxed);
        slot.0[1].store(event.0[1], Ordering::Relaxed);
    }

    /// The two words in the slot of a position, whoever they are of.
    pub(crate) fn words(&self, position: u64) -> Event {
        let slot = self.slot(position);
        // Acquire, both of them: the head is read behind them, so that who is held up between the two until all laps fit again
        // finds it moved (tests/litmus/ring-head.litmus). Up to seven laps the words need no order at all (ring-laps.litmus).
        Event([
            slot.0[0].load(Ordering::Acquire),
            slot.0[1].load(Ordering::Acquire),
        ])
    }

    /// Reads the slot of a position: the event, where it is the one that belongs there.
    ///
    /// Words of two events are told apart by their laps, as long as these are less than eight apart: a writer that is
    /// interrupted between reservation and store until seven laps have passed can be taken for another.
    pub(crate) fn read(&self, position: u64) -> Result<Event, Unreadable> {
        let event = self.words(position);
        if self.last().saturating_sub(position) > self.bytes() {
            return Err(Unreadable::Overwritten);
        }
        if event.is_of(position, self.shift.load(Ordering::Relaxed) as u32) {
            Ok(event)
        } else {
            Err(Unreadable::Unfinished)
        }
    }

    fn slot(&self, position: u64) -> &Slot {
        let offset = (position & self.mask.load(Ordering::Relaxed)) as usize;
        let base = self.base.load(Ordering::Relaxed);
        let slot = base.wrapping_byte_add(offset);
        // SAFETY: the mask keeps the offset within the ring's memory, which lives for ever; positions are multiples of a
        // slot; slots are atomics, which anybody may read and write.
        unsafe { &*slot }
    }
}

/// Why a slot gave no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// It has been reserved again.
    Overwritten,
    /// Its writer has reserved it and not stored yet.
    Unfinished,
}
