//! The table of the tasks' names: entries of 64 bytes that each prove themselves, so that who finds one half written knows it.
#![forbid(unsafe_code)]

use super::crc32;
use core::fmt;

/// Bytes of an entry.
pub const TASK_ENTRY_BYTES: usize = 64;
/// Most bytes of a name.
pub const TASK_NAME_BYTES: usize = 48;
/// Most entries of a table.
pub const TASK_NAMES_MAX: u32 = 1 << 16;

/// Offsets in an entry.
mod at {
    pub(super) const ID: usize = 0;
    pub(super) const SEQUENCE: usize = 4;
    pub(super) const NAME: usize = 8;
    pub(super) const LENGTH: usize = 56;
    pub(super) const CRC: usize = 60;
}

/// A task's name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TaskName {
    /// The task's number.
    pub id: u32,
    len: u32,
    text: [u8; TASK_NAME_BYTES],
}

/// What an entry of the table holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskEntry {
    /// Nothing: never used, or given back.
    Free,
    /// A name.
    Name(TaskName),
    /// Half of one: its writer was interrupted, or it is damaged.
    Torn,
}

impl TaskName {
    /// A name for a task, cut off behind its last whole character within [`TASK_NAME_BYTES`].
    pub fn new(id: u32, name: &str) -> Self {
        let fits = |end: &usize| name.is_char_boundary(*end);
        let len = (0..=name.len().min(TASK_NAME_BYTES)).rev().find(fits);
        let len = len.unwrap_or(0);
        let mut text = [0; TASK_NAME_BYTES];
        text[..len].copy_from_slice(&name.as_bytes()[..len]);
        let len = len as u32;
        Self { id, len, text }
    }

    /// The name.
    pub fn name(&self) -> &str {
        let text = self.text.get(..self.len as usize);
        text.and_then(|text| str::from_utf8(text).ok())
            .unwrap_or_default()
    }

    /// Its entry, with this sequence number.
    pub fn to_bytes(self, sequence: u32) -> [u8; TASK_ENTRY_BYTES] {
        let mut entry = [0; TASK_ENTRY_BYTES];
        entry[at::ID..at::SEQUENCE].copy_from_slice(&self.id.to_le_bytes());
        entry[at::SEQUENCE..at::NAME].copy_from_slice(&sequence.to_le_bytes());
        entry[at::NAME..at::LENGTH].copy_from_slice(&self.text);
        entry[at::LENGTH..at::CRC].copy_from_slice(&self.len.to_le_bytes());
        let crc = crc32(&entry[..at::CRC]);
        entry[at::CRC..].copy_from_slice(&crc.to_le_bytes());
        entry
    }
}

impl TaskEntry {
    /// Looks at an entry, whatever it holds.
    pub fn from_bytes(entry: &[u8; TASK_ENTRY_BYTES]) -> Self {
        let half = |at: usize| {
            u32::from_le_bytes([entry[at], entry[at + 1], entry[at + 2], entry[at + 3]])
        };
        let (sequence, len) = (half(at::SEQUENCE), half(at::LENGTH));
        if *entry == [0; TASK_ENTRY_BYTES] {
            return Self::Free;
        }
        let whole = sequence != 0
            && sequence.is_multiple_of(2)
            && half(at::CRC) == crc32(&entry[..at::CRC]);
        let text = entry[at::NAME..at::LENGTH].first_chunk();
        let (true, Some(text)) = (whole, text) else {
            return Self::Torn;
        };
        match text.get(..len as usize).map(str::from_utf8) {
            Some(Ok("")) => Self::Free,
            Some(Ok(_)) => Self::Name(TaskName {
                id: half(at::ID),
                len,
                text: *text,
            }),
            _ => Self::Torn,
        }
    }

    /// The name.
    pub fn name(self) -> Option<TaskName> {
        match self {
            Self::Name(name) => Some(name),
            Self::Free | Self::Torn => None,
        }
    }
}

impl fmt::Display for TaskName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Debug for TaskName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.id, self.name())
    }
}
