//! Boots a kernel in QEMU, as cargo's runner does, with its console taken apart into text and frames.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};

use crate::trace::uart::{Demultiplexer, Output};

/// QEMU ends itself when it is asked to; one that does not is ended after this.
const GRACE: Duration = Duration::from_secs(5);
/// Between two looks whether it has ended.
const PAUSE: Duration = Duration::from_millis(20);
/// While it says nothing, so often is looked whether it has ended: a process that it has started may hold its console open.
const LOOK: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 20_000_000,
};

/// The command that boots `kernel` on QEMU's virt machine; `more` follows, and so overrides what stands before it. The console is
/// this terminal: Ctrl-C ends QEMU, Ctrl-A C changes to its monitor.
#[must_use]
pub fn command(qemu: &OsStr, kernel: &Path, more: &[OsString]) -> Command {
    let mut command = Command::new(qemu);
    command
        .args(["-machine", "virt", "-cpu", "max", "-semihosting"])
        .args(["-display", "none", "-no-reboot", "-nodefaults"])
        .args(["-chardev", "stdio,id=console,mux=on,signal=on"])
        .args(["-serial", "chardev:console", "-mon", "chardev=console"])
        .arg("-kernel")
        .arg(kernel)
        .args(more);
    command
}

/// A QEMU that runs.
pub struct Machine {
    child: Arc<Mutex<Child>>,
    stdout: std::process::ChildStdout,
}

/// Ends a QEMU from elsewhere: from the handler of a signal's own thread, or after a time.
#[derive(Clone)]
pub struct Stop(Arc<Mutex<Child>>);

impl Machine {
    /// Starts it. It reads this process's standard input.
    ///
    /// # Errors
    /// The system cannot start it.
    pub fn start(mut command: Command) -> io::Result<Self> {
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Self {
            child: Arc::new(Mutex::new(child)),
            stdout,
        })
    }

    /// What ends it.
    #[must_use]
    pub fn stop(&self) -> Stop {
        Stop(Arc::clone(&self.child))
    }

    /// Hands on what it says, as soon as it is said, until it has ended.
    ///
    /// # Errors
    /// Those of `each`; QEMU is ended then.
    pub fn watch(
        mut self,
        mut each: impl FnMut(Output) -> io::Result<()>,
    ) -> io::Result<ExitStatus> {
        let mut demultiplexer = Demultiplexer::new();
        let mut buffer = vec![0; 1 << 16];
        let mut left = None;
        let mut result = Ok(());
        while result.is_ok() {
            let mut out = |output| {
                if result.is_ok() {
                    result = each(output);
                }
            };
            match self.read(&mut buffer, &mut left) {
                Ok(0) => {
                    demultiplexer.end(&mut out);
                    break;
                }
                Ok(length) => demultiplexer.push(&buffer[..length], &mut out),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => result = Err(error),
            }
        }
        if result.is_err() {
            self.stop().end();
        }
        // Not in one wait: who ends it from elsewhere must come to it. It may have closed its console, and go on.
        let status = loop {
            match held(&self.child).try_wait()? {
                Some(status) => break status,
                None => thread::sleep(PAUSE),
            }
        };
        result.map(|()| status)
    }

    /// What it says next; 0 bytes when there is no more. `left` is what it had said and nobody had read when it had ended: who else
    /// writes there may go on for ever.
    fn read(&mut self, buffer: &mut [u8], left: &mut Option<u64>) -> io::Result<usize> {
        loop {
            if left.is_none() && held(&self.child).try_wait()?.is_some() {
                *left = Some(rustix::io::ioctl_fionread(&self.stdout)?);
            }
            if let Some(left) = left {
                let most =
                    usize::try_from(*left).map_or(buffer.len(), |left| left.min(buffer.len()));
                let length = self.stdout.read(&mut buffer[..most])?;
                *left -= length as u64;
                return Ok(length);
            }
            let mut says = [PollFd::new(&self.stdout, PollFlags::IN)];
            if poll(&mut says, Some(&LOOK))? > 0 {
                return self.stdout.read(buffer);
            }
        }
    }
}

impl Stop {
    /// Asks QEMU to end itself, and ends it where it does not. Who is ended by force leaves the terminal as it has set it, without echo.
    pub fn end(&self) {
        let start = Instant::now();
        if let Ok(child) = self.running() {
            kill_process(Pid::from_child(&child), Signal::TERM).ok();
        }
        while start.elapsed() < GRACE {
            if self.running().is_err() {
                return;
            }
            thread::sleep(PAUSE);
        }
        held(&self.0).kill().ok();
    }

    /// While this is held, its number is no other process's.
    fn running(&self) -> Result<MutexGuard<'_, Child>, ()> {
        let mut child = held(&self.0);
        match child.try_wait() {
            Ok(None) => Ok(child),
            _ => Err(()),
        }
    }
}

fn held(child: &Mutex<Child>) -> MutexGuard<'_, Child> {
    child.lock().unwrap_or_else(PoisonError::into_inner)
}
