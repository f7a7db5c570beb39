//! How two traces differ, function by function.

use std::collections::BTreeSet;
use std::io::{self, Write};

use super::{Key, Report, Row, duration};
use crate::trace::symbols::Symbols;

/// What one trace has more of a function than another; times are nanoseconds.
struct Change<'r> {
    name: &'r str,
    total: i128,
    own: i128,
    calls: i128,
}

impl Change<'_> {
    /// How large it is in this column; 0 in one that is not shown.
    const fn size(&self, key: Key) -> u128 {
        match key {
            Key::Total => self.total.unsigned_abs(),
            Key::Own => self.own.unsigned_abs(),
            Key::Calls => self.calls.unsigned_abs(),
            _ => 0,
        }
    }
}

impl Report {
    /// Writes how `newer` differs from this report: total, self and calls, the largest change of the first of these columns first.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_difference(
        &self,
        symbols: &Symbols,
        (newer, newer_symbols): (&Self, &Symbols),
        keys: &[Key],
        mut out: impl Write,
    ) -> io::Result<()> {
        let nothing = Row::default();
        let names: BTreeSet<_> = self.rows.keys().chain(newer.rows.keys()).collect();
        let mut changes: Vec<_> = names
            .into_iter()
            .map(|name| {
                let (old, new) = (
                    self.rows.get(name).unwrap_or(&nothing),
                    newer.rows.get(name).unwrap_or(&nothing),
                );
                let ns = |a, b| {
                    i128::from(newer_symbols.nanoseconds(b)) - i128::from(symbols.nanoseconds(a))
                };
                Change {
                    name,
                    total: ns(old.total, new.total),
                    own: ns(old.own, new.own),
                    calls: i128::from(new.calls) - i128::from(old.calls),
                }
            })
            .collect();
        for &key in keys.iter().rev() {
            changes.sort_by_key(|change| std::cmp::Reverse(change.size(key)));
        }
        let signed = |ns: i128| {
            let sign = if ns < 0 { '-' } else { '+' };
            format!("{sign}{}", duration(ns.unsigned_abs() as u64))
        };
        writeln!(
            out,
            "{:>12} {:>12} {:>10}  FUNCTION",
            "TOTAL", "SELF", "CALLS"
        )?;
        for Change {
            name,
            total,
            own,
            calls,
        } in changes
        {
            let name = symbols.fit(name);
            writeln!(
                out,
                "{:>12} {:>12} {calls:>+10}  {name}",
                signed(total),
                signed(own)
            )?;
        }
        out.flush()
    }
}
