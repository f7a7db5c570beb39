//! The images for boards, each booted on QEMU's model of its board: the bench's rows, the ways to be started, the tracer
//! under interrupts. QEMU's time is not the board's, so nothing here judges a time, only that there is one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::Tally;
use crate::bench;
use crate::board::{self, Board, Start};
use crate::expect;
use crate::qemu::{self, Outcome};
use crate::setup::{Ready, repo};
use crate::ui::heading;

const LIMIT: Duration = Duration::from_secs(120);
const BENCH: &str = "bench-table";
const HELLO: &str = "hello";
/// Guests that run on a board as they do on QEMU's virt machine; the second one needs interrupts.
const GUEST: &str = "startup_selftest_counts_are_exact";
const INTERRUPTS: &str = "interrupts_in_a_tracer_are_traced";

/// What `hello` says on a board: the board's own lines first and last.
const HELLO_SAYS: &str = "board: {*}, entered at EL3, loaded at 0x80000, counter at {#} Hz
ftrace: {#} callsites, {#} records left alone, {#} names
untraced: 58
3 functions: 3 switched on, 0 off, 0 shared
  hello::kitchen::dinner(2) from hello::main+0x{x}
  hello::kitchen::soup(2) from hello::kitchen::dinner+0x{x}
  hello::kitchen::bread(3) from hello::kitchen::dinner+0x{x}
  hello::kitchen::bread(4) from hello::kitchen::dinner+0x{x}
traced: 58
0 functions: 0 switched on, 3 off, 0 shared
board: done, code 0; this core is parked
";

/// Every board.
pub fn check(tally: &mut Tally, ready: &Ready) {
    heading("images for boards");
    for board in Board::ALL {
        let name = board.name();
        let (machine, since) = board.machine();
        let guests = match board {
            Board::Rpi3 => &[GUEST][..],
            Board::Rpi4 => &[GUEST, INTERRUPTS],
        };
        if ready.qemu < since {
            let why = format!("{machine} needs QEMU {since}, here is {}", ready.qemu);
            for what in [BENCH, HELLO].iter().chain(guests) {
                tally.skip(format!("{what} on {name}"), why.clone());
            }
            continue;
        }
        let image = |kernel: &str| -> Result<PathBuf> {
            Ok(board::image(&ready.toolchain, board, kernel)?.1)
        };
        tally.step(&format!("{BENCH} on {name}: rows, ns, cycles"), || {
            bench_says_all(board, &image(BENCH)?)
        });
        tally.step(&format!("{HELLO} on {name}, all cores at EL3"), || {
            let console = boot(board, &image(HELLO)?, Start::Bare, false)?;
            compare(HELLO_SAYS, &console)
        });
        for guest in guests {
            tally.step(&format!("{guest} on {name}"), || {
                let console = boot(board, &image(guest)?, Start::Firmware, false)?;
                let said: Vec<&str> = console
                    .lines()
                    .filter(|line| !line.starts_with("board: "))
                    .collect();
                let expected = repo().join(format!("tests/guest/src/bin/{guest}.expected"));
                let expected = std::fs::read_to_string(&expected)
                    .with_context(|| format!("no {}", expected.display()))?;
                compare(&expected, &said.join("\n"))
            });
        }
    }
}

fn boot(board: Board, image: &Path, start: Start, icount: bool) -> Result<String> {
    let command = board::command(board, image, start, icount);
    let finished = qemu::watch(command, LIMIT, None)?;
    if finished.outcome != Outcome::Parked(0) {
        bail!("  code 0 expected, {}", finished.explain());
    }
    Ok(finished.console)
}

fn compare(expected: &str, console: &str) -> Result<()> {
    expect::compare(expected, console)
        .map_err(|difference| anyhow::anyhow!("  {difference}\n  the console:\n{console}"))
}

/// Time on the clock, instructions under -icount, from one and the same image.
fn bench_says_all(board: Board, image: &Path) -> Result<()> {
    let timed = boot(board, image, Start::Firmware, false)?;
    let banner = ", entered at EL2, loaded at 0x200000, counter at ";
    if !timed.lines().any(|line| line.contains(banner)) {
        bail!("  no line with `{banner}`:\n{timed}");
    }
    let counted = boot(board, image, Start::Firmware, true)?;
    let faults = bench::log::faults(&counted, &timed);
    if !faults.is_empty() {
        bail!("  {}", faults.join("\n  "));
    }
    Ok(())
}
