//! The proof, from the ELF file, that the tracer's own code is never traced.
//!
//! A tracer that traces itself never returns. So the linker gathers this crate's functions between the symbols
//! `__ftrace_notrace_start` and `__ftrace_notrace_end`, and the run time rejects each callsite there. This module asks the
//! compiler's own records which functions belong to the crate, and looks where they ended up.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

use crate::brackets::{self, AS, Pair};
use crate::dwarf;
use crate::elf::{Callsite, ElfError, Kernel};

/// The crate whose code must not be traced.
const CRATE: &str = "aarch64_ftrace";
/// The same as both manglings spell it.
const MANGLED: &str = "14aarch64_ftrace";

/// Bystanders that a report shows; violations it shows all.
const SHOWN: usize = 10;

/// Why there is no proof, neither for nor against.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// Not a kernel with callsites.
    #[error(transparent)]
    Elf(#[from] ElfError),
    /// The linker script lacks the fragment that gathers the crate's code.
    #[error(
        "no symbols __ftrace_notrace_start and __ftrace_notrace_end: put `INCLUDE ftrace.x` into .text of the linker script"
    )]
    NoRange,
    /// No function of the crate is in the kernel.
    #[error(
        "no callsite belongs to {CRATE}: nothing to prove; is the crate linked, and built with the patchable entries?"
    )]
    NothingOwn,
    /// The debug information is damaged.
    #[error("debug information: {0}")]
    Dwarf(#[from] gimli::Error),
}

/// Why a function counts as the crate's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Own {
    /// Its path begins in the crate, or it implements one of its traits, or a method of one of its types.
    Path,
    /// The crate instantiated it (v0 symbols say so).
    Instantiated,
    /// The compiler emitted it while compiling the crate (DWARF says so).
    Emitted,
}

impl fmt::Display for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Path => "by its path",
            Self::Instantiated => "instantiated there",
            Self::Emitted => "emitted there, says DWARF",
        })
    }
}

/// A callsite of the crate that the run time would accept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The function's address.
    pub entry: u64,
    /// Its paths.
    pub paths: Vec<String>,
    /// Why it is the crate's.
    pub own: Own,
    /// Whether its symbol is of the legacy mangling, which does not say for which crate a function was instantiated.
    pub legacy: bool,
}

/// What was found. Display prints it, a line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The addresses whose callsites the run time rejects as own code.
    pub range: Range<u64>,
    /// Callsites in all.
    pub callsites: usize,
    /// The crate's callsites within the range.
    pub own: usize,
    /// The crate's callsites outside: each could be traced. Empty is the proof.
    pub violations: Vec<Violation>,
    /// Other callsites in the range whose symbol mentions the crate: a linker script matches names, and took them too.
    pub bystanders: Vec<(u64, Vec<String>)>,
    /// Other callsites in the range: functions that the kernel marked with `notrace!`.
    pub marked: usize,
    /// Whether there was debug information to ask.
    pub dwarf: bool,
}

impl Report {
    /// Whether none of the crate's code can be traced.
    #[must_use]
    pub fn proves(&self) -> bool {
        self.violations.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Range { start, end } = self.range;
        let total = self.own + self.violations.len();
        writeln!(
            f,
            "{} callsites; never traced: {start:#x}..{end:#x}",
            self.callsites
        )?;
        writeln!(f, "{CRATE}: {} of its {total} callsites within", self.own)?;
        for v in &self.violations {
            writeln!(
                f,
                "VIOLATION {:#x} {} ({})",
                v.entry,
                v.paths.join(", "),
                v.own
            )?;
        }
        if self
            .violations
            .iter()
            .any(|v| v.legacy && v.own == Own::Emitted)
        {
            writeln!(
                f,
                "help: under link-time optimisation the linker finds them by symbol only: build with -Csymbol-mangling-version=v0"
            )?;
        }
        writeln!(f, "marked with notrace!: {}", self.marked)?;
        writeln!(
            f,
            "not the crate's, but taken along because their symbols mention it: {}",
            self.bystanders.len()
        )?;
        for (entry, paths) in self.bystanders.iter().take(SHOWN) {
            writeln!(f, "    {entry:#x} {}", paths.join(", "))?;
        }
        if let Some(more @ 1..) = self.bystanders.len().checked_sub(SHOWN) {
            writeln!(f, "    and {more} more")?;
        }
        let judges = if self.dwarf {
            "symbols and DWARF"
        } else {
            "symbols only: no debug information"
        };
        let verdict = if self.proves() {
            "own code is never traced"
        } else {
            "own code CAN BE TRACED"
        };
        write!(f, "{verdict} (by {judges})")
    }
}

