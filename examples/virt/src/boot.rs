//! The constants of `boot.S`, and the first Rust code on each core.
//!
//! Descriptor bits: Arm ARM DDI 0487, "VMSAv8-64 translation table format descriptors". Register fields by name from
//! aarch64-cpu where it has them.

use crate::board;
use crate::mmu::{self, ALIAS_OFFSET};
use aarch64_cpu::registers::{
    CNTHCTL_EL2, CPACR_EL1, HCR_EL2, MAIR_EL1, SCTLR_EL1, SPSR_EL2, TCR_EL1,
};
use core::arch::global_asm;
use core::sync::atomic::{AtomicUsize, Ordering};

/// Reserved bits that read as one in SCTLR_EL1 before Armv8.1: LSMAOE, nTLSMD, SPAN, EIS, TSCXT, EOS.
const SCTLR_RES1: u64 = 1 << 29 | 1 << 28 | 1 << 23 | 1 << 22 | 1 << 20 | 1 << 11;
const SCTLR: u64 = SCTLR_RES1
    | SCTLR_EL1::M::Enable.value
    | SCTLR_EL1::C::Cacheable.value
    | SCTLR_EL1::I::Cacheable.value
    | SCTLR_EL1::WXN::Enable.value
    | SCTLR_EL1::SA::Enable.value;
const HALF: u64 = 0xffff;
/// PACIASP is no landing pad for every kind of branch, at EL0 (BT0) and EL1 (BT1).
const SCTLR_BT: u64 = 1 << 35 | 1 << 36;
/// EnIA, EnIB: return addresses are signed and checked.
const SCTLR_PAC: u64 = 1 << 31 | 1 << 30;
/// API and APK: EL1 uses pointer authentication and its keys as it likes.
const HCR_PAC: u64 = 1 << 41 | 1 << 40;

/// Level 1 covers 512 GiB: 64 - 25 = 39 address bits.
const SIZE_OFFSET: u64 = 25;
const TCR: u64 = SIZE_OFFSET
    | SIZE_OFFSET << 16
    | TCR_EL1::TG1::KiB_4.value
    | TCR_EL1::SH1::Inner.value
    | TCR_EL1::ORGN1::WriteBack_ReadAlloc_WriteAlloc_Cacheable.value
    | TCR_EL1::IRGN1::WriteBack_ReadAlloc_WriteAlloc_Cacheable.value
    | TCR_EL1::TG0::KiB_4.value
    | TCR_EL1::SH0::Inner.value
    | TCR_EL1::ORGN0::WriteBack_ReadAlloc_WriteAlloc_Cacheable.value
    | TCR_EL1::IRGN0::WriteBack_ReadAlloc_WriteAlloc_Cacheable.value
    | TCR_EL1::IPS::Bits_36.value;
const MAIR: u64 = MAIR_EL1::Attr0_Device::nonGathering_nonReordering_EarlyWriteAck.value
    | MAIR_EL1::Attr1_Normal_Inner::WriteBack_NonTransient_ReadWriteAlloc.value
    | MAIR_EL1::Attr1_Normal_Outer::WriteBack_NonTransient_ReadWriteAlloc.value;

