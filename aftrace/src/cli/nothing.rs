//! What a choice of calls leaves: where that is nothing, which of the options it is, and what was meant perhaps.

use std::collections::BTreeSet;
use std::error::Error;
use std::io::{self, ErrorKind};
use std::path::Path;

use aarch64_ftrace::glob;
use aarch64_ftrace::trace::Type;
use aftrace::trace::added::{AddedError, write_coverage, write_profile};
use aftrace::trace::calls::Step;
use aftrace::trace::file::Trace;
use aftrace::trace::filter::{Filter, Shown};
use aftrace::trace::replay::seconds;
use aftrace::trace::report::Key;
use aftrace::trace::symbols::Symbols;

use super::meant;
use super::select::Select;

/// So many tasks are named.
const TASKS: usize = 20;

impl Select {
    /// What to look at. A glob that no function's name matches is said.
    ///
    /// # Errors
    /// It leaves no call of the trace, which has some.
    pub fn checked(
        &self,
        path: &Path,
        trace: &Trace,
        symbols: &Symbols,
    ) -> Result<Filter, Box<dyn Error>> {
        let sought = Sought {
            what: "call",
            listed: "that was called (`aftrace report` lists them)",
            cores: trace.cores.keys().copied().collect(),
        };
        let leaves = |filter: &Filter| Ok(leaves(filter, trace, symbols)?);
        self.leaving(path, trace, symbols, &sought, leaves)
    }

    /// As [`Self::checked`], of what the kernel has added up itself.
    pub fn checked_added(
        &self,
        path: &Path,
        trace: &Trace,
        symbols: &Symbols,
        keys: Option<&[Key]>,
    ) -> Result<Filter, Box<dyn Error>> {
        let sought = Sought {
            what: match keys {
                Some(_) => "function of the profile",
                None => "function of the coverage",
            },
            listed: "in it (without a choice, all are shown)",
            cores: trace.added.profile.keys().map(|(_, core)| *core).collect(),
        };
        let leaves = |filter: &Filter| {
            let written = match keys {
                Some(keys) => write_profile(trace, symbols, filter, keys, io::sink()),
                None => write_coverage(trace, symbols, filter, io::sink()),
            };
            let is_none =
                |why: &AddedError| matches!(why, AddedError::None(..) | AddedError::Nothing(_));
            Ok(!written.is_err_and(|why| is_none(&why)))
        };
        self.leaving(path, trace, symbols, &sought, leaves)
    }

    fn leaving(
        &self,
        path: &Path,
        trace: &Trace,
        symbols: &Symbols,
        sought: &Sought,
        leaves: impl Fn(&Filter) -> Result<bool, Box<dyn Error>>,
    ) -> Result<Filter, Box<dyn Error>> {
        let filter = self.taken(trace, symbols, |_| {});
        if leaves(&filter)? || !leaves(&Filter::default())? {
            return Ok(self.noted(path, trace, symbols));
        }
        let mut reasons = Vec::new();
        for (option, alone) in parts(&filter) {
            if !leaves(&alone)? {
                let reason = reason(option, &alone, trace, symbols, sought)?;
                reasons.push(format!("{option} {reason}"));
            }
        }
        let reason = match reasons.is_empty() {
            true => "each option leaves some, but not all together: leave one out".to_owned(),
            false => reasons.join("; "),
        };
        let (path, what) = (path.display(), sought.what);
        Err(format!("{path}: no {what} is left: {reason}").into())
    }

    /// As [`Self::checked`], where nothing is an answer, too.
    pub fn noted(&self, path: &Path, trace: &Trace, symbols: &Symbols) -> Filter {
        let filter = self.taken(trace, symbols, |said| {
            note!("aftrace: {}: {said}", path.display());
        });
        for (option, globs) in globs(&filter) {
            for glob in globs.iter().filter(|glob| is_unknown(glob, symbols)) {
                let (path, near) = (path.display(), near(glob, symbols));
                note!("aftrace: {path}: {option} {glob:?} matches no function's name{near}");
            }
        }
        filter
    }

    /// The filter, where globs that lack the crate have it.
    pub fn taken(&self, trace: &Trace, symbols: &Symbols, mut say: impl FnMut(String)) -> Filter {
        let mut filter = self.filter(trace);
        let lists = [
            ("--filter", &mut filter.functions),
            ("--notrace", &mut filter.hidden),
            ("--hide", &mut filter.skipped),
            ("--caller", &mut filter.callers),
        ];
        for (option, globs) in lists {
            for glob in globs {
                if let Some(below) = below_crate(glob, symbols) {
                    say(meant::taken(&format!("{option} {glob:?}"), &below));
                    *glob = below;
                }
            }
        }
        filter
    }
}

/// What a choice is to leave some of.
struct Sought {
    what: &'static str,
    /// Which functions a glob is looked for among, behind "no function".
    listed: &'static str,
    cores: BTreeSet<u16>,
}

