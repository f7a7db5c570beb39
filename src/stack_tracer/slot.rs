//! Where the deepest stack of one core is kept: written by that core, read by any.
#![forbid(unsafe_code)]

use crate::arch;
use crate::cpu::CpuArea;
use crate::kernel_stack::{KernelStack, Return};
use crate::sync::{AtomicU64, Ordering, fence, spin_loop};

/// Most functions that are kept of one stack: the innermost.
pub const STACK_FRAMES: usize = 128;

/// How often somebody who reads looks again at a slot that is being written.
const READS: usize = 10_000;

/// Memory for the deepest stack of one core.
#[derive(Debug)]
pub struct StackSlot {
    /// How deep; 0 where nothing was seen or it is forgotten. Whoever keeps a stack changes it while the version is odd: who reads it and
    /// then an even version finds the words of this stack, or of a later one.
    bytes: AtomicU64,
    /// Odd while the words are written: one writer at a time.
    version: AtomicU64,
    head: [AtomicU64; size_of::<Head>() / size_of::<u64>()],
    frames: [[AtomicU64; 2]; STACK_FRAMES],
}

/// What is kept beside the frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Head {
    pub(crate) ip: u64,
    pub(crate) time: u64,
    pub(crate) sp: u64,
    pub(crate) low: u64,
    pub(crate) high: u64,
    pub(crate) frames: u64,
    /// Not 0 where there were more.
    pub(crate) is_cut: u64,
}

impl Head {
    const fn words(self) -> [u64; size_of::<Self>() / size_of::<u64>()] {
        [
            self.ip,
            self.time,
            self.sp,
            self.low,
            self.high,
            self.frames,
            self.is_cut,
        ]
    }

    const fn of(words: [u64; size_of::<Self>() / size_of::<u64>()]) -> Self {
        let [ip, time, sp, low, high, frames, is_cut] = words;
        Self {
            ip,
            time,
            sp,
            low,
            high,
            frames,
            is_cut,
        }
    }
}

/// The frames of a stack, innermost first.
pub(crate) type Frames = [Return; STACK_FRAMES];

impl StackSlot {
    /// Nothing was seen.
    pub const fn new() -> Self {
        Self {
            bytes: AtomicU64::new(0),
            version: AtomicU64::new(0),
            head: [const { AtomicU64::new(0) }; size_of::<Head>() / size_of::<u64>()],
            frames: [const { [const { AtomicU64::new(0) }; 2] }; STACK_FRAMES],
        }
    }

    /// The bytes of the deepest stack.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::SeqCst)
    }

    /// Forgets it.
    pub(crate) fn clear(&self) {
        self.bytes.store(0, Ordering::SeqCst);
    }

    /// Makes the area look for what is deeper than this one.
    pub(crate) fn limit(&self, area: &CpuArea) {
        loop {
            let bytes = self.bytes();
            area.set_stack_deepest(bytes);
            fence(Ordering::SeqCst);
            if self.bytes() == bytes {
                return;
            }
        }
    }

    /// Keeps a stack that is deeper than the one before: on this slot's core, with interrupts masked. `false` where somebody else
    /// is about to write here.
    pub(crate) fn keep<I: Iterator<Item = Return>>(
        &self,
        bytes: u64,
        ip: usize,
        sp: u64,
        stack: &KernelStack,
        backtrace: impl FnOnce() -> Option<I>,
    ) -> bool {
        let version = self.version.load(Ordering::Relaxed);
        let begun = version.is_multiple_of(2)
            && self
                .version
                .compare_exchange(version, version + 1, Ordering::Acquire, Ordering::Relaxed)
                .is_ok();
        if !begun {
            return false;
        }
        // Looked at by the one writer: nobody but `clear` changes it now.
        if self.bytes() < bytes {
            // Who reads a word of these finds the version odd, or another one afterwards.
            fence(Ordering::Release);
            self.write(ip, sp, stack, backtrace());
            // Forgotten meanwhile: this one is the first of what comes now.
            self.bytes.store(bytes, Ordering::SeqCst);
        }
        self.version.store(version + 2, Ordering::Release);
        true
    }

    fn write<I: Iterator<Item = Return>>(
        &self,
        ip: usize,
        sp: u64,
        stack: &KernelStack,
        backtrace: Option<I>,
    ) {
        let bounds = stack.bounds();
        let mut head = Head {
            ip: ip as u64,
            time: arch::ticks(),
            sp,
            low: bounds.start as u64,
            high: bounds.end as u64,
            ..Head::default()
        };
        for open in backtrace.into_iter().flatten() {
            let Some([address, record]) = self.frames.get(head.frames as usize) else {
                head.is_cut = 1;
                break;
            };
            address.store(open.address, Ordering::Relaxed);
            // No record stands at 0: nothing is below a stack's bounds there.
            record.store(open.record.unwrap_or(0), Ordering::Relaxed);
            head.frames += 1;
        }
        for (word, value) in self.head.iter().zip(head.words()) {
            word.store(value, Ordering::Relaxed);
        }
    }

    /// Reads it as a whole. `None` where nothing was seen.
    pub(crate) fn read(&self, frames: &mut Frames) -> Option<Head> {
        for _ in 0..READS {
            if self.bytes() == 0 {
                return None;
            }
            let version = self.version.load(Ordering::Acquire);
            let head = Head::of(core::array::from_fn(|i| {
                self.head[i].load(Ordering::Relaxed)
            }));
            let count = (head.frames as usize).min(STACK_FRAMES);
            for (to, [address, record]) in frames.iter_mut().zip(&self.frames).take(count) {
                let record = record.load(Ordering::Relaxed);
                *to = Return {
                    address: address.load(Ordering::Relaxed),
                    record: (record != 0).then_some(record),
                };
            }
            fence(Ordering::Acquire);
            let is_whole =
                version.is_multiple_of(2) && self.version.load(Ordering::Relaxed) == version;
            if is_whole {
                return Some(head);
            }
            spin_loop();
        }
        None
    }
}

impl Default for StackSlot {
    fn default() -> Self {
        Self::new()
    }
}
