//! A warm reset into another build: one kernel records, the machine ends, and a kernel with other functions boots on the same
//! RAM, which is a file.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use aarch64_ftrace::trace::{CONTROL_BYTES, EVENT_BYTES, HEADER_BYTES, REGION_ALIGN};
use aftrace::elf::{Addresses, Kernel as Elf};
use aftrace::trace::ram;
use anyhow::{Context as _, Result, ensure};

use super::Subject;
use crate::proc::Captured;
use crate::qemu::{self, Machine, Outcome};

/// Records where no loader writes.
pub const GUEST: &str = "a_recording_survives_a_warm_reset";
/// Its last calls, and all that its ring of 4096 bytes holds.
const LAST: [&str; 3] = ["first", "first", "second"];
const HELD: u64 = 4096 / EVENT_BYTES;
/// The task that called the last one.
const TASK: &str = "worker";
/// Where RAM begins on the virt machine.
const RAM: u64 = 0x4000_0000;

/// The RAM after the first kernel has ended.
struct Left {
    ram: PathBuf,
    /// Of the region in it.
    region: u64,
}

pub fn is_offered_by_another_build(subject: &Subject) -> Result<()> {
    let left = Left::by(subject)?;
    left.is_offered(subject)?;
    left.is_read_by_the_host(subject)?;
    left.is_checked(subject)
}

/// Boots a kernel on that RAM, told this; what it says.
fn boot(elf: &Path, ram: &Path, word: &str) -> Result<String> {
    let machine = Machine {
        ram: Some(ram.to_owned()),
        words: vec![word.to_owned()],
        ..Machine::default()
    };
    let finished = qemu::boot(&machine, elf, None)?;
    ensure!(
        finished.outcome == Outcome::Exit(0),
        "{}",
        finished.explain()
    );
    Ok(finished.console)
}

impl Left {
    fn by(subject: &Subject) -> Result<Self> {
        let ram = subject.path("ram.file");
        boot(&subject.resets.elf, &ram, "record")?;
        let regions = ram::find(&mut File::open(&ram)?, 0..u64::MAX)?;
        let [region] = &regions[..] else {
            anyhow::bail!("in RAM are {regions:?}")
        };
        let at = RAM + region.offset;
        for kernel in [&subject.resets, &subject.kernel] {
            let bytes = fs::read(&kernel.elf)?;
            let loaded = Elf::parse(&bytes)?.writable(Addresses::Physical);
            ensure!(
                !loaded.iter().any(|segment| segment.contains(&at)),
                "{}: a segment is loaded over {at:#x}",
                kernel.name
            );
        }
        let region = region.offset;
        Ok(Self { ram, region })
    }

    /// What the other kernel says of it.
    fn offered(&self, subject: &Subject) -> Result<String> {
        boot(&subject.kernel.elf, &self.ram, "offer")
    }

    /// With the addresses of the last events, which are the first kernel's functions, and not one name.
    fn is_offered(&self, subject: &Subject) -> Result<()> {
        let said = self.offered(subject)?;
        ensure!(
            said.contains("ftrace: recorded by another build, build id ")
                && said.contains(&format!("[000] task 7 {TASK}"))
                && said.contains("\nOther, 0 unfinished")
                && !said.contains("::"),
            "{said}"
        );
        let [recorded, offers] = [&subject.resets, &subject.kernel].map(|kernel| &kernel.elf);
        let (recorded, offers) = (fs::read(recorded)?, fs::read(offers)?);
        let (recorded, offers) = (Elf::parse(&recorded)?, Elf::parse(&offers)?);
        let last: Vec<String> = said
            .lines()
            .filter_map(|line| line.split_once("[000] 0x")?.1.split_once(" <- 0x"))
            .map(|(address, _)| {
                let address = u64::from_str_radix(address, 16)?;
                let name = last_name(&recorded, address).context("no function")?;
                let other = last_name(&offers, address).context("it has no text there")?;
                ensure!(name != other, "{address:#x} is {name} in both");
                Ok(name)
            })
            .collect::<Result<_>>()
            .with_context(|| said.clone())?;
        ensure!(last == LAST, "{last:?}\n{said}");
        Ok(())
    }

