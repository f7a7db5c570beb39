//! Makes the table that a person reads out of the kernels' JSON rows. Pure.

use std::fmt::Write as _;

use serde_json::Value;

use super::reference::{
    ENTRIES, ENTRY_FIELDS, FIGURES, Figure, ROWS, limit_overhead, linux_overhead, linux_ratio,
};

/// One object that a kernel printed.
pub type Row = serde_json::Map<String, Value>;

/// The row in a console line, whatever stands before it.
#[must_use]
pub fn row_in(line: &str) -> Option<Row> {
    let start = line.find("{\"bench\":")?;
    match serde_json::from_str(line[start..].trim_end()) {
        Ok(Value::Object(row)) => Some(row),
        _ => None,
    }
}

/// Whether a row is about time; all others are about instructions or memory.
#[must_use]
pub fn is_timed(row: &Row) -> bool {
    text(row, "bench").is_some_and(|bench| bench.ends_with("_wall"))
}

/// Gives each row of instructions the time of the other boot, where the kernel prints that under the same name with
/// `_wall`. The seed's table keeps its own rows of time.
pub fn join_times(rows: &mut Vec<Row>) {
    let is_time = |row: &Row| is_timed(row) && text(row, "bench") != Some("table_wall");
    let times: Vec<Row> = rows.extract_if(.., |row| is_time(row)).collect();
    for time in times {
        let of = |row: &Row| {
            text(row, "target") == text(&time, "target")
                && text(row, "bench")
                    .map(|bench| format!("{bench}_wall"))
                    .as_deref()
                    == text(&time, "bench")
        };
        let ns = time.get("ns_per_call").cloned();
        if let (Some(row), Some(ns)) = (rows.iter_mut().find(|row| of(row)), ns) {
            row.insert("ns_per_call".to_owned(), ns);
        }
    }
}

/// Fields that the rows of the entries should have and do not, after [`join_times`].
pub fn holes(rows: &[Row], target: &str) -> Vec<String> {
    let mut holes = Vec::new();
    for entry in ENTRIES {
        let row = find(rows, entry, target, |_| true);
        for field in ENTRY_FIELDS {
            if row.and_then(|row| number(row, field)).is_none() {
                holes.push(format!("{target} {entry}: {field}"));
            }
        }
    }
    holes
}

/// A finished table.
#[derive(Debug, Default)]
pub struct Table {
    /// The text.
    pub text: String,
    /// Rows that miss their limit, one line each, with the kernel's reason if it gives one.
    pub missed: Vec<String>,
    /// Rows that should be there and are not.
    pub absent: Vec<String>,
    /// Those of them that have a limit.
    pub unjudged: Vec<String>,
}

fn number(row: &Row, field: &str) -> Option<f64> {
    row.get(field)?.as_f64()
}

fn text<'a>(row: &'a Row, field: &str) -> Option<&'a str> {
    row.get(field)?.as_str()
}

fn find<'a>(
    rows: &'a [Row],
    bench: &str,
    target: &str,
    more: impl Fn(&Row) -> bool,
) -> Option<&'a Row> {
    rows.iter().find(|row| {
        text(row, "bench") == Some(bench) && text(row, "target") == Some(target) && more(row)
    })
}

fn is_seed(row: &Row, guard: bool, relevant: u32, irrelevant: u32) -> bool {
    row.get("guard").and_then(Value::as_bool) == Some(guard)
        && number(row, "relevant") == Some(f64::from(relevant))
        && number(row, "irrelevant") == Some(f64::from(irrelevant))
}

/// A figure as short as it can be: no decimals where there are none, and none where they do not matter.
fn short(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) if value.abs() >= 1000.0 || (value - value.round()).abs() < 0.005 => {
            format!("{value:.0}")
        }
        Some(value) => format!("{value:.2}"),
    }
}

/// What stands beside a figure that misses its limit. Figures are exact; half a per cent is the loop around them.
fn verdict(value: Option<f64>, limit: Option<f64>) -> &'static str {
    match (value, limit) {
        (Some(value), Some(limit)) if value > limit + 0.05 => "MISSED",
        (Some(_), Some(_)) => "ok",
        _ => "",
    }
}

impl Table {
    /// The table of one target.
    #[must_use]
    pub fn of(rows: &[Row], target: &str) -> Self {
        let mut table = Self::default();
        table.seed(rows, target);
        table.figures(rows, target);
        table
    }

