//! Asks the debug information which functions the compiler emitted for a crate.

use std::collections::BTreeSet;

use gimli::{AttributeValue, EndianSlice, RunTimeEndian, Unit};

use crate::elf::Kernel;

type Slice<'a> = EndianSlice<'a, RunTimeEndian>;

/// The entries of the functions with machine code in the compile units of `crate_name`.
/// `None` when the kernel has no debug information.
pub(crate) fn emitted_by(
    kernel: &Kernel<'_>,
    crate_name: &str,
) -> Result<Option<BTreeSet<u64>>, gimli::Error> {
    let endian = if kernel.is_little_endian() {
        RunTimeEndian::Little
    } else {
        RunTimeEndian::Big
    };
    let dwarf = gimli::Dwarf::load(|section| {
        Ok::<_, gimli::Error>(EndianSlice::new(
            kernel.section_data(section.name()),
            endian,
        ))
    })?;
    let mut entries = BTreeSet::new();
    let mut units = dwarf.units();
    let mut any = false;
    while let Some(header) = units.next()? {
        let unit = dwarf.unit(header)?;
        any = true;
        if unit_crate(&unit).as_deref() == Some(crate_name) {
            functions(&dwarf, &unit, &mut |entry| _ = entries.insert(entry))?;
        }
    }
    Ok(any.then_some(entries))
}

/// rustc names a unit `src/lib.rs/@/CRATE.HASH-cgu.N`.
fn unit_crate(unit: &Unit<Slice<'_>>) -> Option<String> {
    let name = unit.name?.slice();
    let name = String::from_utf8_lossy(name);
    let (_, codegen_unit) = name.rsplit_once("/@/")?;
    Some(codegen_unit.split('.').next()?.to_owned())
}

fn functions<'a>(
    dwarf: &gimli::Dwarf<Slice<'a>>,
    unit: &Unit<Slice<'a>>,
    found: &mut impl FnMut(u64),
) -> Result<(), gimli::Error> {
    let mut entries = unit.entries();
    while let Some(entry) = entries.next_dfs()? {
        if entry.tag() != gimli::DW_TAG_subprogram {
            continue;
        }
        match entry.attr_value(gimli::DW_AT_low_pc) {
            Some(AttributeValue::Addr(address)) => found(address),
            Some(AttributeValue::DebugAddrIndex(index)) => found(dwarf.address(unit, index)?),
            _ => {}
        }
    }
    Ok(())
}
