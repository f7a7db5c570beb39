//! CTR_EL0: which maintenance named cores need.
#![forbid(unsafe_code)]

use crate::cache::{CacheType, data_line};

/// Value, IDC, DIC. Sources: the Technical Reference Manuals' values as QEMU's models of these cores carry them
/// (target/arm/tcg/cpu64.c, target/arm/cpu64.c, 10.0); those with "measured" were read on the machine.
const CORES: [(&str, u64, bool, bool); 8] = [
    ("Cortex-A53 r0p4", 0x8444_8004, false, false),
    ("Cortex-A72 r0p3", 0x8444_c004, false, false),
    ("Cortex-A76 r3p1", 0x8444_c004, false, false),
    ("Cortex-A78AE r0p3", 0x9444_c004, true, false),
    ("Neoverse V1 r1p2", 0xb444_c004, true, true),
    // Coherency of the instruction cache is an option of the N1; AWS took it (FreeBSD review D24853 says so too).
    (
        "Neoverse N1 r3p1, Graviton2, measured",
        0xb444_c004,
        true,
        true,
    ),
    // Read by a guest at EL1 under Apple's hypervisor, which does not hide the host's.
    ("Apple M3, measured", 0x9444_c004, true, false),
    // 256-byte lines.
    ("A64FX", 0x8666_8006, false, false),
];

#[test]
fn maintenance_of_named_cores() {
    for (name, ctr, idc, dic) in CORES {
        let expected = CacheType {
            needs_clean: !idc,
            needs_invalidate: !dic,
        };
        assert_eq!(CacheType::from_ctr(ctr), expected, "{name}");
        let line = if name == "A64FX" { 256 } else { 64 };
        assert_eq!(data_line(ctr), line, "{name}");
    }
}

#[test]
fn no_other_bit_of_ctr_matters() {
    let both = CacheType::from_ctr(0);
    for bit in (0..64).filter(|bit| ![28, 29].contains(bit)) {
        assert_eq!(CacheType::from_ctr(1 << bit), both, "bit {bit}");
    }
    assert_ne!(CacheType::from_ctr(1 << 28), both);
    assert_ne!(CacheType::from_ctr(1 << 29), both);
}
