//! A recorder with memory on the host: cores are areas, and their recorders write as sets of ops do. There is one list of areas
//! for all tests, so they run one after the other.

use crate::areas;
use crate::cpu::CpuArea;
use crate::error::AliasError;
use crate::platform::Platform;
use crate::record::memory::Region;
use crate::record::{Item, Persistent, RecordError, Recorder, Sizes};
use crate::ring::{Control, Counts, Mode};
use crate::sink::{MemorySink, Stream};
use crate::trace::{self, EVENT_BYTES, EndReason, Header, Type};
use crate::tracer::Ftrace;
use core::mem::MaybeUninit;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::boxed::Box;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::vec;
use std::vec::Vec;

/// The least ring has so many events.
const EVENTS: u64 = 256;
pub(super) const CORES: usize = 3;

struct Board;

// SAFETY: it offers no alias, so nothing is ever written through it.
unsafe impl Platform for Board {
    fn patch_begin(&self) -> Result<isize, AliasError> {
        Err(AliasError("there is no text"))
    }
    fn sync_cores(&self) {}
    fn cpu_index(&self) -> usize {
        0
    }
}

pub(super) static FTRACE: Ftrace = Ftrace::new(&Board);

/// What a kernel has: a recorder, and an area for each core and one for a task on core 1.
pub(super) struct Kernel {
    pub(super) recorder: &'static Recorder,
    pub(super) areas: &'static [CpuArea; CORES + 1],
    region: View,
    _alone: MutexGuard<'static, ()>,
}

pub(super) fn header() -> Header {
    Header {
        text_start: 0x4020_0000,
        text_bytes: 0x10_0000,
        frequency: 1_000_000,
        boots: 1,
        ..Header::default()
    }
}

/// Memory that begins on a page.
pub(super) fn memory(bytes: u64) -> &'static mut [MaybeUninit<u8>] {
    let memory = vec![MaybeUninit::new(0xa5); bytes as usize + 4096].leak();
    let at = (memory.as_ptr() as usize).wrapping_neg() % 4096;
    &mut memory[at..][..bytes as usize]
}

/// One recorder at a time has the areas.
pub(super) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Memory of [`memory`], whoever has it, as a debugger looks at it.
pub(super) struct View(&'static [MaybeUninit<u8>]);

impl View {
    pub(super) fn of(memory: &[MaybeUninit<u8>]) -> Self {
        // SAFETY: leaked; it is looked at while nobody writes.
        Self(unsafe { &*core::ptr::from_ref(memory) })
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        // SAFETY: all of it was written when it was made.
        let byte = |byte: &MaybeUninit<u8>| unsafe { byte.assume_init_read() };
        self.0.iter().map(byte).collect()
    }
}

impl Kernel {
    pub(super) fn new(mode: Mode, spare: bool) -> Self {
        Self::of(CORES, mode, spare)
    }

    /// With so many cores, of which the first three have areas.
    pub(super) fn of(cores: usize, mode: Mode, spare: bool) -> Self {
        let alone = alone();
        let sizes = Sizes {
            cores,
            ring_bytes: EVENTS * EVENT_BYTES,
            mode,
            spare,
            task_names: 10,
        };
        let memory = memory(sizes.bytes().expect("sizes that can be"));
        let region = View::of(memory);
        let recorder: &Recorder = Box::leak(Box::new(Recorder::new(&FTRACE)));
        let areas: &[_; CORES + 1] = Box::leak(Box::new(core::array::from_fn(|_| CpuArea::new())));
        for (area, core) in areas.iter().zip([0, 1, 2, 1]) {
            recorder.adopt(area, core);
        }
        recorder.begin(
            Region::make(memory, sizes, header()).expect("a region"),
            mode,
        );
        Self {
            recorder,
            areas,
            region,
            _alone: alone,
        }
    }

    /// One event by the recorder of an area.
    pub(super) fn write(&self, area: usize, n: u32) -> bool {
        write(areas::ring(&self.areas[area]), n)
    }

    pub(super) fn counts(&self, core: usize) -> Counts {
        self.recorder.counts(core).expect("a core")
    }

    /// The region as a debugger reads it.
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.region.bytes()
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        // The next test's recorder must not find this one's areas on its cores.
        for area in self.areas {
            self.recorder.adopt(area, 1 << 20);
        }
    }
}

