//! Asks the debug information which functions the compiler emitted for a crate.
//!
//! rustc names a compile unit `ROOT/@/CRATE.HASH-cgu.N`, and an incremental build's `ROOT/@/HASH`, where ROOT is the crate's
//! root file. Without the crate's name, the root file tells: functions of the crate are declared in files beside it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use gimli::{AttributeValue, DebuggingInformationEntry, Dwarf, EndianSlice, RunTimeEndian, Unit};

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
    let dwarf = Dwarf::load(|section| {
        Ok::<_, gimli::Error>(EndianSlice::new(
            kernel.section_data(section.name()),
            endian,
        ))
    })?;
    let mut all = Vec::new();
    let mut units = dwarf.units();
    while let Some(header) = units.next()? {
        all.push(dwarf.unit(header)?);
    }
    if all.is_empty() {
        return Ok(None);
    }
    let mut declared = BTreeSet::new();
    for unit in &all {
        directories(&dwarf, unit, crate_name, &mut declared)?;
    }
    let mut entries = BTreeSet::new();
    for unit in &all {
        if belongs(unit, crate_name, &declared) {
            functions(&dwarf, unit, &mut entries)?;
        }
    }
    Ok(Some(entries))
}

fn belongs(unit: &Unit<Slice<'_>>, crate_name: &str, declared: &BTreeSet<PathBuf>) -> bool {
    let Some(name) = unit.name.map(|name| name.to_string_lossy()) else {
        return false;
    };
    let Some((root, codegen_unit)) = name.rsplit_once("/@/") else {
        return false;
    };
    match codegen_unit.split_once('.') {
        Some((own, _)) => own == crate_name,
        None => {
            let root = in_unit(unit, Path::new(root));
            root.parent()
                .is_some_and(|directory| declared.contains(directory))
        }
    }
}

fn in_unit(unit: &Unit<Slice<'_>>, path: &Path) -> PathBuf {
    let base = unit
        .comp_dir
        .map(|dir| dir.to_string_lossy())
        .unwrap_or_default();
    Path::new(&*base).join(path)
}

/// The directories of the files in which the crate's functions are declared.
fn directories<'a>(
    dwarf: &Dwarf<Slice<'a>>,
    unit: &Unit<Slice<'a>>,
    crate_name: &str,
    found: &mut BTreeSet<PathBuf>,
) -> Result<(), gimli::Error> {
    // The tree's first level holds one namespace for each crate with a function in this unit.
    let mut within = false;
    let mut files = BTreeSet::new();
    let mut entries = unit.entries();
    while let Some(entry) = entries.next_dfs()? {
        if entry.depth() == 1 {
            within =
                entry.tag() == gimli::DW_TAG_namespace && has_name(dwarf, unit, entry, crate_name)?;
        }
        if within
            && entry.tag() == gimli::DW_TAG_subprogram
            && let Some(AttributeValue::FileIndex(file)) = entry.attr_value(gimli::DW_AT_decl_file)
        {
            files.insert(file);
        }
    }
    let Some(program) = &unit.line_program else {
        return Ok(());
    };
    for file in files {
        let Some(file) = program.header().file(file) else {
            continue;
        };
        let Some(directory) = file.directory(program.header()) else {
            continue;
        };
        let directory = dwarf.attr_string(unit, directory)?;
        found.insert(in_unit(unit, Path::new(&*directory.to_string_lossy())));
    }
    Ok(())
}

fn has_name<'a>(
    dwarf: &Dwarf<Slice<'a>>,
    unit: &Unit<Slice<'a>>,
    entry: &DebuggingInformationEntry<Slice<'a>>,
    name: &str,
) -> Result<bool, gimli::Error> {
    let Some(value) = entry.attr_value(gimli::DW_AT_name) else {
        return Ok(false);
    };
    Ok(dwarf.attr_string(unit, value)?.slice() == name.as_bytes())
}

fn functions<'a>(
    dwarf: &Dwarf<Slice<'a>>,
    unit: &Unit<Slice<'a>>,
    found: &mut BTreeSet<u64>,
) -> Result<(), gimli::Error> {
    let mut entries = unit.entries();
    while let Some(entry) = entries.next_dfs()? {
        if entry.tag() != gimli::DW_TAG_subprogram {
            continue;
        }
        match entry.attr_value(gimli::DW_AT_low_pc) {
            Some(AttributeValue::Addr(address)) => found.insert(address),
            Some(AttributeValue::DebugAddrIndex(index)) => {
                found.insert(dwarf.address(unit, index)?)
            }
            _ => continue,
        };
    }
    Ok(())
}
