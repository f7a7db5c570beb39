//! Names as a person reads them, of a kernel that rustc has compiled and QEMU run.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use super::Subject;
use crate::setup::repo;

pub const GUEST: &str = "names_are_those_a_person_reads";

/// Function and caller of each call, in order, as `dump --text=function` has them.
fn calls(subject: &Subject, trace: &Path, more: &[&Path]) -> Result<Vec<String>> {
    let arguments = [&[trace, Path::new("--text=function")], more].concat();
    let shown = subject.run("dump", &arguments)?;
    ensure!(shown.ok, "{more:?}: {}", shown.tail(10));
    let call = |line: &str| {
        let (_, call) = line.split_once(": ")?;
        call.contains(" <-").then(|| call.replace(GUEST, "GUEST"))
    };
    Ok(shown.stdout.lines().filter_map(call).collect())
}

/// `FILE:LINE` of the line of the guest behind this mark.
fn place(mark: &str) -> Result<String> {
    let file = repo().join(format!("tests/guest/src/bin/{GUEST}.rs"));
    let source = fs::read_to_string(&file)?;
    let mark = format!("// [{mark}]");
    let line = source.lines().position(|line| line.trim() == mark);
    let line = line.with_context(|| format!("no line {mark}"))? + 2;
    Ok(format!("{}:{line}", file.display()).replace(GUEST, "GUEST"))
}

/// Each option says what it promises, with the names that the trace brings and with the kernel's own.
pub fn are_read(subject: &Subject) -> Result<()> {
    let (trace, kernel) = (subject.path("names.aft"), &subject.names.elf);
    let filters = [format!("*{GUEST}::*"), "shop_*".to_owned()];
    let boot = [
        "--function",
        &filters[0],
        "--function",
        &filters[1],
        "--notrace",
        "*::main",
        "-o",
    ];
    let boot = boot.map(Path::new);
    let machine = ["--", "-cpu", "neoverse-n1"].map(Path::new);
    let arguments = [&boot[..], &[&trace, kernel], &machine].concat();
    let done = subject.run("record", &arguments)?;
    ensure!(done.ok, "record: {}", done.tail(20));
    let price = "<GUEST::shop::Cart<u64> as GUEST::shop::Priced>::price";
    let plain = [
        "GUEST::shop::buy <-GUEST::main".to_owned(),
        "GUEST::shop::put::<u64> <-GUEST::shop::buy".to_owned(),
        "shop_duty <-GUEST::shop::buy".to_owned(),
        "shop_duty <-GUEST::shop::buy".to_owned(),
        format!("{price} <-GUEST::main"),
        "GUEST::main::{closure#0} <-GUEST::main".to_owned(),
    ];
    let changed = |from: &str, to: &str| plain.clone().map(|call| call.replace(from, to));
    let elf = [Path::new("--elf"), kernel];
    let option = |option| [&elf[..], &[Path::new(option)]].concat();
    let same = |more: &[&Path], wanted: &[String]| {
        let seen = calls(subject, &trace, more)?;
        ensure!(seen == wanted, "{more:?}: {seen:#?}, not {wanted:#?}");
        Ok(())
    };
    same(&[], &plain)?;
    same(&elf, &plain)?;
    same(&[Path::new("--short")], &changed("<u64>", "<...>"))?;
    let merged = changed("shop_duty", "shop_duty = shop_tax");
    same(&[Path::new("--aliases")], &merged)?;
    same(&option("--aliases"), &merged)?;
    let inlined = "GUEST::shop::sum (inlined) <- GUEST::shop::buy";
    let mut wanted = plain.clone();
    wanted[1] = wanted[1].replace("GUEST::shop::buy", inlined);
    same(&option("--inlined"), &wanted)?;
    let seen = calls(
        subject,
        &trace,
        &[option("--inlined"), option("--location")[2..].to_vec()].concat(),
    )?;
    let wanted = format!(
        "GUEST::shop::put::<u64> ({}) <-GUEST::shop::sum (inlined, {}) <- GUEST::shop::buy ({})",
        place("put")?,
        place("in sum")?,
        place("in buy")?
    );
    ensure!(seen.get(1) == Some(&wanted), "{seen:#?}, not {wanted}");
    let seen = calls(subject, &trace, &option("--location"))?;
    for (index, mark) in [(0, "buy"), (4, "price"), (5, "closure")] {
        let (name, _) = plain[index].split_once(" <-").context("no caller")?;
        let wanted = format!("{name} ({}) <-", place(mark)?);
        ensure!(
            seen.get(index)
                .is_some_and(|call| call.starts_with(&wanted)),
            "{seen:#?}, not {wanted}"
        );
    }
    Ok(())
}