fn globs(filter: &Filter) -> [(&'static str, &[String]); 4] {
    [
        ("--filter", &filter.functions),
        ("--notrace", &filter.hidden),
        ("--hide", &filter.skipped),
        ("--caller", &filter.callers),
    ]
}

/// Each option that is given, alone.
fn parts(filter: &Filter) -> Vec<(&'static str, Filter)> {
    let all = Filter::default;
    let Filter {
        functions,
        hidden,
        skipped,
        callers,
        depth,
        minimum,
        time,
        cores,
        tasks,
    } = filter.clone();
    vec![
        ("--filter", Filter { functions, ..all() }),
        ("--notrace", Filter { hidden, ..all() }),
        ("--hide", Filter { skipped, ..all() }),
        ("--caller", Filter { callers, ..all() }),
        ("--depth", Filter { depth, ..all() }),
        ("--time-filter", Filter { minimum, ..all() }),
        ("--time-range", Filter { time, ..all() }),
        ("--core", Filter { cores, ..all() }),
        ("--tid", Filter { tasks, ..all() }),
    ]
}

/// Whether there is a call that it lets through; the first is looked for.
fn leaves(filter: &Filter, trace: &Trace, symbols: &Symbols) -> io::Result<bool> {
    let mut found = false;
    let played = filter.play(trace, symbols, false, |shown| match shown {
        Shown::Step(Step::Missing(..) | Step::Switch(..) | Step::Other(_)) => Ok(()),
        _ => {
            found = true;
            Err(ErrorKind::Interrupted.into())
        }
    });
    match found {
        true => Ok(true),
        false => played.map(|_| false),
    }
}

/// Why this option alone leaves nothing.
fn reason(
    option: &str,
    alone: &Filter,
    trace: &Trace,
    symbols: &Symbols,
    sought: &Sought,
) -> io::Result<String> {
    let quoted = |globs: &[String], otherwise: &str| {
        let each = globs.iter().map(|glob| match is_unknown(glob, symbols) {
            true => format!("{glob:?} matches no function's name{}", near(glob, symbols)),
            false => format!("{glob:?} {otherwise}"),
        });
        each.collect::<Vec<_>>().join(", ")
    };
    Ok(match option {
        "--filter" => quoted(
            &alone.functions,
            &format!("matches no function {}", sought.listed),
        ),
        "--notrace" => quoted(&alone.hidden, "hides all of them, or what they stand in"),
        "--hide" => quoted(&alone.skipped, "is all that was called"),
        "--caller" => quoted(&alone.callers, "matches no function that called one"),
        "--depth" => "0 is no level: 1 and more".to_owned(),
        "--time-filter" => {
            "is longer than any call took (`aftrace report -s max` says how long)".to_owned()
        }
        "--time-range" => {
            let (first, last) = extent(trace)?;
            let [first, last] = [first, last].map(|ticks| seconds(symbols.nanoseconds(ticks)));
            format!("leaves out all of {first}~{last}")
        }
        "--tid" => {
            let tasks = trace
                .tasks
                .iter()
                .map(|(id, name)| format!("{name} ({id})"));
            let named = tasks.take(TASKS).collect::<Vec<_>>().join(", ");
            let named = match named.is_empty() {
                true => {
                    "the trace names none: give a number, as `aftrace replay` shows it".to_owned()
                }
                false => format!("of those with a name there are {named}"),
            };
            format!("has no task that called anything; {named}")
        }
        _ => {
            let cores: Vec<_> = sought.cores.iter().map(u16::to_string).collect();
            format!("has none of {}", cores.join(", "))
        }
    })
}

/// The first and the last time in a trace. DATA has none.
fn extent(trace: &Trace) -> io::Result<(u64, u64)> {
    let mut events = trace.play()?;
    let (mut first, mut last) = (u64::MAX, 0);
    while let Some(item) = events.next()? {
        if item.event.kind() == Some(Type::Data) {
            continue;
        }
        let time = item.event.time();
        (first, last) = (first.min(time), last.max(time));
    }
    Ok((first, last))
}

/// Whether the names are known, and it matches none of them.
fn is_unknown(glob: &str, symbols: &Symbols) -> bool {
    let mut names = symbols.all().iter().map(|symbol| symbol.name.as_str());
    // What has no name is shown by its address; who calls as the last act, and nobody, as these.
    let others = ["return_to_handler", "unknown"];
    let is_other = |name: &&str| glob::matches(glob, name.bytes());
    let other = glob.starts_with("0x") || others.iter().any(is_other);
    let matches = |name: &str| glob::matches(glob, name.bytes());
    !other && !symbols.all().is_empty() && !names.any(matches)
}

/// The glob with the crate that it lacks.
pub fn below_crate(glob: &str, symbols: &Symbols) -> Option<String> {
    let names = || symbols.all().iter().map(|symbol| symbol.name.as_str());
    is_unknown(glob, symbols)
        .then(|| meant::below_crate(glob, names()))
        .flatten()
}

fn near(glob: &str, symbols: &Symbols) -> String {
    meant::near(
        glob,
        symbols.all().iter().map(|symbol| symbol.name.as_str()),
    )
}

/// What is near a glob, where no function has such a name.
pub fn suggestion(glob: &str, symbols: &Symbols) -> String {
    match is_unknown(glob, symbols) {
        true => near(glob, symbols),
        false => String::new(),
    }
}