    fn seed(&mut self, rows: &[Row], target: &str) {
        for guard in [false, true] {
            let word = if guard { "with" } else { "without" };
            let _ = writeln!(
                self.text,
                "\n{target}: 100,000 calls of a trivial function, tracer {word} recursion guard; \
                 instructions exact, time relative to row 0/0\n\
                 relevant/irrelevant  per call  overhead     Linux   at most         |  ns/call   ratio   Linux"
            );
            for (relevant, irrelevant) in ROWS {
                self.seed_row(rows, target, guard, relevant, irrelevant);
            }
        }
    }

    fn seed_row(
        &mut self,
        rows: &[Row],
        target: &str,
        guard: bool,
        relevant: u32,
        irrelevant: u32,
    ) {
        let is_row = |row: &Row| is_seed(row, guard, relevant, irrelevant);
        let counted = find(rows, "table", target, is_row);
        let timed = find(rows, "table_wall", target, is_row);
        let name = format!("{relevant}/{irrelevant}");
        let full = format!("{target} {name}{}", if guard { " guarded" } else { "" });
        if counted.is_none() {
            self.absent.push(format!("table {full}"));
        }
        if timed.is_none() {
            self.absent.push(format!("table_wall {full}"));
        }
        let overhead = counted.and_then(|row| number(row, "overhead_insns"));
        let linux = linux_overhead(guard, relevant, irrelevant);
        // DESIGN.md's limits are for the soft-float target; the other one saves the vector registers as well.
        let limit = limit_overhead(guard, relevant).filter(|_| target == "softfloat");
        let _ = writeln!(
            self.text,
            "{name:>19} {:>9} {:>9} {:>9} {:>9} {:<6}  | {:>8} {:>7} {:>7}",
            short(counted.and_then(|row| number(row, "insns_per_call"))),
            short(overhead),
            short(Some(linux)),
            short(limit),
            verdict(overhead, limit),
            short(timed.and_then(|row| number(row, "ns_per_call"))),
            short(timed.and_then(|row| number(row, "ratio"))),
            short(linux_ratio(relevant, irrelevant)),
        );
        self.judge(&full, counted, overhead, limit);
    }

    fn figures(&mut self, rows: &[Row], target: &str) {
        let _ = writeln!(
            self.text,
            "\n{target}: other figures{:<36} {:>9} {:>9} {:>9}",
            "", "ours", "Linux", "at most"
        );
        for figure in &FIGURES {
            self.figure(rows, target, figure);
        }
    }

    fn figure(&mut self, rows: &[Row], target: &str, figure: &Figure) {
        let row = find(rows, figure.bench, target, |row| {
            text(row, "via") == figure.via
        });
        let value = row.and_then(|row| number(row, figure.field));
        let full = format!("{target} {}", figure.title);
        if value.is_none() {
            self.absent.push(full.clone());
        }
        let limit = figure.limit.filter(|_| target == "softfloat");
        let _ = writeln!(
            self.text,
            "  {:<53} {:>9} {:>9} {:>9} {}",
            figure.title,
            short(value),
            short(figure.linux),
            short(limit),
            verdict(value, limit),
        );
        self.judge(&full, row, value, limit);
    }

