//! Traces that a kernel sends by its own sinks: to a file of the host's, and on a console that another core prints on.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use super::{LIMIT, Subject};
use crate::proc::Captured;
use crate::qemu::{self, Finished, Machine, Outcome};

pub const GUEST: &str = "what_is_sent_arrives_on_the_host";
/// Calls that it has recorded.
const CALLS: usize = 200;
/// Events of a frame, as src/record/stream.rs cuts them.
const BATCH: usize = 32;

impl Subject {
    /// Boots the kernel in the subject's folder, told this.
    fn send(&self, word: &str) -> Result<Finished> {
        let machine = Machine {
            cpu: "neoverse-n1".to_owned(),
            cores: 2,
            words: vec![word.to_owned()],
            ..Machine::default()
        };
        let mut command = qemu::command(&machine, &self.sender.elf);
        command.current_dir(self.folder.path());
        let finished = qemu::watch(command, LIMIT, None)?;
        ensure!(
            finished.outcome == Outcome::Exit(0),
            "{}",
            finished.explain()
        );
        Ok(finished)
    }

    /// The events of a trace: `outer` and `inner` by turns, as often as this.
    fn has_calls(&self, trace: &Path, count: usize) -> Result<()> {
        let elf = &self.sender.elf;
        let arguments = [trace, Path::new("--text=function"), Path::new("--elf"), elf];
        let shown = self.run("dump", &arguments)?;
        let name = |line: &str| {
            let call = line.rsplit_once(": ")?.1.split_once(" <-")?.0;
            Some(call.rsplit("::").next().unwrap_or_default().to_owned())
        };
        let calls: Vec<String> = shown.stdout.lines().filter_map(name).collect();
        let in_turn = calls.iter().zip(["outer", "inner"].iter().cycle());
        ensure!(
            calls.len() == count && in_turn.into_iter().all(|(call, wanted)| call == wanted),
            "{} calls where {count} were expected\n{}",
            calls.len(),
            shown.tail(20)
        );
        Ok(())
    }

    pub fn file(&self) -> Result<()> {
        let trace = self.path("sent.aft");
        // Of what stood in the file nothing is left.
        fs::write(&trace, vec![b'x'; 1 << 16])?;
        let finished = self.send("file")?;
        // QEMU keeps no errno of a write: the number is that of an earlier call.
        let refused = ["not there: Some(Device(2))", "full: Err(Device("];
        for answer in refused {
            ensure!(finished.console.contains(answer), "{}", finished.console);
        }
        let replayed = self.run("replay", &[&trace, Path::new("--elf"), &self.sender.elf])?;
        ensure!(replayed.ok, "replay: {}", replayed.tail(20));
        self.has_calls(&trace, CALLS)
    }

    /// What `aftrace console` makes of a console, and the trace that it writes.
    fn console(&self, finished: &Finished) -> Result<(Captured, PathBuf)> {
        let (log, trace) = (self.path("console.log"), self.path("console.aft"));
        fs::write(&log, &finished.bytes)?;
        let done = self.run("console", &[&log, Path::new("-o"), &trace])?;
        let lines: Vec<&str> = done.stdout.lines().map(str::trim_end).collect();
        let first = lines.iter().position(|line| line.starts_with("line "));
        let first = first.context("the other core has printed nothing")?;
        let (end, printed) = lines[first..].split_last().context("no text")?;
        let text = |n: usize| format!("line {n} of the other core");
        let wrong = (1..).zip(printed).find(|(n, line)| text(*n) != **line);
        ensure!(
            *end == "done" && wrong.is_none(),
            "what was printed arrived as {wrong:?}, and {end:?} in the end"
        );
        Ok((done, trace))
    }

    pub fn line(&self) -> Result<()> {
        let finished = self.send("line")?;
        let frame = |text: &[u8]| text == [0, 1];
        let between = finished.bytes.windows(2).filter(|pair| frame(pair)).count();
        ensure!(between > CALLS / BATCH, "{between} frames on the line");
        let (done, trace) = self.console(&finished)?;
        ensure!(done.ok, "console: {}", done.tail(20));
        self.has_calls(&trace, CALLS)
    }

    pub fn lossy(&self) -> Result<()> {
        let finished = self.send("lossy")?;
        let (done, trace) = self.console(&finished)?;
        ensure!(
            !done.ok && done.stderr.contains("are no frame") && done.stderr.contains("1 damaged"),
            "console: {}",
            done.tail(20)
        );
        self.has_calls(&trace, CALLS - BATCH)
    }
}
