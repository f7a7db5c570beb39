//! Set-up: a compiler that can build instrumented kernels, and QEMU. Quick when nothing is to do.

pub mod apt;
pub mod debian;
pub mod emulator;
pub mod probe;
pub mod rust;
pub mod sources;
pub mod toolchain;
pub mod tools;
pub mod version;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::ui::{say, took};
use rust::Way;
use toolchain::Toolchain;
use version::Version;

/// The repository's root.
#[must_use]
pub fn repo() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().map_or_else(|| here.clone(), PathBuf::from)
}

/// Where set-up keeps what it fetched.
#[must_use]
pub fn setup_dir() -> PathBuf {
    repo().join("target/setup")
}

/// What the other commands work with.
pub struct Ready {
    /// Compiler with the library's source.
    pub toolchain: Toolchain,
    /// Version of `qemu-system-aarch64`.
    pub qemu: Version,
}

/// Everything that a kernel needs to be built and booted.
///
/// # Errors
/// When no way leads to a compiler with rust-src, or to QEMU: says what a person can do.
pub fn ready(way: Option<Way>) -> Result<Ready> {
    let toolchain = compiler(way)?;
    let qemu = emulator::ready(false)?;
    say(format!("set-up: {}; QEMU {qemu}", toolchain.describe()));
    Ok(Ready { toolchain, qemu })
}

/// One line of an error, the one that says most: tools put it behind `error:` or `E:`.
#[must_use]
pub fn brief(error: &str) -> String {
    let line = error
        .lines()
        .find(|line| line.starts_with("error") || line.starts_with("E:"))
        .or_else(|| error.lines().find(|line| !line.trim().is_empty()))
        .unwrap_or("no message");
    let mut text: String = line.chars().take(200).collect();
    if text.len() < line.len() {
        text.push_str("..");
    }
    text
}

/// A compiler with the library's source; `way` forces one way and keeps what it fetches under target/.
///
/// # Errors
/// When no way works.
pub fn compiler(way: Option<Way>) -> Result<Toolchain> {
    if let Some(way) = way {
        say(format!("set-up: rust-src by way `{}`", way.name()));
        return way.go(false);
    }
    let mut tried = Vec::new();
    for way in Way::ORDER {
        let start = Instant::now();
        if way != Way::Present {
            say(format!("set-up: trying {}", way.name()));
        }
        match way.go(true) {
            Ok(toolchain) => return Ok(toolchain),
            Err(error) => {
                let line = format!("{}: {}", way.name(), brief(&format!("{error:#}")));
                say(format!("  {line} ({})", took(start)));
                tried.push(line);
            }
        }
    }
    bail!(
        "no way to the source of Rust's library (rust-src), which instrumented kernels need:\n  {}\n\
         What helps: with rustup and a network, `rustup component add rust-src`; with a rustc of your distribution, \
         its package of the library's source (rust-src) and lld; on Debian, a mirror in /etc/apt that has one of the \
         versions above.",
        tried.join("\n  ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_cut_to_the_line_that_says_most() {
        assert_eq!(
            brief("`x` failed:\ninfo: a\nerror: no network\nmore"),
            "error: no network"
        );
        assert_eq!(brief("first\nsecond"), "first");
        assert_eq!(brief(""), "no message");
        assert_eq!(brief(&"é".repeat(300)).chars().count(), 202);
    }
}
