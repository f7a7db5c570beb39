//! What a litmus file says of itself, and what herd7 says of it. Pure.

use std::fmt;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

/// herd7's answer: the observation, and the model's flag on words that change while they are executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    observation: String,
    flag: String,
}

/// The flags that say that a sequence is not allowed; others only name an assumption.
const FLAGS: &str = "violates-";
const NO_FLAG: &str = "none";

impl Answer {
    /// Reads herd7's output for the test `name`; `None` where it gave no observation.
    #[must_use]
    pub fn parse(name: &str, output: &str) -> Option<Self> {
        let observation = output.lines().find_map(|line| {
            let mut words = line.strip_prefix("Observation ")?.split(' ');
            (words.next() == Some(name)).then(|| words.next().map(str::to_owned))?
        })?;
        let flag = output
            .lines()
            .filter_map(|line| line.strip_prefix("Flag "))
            .find(|flag| flag.starts_with(FLAGS))
            .unwrap_or(NO_FLAG);
        Some(Self {
            observation,
            flag: flag.to_owned(),
        })
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.observation)?;
        if self.flag != NO_FLAG {
            write!(f, " with flag {}", self.flag)?;
        }
        Ok(())
    }
}

/// One file of tests/litmus.
#[derive(Clone, Debug)]
pub struct Litmus {
    /// Its path.
    pub path: PathBuf,
    /// Its name: the file's and the test's.
    pub name: String,
    /// What herd7 must answer.
    pub expected: Answer,
    /// The tests that this one is a broken copy of.
    pub twin_of: Vec<String>,
    /// The code that it stands for: files, each with functions in it.
    pub models: Vec<(String, Vec<String>)>,
}

impl Litmus {
    /// Reads the lines that are meant for the runner.
    ///
    /// # Errors
    /// When one is missing or not understood, or the test has another name than its file.
    pub fn parse(path: PathBuf, text: &str) -> Result<Self> {
        let name = path.file_stem().context("no file name")?;
        let name = name.to_string_lossy().into_owned();
        if text.lines().next() != Some(&format!("AArch64 {name}")) {
            bail!("the first line is not `AArch64 {name}`");
        }
        let note = |key: &str| {
            text.lines().find_map(|line| {
                let line = line.strip_prefix("(* ")?.strip_suffix(" *)")?;
                line.strip_prefix(key)?.strip_prefix(": ")
            })
        };
        let models = note("models").context("no line `(* models: FILE: FUNCTION, ...; ... *)`")?;
        let observation = note("expect").context("no line `(* expect: ... *)`")?;
        if !["Never", "Sometimes", "Always"].contains(&observation) {
            bail!("`{observation}` is not Never, Sometimes or Always");
        }
        let flag = note("flag").context("no line `(* flag: ... *)`")?;
        if flag != NO_FLAG && !flag.starts_with(FLAGS) {
            bail!("`{flag}` is neither `{NO_FLAG}` nor a flag `{FLAGS}...`");
        }
        Ok(Self {
            path,
            name,
            expected: Answer {
                observation: observation.to_owned(),
                flag: flag.to_owned(),
            },
            twin_of: note("twin of").map_or_else(Vec::new, list),
            models: models
                .split("; ")
                .map(|model| match model.split_once(": ") {
                    Some((file, functions)) => (file.to_owned(), list(functions)),
                    None => (model.to_owned(), Vec::new()),
                })
                .collect(),
        })
    }
}

fn list(names: &str) -> Vec<String> {
    names.split(", ").map(str::to_owned).collect()
}

/// What a test says it models and `read` does not know: code that has moved, and its test with it not.
#[must_use]
pub fn gone(tests: &[Litmus], read: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut gone = Vec::new();
    for test in tests {
        for (file, functions) in &test.models {
            let Some(code) = read(file) else {
                gone.push(format!("{}: {file}", test.name));
                continue;
            };
            let missing = functions.iter().filter(|function| {
                !["(", "<"]
                    .iter()
                    .any(|end| code.contains(&format!("fn {function}{end}")))
            });
            gone.extend(missing.map(|function| format!("{}: {file}: {function}", test.name)));
        }
    }
    gone
}

/// The tests that no twin with another outcome shows to be able to fail, and twins of tests that do not exist.
#[must_use]
pub fn without_twin(tests: &[Litmus]) -> Vec<&str> {
    let lonely = tests.iter().filter(|test| {
        test.twin_of.is_empty()
            && test.expected.observation != "Sometimes"
            && !tests
                .iter()
                .any(|twin| twin.twin_of.contains(&test.name) && twin.expected != test.expected)
    });
    let strays = tests.iter().flat_map(|twin| &twin.twin_of);
    let strays = strays.filter(|name| !tests.iter().any(|test| &test.name == *name));
    lonely
        .map(|test| test.name.as_str())
        .chain(strays.map(String::as_str))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn litmus(name: &str, lines: &str) -> Result<Litmus> {
        let text = format!("AArch64 {name}\n(* models: a.rs: f *)\n{lines}\n{{}}\n");
        Litmus::parse(PathBuf::from(format!("x/{name}.litmus")), &text)
    }

    #[test]
    fn the_answer_is_read_from_among_everything_else() {
        let output = "Test a Allowed\nStates 1\nNo\nFlag Assuming-common-inner-shareable-domain\n\
            Flag violates-CMODX-requirements\nObservation a Never 0 3\nTime a 0.01\n";
        let answer = Answer::parse("a", output).unwrap();
        assert_eq!(
            answer.to_string(),
            "Never with flag violates-CMODX-requirements"
        );
        assert_eq!(Answer::parse("b", output), None);
        let plain = Answer::parse("a", "Observation a Sometimes 1 2\nFlag Assuming-x\n").unwrap();
        assert_eq!(plain.to_string(), "Sometimes");
    }

    #[test]
    fn a_file_that_does_not_say_what_it_expects_is_refused() {
        assert!(litmus("a", "(* expect: Never *)\n(* flag: none *)").is_ok());
        for lines in [
            "",
            "(* expect: never *)\n(* flag: none *)",
            "(* expect: Never *)",
            "(* expect: Never *)\n(* flag: some *)",
        ] {
            assert!(litmus("a", lines).is_err(), "{lines}");
        }
        let other = Litmus::parse(PathBuf::from("x/b.litmus"), "AArch64 a\n");
        assert!(other.is_err());
    }

    #[test]
    fn code_that_is_no_longer_there_is_named() {
        let test = [litmus("a", "(* expect: Never *)\n(* flag: none *)").unwrap()];
        let has = |code: &'static str| move |_: &str| Some(code.to_owned());
        assert!(gone(&test, has("pub fn f(x: u8)")).is_empty());
        assert_eq!(gone(&test, has("fn ff()")), ["a: a.rs: f"]);
        assert_eq!(gone(&test, |_| None), ["a: a.rs"]);
    }

    #[test]
    fn a_test_without_a_twin_that_fails_is_named() {
        let good = litmus("a", "(* expect: Never *)\n(* flag: none *)").unwrap();
        let same = litmus(
            "b",
            "(* twin of: a *)\n(* expect: Never *)\n(* flag: none *)",
        )
        .unwrap();
        let broken = litmus(
            "c",
            "(* twin of: a *)\n(* expect: Sometimes *)\n(* flag: none *)",
        )
        .unwrap();
        assert_eq!(without_twin(&[good.clone(), same.clone()]), ["a"]);
        assert!(without_twin(&[good, same, broken.clone()]).is_empty());
        assert_eq!(without_twin(&[broken]), ["a"]);
    }
}
