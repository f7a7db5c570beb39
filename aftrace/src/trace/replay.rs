//! A trace as a person reads it: calls with their durations, indented by depth, in uftrace's manner.

use std::collections::VecDeque;
use std::io::{self, Write};

use super::calls::{Call, Return, Step, Task};
use super::file::Trace;
use super::filter::{Filter, Shown};
use super::symbols::Symbols;
use super::values::{comment, equals};
use aarch64_ftrace::trace::{DATA_RETURN_ADDRESS, Data, Event, Type, trigger_name};

/// How to show it.
#[derive(Clone, Debug, Default)]
pub struct Style {
    /// Only this many of the last lines.
    pub tail: Option<usize>,
    /// The time of each line, in seconds of the kernel's clock.
    pub timestamps: bool,
}

/// Characters of a time, with the blank behind it.
const TIME: usize = 17;

/// A duration as people write it: three digits behind the point, the unit that leaves at most three before it.
#[must_use]
pub fn duration(nanoseconds: u64) -> String {
    const UNITS: [(u64, &str); 4] = [
        (1_000, "us"),
        (1_000_000, "ms"),
        (1_000_000_000, " s"),
        (60_000_000_000, " m"),
    ];
    let (unit, name) = UNITS
        .into_iter()
        .rev()
        .find(|(unit, _)| nanoseconds >= *unit)
        .unwrap_or(UNITS[0]);
    format!(
        "{}.{:03} {name}",
        nanoseconds / unit,
        nanoseconds % unit * 1_000 / unit
    )
}

/// A time of the kernel's clock in seconds, to the nanosecond.
#[must_use]
pub fn seconds(nanoseconds: u64) -> String {
    const SECOND: u64 = 1_000_000_000;
    format!("{}.{:09}", nanoseconds / SECOND, nanoseconds % SECOND)
}

/// A path with each outermost list of generic arguments as `<...>`. What stands in `<T as Trait>` is no such list.
#[must_use]
pub fn shorten(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let (mut depth, mut before) = (0_usize, ' ');
    for c in path.chars() {
        let opens =
            c == '<' && (depth > 0 || before.is_alphanumeric() || matches!(before, '_' | ':'));
        match c {
            '<' if opens => {
                if depth == 0 {
                    out.push_str("<...");
                }
                depth += 1;
            }
            '>' if depth > 0 && before != '-' => {
                depth -= 1;
                if depth == 0 {
                    out.push('>');
                }
            }
            _ if depth == 0 => out.push(c),
            _ => {}
        }
        before = c;
    }
    out
}

/// Of calls that are further in than a screen is wide, the level is not seen.
fn indent(depth: u32) -> String {
    const INDENTED: usize = 100;
    "  ".repeat((depth as usize).min(INDENTED))
}

/// An event that is no call, in words; DATA without a value has none.
pub(super) fn other(symbols: &Symbols, event: Event) -> Option<String> {
    let at = || symbols.shown(event.callsite_low());
    Some(match event.kind() {
        Some(Type::Trigger) => format!("trigger {} at {}", trigger_name(event.upper()), at()),
        Some(Type::Stack) => format!("stack at {}:", at()),
        Some(Type::Data) => {
            const KINDS: [&str; 4] = ["argument", "return value", "return address", "frame data"];
            let Data { kind, index, value } = event.data()?;
            if kind == DATA_RETURN_ADDRESS {
                return Some(format!(
                    "  {value:#x} {}",
                    symbols.shown_caller(value as u32)
                ));
            }
            let kind = KINDS.get(usize::from(kind)).copied();
            let kind = kind.unwrap_or("data of an unknown kind");
            format!("  {kind} {index}: {value:#x}")
        }
        _ => format!("event of reserved type {}", event.code()),
    })
}

struct Printer<'a, W> {
    out: W,
    symbols: &'a Symbols,
    trace: &'a Trace,
    style: &'a Style,
    last: VecDeque<String>,
}

