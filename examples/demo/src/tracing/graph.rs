//! Entry and exit events as lines with braces, as Linux's function_graph has them.

use super::RECORDER;
use aarch64_ftrace::record::{Item, RecordError};
use aarch64_ftrace::trace::{Event, Type};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// Of events before the first that says which task runs.
const UNKNOWN: u32 = u32::MAX;

/// What a line shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// The function was entered, and others inside it, or it has not returned yet.
    Open,
    /// It has returned.
    Close,
    /// Both, with nothing between.
    Leaf,
}

/// A line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// What it shows.
    pub shape: Shape,
    /// The task's number.
    pub task: u32,
    /// How many recorded functions are around it.
    pub depth: usize,
    /// The low half of the callsite.
    pub site: u32,
    /// Ticks from entry to return, where it has returned.
    pub duration: Option<u32>,
}

/// What the recorder has, as lines, and how many events it has lost.
///
/// # Errors
///
/// Those of [`aarch64_ftrace::record::Recorder::read`].
pub fn lines() -> Result<(Vec<Line>, u64), RecordError> {
    let mut graph = Graph {
        lines: Vec::new(),
        task: UNKNOWN,
        tasks: BTreeMap::new(),
    };
    // What reads is traced, too.
    let was_on = RECORDER.is_on();
    RECORDER.switch(false)?;
    let counts = RECORDER.counts(0)?;
    for item in RECORDER.read(0)? {
        if let Item::Event { event, .. } = item {
            graph.take(event);
        }
    }
    RECORDER.switch(was_on)?;
    Ok((graph.lines, counts.overwritten))
}

struct Graph {
    lines: Vec<Line>,
    task: u32,
    tasks: BTreeMap<u32, Open>,
}

/// What a task is inside of.
#[derive(Default)]
struct Open {
    /// Numbers of the lines that have opened.
    open: Vec<usize>,
    /// Its last line.
    last: Option<usize>,
}

impl Graph {
    fn take(&mut self, event: Event) {
        match event.kind() {
            Some(Type::Task) => self.task = event.upper(),
            Some(Type::Entry) => self.entered(event.callsite_low()),
            Some(Type::Exit) => self.left(event.callsite_low(), event.upper()),
            _ => {}
        }
    }

    fn entered(&mut self, site: u32) {
        let task = self.tasks.entry(self.task).or_default();
        let number = self.lines.len();
        self.lines.push(Line {
            shape: Shape::Open,
            task: self.task,
            depth: task.open.len(),
            site,
            duration: None,
        });
        task.open.push(number);
        task.last = Some(number);
    }

    fn left(&mut self, site: u32, duration: u32) {
        let task = self.tasks.entry(self.task).or_default();
        // An exit whose entry is not there ends nothing; entries whose exit is missing end with what is around them.
        let opened = task
            .open
            .iter()
            .rposition(|&number| self.lines[number].site == site);
        let depth = opened.unwrap_or(0);
        let number = opened.map(|place| task.open[place]);
        if let Some(place) = opened {
            task.open.truncate(place);
        }
        if let Some(number) = number.filter(|_| number == task.last) {
            self.lines[number].shape = Shape::Leaf;
            self.lines[number].duration = Some(duration);
            return;
        }
        task.last = Some(self.lines.len());
        self.lines.push(Line {
            shape: Shape::Close,
            task: self.task,
            depth,
            site,
            duration: Some(duration),
        });
    }
}
