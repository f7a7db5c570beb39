//! What the tables that `boot.S` builds say: an identity map without any page that is writable and executable (and the same
//! again in the upper half, for a kernel that runs there), and the alias: a second, writable view of the text, of nothing
//! else, that is there only while somebody patches.

use crate::{board, irq};
use aarch64_cpu::asm::barrier;
use core::arch::asm;
use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering};
use spin::Mutex;

/// Bytes of a page, and of a table.
pub const PAGE_BYTES: usize = 0x1000;
/// Bytes that one level 2 block covers.
pub const BLOCK_BYTES: usize = 0x20_0000;
/// Bytes of RAM that are used, as linker.ld has them: QEMU's `-m 128M`, its default.
pub(crate) const RAM_BYTES: usize = 0x800_0000;
/// Distance from an address of the text to its writable alias: 64 GiB, above all that the board decodes.
pub(crate) const ALIAS_OFFSET: usize = 0x10_0000_0000;

pub(crate) const VALID: u64 = 1;
/// Descriptor type of a 1 GiB or 2 MiB block.
pub(crate) const BLOCK: u64 = VALID;
/// Descriptor type of a pointer to the next table.
pub(crate) const TABLE: u64 = 0b10 | VALID;
/// Descriptor type of a page at level 3.
pub(crate) const PAGE: u64 = 0b10 | VALID;

/// AttrIndx, bits 4:2: an index into MAIR_EL1.
const ATTR_DEVICE: u64 = 0 << 2;
const ATTR_NORMAL: u64 = 1 << 2;
const READ_ONLY: u64 = 1 << 7;
const INNER_SHAREABLE: u64 = 0b11 << 8;
const ACCESSED: u64 = 1 << 10;
/// GP: indirect branches into it must land on a BTI. Reserved on cores that have none.
pub const GUARDED: u64 = 1 << 50;
/// Never executed at EL1.
pub const PXN: u64 = 1 << 53;
const UXN: u64 = 1 << 54;
const NORMAL: u64 = ATTR_NORMAL | INNER_SHAREABLE | ACCESSED | UXN;

/// Device memory, nGnRE.
pub(crate) const DEVICE: u64 = ATTR_DEVICE | ACCESSED | PXN | UXN;
/// Data: read and write, never executable.
pub(crate) const RW: u64 = NORMAL | PXN;
/// Constants: read only, never executable.
pub(crate) const RO: u64 = NORMAL | PXN | READ_ONLY;
/// Text: read and execute, never writable.
pub(crate) const TEXT: u64 = NORMAL | READ_ONLY;

/// Byte offset within the level 1 table of the slot that covers `address`.
pub(crate) const fn level1_slot(address: usize) -> usize {
    slot(address, 1) * size_of::<u64>()
}

/// The number of the slot that covers `address` in a table of level 1, 2 or 3.
const fn slot(address: usize, level: u32) -> usize {
    address >> (39 - 9 * level) & 0x1ff
}

unsafe extern "C" {
    static __text_start: u8;
    static __text_end: u8;
    static __rodata_end: u8;
    static __page_tables: [AtomicU64; PAGE_BYTES / size_of::<u64>()];
}

/// The executable part of the image, where it runs.
pub fn text() -> Range<usize> {
    &raw const __text_start as usize..&raw const __text_end as usize
}

/// The constants of the image.
pub fn rodata() -> Range<usize> {
    text().end..&raw const __rodata_end as usize
}

/// How far the kernel runs from where it was linked.
pub fn slide() -> usize {
    unsafe extern "C" {
        static __link_base: u8;
    }
    text().start.wrapping_sub(&raw const __link_base as usize)
}

/// From a physical address of the RAM to where the kernel sees it: zero, or the upper half.
fn virt_offset() -> usize {
    let start = text().start;
    start.wrapping_sub(physical(start).unwrap_or(start))
}

/// The physical address behind a virtual one, as this core would read it; `None` where nothing is mapped.
pub fn physical(address: usize) -> Option<usize> {
    const FAILED: usize = 1;
    const FRAME: usize = 0xffff_ffff_f000;
    let answer = irq::masked(|| {
        let answer: usize;
        // SAFETY: asks the MMU for a translation, in a register that nobody else uses meanwhile, as interrupts are masked.
        unsafe {
            asm!("at s1e1r, {}", "isb", "mrs {}, par_el1", in(reg) address, out(reg) answer, options(nostack, preserves_flags));
        }
        answer
    });
    (answer & FAILED == 0).then_some(answer & FRAME | address & (PAGE_BYTES - 1))
}

