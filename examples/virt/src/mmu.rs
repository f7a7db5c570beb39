//! What the tables that `boot.S` builds say: an identity map without any page that is writable and executable, and
//! a second, writable view of the RAM through which a tracer patches the text.

use crate::board;

/// Bytes of a page, and of a table.
pub const PAGE_BYTES: usize = 0x1000;
/// Bytes that one level 2 block covers.
pub const BLOCK_BYTES: usize = 0x20_0000;
/// Distance from an address in RAM to its writable alias: 64 GiB, above all that the board decodes.
pub const ALIAS_OFFSET: usize = 0x10_0000_0000;

const VALID: u64 = 1;
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
const PXN: u64 = 1 << 53;
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
    (address >> 30) * size_of::<u64>()
}

unsafe extern "C" {
    static __text_start: u8;
    static __text_end: u8;
    static __ram_end: u8;
}

/// The executable part of the image.
pub fn text() -> core::ops::Range<usize> {
    &raw const __text_start as usize..&raw const __text_end as usize
}

/// All of the RAM that is mapped, as the linker script counts it.
pub fn ram() -> core::ops::Range<usize> {
    board::RAM_BASE..&raw const __ram_end as usize
}

/// The writable alias of `address`, an address within the RAM. Instructions fetched from `address` see what is stored there
/// after the usual cache maintenance, by the executable address.
///
/// # Panics
///
/// When `address` is outside [`ram`].
pub fn text_alias(address: usize) -> *mut u8 {
    assert!(
        ram().contains(&address),
        "{address:#x} is not in RAM ({:#x?}): only RAM has a writable alias",
        ram()
    );
    core::ptr::with_exposed_provenance_mut(address + ALIAS_OFFSET)
}
