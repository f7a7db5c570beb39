//! The interrupt controller, GICv2 or GICv3: whichever the machine has.
//!
//! Arm IHI 0048 (GICv2) and IHI 0069 (GICv3). Which one it is comes from ID_AA64PFR0_EL1.GIC: a core that has the GIC's
//! system registers is in a machine with a GICv3. On a board without a GIC nothing is done here, and no interrupt arrives.

use crate::{board, cores};
use aarch64_cpu::asm::barrier;
use aarch64_cpu::registers::ID_AA64PFR0_EL1;
use core::arch::asm;
use core::sync::atomic::{AtomicBool, Ordering};
use tock_registers::interfaces::{Readable, Writeable};
use tock_registers::registers::{ReadOnly, ReadWrite, WriteOnly};
use tock_registers::{register_bitfields, register_structs};

register_bitfields! {
    u32,
    GICD_CTLR [
        /// Affinity routing (GICv3).
        ARE OFFSET(4) NUMBITS(1) [],
        GRP1 OFFSET(1) NUMBITS(1) [],
        GRP0 OFFSET(0) NUMBITS(1) []
    ],
    GICD_SGIR [
        TARGETS OFFSET(24) NUMBITS(2) [AllOthers = 1],
        CORES OFFSET(16) NUMBITS(8) [],
        ID OFFSET(0) NUMBITS(4) []
    ],
    GICR_WAKER [
        CHILDREN_ASLEEP OFFSET(2) NUMBITS(1) [],
        PROCESSOR_SLEEP OFFSET(1) NUMBITS(1) []
    ]
}

register_structs! {
    /// The distributor, both versions; of a GICv3's redistributor, the SGI frame has the same first registers.
    pub(crate) Distributor {
        (0x000 => pub(crate) control: ReadWrite<u32, GICD_CTLR::Register>),
        (0x004 => _reserved0),
        (0x080 => pub(crate) group: [ReadWrite<u32>; 32]),
        (0x100 => set_enable: [ReadWrite<u32>; 32]),
        (0x180 => _reserved1),
        (0x400 => pub(crate) priority: [ReadWrite<u32>; 256]),
        /// One byte an interrupt: the cores that take it (GICv2).
        (0x800 => targets: [ReadWrite<u32>; 256]),
        (0xc00 => _reserved2),
        (0xf00 => sgi: WriteOnly<u32, GICD_SGIR::Register>),
        (0xf04 => @END),
    }
}

register_structs! {
    /// GICv2's CPU interface.
    pub(crate) CpuInterface {
        (0x00 => pub(crate) control: ReadWrite<u32>),
        (0x04 => priority_mask: ReadWrite<u32>),
        (0x08 => _reserved0),
        (0x0c => acknowledge: ReadOnly<u32>),
        (0x10 => end: WriteOnly<u32>),
        (0x14 => @END),
    }
}

register_structs! {
    /// The first frame of a GICv3 redistributor.
    pub(crate) Redistributor {
        (0x00 => _reserved0),
        (0x14 => waker: ReadWrite<u32, GICR_WAKER::Register>),
        (0x18 => @END),
    }
}

/// The second frame of a redistributor: SGIs and PPIs.
const GICR_SGI_FRAME: usize = 0x1_0000;
/// GICv3: where SPI n's route is, 64 bits each; 0 routes to core 0.
const GICD_IROUTER: usize = 0x6000;
/// ID_AA64PFR0_EL1.GIC.
const PFR0_GIC_SHIFT: u32 = 24;
const PFR0_GIC_MASK: u64 = 0xf;
/// Interrupt numbers from here on mean "none".
const SPECIAL: u32 = 1020;
const FIRST_SPI: u32 = 32;
/// The same priority for all, above the mask that lets everything through.
const PRIORITY: u32 = 0xa0a0_a0a0;
const LOWEST_PRIORITY: u64 = 0xff;
/// ICC_SGI1R_EL1.IRM: to all cores but this one; INTID is at bit 24.
const SGI_ALL_OTHERS: u64 = 1 << 40;
const SGI_ID_SHIFT: u32 = 24;

