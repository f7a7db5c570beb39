//! The kernel's log: a ring of bytes in which new lines push out the oldest.

use crate::sync::Lock;
use core::fmt::{self, Write};

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// For who looks closely.
    Debug,
    /// Ordinary events.
    Info,
    /// Something is not as it should be.
    Warn,
}

impl Level {
    fn from_byte(byte: u8) -> Self {
        match byte {
            0 => Self::Debug,
            1 => Self::Info,
            _ => Self::Warn,
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
        })
    }
}

/// Longest text of a line, in bytes; what is longer is cut.
pub const MAX_TEXT: usize = 96;
/// Before each text: its length, its level, its time.
const HEADER: usize = 1 + 1 + size_of::<u64>();

/// A line that has been read back.
pub struct Line {
    /// When it was written, in the writer's ticks.
    pub time: u64,
    /// How much it matters.
    pub level: Level,
    bytes: [u8; MAX_TEXT],
    len: usize,
}

impl Line {
    /// Its text.
    pub fn text(&self) -> &str {
        // A line that was cut within a character keeps what is whole.
        match core::str::from_utf8(&self.bytes[..self.len]) {
            Ok(text) => text,
            Err(error) => core::str::from_utf8(&self.bytes[..error.valid_up_to()]).unwrap_or(""),
        }
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = MAX_TEXT - self.len;
        let taken = text.len().min(room);
        self.bytes[self.len..self.len + taken].copy_from_slice(&text.as_bytes()[..taken]);
        self.len += taken;
        Ok(())
    }
}

/// A log of `SIZE` bytes.
pub struct Ring<const SIZE: usize> {
    bytes: [u8; SIZE],
    /// Where the oldest line begins, and how many bytes the lines take.
    first: usize,
    used: usize,
    lines: usize,
    lost: usize,
}

impl<const SIZE: usize> Ring<SIZE> {
    /// An empty log.
    pub const fn new() -> Self {
        assert!(
            SIZE >= HEADER + MAX_TEXT,
            "the ring must have room for a line"
        );
        Self {
            bytes: [0; SIZE],
            first: 0,
            used: 0,
            lines: 0,
            lost: 0,
        }
    }

    /// Lines that are in it, and lines that were pushed out.
    pub fn counts(&self) -> (usize, usize) {
        (self.lines, self.lost)
    }

    /// Adds a line; the oldest make room for it.
    pub fn push(&mut self, time: u64, level: Level, text: fmt::Arguments) {
        let mut line = Line {
            time,
            level,
            bytes: [0; MAX_TEXT],
            len: 0,
        };
        // `Line` takes any text; a Display that fails leaves what it wrote.
        let _ = line.write_fmt(text);
        while SIZE - self.used < HEADER + line.len {
            self.drop_oldest();
        }
        self.append(&[line.len as u8, level as u8]);
        self.append(&time.to_le_bytes());
        self.append(&line.bytes[..line.len]);
        self.lines += 1;
    }

    /// The lines, oldest first.
    pub fn lines(&self) -> impl Iterator<Item = Line> + '_ {
        let mut at = 0;
        (0..self.lines).map(move |_| {
            let line = self.line(at);
            at += HEADER + line.len;
            line
        })
    }

    fn append(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.bytes[(self.first + self.used) % SIZE] = *byte;
            self.used += 1;
        }
    }

    fn drop_oldest(&mut self) {
        let bytes = HEADER + self.line(0).len;
        self.first = (self.first + bytes) % SIZE;
        self.used -= bytes;
        self.lines -= 1;
        self.lost += 1;
    }

    fn copy(&self, at: usize, into: &mut [u8]) {
        for (offset, byte) in into.iter_mut().enumerate() {
            *byte = self.bytes[(self.first + at + offset) % SIZE];
        }
    }

    /// The line that begins `at` bytes after the oldest.
    fn line(&self, at: usize) -> Line {
        let mut head = [0; 2];
        let mut time = [0; size_of::<u64>()];
        let mut bytes = [0; MAX_TEXT];
        self.copy(at, &mut head);
        self.copy(at + head.len(), &mut time);
        let len = usize::from(head[0]);
        self.copy(at + HEADER, &mut bytes[..len]);
        Line {
            time: u64::from_le_bytes(time),
            level: Level::from_byte(head[1]),
            bytes,
            len,
        }
    }
}

static LOG: Lock<Ring<4096>> = Lock::new(Ring::new());

/// Adds a line to the kernel's log.
pub fn log(level: Level, text: fmt::Arguments) {
    let time = crate::sched::ticks();
    LOG.lock().push(time, level, text);
}

/// The last `count` lines of the kernel's log, through `each`, and the counts of [`Ring::counts`].
pub fn tail(count: usize, mut each: impl FnMut(&Line)) -> (usize, usize) {
    let (lines, lost) = LOG.lock().counts();
    for number in lines.saturating_sub(count)..lines {
        // The lock is free while `each` prints.
        let line = LOG.lock().lines().nth(number);
        if let Some(line) = line {
            each(&line);
        }
    }
    (lines, lost)
}
