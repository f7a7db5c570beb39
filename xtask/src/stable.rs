//! The proof that the library needs no unstable feature: xtask as a wrapper around rustc.
//!
//! The bare-metal targets come without a built `core`, so cargo has to build it, and for that `RUSTC_BOOTSTRAP=1` opens
//! every door for every crate. The wrapper closes them again for all crates but the compiler's own library:
//! `RUSTC_BOOTSTRAP=-1` makes any compiler, also a nightly, behave as a stable one.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};

/// Set by the check; holds the folder of the compiler's own library.
pub const WRAPPER: &str = "AFTRACE_STABLE_ONLY_OUTSIDE";

/// Runs as the wrapper when the variable says so: the arguments are rustc and its arguments.
#[must_use]
pub fn as_wrapper() -> Option<ExitCode> {
    let library = std::env::var_os(WRAPPER)?;
    let mut arguments = std::env::args_os().skip(1);
    let code = match wrap(Path::new(&library), &mut arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("stable check: {error:#}");
            ExitCode::FAILURE
        }
    };
    Some(code)
}

fn wrap(library: &Path, arguments: &mut dyn Iterator<Item = OsString>) -> Result<ExitCode> {
    let rustc = arguments.next().context("called without rustc")?;
    let arguments: Vec<OsString> = arguments.collect();
    let mut command = Command::new(&rustc);
    let own = std::env::var_os("CARGO_MANIFEST_DIR")
        .is_some_and(|folder| !Path::new(&folder).starts_with(library));
    if own {
        command.args(without_build_std(&arguments));
        command.env("RUSTC_BOOTSTRAP", "-1");
    } else {
        command.args(&arguments);
    }
    let status = command
        .status()
        .with_context(|| format!("cannot start {}", rustc.to_string_lossy()))?;
    match status.code() {
        Some(code) => Ok(ExitCode::from(u8::try_from(code).unwrap_or(1))),
        None => bail!("rustc ended with {status}"),
    }
}

/// Takes back what build-std itself adds for every crate; any other `-Z` stays, and rustc refuses it.
fn without_build_std(arguments: &[OsString]) -> Vec<OsString> {
    let mut kept: Vec<OsString> = Vec::new();
    let mut rest = arguments.iter().peekable();
    while let Some(argument) = rest.next() {
        if argument == "-Z" && rest.peek().is_some_and(|next| *next == "unstable-options") {
            rest.next();
            continue;
        }
        let text = argument.to_string_lossy();
        match text.strip_prefix("noprelude:") {
            Some(plain) => kept.push(plain.into()),
            None => kept.push(argument.clone()),
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_build_std_adds_is_taken_away() {
        let given: Vec<OsString> = [
            "--extern",
            "noprelude:core=/c",
            "-Z",
            "unstable-options",
            "-Z",
            "x",
        ]
        .iter()
        .map(OsString::from)
        .collect();
        assert_eq!(
            without_build_std(&given),
            ["--extern", "core=/c", "-Z", "x"]
        );
    }
}