static IS_V3: AtomicBool = AtomicBool::new(false);

/// 2 or 3.
pub fn version() -> u32 {
    2 + u32::from(IS_V3.load(Ordering::Relaxed))
}

pub(crate) fn distributor() -> &'static Distributor {
    let base = core::ptr::with_exposed_provenance::<Distributor>(board::GICD_BASE);
    // SAFETY: the board's distributor, mapped as device memory for as long as the kernel runs.
    unsafe { &*base }
}

pub(crate) fn cpu_interface() -> &'static CpuInterface {
    let base = core::ptr::with_exposed_provenance::<CpuInterface>(board::GICC_BASE);
    // SAFETY: as above; only used when the GIC is a GICv2.
    unsafe { &*base }
}

pub(crate) fn redistributor() -> (&'static Redistributor, &'static Distributor) {
    let base = board::GICR_BASE + cores::index() * board::GICR_STRIDE;
    let first = core::ptr::with_exposed_provenance::<Redistributor>(base);
    let sgi = core::ptr::with_exposed_provenance::<Distributor>(base + GICR_SGI_FRAME);
    // SAFETY: this core's redistributor; only used when the GIC is a GICv3.
    let first = unsafe { &*first };
    // SAFETY: as above.
    let sgi = unsafe { &*sgi };
    (first, sgi)
}

/// The whole GIC, on the boot core.
pub(crate) fn init() {
    if !board::HAS_GIC {
        return;
    }
    IS_V3.store(
        ID_AA64PFR0_EL1.get() >> PFR0_GIC_SHIFT & PFR0_GIC_MASK != 0,
        Ordering::Relaxed,
    );
    let distributor = distributor();
    if version() == 3 {
        distributor
            .control
            .write(GICD_CTLR::ARE::SET + GICD_CTLR::GRP1::SET + GICD_CTLR::GRP0::SET);
    } else {
        distributor.control.write(GICD_CTLR::GRP0::SET);
    }
    init_core();
}

/// This core's part of the GIC.
pub(crate) fn init_core() {
    if version() == 2 {
        let cpu = cpu_interface();
        cpu.priority_mask.set(LOWEST_PRIORITY as u32);
        cpu.control.set(1);
        return;
    }
    let (redistributor, sgi) = redistributor();
    redistributor.waker.set(0);
    while redistributor.waker.is_set(GICR_WAKER::CHILDREN_ASLEEP) {
        core::hint::spin_loop();
    }
    sgi.group[0].set(u32::MAX);
    for priority in &sgi.priority[..8] {
        priority.set(PRIORITY);
    }
    // SAFETY: ICC_SRE_EL1, ICC_PMR_EL1 and ICC_IGRPEN1_EL1 exist where ID_AA64PFR0_EL1.GIC says so.
    unsafe {
        asm!(
            "msr S3_0_C12_C12_5, {sre}",
            "isb",
            "msr S3_0_C4_C6_0, {mask}",
            "msr S3_0_C12_C12_7, {one}",
            "isb",
            sre = in(reg) 0b111_u64,
            mask = in(reg) LOWEST_PRIORITY,
            one = in(reg) 1_u64,
            options(nostack)
        )
    };
}

/// No more interrupts for this core, which is about to be switched off; [`init_core`] takes it back.
pub(crate) fn quiet_core() {
    if version() == 2 {
        cpu_interface().control.set(0);
        return;
    }
    // SAFETY: ICC_IGRPEN1_EL1, on a machine that has it. Off before the redistributor sleeps (IHI 0069, "Power management").
    unsafe { asm!("msr S3_0_C12_C12_7, xzr", "isb", options(nostack)) };
    let (redistributor, _) = redistributor();
    redistributor.waker.write(GICR_WAKER::PROCESSOR_SLEEP::SET);
    while !redistributor.waker.is_set(GICR_WAKER::CHILDREN_ASLEEP) {
        core::hint::spin_loop();
    }
}

