//! `cargo xtask demo`, `shell` and `run`: a kernel with its console shown.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::kernel::{self, Kernel, Profile, Target};
use crate::proc;
use crate::qemu::{self, Machine, Outcome, Script};
use crate::setup::{Ready, repo};
use crate::ui::{bold, say, took};

/// What the demo's shell waits with.
pub const PROMPT: &str = "demo> ";
/// A session takes no longer.
pub const LIMIT: Duration = Duration::from_secs(120);

/// Builds one kernel by the name of its binary, whichever package has it.
///
/// # Errors
/// When no kernel has the name, or its build fails.
pub fn build(ready: &Ready, name: &str, target: Target, profile: Profile) -> Result<Kernel> {
    let packages = kernel::packages()?;
    let Some(package) = packages
        .iter()
        .find(|package| package.binaries().contains(&name))
    else {
        let known: Vec<&str> = packages
            .iter()
            .flat_map(kernel::Package::binaries)
            .collect();
        bail!(
            "no kernel is called {name}; there are: {}",
            known.join(", ")
        );
    };
    let start = Instant::now();
    say(format!("building {name} for {target}, {profile}"));
    let kernels = kernel::build(
        &ready.toolchain,
        &[&package.name],
        Some(name),
        target,
        profile,
    )?;
    let kernel = kernels.into_iter().next().context("nothing was built")?;
    say(format!("  built ({})", took(start)));
    if let Some(names) = &kernel.names {
        say(format!("  names: {names}"));
    }
    Ok(kernel)
}

/// Runs the demo's script and shows the session.
///
/// # Errors
/// When the demo cannot be built or does not come to its end.
pub fn demo(ready: &Ready) -> Result<()> {
    let path = repo().join("examples/demo/session.txt");
    let text =
        fs::read_to_string(&path).with_context(|| format!("no script {}", path.display()))?;
    let steps = steps(&text);
    let lines = lines(&text);
    let kernel = build(ready, "demo", Target::Softfloat, Profile::Release)?;
    let machine = Machine {
        limit: LIMIT,
        ..Machine::default()
    };
    say("booting it in QEMU");
    let script = Script {
        prompt: PROMPT,
        lines: &lines,
    };
    let finished = qemu::boot(&machine, &kernel.elf, Some(script))?;
    say("");
    say(show(&finished.console, &steps));
    if finished.outcome != Outcome::Exit(0) {
        bail!("the demo did not end well: {}", finished.explain());
    }
    let prompts = finished.console.matches(PROMPT).count();
    if prompts < lines.len() {
        bail!("the demo took {prompts} of {} lines", lines.len());
    }
    say(format!(
        "\n{} lines typed at the kernel's shell, {}. Type yourself: cargo xtask shell",
        lines.len(),
        format_args!("{:.1} s", finished.time.as_secs_f64())
    ));
    Ok(())
}

/// What is typed for a script.
#[must_use]
pub fn lines(text: &str) -> Vec<String> {
    steps(text).into_iter().map(|step| step.line).collect()
}

/// A line of the script and the heading before it.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    heading: Vec<String>,
    line: String,
}

/// `# text` is a heading for the next line; blank lines do not count.
fn steps(text: &str) -> Vec<Step> {
    let mut heading = Vec::new();
    let mut steps = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match line.strip_prefix('#') {
            Some(rest) => heading.push(rest.trim().to_owned()),
            None => steps.push(Step {
                heading: std::mem::take(&mut heading),
                line: line.to_owned(),
            }),
        }
    }
    steps
}

/// The console with the script's headings before the lines they belong to.
fn show(console: &str, steps: &[Step]) -> String {
    let mut next = steps.iter();
    let mut shown = Vec::new();
    for line in console.lines() {
        if line.starts_with(PROMPT)
            && let Some(step) = next.next()
            && !step.heading.is_empty()
        {
            shown.push(String::new());
            shown.extend(step.heading.iter().map(|text| bold(&format!("# {text}"))));
        }
        shown.push(line.to_owned());
    }
    shown.join("\n")
}

/// Leaves a person at the demo's prompt.
///
/// # Errors
/// When the demo cannot be built or QEMU fails.
pub fn shell(ready: &Ready) -> Result<()> {
    let kernel = build(ready, "demo", Target::Softfloat, Profile::Release)?;
    say("the kernel's own shell; `help` lists its commands, `exit` leaves\n");
    interactive(&Machine::default(), &kernel)
}

/// Boots any kernel with the terminal as its console.
///
/// # Errors
/// When it cannot be built or does not exit with 0.
pub fn run(
    ready: &Ready,
    name: &str,
    machine: &Machine,
    target: Target,
    profile: Profile,
) -> Result<()> {
    let kernel = build(ready, name, target, profile)?;
    interactive(machine, &kernel)
}

fn interactive(machine: &Machine, kernel: &Kernel) -> Result<()> {
    let mut command = qemu::command(machine, &kernel.elf);
    say(format!("{}\n", proc::line(&command)));
    proc::run(&mut command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_belong_to_the_line_after_them() {
        let steps = steps("# One\n# two\nhelp\n\nexit\n");
        assert_eq!(
            steps,
            [
                Step {
                    heading: vec!["One".into(), "two".into()],
                    line: "help".into()
                },
                Step {
                    heading: vec![],
                    line: "exit".into()
                },
            ]
        );
        let shown = show("boot\ndemo> help\na\ndemo> exit", &steps);
        assert_eq!(shown, "boot\n\n# One\n# two\ndemo> help\na\ndemo> exit");
    }
}
