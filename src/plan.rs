//! The plan: which callsites a filter takes, and which of them must change for an ops to be called there and nowhere
//! else. Everything that can be refused is refused here, before the first write.
#![forbid(unsafe_code)]

use crate::error::Error;
use crate::filter::{Filter, MAX_PATTERNS, Pattern, Patterns, What};
use crate::glob;
use crate::names::{Aliases, Names, NamesError};
use crate::patch::{Patcher, Pick, Refusal};
use crate::table::{LEFT_ALONE, MARKED, QUARANTINED, REJECTED, SELECTED, Table, cover};
use crate::text::Text;
use core::ops::Range;

/// What a filter takes, left in the records as [`SELECTED`] unless it is everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Selection {
    pub(crate) all: bool,
    pub(crate) range: Range<usize>,
    /// How many callsites each pattern matches, quarantined ones included.
    pub(crate) hits: [u32; MAX_PATTERNS],
    /// How many patterns there are.
    pub(crate) patterns: usize,
}

impl Selection {
    /// Nothing at all.
    pub(crate) const NONE: Self = Self {
        all: false,
        range: 0..0,
        hits: [0; MAX_PATTERNS],
        patterns: 0,
    };

    /// Resolves a filter.
    ///
    /// # Errors
    /// As [`Filter::parse`]; [`Error::Names`] where names are asked for and there are none; [`Error::NoMatch`],
    /// [`Error::NoCallsiteAt`], [`Error::NoSuchIndex`] where something that is to be taken does not exist. No record
    /// is selected then.
    pub(crate) fn resolve(
        table: &Table,
        names: &Result<Names<'_>, NamesError>,
        filter: &Filter<'_>,
    ) -> Result<Self, Error> {
        if filter.is_all() {
            return Ok(Self {
                all: true,
                range: table.callsites(),
                ..Self::NONE
            });
        }
        for &address in filter.addresses() {
            table.find(address).ok_or(Error::NoCallsiteAt(address))?;
        }
        let mut selection = Self::NONE;
        if filter.is_by_address() {
            selection.take_addresses(table, filter);
        } else {
            selection.match_patterns(table, names, filter)?;
        }
        Ok(selection)
    }

    fn take_addresses(&mut self, table: &Table, filter: &Filter<'_>) {
        for index in filter
            .addresses()
            .iter()
            .filter_map(|&address| table.find(address))
        {
            self.take(table, index);
        }
    }

    pub(crate) fn take(&mut self, table: &Table, index: usize) {
        table.set_flags(index, SELECTED, 0);
        self.range = cover(&self.range, index);
    }

    fn match_patterns(
        &mut self,
        table: &Table,
        names: &Result<Names<'_>, NamesError>,
        filter: &Filter<'_>,
    ) -> Result<(), Error> {
        let mut patterns = filter.parse()?;
        self.patterns = patterns.as_slice().len();
        let names = match names {
            Ok(names) => Some(names),
            Err(error) if patterns.need_names() => return Err(Error::Names(*error)),
            Err(_) => None,
        };
        resolve_addresses(table, patterns.as_mut_slice())?;
        self.take_addresses(table, filter);
        let mut names = names.map(Names::iter);
        for (index, record) in table.range(0..table.len()) {
            let aliases = names.as_mut().and_then(Iterator::next);
            if record.has(REJECTED) {
                continue;
            }
            match self.judge(&patterns, filter, index, aliases) {
                Verdict::Taken => self.take(table, index),
                Verdict::Not => {}
                // Also where it was taken by address.
                Verdict::Notrace => table.set_flags(index, 0, SELECTED),
            }
        }
        let unmatched = patterns
            .as_slice()
            .iter()
            .zip(self.hits)
            .position(|(pattern, hits)| pattern.takes && hits == 0);
        match unmatched {
            Some(pattern) => {
                self.forget(table);
                Err(Error::NoMatch { pattern })
            }
            None => Ok(()),
        }
    }

    fn judge(
        &mut self,
        patterns: &Patterns<'_>,
        filter: &Filter<'_>,
        index: usize,
        aliases: Option<Aliases<'_>>,
    ) -> Verdict {
        let mut taken = filter.takes_unmatched();
        let mut notrace = false;
        for (i, (pattern, hits)) in patterns.as_slice().iter().zip(&mut self.hits).enumerate() {
            let matches = match pattern.what {
                What::Index(wanted) => wanted == index,
                What::Address(_) => false,
                What::Glob(glob) => aliases
                    .is_some_and(|mut names| names.any(|name| glob::matches(glob, name.bytes()))),
            };
            if matches {
                *hits += 1;
                taken = pattern.takes;
                notrace |= patterns.is_notrace(i);
            }
        }
        match (notrace, taken) {
            (true, _) => Verdict::Notrace,
            (false, true) => Verdict::Taken,
            (false, false) => Verdict::Not,
        }
    }

