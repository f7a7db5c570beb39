//! What is left of a kernel that was watched.

use anyhow::{Result, bail};

/// The plug-in's report, and how the kernel itself ended.
pub struct Watched {
    /// What the plug-in wrote.
    pub report: String,
    /// What the kernel wrote.
    pub console: String,
    /// Its exit code, where it ended by itself.
    pub code: Option<i32>,
}

impl Watched {
    fn violations(&self) -> Vec<&str> {
        self.report
            .lines()
            .filter(|line| line.starts_with("violation: "))
            .collect()
    }

    /// No violation, and the kernel ended as it was to: of one that gave up early little was judged.
    pub fn passes(&self, exit: i32) -> Result<()> {
        if !self
            .report
            .lines()
            .any(|line| line == "result: pass (0 violations)")
        {
            bail!("{}", self.report);
        }
        if self.code != Some(exit) {
            let Self { console, code, .. } = self;
            bail!("exit code {exit} expected, {code:?} found; the console:\n{console}");
        }
        Ok(())
    }

    /// Every violation says what was left out, and there is one that says the first of it.
    pub fn names(&self, expected: &[&str]) -> Result<()> {
        let violations = self.violations();
        let known = |line: &&str| expected.iter().any(|words| line.contains(words));
        let first = expected.first().copied().unwrap_or_default();
        if violations.iter().all(known) && violations.iter().any(|line| line.contains(first)) {
            return Ok(());
        }
        bail!("`{first}` was to be reported:\n{}", self.report)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched(report: &str, code: i32) -> Watched {
        Watched {
            report: report.to_owned(),
            console: "panicked at".to_owned(),
            code: Some(code),
        }
    }

    #[test]
    fn a_kernel_that_gave_up_does_not_pass() {
        let ok = "callsites 3\nresult: pass (0 violations)\n";
        assert!(watched(ok, 0).passes(0).is_ok());
        assert!(watched(ok, 101).passes(101).is_ok());
        let error = watched(ok, 101).passes(0).unwrap_err().to_string();
        assert!(error.ends_with("panicked at"), "{error}");
        let bad = "violation: a\nresult: FAIL (1 violation)\n";
        assert!(watched(bad, 0).passes(0).is_err());
    }

    #[test]
    fn what_was_left_out_must_be_said_and_nothing_else() {
        let bad = watched("violation: at 0x1: missing IC\nviolation: b\n", 0);
        assert!(bad.names(&["missing IC", "b"]).is_ok());
        assert!(bad.names(&["missing IC"]).is_err());
        assert!(bad.names(&["missing DC", "IC", "b"]).is_err());
        assert!(watched("", 0).names(&["missing IC"]).is_err());
    }
}
