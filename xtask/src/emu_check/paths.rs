//! What the plug-in counted and wrote down: the lines of its report and the file of executed paths (emu-check/README.md).

use anyhow::{Context as _, Result, ensure};

/// One line `entry NAME: calls C, instructions A..B, of them asm A..B` of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// The asm entry, or what a BL reached without one.
    pub entry: String,
    /// Calls without an exception in them.
    pub calls: u64,
    /// Fewest instructions of a call, from the callsite's BL on.
    pub least: u64,
    /// Most.
    pub most: u64,
}

impl Counted {
    /// All of a report's.
    ///
    /// # Errors
    /// A line of another form.
    pub fn all(report: &str) -> Result<Vec<Self>> {
        let lines = report
            .lines()
            .filter_map(|line| line.strip_prefix("entry "));
        lines.map(Self::parse).collect()
    }

    fn parse(line: &str) -> Result<Self> {
        let parse = || {
            let (entry, rest) = line.split_once(": calls ")?;
            let (calls, rest) = rest.split_once(", instructions ")?;
            let (least, rest) = rest.split_once("..")?;
            let (most, _) = rest.split_once(',')?;
            Some(Self {
                entry: entry.to_owned(),
                calls: calls.parse().ok()?,
                least: least.parse().ok()?,
                most: most.parse().ok()?,
            })
        };
        parse().with_context(|| format!("unknown line `entry {line}`"))
    }
}

/// One executed instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Where it stands.
    pub address: u64,
    /// Its word.
    pub word: u32,
    /// QEMU's disassembly; empty where QEMU has none.
    pub text: String,
}

/// One distinct path: every instruction from a callsite's BL to the last before the traced function goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// The asm entry.
    pub entry: String,
    /// How many calls took it.
    pub calls: u64,
    /// In order.
    pub steps: Vec<Step>,
}

impl Recorded {
    /// All paths of a file.
    ///
    /// # Errors
    /// A line of another form, or a path with another number of instructions than its head says.
    pub fn all(file: &str) -> Result<Vec<Self>> {
        let mut paths: Vec<(Self, usize)> = Vec::new();
        for line in file.lines() {
            let unknown = || format!("unknown line `{line}`");
            if let Some(head) = line.strip_prefix("path ") {
                paths.push(Self::head(head).with_context(unknown)?);
            } else {
                let (path, _) = paths.last_mut().with_context(unknown)?;
                path.steps.push(Self::step(line).with_context(unknown)?);
            }
        }
        for (path, count) in &paths {
            let steps = path.steps.len();
            ensure!(
                steps == *count,
                "{}: {count} instructions announced, {steps} found",
                path.entry
            );
        }
        Ok(paths.into_iter().map(|(path, _)| path).collect())
    }

    fn head(head: &str) -> Option<(Self, usize)> {
        let (entry, rest) = head.split_once(" instructions ")?;
        let (count, calls) = rest.split_once(" calls ")?;
        let path = Self {
            entry: entry.to_owned(),
            calls: calls.parse().ok()?,
            steps: Vec::new(),
        };
        Some((path, count.parse().ok()?))
    }

    fn step(line: &str) -> Option<Step> {
        let mut parts = line.strip_prefix("0x")?.splitn(3, ' ');
        Some(Step {
            address: u64::from_str_radix(parts.next()?, 16).ok()?,
            word: u32::from_str_radix(parts.next()?, 16).ok()?,
            text: parts.next().unwrap_or_default().to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_report_are_read_and_others_passed_over() {
        let report = "emu-check: k\nwords written: 3\nentry ftrace_entry_nop: calls 2, instructions 9..11, of them asm 9..9\n";
        let counted = Counted::all(report).unwrap();
        assert_eq!(
            counted,
            [Counted {
                entry: "ftrace_entry_nop".into(),
                calls: 2,
                least: 9,
                most: 11
            }]
        );
        assert!(Counted::all("entry x: calls many, instructions 1..2, of them asm 1..2").is_err());
    }

    #[test]
    fn paths_are_read_and_counted() {
        let file = "path ftrace_entry_nop instructions 2 calls 7\n0x40200320 94000010 bl #0x40200360\n0x40200360 d65f0140 ret x10\n\
                    path b instructions 1 calls 1\n0x8 00000000 \n";
        let paths = Recorded::all(file).unwrap();
        assert_eq!(
            (paths.len(), paths[0].calls, paths[0].steps.len()),
            (2, 7, 2)
        );
        let step = Step {
            address: 0x4020_0360,
            word: 0xd65f_0140,
            text: "ret x10".into(),
        };
        assert_eq!(paths[0].steps[1], step);
        assert_eq!(paths[1].steps[0].text, "");
    }

    #[test]
    fn a_torn_file_is_an_error() {
        for bad in [
            "0x1 00000000 nop",
            "path a instructions 2 calls 1\n0x1 00000000 nop",
            "path a",
            "path a instructions 1 calls 1\nnop",
        ] {
            assert!(Recorded::all(bad).is_err(), "{bad}");
        }
    }
}
