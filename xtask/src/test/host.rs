//! The checks that need no emulator.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};

use super::Tally;
use crate::board::Board;
use crate::fuzz;
use crate::kernel::{self, LIBRARY, Target};
use crate::proc;
use crate::setup::setup_dir;
use crate::setup::toolchain::{LibrarySource, Toolchain};
use crate::stable;
use crate::ui::{heading, say, took};

const LIMIT: Duration = Duration::from_secs(1200);

fn quiet(command: &mut Command) -> Result<()> {
    proc::text_of(command, LIMIT).map(drop)
}

/// Whether cargo on this machine has a subcommand; a minimal rustup toolchain lacks fmt and clippy.
fn host_has(subcommand: &str) -> bool {
    let mut command = kernel::host_cargo();
    command.args([subcommand, "--version"]);
    proc::capture(&mut command, Duration::from_secs(60)).is_ok_and(|captured| captured.ok)
}

/// Formatting of every crate.
pub fn fmt(tally: &mut Tally) {
    heading("format");
    if !host_has("fmt") {
        tally.skip(
            "format",
            "this toolchain has no rustfmt (rustup component add rustfmt)",
        );
        return;
    }
    tally.step("cargo fmt --check", || {
        // Only the files' names: `cargo fmt` itself shows and makes the changes.
        let mut command = kernel::host_cargo();
        quiet(command.args(["fmt", "--all", "--check", "--", "-l"]))
    });
}

/// clippy for the host's crates, then for the library and the kernels on both targets.
pub fn clippy(tally: &mut Tally, toolchain: &Toolchain) {
    heading("clippy");
    let why = "this toolchain has no clippy (rustup component add clippy)";
    if host_has("clippy") {
        // Only the library has features; the others see no difference but in what they may call.
        let library = ["--all-targets", "-p", LIBRARY, "--all-features"];
        // xtask beside the fuzz targets: what both stand on is checked once.
        let fuzz = ["-p", fuzz::PACKAGE, "-p", "xtask", "--no-default-features"];
        let runs: [(&str, &[&str]); 3] = [
            ("clippy, host crates", &["--all-targets"]),
            ("clippy, library with all features", &library),
            ("clippy, fuzz targets", &fuzz),
        ];
        for (name, arguments) in runs {
            tally.step(name, || {
                let mut command = kernel::host_cargo();
                command.arg("clippy").args(arguments);
                quiet(command.args(["--", "-D", "warnings"]))
            });
        }
    } else {
        tally.skip("clippy, host crates", why);
    }
    if !toolchain.has_tool("clippy") {
        tally.skip("clippy, kernels", why);
        return;
    }
    tally.lanes(&Target::ALL, |tally, &target| {
        tally.step(&format!("clippy, library and kernels, {target}"), || {
            for group in kernel::groups(&kernel::packages()?) {
                let mut command = kernel::cargo(toolchain, "clippy", target)?;
                command.args(["-p", LIBRARY]);
                for package in group {
                    command.args(["-p", &package.name]);
                }
                quiet(command.args(["--", "-D", "warnings"]))?;
            }
            Ok(())
        });
    });
    clippy_boards(tally, toolchain);
}

/// clippy for what only the images for boards have.
fn clippy_boards(tally: &mut Tally, toolchain: &Toolchain) {
    for board in Board::ALL {
        tally.step(&format!("clippy, board {}", board.name()), || {
            let mut command = kernel::cargo(toolchain, "clippy", Target::Softfloat)?;
            command.args(["-p", "bench-table", "--features", board.name()]);
            quiet(command.args(["--", "-D", "warnings"]))
        });
    }
}

/// `cargo test` of the default members, and of the library with all its features.
pub fn tests(tally: &mut Tally) {
    heading("tests on the host");
    let runs: [(&str, &[&str]); 2] = [
        ("cargo test", &["test", "--no-fail-fast"]),
        (
            "cargo test, library with all features",
            &["test", "--no-fail-fast", "-p", LIBRARY, "--all-features"],
        ),
    ];
    for (name, arguments) in runs {
        let start = Instant::now();
        let result = proc::capture(kernel::host_cargo().args(arguments), LIMIT);
        let (captured, counts) = match result {
            Ok(captured) => {
                let counts = Counts::read(&captured.stdout);
                (captured, counts)
            }
            Err(error) => {
                say(format!("{name}: {error:#}"));
                tally.fail(name);
                continue;
            }
        };
        tally.pass(counts.passed);
        for index in 0..counts.ignored {
            tally.skip(
                format!("{name}, ignored test {}", index + 1),
                "marked #[ignore]",
            );
        }
        let good = captured.ok && counts.passed > 0;
        let word = if good { "ok    " } else { "FAILED" };
        say(format!(
            "{name:<46} {word}  {}  {} passed",
            took(start),
            counts.passed
        ));
        if !good {
            say(captured.tail(60));
            for test in &counts.failures {
                tally.fail(format!("{name}: {test}"));
            }
            if counts.failures.is_empty() {
                tally.fail(name);
            }
        }
    }
}