/// How often the alias was asked for and not given back.
static ALIAS_USERS: Mutex<usize> = Mutex::new(0);

/// Makes the text writable through its alias, for all cores, until [`unmap_alias`] was called as often as this. The answer is
/// the distance: `alias = executable + distance`. Instructions fetched from the executable address see what is stored
/// there after the usual cache maintenance, by the executable address.
///
/// The alias' tables are complete all the time but for the valid bit of their level 1 slot. A slot that was not valid is in no
/// TLB, so making it valid needs no invalidation: break-before-make has happened in [`unmap_alias`] (Arm ARM DDI 0487,
/// "TLB maintenance"). DSB: the walkers of all cores see the slot; ISB: this core's next store does too.
pub fn map_alias() -> isize {
    irq::masked(|| {
        let mut users = ALIAS_USERS.lock();
        if *users == 0 {
            alias_slot().fetch_or(VALID, Ordering::Relaxed);
            barrier::dsb(barrier::ISHST);
            barrier::isb(barrier::SY);
        }
        *users += 1;
    });
    ALIAS_OFFSET as isize
}

/// Gives the alias back; with the last user's it is gone, on every core, when this returns.
///
/// One invalidation of everything instead of one for each page of the text: which pages were stored through is not known here,
/// and walkers may have kept the tables above them too.
pub fn unmap_alias() {
    irq::masked(|| {
        let mut users = ALIAS_USERS.lock();
        *users = users.saturating_sub(1);
        if *users == 0 {
            alias_slot().fetch_and(!VALID, Ordering::Relaxed);
            barrier::dsb(barrier::ISHST);
            invalidate_all();
        }
    });
}

/// Every core forgets all translations of EL1 before this returns.
fn invalidate_all() {
    // SAFETY: translations are looked up again; no memory changes.
    unsafe { asm!("tlbi vmalle1is", options(nostack, preserves_flags)) };
    barrier::dsb(barrier::ISH);
    barrier::isb(barrier::SY);
}

fn level1() -> &'static [AtomicU64] {
    // SAFETY: boot.S built the table there, and from then on it is only used through these atomics.
    unsafe { &__page_tables }
}

fn alias_slot() -> &'static AtomicU64 {
    &level1()[slot(board::RAM_BASE + ALIAS_OFFSET, 1)]
}

/// A descriptor of the tables: what maps one address.
pub struct Mapping {
    descriptor: &'static AtomicU64,
    /// Bytes that it maps: [`PAGE_BYTES`], [`BLOCK_BYTES`] or a GiB.
    pub bytes: usize,
}

impl Mapping {
    /// What maps `address` in the tables of `boot.S`; `None` where nothing does.
    pub fn of(address: usize) -> Option<Self> {
        const NEXT: u64 = 0xffff_ffff_f000;
        let mut table = level1();
        for level in 1..=3 {
            let descriptor = table.get(slot(address, level))?;
            let value = descriptor.load(Ordering::Relaxed);
            if value & VALID == 0 {
                return None;
            }
            if level == 3 || value & TABLE == BLOCK {
                let bytes = 1 << (39 - 9 * level);
                return Some(Self { descriptor, bytes });
            }
            let next = ((value & NEXT) as usize).wrapping_add(virt_offset());
            // SAFETY: tables lie side by side in the image's RAM, which is mapped there, and are used as atomics only.
            table = unsafe {
                core::slice::from_raw_parts(next as *const AtomicU64, PAGE_BYTES / size_of::<u64>())
            };
        }
        None
    }

    /// The descriptor.
    pub fn bits(&self) -> u64 {
        self.descriptor.load(Ordering::Relaxed)
    }

    /// Whether it can be stored to.
    pub fn writable(&self) -> bool {
        self.bits() & READ_ONLY == 0
    }

    /// Whether EL1 can execute it, WXN aside.
    pub fn executable(&self) -> bool {
        self.bits() & PXN == 0
    }

    /// Changes permissions, which needs no break between: output address, memory type and size stay.
    ///
    /// # Safety
    /// What the memory is used for must go on being allowed, on every core.
    pub unsafe fn change(&self, set: u64, clear: u64) {
        self.descriptor
            .store(self.bits() & !clear | set, Ordering::Relaxed);
        barrier::dsb(barrier::ISHST);
        invalidate_all();
    }
}
