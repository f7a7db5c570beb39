//! The host's command, as a person types it, on kernels that run, hang or have ended.

mod live;
mod names;
mod record;
mod reset;
mod run;
mod sent;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use self::live::Live;
use super::Tally;
use crate::kernel::{self, Kernel, Profile, Target};
use crate::proc::{self, Captured};
use crate::setup::Ready;
use crate::ui::heading;

/// The command takes no longer than this.
const LIMIT: Duration = Duration::from_secs(120);
const GUEST: &str = "a_hung_kernel_keeps_its_trace";
const BOOT: &str = "filters_are_set_before_the_first_instruction";
/// The task that hangs.
const TASK: &str = "spinner";
/// What its ring holds last, as `dump --text function` has it.
const LAST: [&str; 3] = [
    "take_the_lock <-main",
    "tick <-take_the_lock",
    "wait_for_the_lock <-main",
];
/// Calls that its ring holds, beside the event that says which task runs.
const HELD: usize = 255;

/// The command and the kernels that it is tried on.
struct Subject {
    program: PathBuf,
    kernel: Kernel,
    /// Of another build.
    other: Kernel,
    /// Traces what its boot configuration says.
    boot: Kernel,
    /// Has functions of all kinds.
    names: Kernel,
    /// Sends its trace.
    sender: Kernel,
    /// Records where no loader writes.
    resets: Kernel,
    folder: tempfile::TempDir,
}

/// Each verb that needs a machine.
pub fn check(tally: &mut Tally, ready: &Ready) {
    heading("the host's command on kernels");
    let mut subject = None;
    tally.step("build the command and its kernels", || {
        subject = Some(Subject::build(ready)?);
        Ok(())
    });
    let Some(subject) = subject else { return };
    tally.step("dump-ram: a hung kernel's last events", || {
        subject.dump_ram()
    });
    tally.step("warm reset: another build offers what is left", || {
        reset::is_offered_by_another_build(&subject)
    });
    tally.step(
        "replay: a file that the kernel wrote by semihosting",
        || subject.file(),
    );
    tally.step("console: frames between lines of text", || subject.line());
    tally.step("console: a frame that lost a byte", || subject.lossy());
    tally.step("attach: the same through the stub for GDB", || {
        subject.attach()
    });
    tally.step("run: events between lines of the console", || {
        run::shows_events(&subject)
    });
    tally.step("run: Ctrl-C ends QEMU", || run::ends(&subject));
    tally.step("record: told by the image, and by bootargs", || {
        record::from_boot_on(&subject)
    });
    tally.step("record: the graph within its limits", || {
        record::graph_is_limited(&subject)
    });
    tally.step(
        "names: generics, closures, traits, merged, inlined, lines",
        || names::are_read(&subject),
    );
    tally.step("record: a kernel that hangs, and one without space", || {
        record::ends_and_refuses(&subject)
    });
}