/// Writes the trace as text.
///
/// # Errors
/// Those of the file and of `out`.
pub fn replay(
    trace: &Trace,
    symbols: &Symbols,
    filter: &Filter,
    style: &Style,
    out: impl Write,
) -> io::Result<()> {
    let mut printer = Printer {
        out,
        symbols,
        trace,
        style,
        last: VecDeque::new(),
    };
    let time = match style.timestamps {
        true => format!("{:>1$}", "TIME", TIME - 1),
        false => String::new(),
    };
    writeln!(
        printer.out,
        "#{time} DURATION  CPU  TASK           FUNCTION"
    )?;
    let unfinished = filter.play(trace, symbols, true, |shown| printer.show(shown))?;
    let Printer { mut out, last, .. } = printer;
    for line in last {
        writeln!(out, "{line}")?;
    }
    if !unfinished.is_empty() {
        writeln!(
            out,
            "\n# not returned when the trace ends, from the outside in:"
        )?;
    }
    for call in unfinished {
        writeln!(
            out,
            "# [{:>3}] {}{}",
            call.core,
            indent(call.depth),
            symbols.shown(call.callsite)
        )?;
    }
    out.flush()
}

impl<W: Write> Printer<'_, W> {
    fn show(&mut self, shown: Shown) -> io::Result<()> {
        match shown {
            Shown::Leaf(leave) => self.call(
                &leave.call,
                Some(leave.duration),
                &format!(
                    "{}{};{}",
                    self.name(leave.call.callsite),
                    leave.call.arguments,
                    comment(leave.result)
                ),
            ),
            Shown::Step(Step::Enter(call)) => {
                let tail = if self.symbols.is_tail(call.parent) {
                    " /* tail call */"
                } else {
                    ""
                };
                self.call(
                    &call,
                    None,
                    &format!("{}{} {{{tail}", self.name(call.callsite), call.arguments),
                )
            }
            Shown::Step(Step::Leave(leave)) => {
                let Return { call, .. } = leave;
                let lost = match leave {
                    Return { entered: true, .. } => "",
                    Return { left_out: true, .. } => ", its entry is left out",
                    _ => ", entered before the trace or what is missing of it",
                };
                let at = Call {
                    time: leave.time,
                    core: leave.core,
                    ..call
                };
                self.call(
                    &at,
                    Some(leave.duration),
                    &format!(
                        "}} /* {}{}{lost} */",
                        self.name(call.callsite),
                        equals(leave.result)
                    ),
                )
            }
            Shown::Step(Step::Function(call)) => {
                let text = format!(
                    "{}(); /* from {} */",
                    self.name(call.callsite),
                    self.symbols.shown_caller(call.parent)
                );
                self.call(&call, None, &text)
            }
            Shown::Step(Step::Abandoned(call, time)) => {
                let text = format!(
                    "}} /* {}: its return is missing */",
                    self.name(call.callsite)
                );
                self.call(&Call { time, ..call }, None, &text)
            }
            Shown::Step(Step::Missing(core, events, _)) => {
                self.note(core, &format!("{events} events are missing here"))
            }
            Shown::Step(Step::Switch(core, _, task)) => {
                let text = format!("core {core} runs {}", self.task(task));
                self.note(core, &text)
            }
            Shown::Step(Step::Other(item)) => match other(self.symbols, item.event) {
                Some(text) => self.note(item.core, &text),
                None => Ok(()),
            },
        }
    }

    fn name(&self, low: u32) -> String {
        self.symbols.shown(low)
    }

    fn task(&self, task: Task) -> String {
        match task {
            Task::Core(_) => "-".to_owned(),
            Task::Id(id) => self.trace.task_name(id),
        }
    }

    fn call(&mut self, call: &Call, ticks: Option<u64>, text: &str) -> io::Result<()> {
        let duration = ticks.map_or_else(String::new, |ticks| {
            duration(self.symbols.nanoseconds(ticks))
        });
        let time = match self.style.timestamps {
            true => {
                let time = seconds(self.symbols.nanoseconds(call.time));
                format!("{time:>0$} ", TIME - 1)
            }
            false => String::new(),
        };
        let (task, indent) = (self.task(call.task), indent(call.depth));
        self.line(format!(
            "{time}{duration:>10} [{:>3}] {task:<12} | {indent}{text}",
            call.core
        ))
    }

    fn note(&mut self, core: u16, text: &str) -> io::Result<()> {
        let time = match self.style.timestamps {
            true => " ".repeat(TIME),
            false => String::new(),
        };
        self.line(format!(
            "{time}{:>10} [{core:>3}] {:<12} | /* {text} */",
            "", ""
        ))
    }

    fn line(&mut self, line: String) -> io::Result<()> {
        let Some(tail) = self.style.tail else {
            return writeln!(self.out, "{line}");
        };
        self.last.push_back(line);
        if self.last.len() > tail {
            self.last.pop_front();
        }
        Ok(())
    }
}