global_asm!(
    include_str!("boot.S"),
    CORE_MASK = const 0xff,
    EL2 = const 2 << 2,
    HCR = const HCR_EL2::RW::EL1IsAarch64.value | HCR_PAC,
    CNTHCTL = const CNTHCTL_EL2::EL1PCTEN::SET.value | CNTHCTL_EL2::EL1PCEN::SET.value,
    // CPTR_EL2: the bits that are RES1 when E2H is 0, and no trap.
    CPTR = const 0x33ff,
    PMCR_N_SHIFT = const 11,
    PMCR_N_BITS = const 5,
    PFR0_GIC_SHIFT = const 24,
    PFR0_GIC_BITS = const 4,
    // Enable, DFB, DIB, SRE.
    ICC_SRE_EL2 = const 0xf,
    SPSR = const (SPSR_EL2::D::Masked.value | SPSR_EL2::A::Masked.value | SPSR_EL2::I::Masked.value
        | SPSR_EL2::F::Masked.value | SPSR_EL2::M::EL1h.value),
    SCTLR_RESET_LOW = const SCTLR_RES1 & HALF,
    SCTLR_RESET_HIGH = const SCTLR_RES1 >> 16 & HALF,
    CPACR = const if cfg!(target_feature = "neon") { CPACR_EL1::FPEN::TrapNothing.value } else { 0 },
    STACK_BYTES = const board::STACK_BYTES,
    TABLE_BYTES = const mmu::PAGE_BYTES,
    PAGE_BYTES = const mmu::PAGE_BYTES,
    BLOCK_BYTES = const mmu::BLOCK_BYTES,
    BLOCK_SHIFT = const mmu::BLOCK_BYTES.trailing_zeros(),
    PAGE_SHIFT = const mmu::PAGE_BYTES.trailing_zeros(),
    RAM_BASE = const board::RAM_BASE,
    RAM_END = const board::RAM_BASE + mmu::RAM_BYTES,
    DEVICE_L1 = const mmu::level1_slot(board::DEVICE_BASE),
    RAM_L1 = const mmu::level1_slot(board::RAM_BASE),
    ALIAS_L1 = const mmu::level1_slot(board::RAM_BASE + ALIAS_OFFSET),
    TABLE = const mmu::TABLE,
    TABLE_NOT_VALID = const mmu::TABLE & !mmu::VALID,
    DEVICE_BLOCK = const board::DEVICE_BASE as u64 | mmu::DEVICE | mmu::BLOCK,
    DEVICE_ATTRIBUTES = const mmu::DEVICE | mmu::BLOCK,
    DEVICES_IN_RAM = const board::DEVICES_IN_RAM.start,
    DEVICES_IN_RAM_END = const board::DEVICES_IN_RAM.end,
    RW_BLOCK = const mmu::RW | mmu::BLOCK,
    RW_PAGE = const mmu::RW | mmu::PAGE,
    RO_PAGE = const mmu::RO | mmu::PAGE,
    TEXT_PAGE = const mmu::TEXT | mmu::PAGE,
    RO_BLOCK = const mmu::RO | mmu::BLOCK,
    TEXT_BLOCK = const mmu::TEXT | mmu::BLOCK,
    GUARDED = const mmu::GUARDED,
    // ID_AA64PFR1_EL1.BT, ID_AA64ISAR1_EL1.API and APA, ID_AA64ISAR2_EL1.APA3.
    PFR1_BT = const 0xf,
    ISAR1_PAC = const 0xff0,
    ISAR2_PAC = const 0xf000,
    SCTLR_BT = const SCTLR_BT,
    SCTLR_PAC = const SCTLR_PAC,
    PAC_KEY = const 0x5ca1_ab1e_0ddb_a115u64,
    R_AARCH64_RELATIVE = const 1027,
    CTR_DMINLINE_SHIFT = const 16,
    CTR_DMINLINE_BITS = const 4,
    MAIR = const MAIR,
    TCR = const TCR,
    TCR_NO_TTBR1 = const TCR_EL1::EPD1::DisableTTBR1Walks.value,
    SCTLR = const SCTLR,
);

static BOOT_EL: AtomicUsize = AtomicUsize::new(0);

/// The exception level at which the firmware entered the image: 1 or 2. The kernel itself always runs at EL1.
pub fn boot_el() -> usize {
    BOOT_EL.load(Ordering::Relaxed)
}

/// The boot core, with MMU and caches on and `.bss` clear.
#[unsafe(no_mangle)]
extern "C" fn virt_start(boot_el: usize) -> ! {
    unsafe extern "Rust" {
        safe fn virt_main() -> !;
    }
    BOOT_EL.store(boot_el, Ordering::Relaxed);
    crate::trap::init();
    crate::console::init();
    crate::gic::init();
    crate::pmu::init();
    crate::cores::init();
    #[cfg(feature = "heap")]
    crate::heap::init();
    virt_main()
}