impl Subject {
    fn build(ready: &Ready) -> Result<Self> {
        let kernel = |package, name| -> Result<Kernel> {
            let (target, profile) = (Target::Softfloat, Profile::Release);
            let built = kernel::build(&ready.toolchain, &[package], Some(name), target, profile)?;
            built.into_iter().next().context("nothing was built")
        };
        Ok(Self {
            program: kernel::program()?,
            kernel: kernel("guest", GUEST)?,
            other: kernel("hello", "hello")?,
            boot: kernel("guest", BOOT)?,
            names: kernel("guest", names::GUEST)?,
            sender: kernel("guest", sent::GUEST)?,
            resets: kernel("guest", reset::GUEST)?,
            folder: tempfile::tempdir()?,
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, verb: &str, arguments: &[&Path]) -> Result<Captured> {
        let mut command = Command::new(&self.program);
        command.arg(verb).args(arguments);
        proc::capture(command.current_dir(self.folder.path()), LIMIT)
    }

    /// The functions and callers that a trace ends with, and how many calls it has.
    fn shows_the_last_events(&self, trace: &Path) -> Result<()> {
        let arguments = [trace, Path::new("--text=function")];
        let shown = self.run("dump", &arguments)?;
        ensure!(shown.ok, "dump: {}", shown.tail(20));
        let short = |path: &str| path.rsplit("::").next().unwrap_or_default().to_owned();
        let calls: Vec<String> = shown
            .stdout
            .lines()
            .filter_map(|line| line.rsplit_once(": ")?.1.split_once(" <-"))
            .map(|(function, caller)| format!("{} <-{}", short(function), short(caller)))
            .collect();
        ensure!(
            calls.len() == HELD && calls.ends_with(&LAST.map(str::to_owned)),
            "{} calls where {HELD} were expected; the last are {:?}",
            calls.len(),
            &calls[calls.len().saturating_sub(3)..]
        );
        let last = shown.stdout.lines().rev().take(LAST.len());
        ensure!(
            last.into_iter().all(|line| line.contains(TASK)),
            "the task's name is not {TASK:?}: {}",
            shown.tail(4)
        );
        Ok(())
    }

    fn dump_ram(&self) -> Result<()> {
        let live = Live::boot(&self.kernel.elf, self.folder.path(), "hang")?;
        live.wait_for("now it hangs")?;
        let image = self.path("ram.image");
        live.save_memory(&image)?;
        drop(live);
        let trace = self.path("hung.aft");
        let dump = |kernel: &Kernel| {
            let arguments = [
                &image,
                Path::new("--elf"),
                &kernel.elf,
                Path::new("-o"),
                &trace,
            ];
            self.run("dump-ram", &arguments)
        };
        let refused = dump(&self.other)?;
        if refused.ok || !refused.stderr.contains("build id") || trace.exists() {
            bail!(
                "another kernel's names were not refused: {}",
                refused.tail(20)
            );
        }
        let done = dump(&self.kernel)?;
        ensure!(done.ok, "dump-ram: {}", done.tail(20));
        self.shows_the_last_events(&trace)
    }

    fn attach(&self) -> Result<()> {
        let live = Live::boot(&self.kernel.elf, self.folder.path(), "hang")?;
        live.wait_for("now it hangs")?;
        let trace = self.path("attached.aft");
        let attach = |kernel: &Kernel, more: &[&str]| {
            let mut arguments = vec![Path::new(&live.stub), Path::new("--elf"), &kernel.elf];
            arguments.extend([Path::new("-o"), &trace]);
            arguments.extend(more.iter().map(Path::new));
            self.run("attach", &arguments)
        };
        let ram = ["--memory", "0x40000000+256M", "--physical"];
        let refused = attach(&self.other, &ram)?;
        if refused.ok || !refused.stderr.contains("build id") || trace.exists() {
            bail!(
                "another kernel's names were not refused: {}",
                refused.tail(20)
            );
        }
        ensure!(live.is_running()?, "stopped by an attach that was refused");
        let ways: [(&[&str], bool); 3] = [(&[], true), (&ram, true), (&["--keep-stopped"], false)];
        for (more, runs) in ways {
            let done = attach(&self.kernel, more)?;
            ensure!(done.ok, "attach {more:?}: {}", done.tail(20));
            self.shows_the_last_events(&trace)?;
            ensure!(
                live.is_running()? == runs,
                "{more:?} left it stopped: {runs}"
            );
            std::fs::remove_file(&trace)?;
        }
        // The machine stands since the last one. QEMU's stub stops it again at the first read, and says so.
        let refused = attach(&self.kernel, &["--running", "--patience", "3"])?;
        ensure!(
            refused.code == Some(2)
                && refused.stderr.contains("without --running")
                && !trace.exists()
                && live.is_running()?,
            "--running: {}",
            refused.tail(20)
        );
        let stub = live.stub.clone();
        drop(live);
        let gone = self.run(
            "attach",
            &[Path::new(&stub), Path::new("--elf"), &self.kernel.elf],
        )?;
        ensure!(
            !gone.ok && gone.stderr.contains("-gdb"),
            "{}",
            gone.tail(20)
        );
        Ok(())
    }
}