/// What the closing lines of cargo's test runners add up to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: usize,
    ignored: usize,
    failures: Vec<String>,
}

impl Counts {
    fn read(text: &str) -> Self {
        let mut counts = Self::default();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("test result: ") {
                let number = |word: &str| {
                    rest.split([';', '.'])
                        .find_map(|part| part.trim().strip_suffix(word))
                        .and_then(|count| count.trim().parse::<usize>().ok())
                        .unwrap_or(0)
                };
                counts.passed += number(" passed");
                counts.ignored += number(" ignored");
            } else if let Some(name) = line
                .strip_prefix("test ")
                .and_then(|rest| rest.strip_suffix(" ... FAILED"))
            {
                counts.failures.push(name.to_owned());
            }
        }
        counts
    }
}

/// Documentation without a warning: host crates, and the library as it is on bare metal.
pub fn doc(tally: &mut Tally, toolchain: &Toolchain) {
    heading("documentation");
    tally.step("cargo doc, host crates", || {
        let mut command = kernel::host_cargo();
        command.args(["doc", "--no-deps", "--document-private-items"]);
        quiet(command.env("RUSTDOCFLAGS", "-D warnings"))
    });
    tally.step("cargo doc, library on bare metal", || {
        let mut command = kernel::cargo(toolchain, "doc", Target::Softfloat)?;
        command.args(["--no-deps", "--all-features", "-p", LIBRARY]);
        command.env("RUSTDOC", toolchain.sysroot.join("bin/rustdoc"));
        quiet(command.env("RUSTDOCFLAGS", "-D warnings"))
    });
}

/// `cargo package` builds the library from what would be published.
pub fn package(tally: &mut Tally) {
    heading("package");
    tally.step("cargo package -p aarch64-ftrace", || {
        quiet(kernel::host_cargo().args(["package", "-p", LIBRARY, "--allow-dirty"]))
    });
}

/// The library compiles where no unstable feature is to be had. What a compiler without any refuses, it refuses before it generates
/// code; that it generates it, the kernels show.
pub fn stable(tally: &mut Tally, toolchain: &Toolchain) {
    heading("the library without unstable features");
    let wrapper = own_copy();
    tally.lanes(&Target::ALL, |tally, &target| {
        for features in [&[][..], &["--features", "alloc"]] {
            let name = format!("stable check, {target} {}", features.join(" "));
            tally.step(name.trim_end(), || {
                let wrapper = wrapper.as_ref().map_err(|error| anyhow!("{error:#}"))?;
                let mut command = stable_command(toolchain, target, wrapper)?;
                quiet(command.args(["-p", LIBRARY]).args(features))
            });
        }
    });
}

/// A copy of this program, for cargo to start.
fn own_copy() -> Result<PathBuf> {
    let copy = setup_dir().join("stable-wrapper");
    fs::create_dir_all(setup_dir())?;
    fs::remove_file(&copy).ok();
    fs::copy(proc::this_program()?, &copy).context("cannot copy xtask")?;
    Ok(copy)
}

/// cargo with xtask as the wrapper that closes every unstable door.
fn stable_command(toolchain: &Toolchain, target: Target, wrapper: &Path) -> Result<Command> {
    let library = match &toolchain.source {
        LibrarySource::Folder(folder) => folder.clone(),
        _ => toolchain.sysroot_library(),
    };
    // Where the source is a link (as in Debian's toolchain), cargo names the folder behind it.
    let library = library.canonicalize().context("no library source")?;
    let mut command = kernel::cargo(toolchain, "check", target)?;
    command
        .env("RUSTFLAGS", "")
        .env("RUSTC_WRAPPER", wrapper)
        .env(stable::WRAPPER, library);
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_of_all_runners_add_up() {
        let text = "test a ... ok\ntest b::c ... FAILED\n\
            test result: FAILED. 1 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out\n\
            test result: ok. 40 passed; 0 failed; 0 ignored; 0 measured; 3 filtered out\n";
        assert_eq!(
            Counts::read(text),
            Counts {
                passed: 41,
                ignored: 2,
                failures: vec!["b::c".to_owned()],
            }
        );
    }
}
