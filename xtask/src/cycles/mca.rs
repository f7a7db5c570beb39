//! llvm-mca 22 and what it prints.

use std::fs;

use anyhow::{Context as _, Result, bail, ensure};

use crate::emu_check::paths::Recorded;
use crate::setup::setup_dir;
use crate::setup::tools::{Debian, Tool};

/// The version whose models DESIGN.md, section 7a, speaks of; older ones lack some of them.
const PACKAGE: &str = "llvm-22";
/// So often is a path repeated.
const ITERATIONS: u64 = 200;
/// All that may stand in a path: llvm-mc refuses words of features that it is not told of.
const FEATURES: &str = "-mattr=+v8.5a,+lse,+bti,+pauth";

/// The two programs.
pub struct Mca {
    disassembler: Tool,
    estimator: Tool,
}

impl Mca {
    /// The machine's own, or Debian's.
    ///
    /// # Errors
    /// There are none.
    pub fn ready(debian: &Debian) -> Result<Self> {
        Ok(Self {
            disassembler: debian.tool("llvm-mc-22", PACKAGE)?,
            estimator: debian.tool("llvm-mca-22", PACKAGE)?,
        })
    }

    /// Cycles that the model needs for one time through the path, where it is repeated.
    ///
    /// # Errors
    /// A word that is no instruction, one that the model has not, or an answer that is not understood.
    pub fn cycles(&self, path: &Recorded, model: &str) -> Result<f64> {
        let folder = setup_dir().join("llvm");
        let file = |tail: &str| folder.join(format!("{}.{}", std::process::id(), tail));
        let (words, text) = (file("words"), file("s"));
        fs::write(&words, bytes(path))?;
        let listed = self.disassembler.text(&[
            "--disassemble",
            "-triple=aarch64",
            FEATURES,
            &words.to_string_lossy(),
        ])?;
        let lines = instructions(&listed);
        ensure!(
            lines.len() == path.steps.len(),
            "{}: {} instructions for {} words",
            path.entry,
            lines.len(),
            path.steps.len()
        );
        let lines: Vec<String> = lines.into_iter().flat_map(modelled).collect();
        fs::write(&text, lines.join("\n"))?;
        // It warns of calls and returns, which -call-latency is the answer to.
        let answer = self.estimator.run(&[
            "-mtriple=aarch64",
            &format!("-mcpu={model}"),
            FEATURES,
            "-call-latency=1",
            &format!("-iterations={ITERATIONS}"),
            "-instruction-info=false",
            "-resource-pressure=false",
            &text.to_string_lossy(),
        ])?;
        for file in [words, text] {
            fs::remove_file(file)?;
        }
        let Summary {
            iterations,
            instructions,
            cycles,
        } = Summary::parse(&answer.stdout)?;
        ensure!(
            (iterations, instructions) == (ITERATIONS, ITERATIONS * lines.len() as u64),
            "{}: llvm-mca took {instructions} instructions in {iterations} rounds",
            path.entry
        );
        Ok(cycles as f64 / iterations as f64)
    }
}

/// The words as llvm-mc reads them.
fn bytes(path: &Recorded) -> String {
    let bytes = path.steps.iter().flat_map(|step| step.word.to_le_bytes());
    bytes.map(|byte| format!("{byte:#04x} ")).collect()
}

/// What llvm-mc disassembled, without its directives.
fn instructions(listing: &str) -> Vec<&str> {
    let lines = listing.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('.'))
        .collect()
}

/// The instruction as the models have it. None of LLVM 22 knows an atomic add: it stands as a load, an add and a store, by way of
/// x16, which no entry has anything in then.
fn modelled(line: &str) -> Vec<String> {
    let add = || {
        let (name, operands) = line.split_once('\t')?;
        let operands: Vec<&str> = operands.split(", ").collect();
        match (name, operands.as_slice()) {
            ("stadd", [addend, place]) => Some(("x16", *addend, *place)),
            ("ldadd", [addend, loaded, place]) => Some((*loaded, *addend, *place)),
            _ => None,
        }
    };
    match add() {
        Some((loaded, addend, place)) => vec![
            format!("ldr {loaded}, {place}"),
            format!("add x16, {loaded}, {addend}"),
            format!("str x16, {place}"),
        ],
        None => vec![line.to_owned()],
    }
}

/// The head of llvm-mca's answer.
#[derive(Debug, PartialEq, Eq)]
struct Summary {
    iterations: u64,
    instructions: u64,
    cycles: u64,
}

impl Summary {
    fn parse(answer: &str) -> Result<Self> {
        let number = |name: &str| -> Result<u64> {
            let line = answer.lines().find_map(|line| line.strip_prefix(name));
            let line = line.with_context(|| format!("llvm-mca says no `{name}`"))?;
            match line.trim().parse() {
                Ok(0) | Err(_) => bail!("llvm-mca's `{name}` is{line}"),
                Ok(number) => Ok(number),
            }
        };
        Ok(Self {
            iterations: number("Iterations:")?,
            instructions: number("Instructions:")?,
            cycles: number("Total Cycles:")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emu_check::paths::Step;

    #[test]
    fn the_head_of_an_answer_is_read_and_others_are_refused() {
        let head = "Iterations:        200\nInstructions:      6000\nTotal Cycles:      2410\nTotal uOps:        7000\n";
        let summary = Summary {
            iterations: 200,
            instructions: 6000,
            cycles: 2410,
        };
        assert_eq!(Summary::parse(head).unwrap(), summary);
        for (good, bad) in [("2410", "0"), ("2410", "many"), ("Total Cycles", "Cycles")] {
            assert!(Summary::parse(&head.replace(good, bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn words_are_bytes_from_the_lowest_on() {
        let path = Recorded {
            entry: "e".to_owned(),
            calls: 1,
            steps: vec![Step {
                address: 0,
                word: 0xd503_201f,
                text: String::new(),
            }],
        };
        assert_eq!(bytes(&path), "0x1f 0x20 0x03 0xd5 ");
    }

    #[test]
    fn an_atomic_add_is_a_load_an_add_and_a_store() {
        assert_eq!(
            modelled("ldadd\tx13, x14, [x11]"),
            ["ldr x14, [x11]", "add x16, x14, x13", "str x16, [x11]"]
        );
        assert_eq!(
            modelled("stadd\tx13, [x11]"),
            ["ldr x16, [x11]", "add x16, x16, x13", "str x16, [x11]"]
        );
        assert_eq!(modelled("add\tx1, x2, x3"), ["add\tx1, x2, x3"]);
    }

    #[test]
    fn directives_are_no_instructions() {
        assert_eq!(
            instructions("\t.text\n\tnop\n\n\tret\tx10\n"),
            ["nop", "ret\tx10"]
        );
    }
}