    /// As the verb on an image finds it: the names are of the kernel that recorded, and those of the other are refused.
    fn is_read_by_the_host(&self, subject: &Subject) -> Result<()> {
        let (done, trace) = self.dumped(subject, &subject.resets.elf)?;
        ensure!(
            done.ok && done.stdout.contains(&format!("core 0: {HELD} events;")),
            "{}",
            done.tail(20)
        );
        let shown = subject.run("dump", &[&trace, Path::new("--text=function")])?;
        let called = |line: &str| {
            let path = line.rsplit_once(": ")?.1.split_once(" <-")?.0;
            Some(path.rsplit("::").next()?.to_owned())
        };
        let calls: Vec<String> = shown.stdout.lines().filter_map(called).collect();
        ensure!(
            calls.len() as u64 == HELD - 1
                && calls.ends_with(&LAST.map(str::to_owned))
                && shown
                    .stdout
                    .trim_end()
                    .lines()
                    .last()
                    .is_some_and(|line| line.contains(TASK)),
            "{}",
            shown.tail(20)
        );
        fs::remove_file(&trace)?;
        let (refused, trace) = self.dumped(subject, &subject.kernel.elf)?;
        ensure!(
            !refused.ok && refused.stderr.contains("build id") && !trace.exists(),
            "{}",
            refused.tail(20)
        );
        Ok(())
    }

    fn dumped(&self, subject: &Subject, elf: &Path) -> Result<(Captured, PathBuf)> {
        let trace = subject.path("reset.aft");
        let arguments = [&self.ram, Path::new("--elf"), elf, Path::new("-o"), &trace];
        Ok((subject.run("dump-ram", &arguments)?, trace))
    }

    /// Bytes that are damaged between the boots: what the other kernel says then, and what the host does.
    fn is_checked(&self, subject: &Subject) -> Result<()> {
        // Of docs/trace-format.md: the build id, the mask of the second ring, which is written to since the snapshot, and the
        // highest byte of the callsite in its first slot.
        let slot = 2 * REGION_ALIGN as u64;
        let damages = [
            (
                104,
                "refused: the header's CRC is ",
                "the header's CRC is ".to_owned(),
            ),
            (
                (HEADER_BYTES + CONTROL_BYTES + 8) as u64,
                "refused: the control block of ring 1 is damaged",
                "the control block of ring 1 is damaged".to_owned(),
            ),
            (
                slot + 8 + 3,
                "Other, 1 unfinished",
                format!("core 0: {} events;", HELD - 1),
            ),
        ];
        for (at, said, by_host) in damages {
            self.flip(at)?;
            let offered = self.offered(subject)?;
            ensure!(
                offered.contains(said),
                "byte {at} of the region: {said:?} was expected\n{offered}"
            );
            let (done, _) = self.dumped(subject, &subject.resets.elf)?;
            ensure!(
                done.stdout.contains(&by_host) || done.stderr.contains(&by_host),
                "byte {at} of the region: {by_host:?} was expected\n{}",
                done.tail(20)
            );
            self.flip(at)?;
        }
        self.is_offered(subject)
    }

    /// Another value of a byte of the region; twice is as it was.
    fn flip(&self, at: u64) -> Result<()> {
        let ram = OpenOptions::new().read(true).write(true).open(&self.ram)?;
        let mut byte = [0];
        ram.read_exact_at(&mut byte, self.region + at)?;
        Ok(ram.write_all_at(&[byte[0] ^ 0x80], self.region + at)?)
    }
}

/// The last part of the name of the function that has an address.
fn last_name(kernel: &Elf, address: u64) -> Option<String> {
    let functions = kernel.functions();
    let before = functions.iter().filter(|(start, ..)| *start <= address);
    let (_, _, name) = before.max_by_key(|(start, ..)| *start)?;
    Some(name.rsplit("::").next()?.to_owned())
}
