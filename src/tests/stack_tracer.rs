//! The deepest stack: only what is deeper is kept, and as a whole; limits follow the stack that a core runs on; sizes add up.

use crate::error::Error;
use crate::kernel_stack::Return;
use crate::stack_tracer::deep_stack::DeepStack;
use crate::stack_tracer::slot::{Frames, StackSlot};
use crate::{
    AliasError, CpuArea, Filter, Ftrace, KernelStack, Platform, STACK_FRAMES, StackTracer,
};
use std::boxed::Box;
use std::string::ToString;
use std::vec::Vec;

struct Host;

// SAFETY: nothing is patched.
unsafe impl Platform for Host {
    fn patch_begin(&self) -> Result<isize, AliasError> {
        Ok(0)
    }
    fn sync_cores(&self) {}
    fn cpu_index(&self) -> usize {
        0
    }
}

static FTRACE: Ftrace = Ftrace::new(&Host);

const LOW: u64 = 0x1_0000;
const HIGH: u64 = 0x2_0000;

const NOTHING: Frames = [Return {
    address: 0,
    record: None,
}; STACK_FRAMES];

fn stack(low: u64, high: u64) -> KernelStack {
    let stack = KernelStack::new();
    assert_eq!(stack.set_bounds(low as usize..high as usize), Ok(()));
    stack
}

fn open(address: u64, record: u64) -> Return {
    let record = Some(record);
    Return { address, record }
}

/// Keeps a stack of so many bytes whose words all say so.
fn keep(slot: &StackSlot, bytes: u64, frames: usize) -> bool {
    let sp = HIGH - bytes;
    slot.keep(bytes, bytes as usize, sp, &stack(LOW, HIGH), || {
        Some((0..frames).map(|_| open(bytes, HIGH - bytes)))
    })
}

#[test]
fn only_what_is_deeper_is_kept() {
    let slot = StackSlot::new();
    let mut frames = NOTHING;
    assert_eq!(slot.read(&mut frames), None);
    for (bytes, deepest) in [(64, 64), (32, 64), (64, 64), (80, 80), (16, 80)] {
        assert!(keep(&slot, bytes, 3));
        let head = slot.read(&mut frames);
        assert_eq!(head.map(|head| (head.ip, head.frames)), Some((deepest, 3)));
        assert_eq!(slot.bytes(), deepest);
        assert_eq!(frames[2], open(deepest, HIGH - deepest));
        assert_eq!(frames[3], NOTHING[3]);
    }
}

#[test]
fn what_is_forgotten_is_not_seen_again() {
    let slot = StackSlot::new();
    let mut frames = NOTHING;
    assert!(keep(&slot, 64, 1));
    slot.clear();
    assert_eq!(slot.bytes(), 0);
    assert_eq!(slot.read(&mut frames), None);
    assert!(keep(&slot, 32, 1));
    assert_eq!(slot.read(&mut frames).map(|head| head.ip), Some(32));
}

/// Forgotten while the stack is walked: what is found then is the first of the new time.
#[test]
fn a_clear_in_the_middle_of_a_walk_leaves_one_whole_stack() {
    let slot = StackSlot::new();
    assert!(keep(&slot, 128, 1));
    let cleared = core::cell::Cell::new(false);
    let kept = slot.keep(256, 256, HIGH - 256, &stack(LOW, HIGH), || {
        if !cleared.replace(true) {
            slot.clear();
        }
        Some([open(256, HIGH - 256)].into_iter())
    });
    assert!(kept && cleared.get());
    let mut frames = NOTHING;
    assert_eq!(slot.read(&mut frames).map(|head| head.ip), Some(256));
    assert_eq!(slot.bytes(), 256);
}

#[test]
fn who_comes_while_another_writes_keeps_nothing() {
    let slot = StackSlot::new();
    let within = core::cell::Cell::new(None);
    let kept = slot.keep(64, 64, HIGH - 64, &stack(LOW, HIGH), || {
        within.set(Some(keep(&slot, 128, 1)));
        Some([open(64, HIGH - 64)].into_iter())
    });
    assert!(kept);
    assert_eq!(within.get(), Some(false));
    let mut frames = NOTHING;
    assert_eq!(slot.read(&mut frames).map(|head| head.ip), Some(64));
}

/// In the middle of a write neither the stack before nor the new one is there.
#[test]
fn who_reads_while_one_is_written_gets_none() {
    let slot = StackSlot::new();
    assert!(keep(&slot, 64, 2));
    let within = core::cell::Cell::new(false);
    let kept = slot.keep(128, 128, HIGH - 128, &stack(LOW, HIGH), || {
        within.set(slot.read(&mut NOTHING.clone()).is_none());
        Some([open(128, HIGH - 128)].into_iter())
    });
    assert!(kept && within.get());
    // As deep as the deepest is no deeper: the first stays.
    assert!(slot.keep(128, 7, HIGH - 128, &stack(LOW, HIGH), || Some(
        [].into_iter()
    )));
    let head = slot.read(&mut NOTHING.clone());
    assert_eq!(head.map(|head| (head.ip, head.frames)), Some((128, 1)));
}

