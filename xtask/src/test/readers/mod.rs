//! Programs of other people read what `aftrace dump` writes: they must show the calls that aftrace itself reports, with the same names
//! and durations, and know of what is missing.

mod babeltrace;
mod booted;
mod cores;
mod facts;
mod made;
pub mod perfetto;
mod real;
mod trace_cmd;
mod uftrace;

use std::fs;
use std::path::Path;

use anyhow::{Result, bail, ensure};

use self::facts::Sample;
use super::Tally;
use crate::setup::tools::{Debian, Tool};
use crate::setup::{Ready, repo, setup_dir};
use crate::ui::heading;
use crate::{kernel, pictures};

/// Each reader on each trace.
pub fn check(tally: &mut Tally, ready: &Ready) {
    heading("readers of other programs");
    let folder = setup_dir().join("readers");
    let mut samples = Vec::new();
    tally.step("traces made for the readers", || {
        fresh(&folder.join("traces"))?;
        samples.extend(made::samples(&folder)?);
        Ok(())
    });
    tally.step("traces of the demo kernel", || {
        samples.extend(real::samples(ready, &folder)?);
        Ok(())
    });
    tally.step("a trace from the demo's boot on, with values", || {
        samples.push(booted::sample(ready, &folder)?);
        Ok(())
    });
    tally.step("traces of a kernel on four cores", || {
        samples.extend(cores::samples(ready, &folder)?);
        Ok(())
    });
    let debian = Debian::new(&folder);
    let readers: [Reader; 3] = [
        ("babeltrace2", "babeltrace2", babeltrace::check),
        ("trace-cmd", "trace-cmd", trace_cmd::check),
        ("uftrace", "uftrace", uftrace::check),
    ];
    for (program, package, check) in readers {
        match debian.tool(program, package) {
            Ok(tool) => {
                for sample in &samples {
                    let name = format!("{program} reads {}", sample.name);
                    tally.step(&name, || check(&tool, sample, &folder));
                }
            }
            Err(error) => tally.skip(
                format!("{program} on {} traces", samples.len()),
                format!("{error:#}"),
            ),
        }
    }
    perfetto::check(tally, &samples, &folder);
    match perfetto::engine(&folder) {
        Ok(_) => tally.step("the README's pictures are made", || pictures(ready)),
        Err(error) => tally.skip("the README's pictures", format!("{error:#}")),
    }
}

/// They are made by the commands that the README gives, show what it says, and stand in it.
fn pictures(ready: &Ready) -> Result<()> {
    let folder = tempfile::tempdir()?;
    pictures::make(ready, &kernel::program()?, folder.path())?;
    let readme = fs::read_to_string(repo().join("README.md"))?;
    for name in [pictures::FLAMEGRAPH, pictures::TIMELINE] {
        let drawn = fs::read_to_string(folder.path().join(name))?;
        for function in ["demo::tasks::start", "demo::input::start", "demo::disk::"] {
            ensure!(drawn.contains(function), "{name} does not show {function}");
        }
        let shown = format!("docs/pictures/{name}");
        let there = repo().join(&shown).is_file() && readme.contains(&shown);
        ensure!(there, "{shown} is not there, or not in the README");
    }
    for told in pictures::RECORDED.iter().chain(&pictures::LEFT_OUT) {
        ensure!(readme.contains(told), "the README's command has no {told}");
    }
    Ok(())
}

type Reader = (
    &'static str,
    &'static str,
    fn(&Tool, &Sample, &Path) -> Result<()>,
);

fn fresh(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    Ok(fs::create_dir_all(folder)?)
}

/// Whether a reader showed what is in the trace, one line for each call or event.
///
/// # Errors
/// The first difference, and what surrounds it.
fn same(what: &str, seen: &[String], expected: &[String]) -> Result<()> {
    if seen == expected {
        return Ok(());
    }
    let at = seen
        .iter()
        .zip(expected)
        .take_while(|(seen, expected)| seen == expected)
        .count();
    let around = |lines: &[String]| {
        let from = at.saturating_sub(2);
        let lines = &lines[from.min(lines.len())..(at + 3).min(lines.len())];
        lines.join("\n      ")
    };
    bail!(
        "{what}: {} shown, {} in the trace; number {at} differs\n  shown:\n      {}\n  in the trace:\n      {}",
        seen.len(),
        expected.len(),
        around(seen),
        around(expected)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_told() {
        let lines = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert!(same("calls", &lines("a b"), &lines("a b")).is_ok());
        let error = same("calls", &lines("a b c"), &lines("a b d e")).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("calls: 3 shown, 4 in the trace; number 2 differs"),
            "{error}"
        );
        assert!(same("calls", &lines("a"), &lines("a b")).is_err());
    }
}
