//! What the bench prints on a board: its rows out of the text from the serial line. Pure, but for reading the file.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use super::reference::MORE_CORES;
use super::table::{self, Row, Table};
use crate::ui::say;

/// The target that images for boards are built for.
const TARGET: &str = "softfloat";

fn rows(console: &str, timed: bool) -> Vec<Row> {
    let rows = console.lines().filter_map(table::row_in);
    rows.filter(|row| table::is_timed(row) == timed).collect()
}

fn number(row: &Row, field: &str) -> f64 {
    let value = row.get(field).and_then(serde_json::Value::as_f64);
    value.unwrap_or(0.0)
}

fn guarded(row: &Row) -> bool {
    row.get("guard").is_some_and(|guard| guard == true)
}

/// What is wrong with the rows of a board in an emulator, from one boot that counted instructions and one that took the
/// time: rows that are absent, times and cycles that are zero, tracers elsewhere that cost anything. Limits are `cargo xtask bench`'s
/// to judge.
#[must_use]
pub fn faults(counted: &str, timed: &str) -> Vec<String> {
    let (counted, timed) = (rows(counted, false), rows(timed, true));
    let all: Vec<Row> = counted.iter().chain(&timed).cloned().collect();
    let absent = Table::of(&all, TARGET).absent;
    let mut faults: Vec<String> = absent
        .iter()
        .filter(|row| !row.contains(MORE_CORES))
        .map(|row| format!("absent: {row}"))
        .collect();
    for row in &timed {
        for field in ["ns_per_call", "cycles_per_call"] {
            if number(row, field) <= 0.0 {
                faults.push(format!("{field} is not above zero: {row:?}"));
            }
        }
    }
    // Exact counts: they hang on the tracers that are called, to the last instruction.
    let mut by_relevant = BTreeMap::new();
    for row in counted
        .iter()
        .filter(|row| row.get("bench").is_some_and(|bench| bench == "table"))
    {
        let key = (guarded(row), number(row, "relevant") as u64);
        let overhead = number(row, "overhead_insns");
        let first = *by_relevant.entry(key).or_insert(overhead);
        if overhead != first || (key.1 > 0 && overhead <= 0.0) {
            faults.push(format!("{overhead} instructions, not {first}: {row:?}"));
        }
    }
    faults
}

/// Nanoseconds and cycles of each row, and what is above row 0/0.
fn times(rows: &[Row]) -> String {
    let mut text = String::new();
    for guard in [false, true] {
        let rows: Vec<&Row> = rows.iter().filter(|row| guarded(row) == guard).collect();
        let Some(base) = rows.first() else { continue };
        let above = |row: &Row, field| number(row, field) - number(base, field);
        let word = if guard { "with" } else { "without" };
        let _ = writeln!(
            text,
            "\n{word} recursion guard, a call of a trivial function\n\
             relevant/irrelevant        ns  overhead    cycles  overhead"
        );
        for row in &rows {
            let name = format!("{}/{}", number(row, "relevant"), number(row, "irrelevant"));
            let _ = writeln!(
                text,
                "{name:>19} {:>9.2} {:>9.2} {:>9.2} {:>9.2}",
                number(row, "ns_per_call"),
                above(row, "ns_per_call"),
                number(row, "cycles_per_call"),
                above(row, "cycles_per_call"),
            );
        }
    }
    text
}

/// Shows the tables of a serial line's text.
///
/// # Errors
/// When the file cannot be read or has no row.
pub fn show(path: &Path) -> Result<()> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let console = String::from_utf8_lossy(&bytes);
    let (counted, timed) = (rows(&console, false), rows(&console, true));
    if timed.is_empty() {
        bail!("{} has no row of the bench", path.display());
    }
    for line in console.lines().filter(|line| line.starts_with("board: ")) {
        say(line.trim_end());
    }
    say(times(&timed));
    // Cores whose PMU counts instructions print both.
    if counted.len() > 1 {
        let all: Vec<Row> = counted.iter().chain(&timed).cloned().collect();
        say(Table::of(&all, TARGET).text);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMED: &str = "board: x\r\n\
        {\"bench\":\"table_wall\",\"target\":\"softfloat\",\"guard\":false,\"relevant\":0,\"irrelevant\":0,\"ns_per_call\":5.0,\"cycles_per_call\":9.00}\r\n\
        {\"bench\":\"table_wall\",\"target\":\"softfloat\",\"guard\":false,\"relevant\":1,\"irrelevant\":2,\"ns_per_call\":7.5,\"cycles_per_call\":0.00}\r\n";

    fn table_row(relevant: u32, irrelevant: u32, overhead: f32) -> String {
        format!(
            "{{\"bench\":\"table\",\"target\":\"softfloat\",\"guard\":false,\"relevant\":{relevant},\"irrelevant\":{irrelevant},\"overhead_insns\":{overhead:.1}}}\n"
        )
    }

    #[test]
    fn times_stand_beside_what_is_above_the_untraced_call() {
        let text = times(&rows(TIMED, true));
        let last: Vec<&str> = text.lines().last().unwrap().split_whitespace().collect();
        assert_eq!(last, ["1/2", "7.50", "2.50", "0.00", "-9.00"]);
    }

    #[test]
    fn a_cycle_counter_that_stands_still_is_a_fault() {
        let zero: Vec<String> = faults("", TIMED)
            .into_iter()
            .filter(|fault| fault.contains("not above zero"))
            .collect();
        assert_eq!(zero.len(), 1, "{zero:?}");
        assert!(zero[0].starts_with("cycles_per_call"));
    }

    #[test]
    fn tracers_elsewhere_cost_nothing_to_the_last_instruction() {
        let inexact = |rows: &str| {
            let faults = faults(rows, "");
            faults
                .iter()
                .filter(|fault| fault.contains(" instructions, not "))
                .count()
        };
        assert_eq!(
            inexact(&(table_row(1, 0, 29.0) + &table_row(1, 100, 29.0))),
            0
        );
        assert_eq!(
            inexact(&(table_row(1, 0, 29.0) + &table_row(1, 100, 29.1))),
            1
        );
        assert_eq!(inexact(&table_row(1, 0, 0.0)), 1);
    }
}
