//! Variants of a kernel's build: where it is linked and loaded, how its text is mapped, which branches are checked. `linker.ld`
//! and virt's `boot.S` know how; here is what the compiler and the linker are told.

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Result, bail};
use clap::ValueEnum;

use crate::kernel::{self, Kernel, Profile, Target};
use crate::proc;
use crate::setup::toolchain::Toolchain;

/// Where [`Variant::Elsewhere`] is loaded: physical, on a boundary of 2 MiB.
const ELSEWHERE: u64 = 0x4180_0000;

/// How a kernel is built besides target and profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Variant {
    /// Linked where it is loaded, text in 4 KiB pages.
    Plain,
    /// Text and rodata in blocks of 2 MiB.
    Blocks,
    /// In the upper half of the address space (TTBR1).
    High,
    /// Compiled with `-Zbranch-protection=bti,pac-ret`, text guarded.
    Bti,
    /// Position-independent, linked at 0, relocates itself to where it is loaded; compiled as `Bti`.
    Relocated,
    /// The same, loaded to an address that is not the board's.
    Elsewhere,
}

impl Variant {
    /// All but the plain one.
    pub const OTHERS: [Self; 5] = [
        Self::Blocks,
        Self::High,
        Self::Bti,
        Self::Relocated,
        Self::Elsewhere,
    ];

    /// What the compiler is told besides the flags of all kernels. The code of all these variants is the same, so that the library
    /// of Rust is built once more and not twice.
    #[must_use]
    pub fn rustflags(self) -> &'static [&'static str] {
        match self {
            Self::Plain | Self::Blocks | Self::High => &[],
            Self::Bti | Self::Relocated | Self::Elsewhere => &[
                "-Zbranch-protection=bti,pac-ret",
                "-Crelocation-model=pic",
                "-Clink-arg=--defsym=GUARDED=1",
            ],
        }
    }

    /// What the linker is told besides.
    #[must_use]
    pub fn link_arguments(self) -> Vec<String> {
        let symbol = |name, value| format!("--defsym={name}={value:#x}");
        let relocated = || vec!["-pie".to_owned(), symbol("LINK_AT", 0)];
        match self {
            Self::Plain | Self::Bti => vec![],
            Self::Blocks => vec![symbol("IN_BLOCKS", 1)],
            Self::High => vec![
                symbol("LINK_AT", 0xffff_ff80_4020_0000),
                symbol("VIRT_AT", 0xffff_ff80_0000_0000),
            ],
            Self::Relocated => relocated(),
            Self::Elsewhere => {
                let mut all = relocated();
                all.push(symbol("LOAD_AT", ELSEWHERE));
                all
            }
        }
    }

    /// Its folder below that of all kernels: one for each set of compiler's flags.
    #[must_use]
    pub fn folder(self) -> &'static str {
        if self.rustflags().is_empty() {
            ""
        } else {
            "guarded"
        }
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Plain => "plain",
            Self::Blocks => "blocks",
            Self::High => "high",
            Self::Bti => "bti",
            Self::Relocated => "relocated",
            Self::Elsewhere => "elsewhere",
        })
    }
}

/// Builds kernels of one package in a variant: by one command where the linker is told nothing of its own. Otherwise each gets
/// the linker's arguments in a command of its own, which leaves everything below it as it is: a variant of the layout alone
/// costs no second build of Rust's library.
///
/// # Errors
/// When a build fails, with the compiler's own words, or the names cannot be written.
pub fn build(
    toolchain: &Toolchain,
    package: &str,
    binaries: &[&str],
    target: Target,
    profile: Profile,
    variant: Variant,
) -> Result<Vec<Kernel>> {
    let arguments = variant.link_arguments();
    let (subcommand, at_once) = match arguments.is_empty() {
        true => ("build", binaries.len().max(1)),
        false => ("rustc", 1),
    };
    let mut kernels = Vec::new();
    for binaries in binaries.chunks(at_once) {
        let folder = kernel::folder(target).join(variant.folder());
        let mut command = kernel::cargo_in(toolchain, subcommand, target, &folder)?;
        if !variant.rustflags().is_empty() {
            let flags = serde_json::to_string(variant.rustflags())?;
            command
                .arg("--config")
                .arg(format!("target.{}.rustflags={flags}", target.triple()))
                // These kernels are booted, and nothing looks into them for types or lines.
                .args(["--config", "profile.release.debug=false"]);
        }
        command
            .args(["--profile", profile.name(), "-p", package])
            .args(binaries.iter().flat_map(|binary| ["--bin", binary]))
            .arg("--message-format=json-render-diagnostics");
        if !arguments.is_empty() {
            command.arg("--");
            command.args(arguments.iter().map(|word| format!("-Clink-arg={word}")));
        }
        let captured = proc::capture(&mut command, kernel::BUILD_LIMIT)?;
        if !captured.ok {
            bail!("`{}` failed:\n{}", proc::line(&command), captured.stderr);
        }
        let name = variant.to_string();
        for (binary, path) in kernel::executables(&captured.stdout) {
            let kernel = kernel::with_names(&binary, &path, target, profile, Some(&name))?;
            if variant == Variant::Elsewhere {
                is_loaded_to(&kernel.elf, ELSEWHERE)?;
            }
            kernels.push(kernel);
        }
    }
    Ok(kernels)
}

/// A kernel that is loaded where all others are proves nothing of a second place.
fn is_loaded_to(elf: &Path, expected: u64) -> Result<()> {
    let bytes = fs::read(elf)?;
    let text = aftrace::elf::Kernel::parse(&bytes)?.text();
    let found = text.map(|text| text.load_address);
    if found != Some(expected) {
        bail!(
            "{} is loaded to {found:#x?}, not {expected:#x}",
            elf.display()
        );
    }
    Ok(())
}