/// Enables interrupt `number`: for this core below 32, otherwise for the boot core.
pub(crate) fn enable(number: u32) {
    if !board::HAS_GIC {
        return;
    }
    let (word, bit) = ((number / 32) as usize, 1 << (number % 32));
    if version() == 3 && number < FIRST_SPI {
        redistributor().1.set_enable[0].set(bit);
        return;
    }
    let distributor = distributor();
    let byte = (number / 4) as usize;
    let shift = number % 4 * 8;
    distributor.priority[byte].set(PRIORITY);
    if version() == 3 {
        let group = &distributor.group[word];
        group.set(group.get() | bit);
        let route = board::GICD_BASE + GICD_IROUTER + number as usize * size_of::<u64>();
        let route = core::ptr::with_exposed_provenance_mut::<u64>(route);
        // SAFETY: the route register of an SPI of this distributor.
        unsafe { route.write_volatile(0) };
    } else if number >= FIRST_SPI {
        let targets = &distributor.targets[byte];
        targets.set(targets.get() | 1 << shift);
    }
    distributor.set_enable[word].set(bit);
}

/// An interrupt that this core has taken and owes a [`complete`].
#[must_use = "the GIC holds back all further interrupts until it is completed"]
pub(crate) struct Claim(u32);

impl Claim {
    /// What an acknowledge register said; `None` where it said that nothing is pending.
    pub(crate) fn new(acknowledged: u32) -> Option<Self> {
        let claim = Self(acknowledged);
        (claim.number() < SPECIAL).then_some(claim)
    }

    /// The interrupt's number.
    pub(crate) fn number(&self) -> u32 {
        // GICv2 has the sending core of an SGI above it.
        self.0 & 0x3ff
    }
}

/// Takes the highest pending interrupt.
pub(crate) fn claim() -> Option<Claim> {
    if version() == 2 {
        return Claim::new(cpu_interface().acknowledge.get());
    }
    let number: u64;
    // SAFETY: ICC_IAR1_EL1, on a machine that has it.
    unsafe { asm!("mrs {}, S3_0_C12_C12_0", "dsb sy", out(reg) number, options(nostack)) };
    Claim::new(number as u32)
}

/// Tells the GIC that the interrupt has been handled.
pub(crate) fn complete(claim: Claim) {
    if version() == 3 {
        // SAFETY: ICC_EOIR1_EL1, on a machine that has it.
        unsafe {
            asm!("msr S3_0_C12_C12_1, {}", "isb", in(reg) u64::from(claim.0), options(nostack))
        };
    } else {
        cpu_interface().end.set(claim.0);
    }
}

/// Sends software interrupt `id` (0 to 15) to every other core; what this core wrote before is visible to them.
pub fn sgi_all_others(id: u32) {
    barrier::dsb(barrier::ISHST);
    if version() == 3 {
        let value = SGI_ALL_OTHERS | u64::from(id & 0xf) << SGI_ID_SHIFT;
        // SAFETY: ICC_SGI1R_EL1, on a machine that has it.
        unsafe { asm!("msr S3_0_C12_C11_5, {}", "isb", in(reg) value, options(nostack)) };
    } else {
        distributor()
            .sgi
            .write(GICD_SGIR::TARGETS::AllOthers + GICD_SGIR::ID.val(id & 0xf));
    }
}

/// Sends software interrupt `id` (0 to 15) to core 0.
pub fn sgi_core0(id: u32) {
    barrier::dsb(barrier::ISHST);
    if version() == 3 {
        let value = u64::from(id & 0xf) << SGI_ID_SHIFT | 1;
        // SAFETY: ICC_SGI1R_EL1, on a machine that has it.
        unsafe { asm!("msr S3_0_C12_C11_5, {}", "isb", in(reg) value, options(nostack)) };
    } else {
        distributor()
            .sgi
            .write(GICD_SGIR::CORES.val(1) + GICD_SGIR::ID.val(id & 0xf));
    }
}