    /// Takes the selection out of the records again.
    pub(crate) fn forget(&self, table: &Table) {
        for (index, _) in table.range(self.range.clone()) {
            table.set_flags(index, 0, SELECTED);
        }
    }
}

/// What the patterns say of one function.
enum Verdict {
    Taken,
    Not,
    Notrace,
}

/// Turns addresses into indices, and checks the indices that must exist.
fn resolve_addresses(table: &Table, patterns: &mut [Pattern<'_>]) -> Result<(), Error> {
    for pattern in patterns {
        match pattern.what {
            What::Address(at) => match table.find(at) {
                Some(index) => pattern.what = What::Index(index),
                None => return Err(Error::NoCallsiteAt(at)),
            },
            What::Index(index) if index >= table.len() => {
                return Err(Error::NoSuchIndex {
                    index,
                    count: table.len(),
                });
            }
            What::Index(_) | What::Glob(_) => {}
        }
    }
    Ok(())
}

/// What [`mark`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Marks {
    /// Records that change, all of them within.
    pub(crate) range: Range<usize>,
    /// Callsites that the filter takes.
    pub(crate) matched: u32,
    /// Callsites that the filter would take, were they not quarantined.
    pub(crate) quarantined: u32,
    /// Callsites left out because they are the tracer's own function.
    pub(crate) own_tracer: bool,
    /// How the records that change are known from the others.
    pub(crate) pick: Pick,
}

/// Compares what is selected with what calls the ops now, and marks the difference within `range`. The selection is
/// used up. Reads and checks every callsite that will change.
///
/// # Errors
/// The first callsite that cannot be changed. Nothing is marked then; those that somebody else wrote to are quarantined, all
/// of them, so that the next plan does not meet them.
pub(crate) fn mark<T: Text>(
    patcher: &mut Patcher<'_, T>,
    selection: &Selection,
    range: Range<usize>,
) -> Result<Marks, Refusal> {
    let table = patcher.table;
    let tracer = patcher.ops.func_address();
    if let Some(marks) = every(patcher, selection, range.clone()) {
        return Ok(marks);
    }
    let mut marks = Marks {
        range: 0..0,
        matched: 0,
        quarantined: 0,
        own_tracer: false,
        pick: Pick::Marked,
    };
    let mut refused: Option<Refusal> = None;
    let mut foreign = 0;
    for (index, record) in table.range(range) {
        let mut wanted = selection.all || record.has(SELECTED);
        if record.has(LEFT_ALONE) {
            if wanted && record.has(QUARANTINED) {
                table.set_flags(index, 0, SELECTED);
                marks.quarantined += 1;
            }
            continue;
        }
        let layout = table.layout(record);
        if wanted {
            if layout.entry() == tracer {
                wanted = false;
                marks.own_tracer = true;
            } else {
                marks.matched += 1;
            }
        }
        let change = match patcher.calls(layout) {
            // An unknown literal is what `check` refuses, if the callsite is to change.
            calls if calls.unwrap_or(false) == wanted => {
                table.set_flags(index, 0, SELECTED);
                continue;
            }
            Some(_) | None => patcher.check(layout),
        };
        if let Err(refusal) = change {
            let first = *refused.get_or_insert(refusal);
            if !refusal.is_foreign() {
                // What a filter asks for and cannot have is told before what it may have next time.
                refused = Some(if first.is_foreign() { refusal } else { first });
                break;
            }
            patcher.quarantine(index);
            foreign += 1;
            continue;
        }
        table.set_flags(index, MARKED, SELECTED);
        marks.range = cover(&marks.range, index);
    }
    match refused {
        None => Ok(marks),
        Some(refusal) => {
            for (index, _) in table.range(marks.range) {
                table.set_flags(index, 0, MARKED);
            }
            selection.forget(table);
            Err(refusal.after(foreign))
        }
    }
}

/// The common case of everything on, or everything that is on off: no marks are needed then.
fn every<T: Text>(
    patcher: &Patcher<'_, T>,
    selection: &Selection,
    range: Range<usize>,
) -> Option<Marks> {
    let off = *selection == Selection::NONE;
    // Callsites with literals of their own are not alike.
    if patcher.ops.head.kind.has_instances()
        || !(selection.all || off)
        || patcher.table.find(patcher.ops.func_address()).is_some()
    {
        return None;
    }
    let count = patcher.all_alike(range.clone(), off)?;
    let matched = if off { 0 } else { count };
    Some(Marks {
        range: range.clone(),
        matched,
        quarantined: if patcher.quarantined && !off {
            patcher.quarantined_in(range.clone())
        } else {
            0
        },
        own_tracer: false,
        pick: Pick::Every {
            on: matched,
            off: count - matched,
        },
    })
}
