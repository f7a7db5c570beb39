//! `cargo xtask board`: a kernel as the flat image that a Raspberry Pi's firmware loads from a card.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;
use object::Endianness;
use object::elf::{FileHeader64, PT_LOAD};
use object::read::elf::{FileHeader as _, ProgramHeader as _};

use crate::kernel::{self, Kernel, Profile, Target};
use crate::setup::repo;
use crate::setup::toolchain::Toolchain;
use crate::setup::version::Version;
use crate::ui::{bold, say, took};

/// A board that kernels can be built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Board {
    /// Raspberry Pi 3: Cortex-A53, no interrupts.
    Rpi3,
    /// Raspberry Pi 4: Cortex-A72, GIC-400.
    Rpi4,
}

impl Board {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Rpi3, Self::Rpi4];

    /// The name of its feature and of its files in examples/virt/boards.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rpi3 => "rpi3",
            Self::Rpi4 => "rpi4",
        }
    }

    /// QEMU's machine, and the version from which on it has it.
    #[must_use]
    pub fn machine(self) -> (&'static str, Version) {
        match self {
            Self::Rpi3 => ("raspi3b", Version::new(6, 0, 0)),
            Self::Rpi4 => ("raspi4b", Version::new(9, 0, 0)),
        }
    }

    /// The firmware's files that must lie beside the image.
    fn firmware(self) -> &'static str {
        match self {
            Self::Rpi3 => "bootcode.bin, start.elf and fixup.dat",
            Self::Rpi4 => "start4.elf and fixup4.dat",
        }
    }
}

/// How an image is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// As the board's firmware does it: one core at EL2, where the header says; the others in a loop of the firmware's.
    Firmware,
    /// As firmware that leaves all to the kernel does it: all cores at once at EL3, where old firmware loads.
    Bare,
}

/// QEMU's command line for an image.
#[must_use]
pub fn command(board: Board, image: &Path, start: Start, icount: bool) -> Command {
    const OLD_ADDRESS: &str = "0x80000";
    let mut command = Command::new(crate::setup::emulator::PROGRAM);
    command
        .args(["-machine", board.machine().0])
        .args(["-display", "none", "-monitor", "none", "-serial", "stdio"])
        .args(["-no-reboot", "-nodefaults"]);
    if icount {
        command.args(["-icount", "shift=0"]);
    }
    match start {
        Start::Firmware => {
            command.arg("-kernel").arg(image);
        }
        Start::Bare => {
            for core in 0..4 {
                let file = match core {
                    0 => format!(",file={},force-raw=on", image.display()),
                    _ => String::new(),
                };
                let device = format!("loader,addr={OLD_ADDRESS},cpu-num={core}{file}");
                command.args(["-device", &device]);
            }
        }
    }
    command
}

/// Builds a kernel for a board, in release, with its names, and writes its image; returns the image's path as well.
///
/// # Errors
/// When it cannot be built, or is not one that the board could load.
pub fn image(toolchain: &Toolchain, board: Board, kernel: &str) -> Result<(Kernel, PathBuf)> {
    let packages = kernel::packages()?;
    let package = packages
        .iter()
        .find(|package| package.binaries().contains(&kernel))
        .with_context(|| format!("no kernel is called {kernel}"))?;
    let built = kernel::build_for(
        toolchain,
        &[&package.name],
        Some(kernel),
        Target::Softfloat,
        Profile::Release,
        Some(board.name()),
    )?;
    let built = built.into_iter().next().context("nothing was built")?;
    let folder = folder(board);
    fs::create_dir_all(&folder)?;
    let path = folder.join(format!("{kernel}.img"));
    let bytes = fs::read(&built.elf)?;
    let bytes = flat(&bytes).with_context(|| format!("image of {kernel}"))?;
    fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    Ok((built, path))
}

fn folder(board: Board) -> PathBuf {
    repo().join("target/boards").join(board.name())
}

/// The loaded segments of an ELF file at their physical addresses, from the first on: an arm64 image, by its header.
fn flat(elf: &[u8]) -> Result<Vec<u8>> {
    let header = FileHeader64::<Endianness>::parse(elf)?;
    let endian = header.endian()?;
    let mut segments = Vec::new();
    for segment in header.program_headers(endian, elf)? {
        let bytes = segment.data(endian, elf);
        let bytes = bytes.map_err(|()| anyhow::anyhow!("a segment lies outside the file"))?;
        if segment.p_type(endian) == PT_LOAD && !bytes.is_empty() {
            segments.push((segment.p_paddr(endian), bytes));
        }
    }
    let base = segments.iter().map(|(at, _)| *at).min();
    let base = base.context("nothing to load")?;
    let mut image = Vec::new();
    for (at, bytes) in segments {
        let start = usize::try_from(at - base)?;
        let end = start + bytes.len();
        if end > image.len() {
            image.resize(end, 0);
        }
        image[start..end].copy_from_slice(bytes);
    }
    let magic = image.get(56..60);
    if magic != Some(b"ARM\x64") {
        bail!("it does not begin with the header of an arm64 image, but with {magic:x?} at 56");
    }
    Ok(image)
}

/// Builds the image, lays it out as a card has it, and says what to do with it.
///
/// # Errors
/// As [`image`].
pub fn run(toolchain: &Toolchain, board: Board, kernel: &str) -> Result<()> {
    let start = Instant::now();
    say(format!("building {kernel} for {}, release", board.name()));
    let (built, image) = self::image(toolchain, board, kernel)?;
    let card = folder(board).join("card");
    fs::create_dir_all(&card)?;
    fs::copy(&image, card.join("kernel8.img"))?;
    let config = repo().join("examples/virt/boards/config.txt");
    fs::copy(&config, card.join("config.txt"))
        .with_context(|| format!("cannot copy {}", config.display()))?;
    say(format!("  built ({})", took(start)));
    if let Some(names) = &built.names {
        say(format!("  names: {names}"));
    }
    say(format!(
        "\n{0}\n  {1}/kernel8.img  {2} bytes\n  {1}/config.txt",
        bold("for the card"),
        card.display(),
        fs::metadata(&image)?.len()
    ));
    say(format!(
        "\n{}\n\
         1. Take a card with Raspberry Pi OS on it. Its first partition (FAT) has {}.\n\
         2. Copy the two files there, over those that are there; keep the old ones if you want them back.\n\
         3. A serial adapter of 3.3 V: its ground to pin 6, its RX to pin 8 (GPIO14), its TX to pin 10 (GPIO15).\n\
         4. On the host, before the board gets its power:\n     \
            stty -F /dev/ttyUSB0 115200 raw -echo && cat /dev/ttyUSB0 | tee board.log\n\
         5. The last line is `board: done, code 0; this core is parked`. A bench's rows as a table:\n     \
            cargo xtask bench --log board.log",
        bold("what to do"),
        board.firmware()
    ));
    let (machine, since) = board.machine();
    say(format!(
        "\nin QEMU {since} or newer: qemu-system-aarch64 -M {machine} -kernel {} -display none -serial stdio",
        card.join("kernel8.img").display()
    ));
    Ok(())
}
