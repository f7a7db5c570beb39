//! The proof of a toolchain: `core` and `alloc` build for the kernels' target with the kernels' flags.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::{setup_dir, toolchain::Toolchain};
use crate::proc;

const BUILD_LIMIT: Duration = Duration::from_secs(600);
const MANIFEST: &str =
    "[package]\nname = \"probe\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[workspace]\n";
const SOURCE: &str = "#![no_std]\nextern crate alloc;\npub fn probe() -> alloc::vec::Vec<u8> {\n    alloc::vec::Vec::new()\n}\n";

/// What every kernel build passes to cargo.
pub const BUILD_STD: [&str; 2] = [
    "-Zbuild-std=core,alloc,compiler_builtins",
    "-Zbuild-std-features=compiler-builtins-mem",
];

/// Builds the probe.
///
/// # Errors
/// When the build fails, with its last lines.
pub fn build(toolchain: &Toolchain) -> Result<()> {
    let folder = setup_dir().join("probe");
    fs::create_dir_all(folder.join("src"))?;
    fs::write(folder.join("Cargo.toml"), MANIFEST)?;
    fs::write(folder.join("src/lib.rs"), SOURCE)?;
    let target = folder.join("target");
    if target.exists() {
        fs::remove_dir_all(&target).context("cannot empty the probe's target folder")?;
    }
    let mut command = toolchain.cargo()?;
    command
        .args(["build", "--target", "aarch64-unknown-none-softfloat"])
        .args(BUILD_STD)
        .arg("--target-dir")
        .arg(&target)
        .current_dir(&folder);
    let captured = proc::capture(&mut command, BUILD_LIMIT)?;
    if !captured.ok {
        bail!("core and alloc do not build:\n{}", captured.tail(15));
    }
    Ok(())
}