    fn judge(&mut self, name: &str, row: Option<&Row>, value: Option<f64>, limit: Option<f64>) {
        if value.is_none() && limit.is_some() {
            self.unjudged.push(name.to_owned());
        }
        if verdict(value, limit) == "MISSED" {
            let reason = row.and_then(|row| text(row, "reason"));
            self.missed.push(format!(
                "{name}: {} where {} is the limit ({})",
                short(value),
                short(limit),
                reason.unwrap_or("the kernel gives no reason"),
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(lines: &[&str]) -> Vec<Row> {
        lines.iter().filter_map(|line| row_in(line)).collect()
    }

    #[test]
    fn times_of_the_other_boot_join_their_row() {
        let mut rows: Vec<Row> = [
            r#"{"bench":"record_function","target":"softfloat","overhead_insns":23}"#,
            r#"{"bench":"record_function_wall","target":"softfloat","ns_per_call":9.5}"#,
            r#"{"bench":"record_function_wall","target":"hardfloat","ns_per_call":1.5}"#,
            r#"{"bench":"table_wall","target":"softfloat","ns_per_call":2}"#,
        ]
        .iter()
        .filter_map(|line| row_in(line))
        .collect();
        join_times(&mut rows);
        assert_eq!(rows.len(), 2);
        assert_eq!(number(&rows[0], "ns_per_call"), Some(9.5));
        assert_eq!(text(&rows[1], "bench"), Some("table_wall"));
    }

    #[test]
    fn each_entry_says_instructions_and_time() {
        let mut rows: Vec<Row> = ENTRIES
            .iter()
            .flat_map(|entry| {
                let row = r#""target":"softfloat","insns_per_call":32.0,"overhead_insns":23.0}"#;
                let wall = r#""target":"softfloat","ns_per_call":9.5}"#;
                [
                    format!(r#"{{"bench":"{entry}",{row}"#),
                    format!(r#"{{"bench":"{entry}_wall",{wall}"#),
                ]
            })
            .filter_map(|line| row_in(&line))
            .collect();
        assert_eq!(holes(&rows, "softfloat").len(), ENTRIES.len());
        join_times(&mut rows);
        assert!(holes(&rows, "softfloat").is_empty());
        rows[3].remove("overhead_insns");
        assert_eq!(
            holes(&rows, "softfloat"),
            ["softfloat profile_hit: overhead_insns"]
        );
        let all = ENTRIES.len() * ENTRY_FIELDS.len();
        assert_eq!(holes(&rows, "hardfloat").len(), all);
    }

    #[test]
    fn rows_are_found_behind_a_prefix_and_broken_ones_are_not_rows() {
        let row = row_in("bench: {\"bench\":\"init\",\"callsites\":3}\r").unwrap();
        assert_eq!(number(&row, "callsites"), Some(3.0));
        assert!(row_in("{\"bench\":\"init\",").is_none());
        assert!(row_in("hello").is_none());
    }

    #[test]
    fn a_row_stands_beside_linux_and_its_limit() {
        let rows = rows(&[
            r#"{"bench":"table","target":"softfloat","guard":false,"relevant":2,"irrelevant":100,"insns_per_call":51.0,"overhead_insns":44.0}"#,
            r#"{"bench":"table_wall","target":"softfloat","guard":false,"relevant":2,"irrelevant":100,"ns_per_call":90.1,"ratio":8.7}"#,
        ]);
        let table = Table::of(&rows, "softfloat");
        let line = table
            .text
            .lines()
            .find(|line| line.contains(" 2/100 "))
            .unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(
            words,
            [
                "2/100", "51", "44", "5020", "44", "ok", "|", "90.10", "8.70", "530"
            ]
        );
        assert!(table.missed.is_empty());
    }

    #[test]
    fn a_missed_limit_is_said_with_the_reason() {
        let rows = rows(&[
            r#"{"bench":"register_one","target":"softfloat","insns":4001,"reason":"walks all"}"#,
        ]);
        let table = Table::of(&rows, "softfloat");
        assert_eq!(table.missed.len(), 1);
        assert!(table.missed[0].contains("4001") && table.missed[0].contains("walks all"));
        assert!(table.text.contains("MISSED"));
    }

    #[test]
    fn a_limit_without_its_figure_is_not_kept() {
        let limited = FIGURES.iter().filter(|figure| figure.limit.is_some());
        let seeds = [false, true].map(|guard| {
            let limits = ROWS.iter().map(|row| limit_overhead(guard, row.0));
            limits.flatten().count()
        });
        let all = limited.count() + seeds.iter().sum::<usize>();
        assert_eq!(Table::of(&[], "softfloat").unjudged.len(), all);
        let rows = rows(&[
            r#"{"bench":"register_one","target":"softfloat","insns":2131}"#,
            r#"{"bench":"register_one","target":"softfloat","other":1}"#,
        ]);
        assert_eq!(Table::of(&rows[..1], "softfloat").unjudged.len(), all - 1);
        assert_eq!(Table::of(&rows[1..], "softfloat").unjudged.len(), all);
        assert!(Table::of(&[], "hardfloat").unjudged.is_empty());
    }

    #[test]
    fn limits_bind_the_soft_float_target_only() {
        let rows = rows(&[r#"{"bench":"disabled","target":"hardfloat","insns_per_call":3}"#]);
        assert!(Table::of(&rows, "hardfloat").missed.is_empty());
    }

    #[test]
    fn every_absent_row_is_named() {
        let table = Table::of(&[], "softfloat");
        assert_eq!(table.absent.len(), ROWS.len() * 2 * 2 + FIGURES.len());
        assert!(
            table
                .absent
                .contains(&"table softfloat 10/100 guarded".to_owned())
        );
    }

    #[test]
    fn figures_are_short_but_never_wrong() {
        assert_eq!(short(Some(44.0)), "44");
        assert_eq!(short(Some(0.333)), "0.33");
        assert_eq!(short(Some(7_970_000.0)), "7970000");
        assert_eq!(short(None), "-");
    }
}