#[test]
fn no_reader_sees_two_stacks_in_one() {
    const WRITES: u64 = 20_000;
    let slot = StackSlot::new();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for i in 1..=WRITES {
                // Each is deeper than the one before, until all is forgotten.
                let bytes = 16 * (i % 1000 + 1);
                if i % 1000 == 999 {
                    slot.clear();
                }
                assert!(keep(&slot, bytes, (i % 100) as usize + 1));
            }
        });
        let mut seen = 0;
        while !writer.is_finished() || seen == 0 {
            let mut frames = NOTHING;
            let Some(head) = slot.read(&mut frames) else {
                continue;
            };
            seen += 1;
            assert_eq!(HIGH - head.sp, head.ip);
            for frame in &frames[..head.frames as usize] {
                assert_eq!(*frame, open(head.ip, head.sp));
            }
        }
    });
}

#[test]
fn more_frames_than_there_is_room_for_are_cut() {
    for (frames, cut) in [(STACK_FRAMES, false), (STACK_FRAMES + 1, true)] {
        let slot = StackSlot::new();
        assert!(keep(&slot, 4096, frames));
        let Some(deep) = DeepStack::read(&FTRACE, 0, &slot) else {
            panic!("a stack was kept");
        };
        assert_eq!(deep.is_cut(), cut);
        assert_eq!(deep.frames().count(), STACK_FRAMES);
    }
}

#[test]
fn a_limit_is_of_the_stack_that_the_core_runs_on() {
    let area = CpuArea::new();
    let (slot, first, second) = (StackSlot::new(), stack(LOW, HIGH), stack(0x100, 0x1000));
    assert_eq!(area.stack_limit(), 0);
    slot.limit(&area);
    // No stack yet: nothing is deeper.
    assert_eq!(area.stack_limit(), 0);
    area.set_kernel_stack(&first);
    assert_eq!(area.stack_limit(), HIGH);
    assert!(keep(&slot, 0x40, 1));
    slot.limit(&area);
    assert_eq!(area.stack_limit(), HIGH - 0x40);
    area.set_kernel_stack(&second);
    assert_eq!(area.stack_limit(), 0x1000 - 0x40);
    // Deeper than this one is large.
    assert!(keep(&slot, 0x2000, 1));
    slot.limit(&area);
    assert_eq!(area.stack_limit(), 0);
    area.set_kernel_stack(&first);
    assert_eq!(area.stack_limit(), HIGH - 0x2000);
    slot.clear();
    slot.limit(&area);
    assert_eq!(area.stack_limit(), HIGH);
    area.set_kernel_stack(&KernelStack::new());
    assert_eq!(area.stack_limit(), 0);
}

#[test]
fn what_is_not_on_the_stack_has_no_depth() {
    let stack = stack(LOW, HIGH);
    assert_eq!(stack.used(HIGH), Some(0));
    assert_eq!(stack.used(HIGH - 16), Some(16));
    assert_eq!(stack.used(LOW), Some(HIGH - LOW));
    assert_eq!(stack.used(LOW - 16), None);
    assert_eq!(stack.used(HIGH + 16), None);
}

/// Without instructions to look at, a frame ends behind its record.
#[test]
fn sizes_and_depths_add_up() {
    let slot = StackSlot::new();
    let sp = HIGH - 0x200;
    let records = [sp + 0x20, sp + 0x50, sp + 0x150];
    let kept = slot.keep(0x200, 8, sp, &stack(LOW, HIGH), || {
        let last = Return {
            address: 0x99,
            record: None,
        };
        let opened = |at: u64| open(0x44, at);
        Some(records.map(opened).into_iter().chain([last]))
    });
    assert!(kept);
    let Some(deep) = DeepStack::read(&FTRACE, 3, &slot) else {
        panic!("a stack was kept");
    };
    assert_eq!((deep.bytes(), deep.stack_bytes()), (0x200, HIGH - LOW));
    assert_eq!((deep.core(), deep.ip(), deep.is_cut()), (3, 8, false));
    let frames: Vec<_> = deep.frames().collect();
    let sizes: Vec<u64> = frames.iter().map(|frame| frame.size).collect();
    assert_eq!(sizes, [0x30, 0x30, 0x100, 0xa0]);
    let depths: Vec<u64> = frames.iter().map(|frame| frame.depth).collect();
    assert_eq!(depths, [0x200, 0x1d0, 0x1a0, 0xa0]);
    assert!(frames.iter().all(|frame| !frame.is_exact));
    let text = "        Depth     Size   Location    (4 entries)
        -----     ----   --------
  0)      512 ~     48   0x44
  1)      464 ~     48   0x44
  2)      416 ~    256   0x44
  3)      160 ~    160   0x99
";
    assert_eq!(deep.to_string(), text);
}

/// On the host no core has a stack: the first of the refusals, and nothing is registered.
#[test]
fn a_tracer_without_a_stack_is_refused() {
    let slots: &'static [StackSlot] = Box::leak(Box::new([StackSlot::new()]));
    let tracer: &'static StackTracer = Box::leak(Box::new(StackTracer::new(&FTRACE, slots)));
    assert_eq!(tracer.set(&Filter::new(&["*"])), Err(Error::NoKernelStack));
    assert!(!tracer.is_set());
    assert_eq!(tracer.max_bytes(0), Some(0));
    assert_eq!(tracer.max_bytes(1), None);
    assert!(tracer.deepest(0).is_none() && tracer.deepest(1).is_none());
}