/// The same bytes, as memory that a warm reset has left as it was.
pub(super) fn after_a_reset(bytes: &[u8]) -> Persistent {
    let memory = memory(bytes.len() as u64);
    for (to, from) in memory.iter_mut().zip(bytes) {
        to.write(*from);
    }
    // SAFETY: leaked, and every byte was written just now.
    unsafe { Persistent::new(NonNull::from(&mut *memory).cast(), bytes.len()) }
}

/// A word of a control block, for who writes where he should not.
pub(super) fn word(ring: &'static Control, offset: usize) -> &'static AtomicU64 {
    assert!(offset.is_multiple_of(8) && offset < trace::CONTROL_BYTES);
    let block = core::ptr::from_ref(ring).cast::<AtomicU64>();
    let word = block.wrapping_byte_add(offset);
    // SAFETY: within the block, which is atomics and nothing else and lives for ever.
    unsafe { &*word }
}

fn write(ring: &Control, n: u32) -> bool {
    ring.write(Type::Function, n.into(), u64::from(n) << 3, n)
}

/// The numbers that were written, and how many cannot be read.
fn numbers(items: impl Iterator<Item = Item>) -> (Vec<u32>, u64) {
    let (mut numbers, mut lost) = (vec![], 0);
    for item in items {
        match item {
            Item::Event { event, .. } => numbers.push(event.upper()),
            Item::Overwritten(count) => lost += count,
            Item::Unfinished { .. } => lost += 1,
        }
    }
    (numbers, lost)
}

fn written(written: u64) -> Counts {
    Counts {
        written,
        ..Counts::default()
    }
}

#[test]
fn a_snapshot_has_what_was_written_and_the_next_what_came_after() {
    let kernel = Kernel::new(Mode::Overwrite, true);
    let recorder = kernel.recorder;
    for round in 0..5 {
        (0..10).for_each(|n| assert!(kernel.write(0, round * 100 + n)));
        assert!(kernel.write(1, 1) && kernel.write(3, 3), "a task's area");
        let snapshot = recorder.snapshot().expect("spare rings");
        assert_eq!(recorder.snapshot().err(), Some(RecordError::SnapshotHeld));
        assert_eq!(
            [0, 1, 2].map(|core| kernel.counts(core)),
            [0, 0, 0].map(written)
        );
        // What comes now is of the next.
        assert!(kernel.write(0, 7777));
        assert_eq!(
            [0, 1, 2].map(|core| snapshot.counts(core)),
            [10 + u64::from(round > 0), 2, 0].map(|count| Ok(written(count)))
        );
        let (numbers, lost) = numbers(snapshot.read(0).expect("a core"));
        let before = (round > 0).then_some(7777);
        let expected = before.into_iter().chain((0..10).map(|n| round * 100 + n));
        assert_eq!((numbers, lost), (expected.collect(), 0));
        let refused = RecordError::NoSuchCore { core: 3, cores: 3 };
        assert_eq!(snapshot.counts(3), Err(refused));
    }
    assert_eq!(kernel.counts(0), written(1));
}

#[test]
fn without_spare_rings_there_is_no_snapshot_and_nothing_changes() {
    let kernel = Kernel::new(Mode::Overwrite, false);
    assert!(kernel.write(0, 1));
    assert_eq!(kernel.recorder.snapshot().err(), Some(RecordError::NoSpare));
    assert!(kernel.write(0, 2));
    assert_eq!(kernel.counts(0), written(2));
    let none: &Recorder = Box::leak(Box::new(Recorder::new(&FTRACE)));
    assert_eq!(none.snapshot().err(), Some(RecordError::NotInstalled));
}

#[test]
fn a_full_ring_is_empty_after_a_snapshot_and_what_is_off_stays_off() {
    let kernel = Kernel::new(Mode::StopWhenFull, true);
    for round in 0..3 {
        let stored = (0..EVENTS as u32 + 9).filter(|&n| kernel.write(0, n));
        assert_eq!(stored.count() as u64, EVENTS, "round {round}");
        let snapshot = kernel.recorder.snapshot().expect("spare rings");
        let expected = Counts {
            dropped: 9,
            ..written(EVENTS)
        };
        assert_eq!(snapshot.counts(0), Ok(expected), "round {round}");
    }
    assert!(kernel.write(0, 1));
    kernel.recorder.switch(false).expect("memory");
    assert!(kernel.write(0, 2), "counted by the area");
    let snapshot = kernel.recorder.snapshot().expect("spare rings");
    let expected = Counts {
        refused: 1,
        ..written(1)
    };
    assert_eq!(snapshot.counts(0), Ok(expected));
    assert!(kernel.write(0, 3));
    let refused = |refused| Counts {
        refused,
        ..Counts::default()
    };
    assert_eq!(kernel.counts(0), refused(2));
    kernel.recorder.switch(true).expect("memory");
    assert!(kernel.write(0, 4));
    assert_eq!(kernel.counts(0).written, 1);
}

/// Whoever found a ring before it was taken away: reserved before and stored after, reserved after.
#[test]
fn a_late_writer_is_in_exactly_one_recording() {
    let kernel = Kernel::new(Mode::Overwrite, true);
    let found = areas::ring(&kernel.areas[0]);
    assert!(write(found, 1));
    let reserved = found.reserve().expect("room");
    let first = kernel.recorder.snapshot().expect("spare rings");
    assert_eq!(first.counts(0), Ok(written(2)));
    assert_eq!(numbers(first.read(0).expect("a core")), (vec![1], 1));
    found.store(reserved, Type::Function, 0, 0, 2);
    assert_eq!(numbers(first.read(0).expect("a core")), (vec![1, 2], 0));
    // It reserves only now: not in the snapshot that others may have read already.
    assert!(write(found, 3) && kernel.write(0, 10));
    assert_eq!(first.counts(0), Ok(written(2)));
    assert_eq!(numbers(first.read(0).expect("a core")), (vec![1, 2], 0));
    drop(first);
    let second = kernel.recorder.snapshot().expect("spare rings");
    assert_eq!(numbers(second.read(0).expect("a core")), (vec![10], 0));
    assert_eq!(kernel.counts(0), written(1), "the late one");
    drop(second);
    let third = kernel.recorder.snapshot().expect("spare rings");
    assert_eq!(numbers(third.read(0).expect("a core")), (vec![3], 0));
}

/// Late writers also write over the oldest of a full ring; that is counted in the snapshot.
#[test]
fn what_late_writers_overwrite_is_counted() {
    let kernel = Kernel::new(Mode::Overwrite, true);
    let found = areas::ring(&kernel.areas[2]);
    (0..EVENTS as u32 + 5).for_each(|n| assert!(write(found, n)));
    let snapshot = kernel.recorder.snapshot().expect("spare rings");
    let mut began_before = snapshot.read(2).expect("a core");
    (0..3).for_each(|n| assert!(write(found, n)));
    assert_eq!(began_before.next(), Some(Item::Overwritten(3)));
    let expected = Counts {
        overwritten: 8,
        ..written(EVENTS + 5)
    };
    assert_eq!(snapshot.counts(2), Ok(expected));
    let read = || numbers(snapshot.read(2).expect("a core"));
    assert_eq!(read(), ((8..EVENTS as u32 + 5).collect(), 0));
    // All of it, and no more than there was.
    (0..2 * EVENTS as u32).for_each(|n| assert!(write(found, n)));
    let counts = snapshot.counts(2).expect("a core");
    assert_eq!(counts.overwritten, counts.written);
    assert_eq!(read(), (vec![], 0));
}

#[test]
fn a_region_with_a_snapshot_is_read_from_memory_and_sent() {
    let kernel = Kernel::new(Mode::Overwrite, true);
    assert!(kernel.write(0, 1) && kernel.write(1, 2));
    let snapshot = kernel.recorder.snapshot().expect("spare rings");
    assert!(kernel.write(0, 3) && kernel.write(0, 4));
    let bytes = kernel.bytes();
    let region = trace::Region::parse(&bytes).expect("a region");
    let rings: Vec<_> = region
        .rings()
        .map(|ring| (ring.core, ring.role, ring.counts().written))
        .collect();
    let first = [(0, 1, 1), (1, 1, 1), (2, 1, 0)];
    let second = [(0, 0, 2), (1, 0, 0), (2, 0, 0)];
    assert_eq!(rings, [first, second].concat());
    assert_eq!((region.header().cpus, region.header().rings), (3, 6));
    let memory = after_a_reset(&bytes);
    let survivor = kernel.recorder.survivor(&memory).expect("a region");
    assert_eq!(survivor.counts(0), Some(written(2)), "not the snapshot's");
    assert_eq!(survivor.counts(3), None);

    let mut memory = [0; 4096];
    let mut stream = Stream::file(MemorySink::new(&mut memory));
    snapshot
        .send(&mut stream, EndReason::Trigger)
        .expect("room");
    let sink = stream.into_inner();
    let (mut at, mut kinds) = (0, vec![]);
    while let Some(rest) = sink.written().get(at..).filter(|rest| !rest.is_empty()) {
        let (frame, bytes) = trace::Frame::parse(rest).expect("a frame");
        kinds.push((frame.kind, frame.core, frame.payload.len()));
        at += bytes;
    }
    let none = trace::NO_CORE;
    let expected = [
        (1, none, 256),
        (2, 0, 32),
        (3, 0, 40),
        (2, 1, 32),
        (3, 1, 40),
        (3, 2, 40),
        (8, none, 16),
    ];
    assert_eq!(kinds, expected);
}

#[test]
fn while_cores_write_every_event_is_in_one_snapshot() {
    const EACH: u32 = 40_000;
    let kernel = Kernel::new(Mode::Overwrite, true);
    let running = AtomicU32::new(CORES as u32);
    let mut total = [0; CORES];
    let mut last = [None; CORES];
    let mut take = |kernel: &Kernel| {
        let snapshot = kernel.recorder.snapshot().expect("spare rings");
        for core in 0..CORES {
            let before = snapshot.counts(core).expect("a core");
            let (numbers, lost) = numbers(snapshot.read(core).expect("a core"));
            let after = snapshot.counts(core).expect("a core");
            assert_eq!(before.written, after.written, "a recording that has ended");
            let not_there = before.written - lost - numbers.len() as u64;
            assert!((before.overwritten..=after.overwritten).contains(&not_there));
            total[core] += before.written;
            // A late writer's event is an older one, at the beginning of a later recording.
            let late = numbers
                .iter()
                .take_while(|&&n| Some(n) < last[core])
                .count();
            let in_order = numbers[late..].is_sorted_by(|a, b| a < b);
            assert!(in_order && late < 2, "core {core}: {late} late");
            last[core] = numbers.last().copied().max(last[core]);
        }
    };
    std::thread::scope(|scope| {
        for core in 0..CORES {
            let (kernel, running) = (&kernel, &running);
            scope.spawn(move || {
                (0..EACH).for_each(|n| assert!(kernel.write(core, n)));
                running.fetch_sub(1, Ordering::Release);
            });
        }
        while running.load(Ordering::Acquire) > 0 {
            take(&kernel);
        }
    });
    // What late writers left is in the next of the same ring.
    (0..3).for_each(|_| take(&kernel));
    assert_eq!(total, [u64::from(EACH); CORES]);
}
