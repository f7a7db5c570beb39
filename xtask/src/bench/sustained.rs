//! Events a second that four cores record while a fifth reads, with the losses: one row a way of recording, made of what the kernel
//! says of each core.

use std::fmt::Write as _;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::table::Row;

/// Its kernel.
pub const PACKAGE: &str = "bench-sustained";
/// What its command line says.
pub const MODES: [&str; 2] = ["overwrite", "stop-when-full"];
/// Cores that write.
pub const WRITERS: usize = 4;
const BENCH: &str = "record_function_sustained";
/// Of each core, and their sums.
const FIELDS: [&str; 6] = ["calls", "written", "overwritten", "dropped", "read", "lost"];

fn number(row: &Row, field: &str) -> Result<u64> {
    row.get(field)
        .and_then(Value::as_u64)
        .with_context(|| format!("a row of {BENCH} has no number {field}: {row:?}"))
}

/// One row of a boot's rows, a core each.
///
/// # Errors
/// When a core or a field is absent, or an event is not accounted for.
pub fn join(cores: &[Row]) -> Result<Row> {
    if cores.len() != WRITERS {
        bail!("{} cores wrote, not {WRITERS}", cores.len());
    }
    let mut row = Row::new();
    row.insert("bench".to_owned(), BENCH.into());
    for field in ["target", "mode", "ns"] {
        let same = &cores[0][field];
        row.insert(field.to_owned(), same.clone());
    }
    row.insert("cores".to_owned(), WRITERS.into());
    for field in FIELDS {
        let sum = cores.iter().try_fold(0, |sum, core| {
            Ok::<_, anyhow::Error>(sum + number(core, field)?)
        })?;
        row.insert(field.to_owned(), sum.into());
    }
    let of = |field| number(&row, field);
    if of("written")? + of("dropped")? != of("calls")?
        || of("read")? + of("lost")? != of("written")?
    {
        bail!("events are not accounted for: {row:?}");
    }
    let seconds = of("ns")? as f64 / 1e9;
    let rate = |events: u64| (events as f64 / seconds).round() as u64;
    let (written, read) = (rate(of("written")?), rate(of("read")?));
    row.insert("events_per_second".to_owned(), written.into());
    row.insert("read_per_second".to_owned(), read.into());
    let per_core = cores.iter().map(|core| {
        let mut core = core.clone();
        core.retain(|key, _| key == "core" || FIELDS.contains(&key.as_str()));
        Value::Object(core)
    });
    row.insert("per_core".to_owned(), per_core.collect());
    Ok(row)
}

/// What a person reads, of one target.
///
/// # Errors
/// When a row is absent, or a number in it.
pub fn text(rows: &[Row], target: &str) -> Result<String> {
    let mut text = format!(
        "{target}: {WRITERS} cores call a recorded function without a pause, one more reads; events, those \
         a second by QEMU's time\n\
         {:<15} core {:>11} {:>11} {:>11} {:>11} {:>11}  a second\n",
        "", "written", "overwritten", "dropped", "read", "lost unread"
    );
    for mode in MODES {
        let row = rows
            .iter()
            .find(|row| {
                let is = |field, value: &str| row.get(field) == Some(&json!(value));
                is("bench", BENCH) && is("target", target) && is("mode", mode)
            })
            .with_context(|| format!("absent: {BENCH} {target} {mode}"))?;
        let cores = row.get("per_core").and_then(Value::as_array);
        for core in cores.into_iter().flatten().filter_map(Value::as_object) {
            let name = number(core, "core")?.to_string();
            let _ = writeln!(text, "{mode:<15} {name:>4} {}", figures(core)?);
        }
        let rate = number(row, "events_per_second")?;
        let _ = writeln!(text, "{mode:<15}  all {} {rate:>9}", figures(row)?);
    }
    Ok(text)
}

fn figures(row: &Row) -> Result<String> {
    let mut text = String::new();
    for field in ["written", "overwritten", "dropped", "read", "lost"] {
        let _ = write!(text, "{:>11} ", number(row, field)?);
    }
    text.pop();
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn core(core: u64, written: u64, lost: u64) -> Row {
        let row = json!({
            "bench": BENCH, "target": "softfloat", "mode": "overwrite", "core": core, "ns": 2_000_000_000_u64,
            "calls": written, "written": written, "overwritten": written - 1000, "dropped": 0,
            "read": written - lost, "lost": lost,
        });
        row.as_object().expect("it is one").clone()
    }

    fn four() -> Vec<Row> {
        (1..=4).map(|n| core(n, 10_000 * n, 500 * n)).collect()
    }

    #[test]
    fn a_row_is_the_sum_of_its_cores_and_keeps_each() {
        let row = join(&four()).unwrap();
        assert_eq!(number(&row, "written").unwrap(), 100_000);
        assert_eq!(number(&row, "lost").unwrap(), 5_000);
        assert_eq!(number(&row, "events_per_second").unwrap(), 50_000);
        assert_eq!(number(&row, "read_per_second").unwrap(), 47_500);
        assert_eq!(row["per_core"][3]["written"], 40_000);
        assert_eq!(row["per_core"].as_array().unwrap().len(), 4);
    }

    #[test]
    fn an_event_that_is_not_accounted_for_is_an_error() {
        let mut rows = four();
        rows[2].insert("read".to_owned(), 28_499.into());
        assert!(join(&rows).unwrap_err().to_string().contains("accounted"));
        let mut rows = four();
        rows[2].insert("dropped".to_owned(), 1.into());
        assert!(join(&rows).unwrap_err().to_string().contains("accounted"));
    }

    #[test]
    fn a_core_or_a_field_that_is_absent_is_an_error() {
        let mut rows = four();
        rows[1].remove("lost");
        assert!(join(&rows).unwrap_err().to_string().contains("lost"));
        assert!(join(&four()[1..]).is_err());
        assert!(text(&[], "softfloat").is_err());
    }

    #[test]
    fn losses_stand_beside_what_was_written_for_each_core() {
        let mut stop = join(&four()).unwrap();
        stop.insert("mode".to_owned(), "stop-when-full".into());
        let text = text(&[join(&four()).unwrap(), stop], "softfloat").unwrap();
        let words =
            |line: &str| -> Vec<String> { line.split_whitespace().map(str::to_owned).collect() };
        let lines: Vec<Vec<String>> = text.lines().map(words).collect();
        assert_eq!(lines.len(), 2 + 2 * (WRITERS + 1));
        assert_eq!(
            lines[3],
            ["overwrite", "2", "20000", "19000", "0", "19000", "1000"]
        );
        assert_eq!(
            lines[6],
            [
                "overwrite",
                "all",
                "100000",
                "96000",
                "0",
                "95000",
                "5000",
                "50000"
            ]
        );
        assert_eq!(lines[11][..3], ["stop-when-full", "all", "100000"]);
    }
}
