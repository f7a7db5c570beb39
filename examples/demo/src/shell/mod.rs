//! The shell: a line from the console, a command, its output, and then what the tracer has seen meanwhile.

mod commands;
mod cover;
mod crates;
mod stack;
mod timing;
mod trace;
mod trigger;
mod wrong;

use crate::input;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Display;
use virt::{print, println};

/// Longest line.
const MAX_LINE: usize = 120;
/// Timer ticks between looks at the live trace while nobody types.
const LIVE_TICKS: u64 = 50;
const BACKSPACE: u8 = 0x08;
const DELETE: u8 = 0x7f;
const CONTROL_U: u8 = 0x15;

/// A command.
struct Command {
    name: &'static str,
    arguments: &'static str,
    about: &'static str,
    run: fn(&[&str]) -> Answer,
}

/// What a command has to say for itself when it could not be done.
type Answer = Result<(), String>;

const COMMANDS: &[Command] = &[
    Command {
        name: "help",
        arguments: "",
        about: "this",
        run: help,
    },
    Command {
        name: "ps",
        arguments: "",
        about: "the tasks",
        run: commands::ps,
    },
    Command {
        name: "uptime",
        arguments: "",
        about: "time since the start",
        run: commands::uptime,
    },
    Command {
        name: "mem",
        arguments: "",
        about: "the heap, and what the tracer keeps",
        run: commands::mem,
    },
    Command {
        name: "log",
        arguments: "[LINES]",
        about: "the kernel's log",
        run: commands::log,
    },
    Command {
        name: "wait",
        arguments: "TICKS",
        about: "let the other tasks run",
        run: commands::wait,
    },
    Command {
        name: "run",
        arguments: "WORKLOAD | all",
        about: "run a workload and compare its result with the first time",
        run: commands::run,
    },
    Command {
        name: trace::NAME,
        arguments: trace::ARGUMENTS,
        about: "the tracer; a GLOB with ! before it takes away",
        run: trace::run,
    },
    Command {
        name: "bench",
        arguments: "",
        about: "what a traced call costs, by number of tracers",
        run: commands::bench,
    },
    Command {
        name: "exit",
        arguments: "",
        about: "leave QEMU",
        run: commands::exit,
    },
];

/// Reads and runs commands until `exit`.
pub fn run() {
    println!("type help");
    loop {
        print!("demo> ");
        let line = read_line();
        execute(&line);
    }
}

fn execute(line: &str) {
    let words: Vec<&str> = line.split_whitespace().collect();
    let Some((name, arguments)) = words.split_first() else {
        return;
    };
    // A script may explain itself.
    if name.starts_with('#') {
        return;
    }
    let command = COMMANDS.iter().find(|command| command.name == *name);
    let answer = match command {
        Some(command) => (command.run)(arguments),
        None => Err(alloc::format!("no command {name:?}: type help")),
    };
    if let Err(message) = answer {
        println!("  error: {message}");
    }
    // What the tracer's own commands say is not buried in what it has seen.
    if *name != trace::NAME {
        trace::show();
    }
}

/// A line without its end, echoed as it is typed. While nothing is typed, the live trace is shown.
fn read_line() -> String {
    let mut line = String::new();
    loop {
        let Some(byte) = input::next(LIVE_TICKS) else {
            if line.is_empty() && trace::has_news() {
                println!();
                trace::show();
                print!("demo> ");
            }
            continue;
        };
        match byte {
            b'\r' | b'\n' => {
                println!();
                return line;
            }
            BACKSPACE | DELETE if line.pop().is_some() => print!("\x08 \x08"),
            BACKSPACE | DELETE => {}
            CONTROL_U => {
                while line.pop().is_some() {
                    print!("\x08 \x08");
                }
            }
            b' '..=b'~' if line.len() < MAX_LINE => {
                line.push(char::from(byte));
                print!("{}", char::from(byte));
            }
            _ => {}
        }
    }
}

fn help(_: &[&str]) -> Answer {
    for command in COMMANDS {
        println!("  {} {}", command.name, command.arguments);
        println!("      {}", command.about);
        if command.name == trace::NAME {
            wrong::help();
        }
    }
    println!("  workloads:");
    for workload in crate::workload::ALL {
        println!("      {:8}{}", workload.name, workload.about);
    }
    Ok(())
}

/// The only argument.
fn one<'a>(arguments: &[&'a str], what: &str) -> Result<&'a str, String> {
    match arguments {
        [only] => Ok(only),
        _ => Err(alloc::format!("{what} is needed, and nothing else")),
    }
}

/// An argument as a number.
fn number<T: core::str::FromStr<Err: Display>>(argument: &str) -> Result<T, String> {
    argument
        .parse()
        .map_err(|error| alloc::format!("{argument:?} is no number: {error}"))
}