/// Looks for callsites of the crate outside the range that the run time rejects.
///
/// # Errors
/// [`CheckError`]: the file does not hold what a proof needs.
pub fn check(kernel: &Kernel<'_>) -> Result<Report, CheckError> {
    let symbols = kernel
        .symbol("__ftrace_notrace_start")
        .zip(kernel.symbol("__ftrace_notrace_end"));
    let (start, end) = symbols
        .filter(|(start, end)| start < end)
        .ok_or(CheckError::NoRange)?;
    let emitted = dwarf::emitted_by(kernel, CRATE)?;
    let mut report = Report {
        range: start..end,
        callsites: kernel.callsites().len(),
        own: 0,
        violations: Vec::new(),
        bystanders: Vec::new(),
        marked: 0,
        dwarf: emitted.is_some(),
    };
    let emitted = emitted.unwrap_or_default();
    for callsite in kernel.callsites() {
        let entry = callsite.entry();
        let inside = report.range.contains(&entry);
        match (owner(callsite, &emitted), inside) {
            (Some(_), true) => report.own += 1,
            (Some(own), false) => {
                let legacy = callsite
                    .functions
                    .iter()
                    .all(|f| f.symbol.starts_with("_ZN"));
                report.violations.push(Violation {
                    entry,
                    paths: callsite.paths(),
                    own,
                    legacy,
                });
            }
            (None, true)
                if callsite
                    .functions
                    .iter()
                    .any(|f| f.symbol.contains(MANGLED)) =>
            {
                report.bystanders.push((entry, callsite.paths()));
            }
            (None, true) => report.marked += 1,
            (None, false) => {}
        }
    }
    if report.own + report.violations.len() == 0 {
        return Err(CheckError::NothingOwn);
    }
    Ok(report)
}

/// Own if any of the merged functions is: to trace one is to trace all.
fn owner(callsite: &Callsite, emitted: &BTreeSet<u64>) -> Option<Own> {
    let functions = &callsite.functions;
    if functions.iter().any(|f| path_is_own(&f.path)) {
        Some(Own::Path)
    } else if functions.iter().any(|f| instantiated(&f.symbol)) {
        Some(Own::Instantiated)
    } else {
        emitted.contains(&callsite.entry()).then_some(Own::Emitted)
    }
}

/// v0 appends the instantiating crate, as a path, to the symbol of a generic function; LLVM's suffix may follow.
fn instantiated(symbol: &str) -> bool {
    symbol.starts_with("_R")
        && symbol
            .split('.')
            .next()
            .is_some_and(|stem| stem.ends_with(MANGLED))
}

/// Whether a path begins in the crate, or is `<Type as Trait>::..` with a type or a trait of the crate.
fn path_is_own(path: &str) -> bool {
    let pairs = brackets::pairs(path);
    // Parts of the path that are yet to be looked at; no recursion, because symbols come from files.
    let mut parts = Vec::from([(0, path.len())]);
    while let Some((start, end)) = parts.pop() {
        let rest = strip_type_prefixes(&path[start..end]);
        if !rest.starts_with('<') {
            let behind = rest.strip_prefix(CRATE);
            if behind.is_some_and(|behind| behind.starts_with("::")) {
                return true;
            }
            continue;
        }
        let open = end - rest.len();
        let Ok(index) = pairs.binary_search_by_key(&open, |pair| pair.open) else {
            continue;
        };
        let Pair { close, as_at, .. } = pairs[index];
        if close >= end || !path[close..].starts_with('>') {
            continue;
        }
        match as_at {
            Some(at) => parts.extend([(open + 1, at), (at + AS.len(), close)]),
            None => parts.push((open + 1, close)),
        }
    }
    false
}

/// `&mut dyn a::B` is `a::B` here.
fn strip_type_prefixes(mut path: &str) -> &str {
    const PREFIXES: [&str; 9] = [
        "&", "mut ", "*const ", "*mut ", "const ", "dyn ", "impl ", "[", "(",
    ];
    while let Some(rest) = PREFIXES.iter().find_map(|p| path.strip_prefix(p)) {
        path = rest;
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ownership_follows_type_and_trait_not_mere_mention() {
        let table = [
            ("aarch64_ftrace::ops::Ops::register", true),
            (
                "aarch64_ftrace::set::Sets<demo::P>::intern::<demo::Q>",
                true,
            ),
            ("<aarch64_ftrace::Error as core::fmt::Display>::fmt", true),
            ("<&aarch64_ftrace::Error as core::fmt::Debug>::fmt", true),
            (
                "<&mut dyn aarch64_ftrace::Platform as core::fmt::Debug>::fmt",
                true,
            ),
            (
                "<demo::Board as aarch64_ftrace::Platform>::write_insn",
                true,
            ),
            (
                "<demo::Board as aarch64_ftrace::Platform>::write_insn::{closure#0}",
                true,
            ),
            ("<(fn(u8) -> u8) as aarch64_ftrace::Platform>::f", true),
            ("<<aarch64_ftrace::A as demo::B>::C as demo::D>::f", true),
            ("core::slice::<impl [T]>::sort", false),
            ("demo::main", false),
            ("demo::aarch64_ftrace::main", false),
            ("aarch64_ftrace_demo::main", false),
            ("demo::show::<aarch64_ftrace::Error>", false),
            (
                "<demo::Cell<aarch64_ftrace::Error> as core::fmt::Debug>::fmt",
                false,
            ),
            ("<demo::A as demo::B<aarch64_ftrace::Error>>::f", false),
            ("core::ptr::drop_in_place::<aarch64_ftrace::Set>", false),
        ];
        for (path, expected) in table {
            assert_eq!(path_is_own(path), expected, "{path}");
        }
    }

    #[test]
    fn the_instantiating_crate_stands_last() {
        assert!(instantiated(
            "_RINvNtCs1_4core3ptr13drop_in_placeINtB4_6OptionhEECs2_14aarch64_ftrace"
        ));
        assert!(instantiated(
            "_RINvNtCs1_4core3ptr13drop_in_placeINtB4_6OptionhEECs2_14aarch64_ftrace.llvm.7"
        ));
        assert!(!instantiated(
            "_RINvNtCs1_4core3ptr13drop_in_placeNtCs2_14aarch64_ftrace3SetECs3_4demo"
        ));
        assert!(!instantiated("_ZN14aarch64_ftrace"));
    }
}
