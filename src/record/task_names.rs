//! The tasks' names in the region. Whoever writes one and whoever reads may interrupt each other anywhere, on any core: nobody waits.
#![forbid(unsafe_code)]

use super::{RecordError, Recorder};
use crate::sink::{Sink, SinkError, Stream};
use crate::trace::{FrameKind, NO_CORE, TASK_ENTRY_BYTES, TASK_NAME_BYTES, TaskEntry, TaskName};
use core::sync::atomic::{AtomicU64, Ordering, fence};

const WORDS: usize = TASK_ENTRY_BYTES / size_of::<u64>();
/// Where the sequence number stands in the first word; the id is below.
const SEQUENCE_SHIFT: u32 = u32::BITS;
/// Names of one frame: so many as a kernel's stack has room for.
const BATCH: usize = 8;
/// Bytes of a name in a frame, the name aside.
const HEAD: usize = size_of::<u32>() + size_of::<u16>();

/// An entry's memory. An odd sequence number: somebody writes it.
#[repr(C, align(64))]
pub(crate) struct Entry([AtomicU64; WORDS]);

const _: () = assert!(size_of::<Entry>() == TASK_ENTRY_BYTES);

/// There is no room for another name.
pub(crate) struct Full;

/// The table. Entries are taken in their order, so behind one that was never used there is none.
#[derive(Clone, Copy)]
pub(crate) struct TaskNames(pub(crate) &'static [Entry]);

const fn sequence(first: u64) -> u32 {
    (first >> SEQUENCE_SHIFT) as u32
}

const fn first_word(id: u32, sequence: u32) -> u64 {
    id as u64 | (sequence as u64) << SEQUENCE_SHIFT
}

impl Entry {
    /// What it holds; torn where it was written to meanwhile.
    fn read(&self) -> TaskEntry {
        let first = self.0[0].load(Ordering::Acquire);
        let mut bytes = [0; TASK_ENTRY_BYTES];
        for (to, word) in bytes.as_chunks_mut().0.iter_mut().zip(&self.0) {
            *to = word.load(Ordering::Relaxed).to_le_bytes();
        }
        // The words before the first one again: pairs with the release in `write`.
        fence(Ordering::Acquire);
        match self.0[0].load(Ordering::Relaxed) == first {
            true => TaskEntry::from_bytes(&bytes),
            false => TaskEntry::Torn,
        }
    }

    /// Takes the entry as it was found, for this task, and writes the name; false where somebody else was there before.
    fn write(&self, found: u64, name: TaskName) -> bool {
        let writing = sequence(found).wrapping_add(1);
        let taken = self.0[0].compare_exchange(
            found,
            first_word(name.id, writing),
            Ordering::Acquire,
            Ordering::Relaxed,
        );
        if taken.is_err() {
            return false;
        }
        // Who sees one of the words below sees that somebody writes.
        fence(Ordering::Release);
        // Zero would say that it was never used.
        let written = writing.wrapping_add(1).max(2);
        let bytes = name.to_bytes(written);
        for (word, from) in self.0.iter().zip(bytes.as_chunks().0).skip(1) {
            word.store(u64::from_le_bytes(*from), Ordering::Relaxed);
        }
        self.0[0].store(first_word(name.id, written), Ordering::Release);
        true
    }
}

impl TaskNames {
    /// All that is whole. Of two names of one task the last counts: two who name it first may take an entry each, where
    /// another entry is given back between.
    pub(crate) fn iter(self) -> impl Iterator<Item = TaskName> {
        self.0.iter().filter_map(|entry| entry.read().name())
    }

    pub(crate) fn get(self, id: u32) -> Option<TaskName> {
        self.iter().filter(|name| name.id == id).last()
    }

    /// Writes a task's name, in the entry that it has or in the first that is free.
    pub(crate) fn set(self, name: TaskName) -> Result<(), Full> {
        loop {
            let (mut own, mut free) = (None, None);
            for entry in self.0 {
                let first = entry.0[0].load(Ordering::Acquire);
                if sequence(first) != 0 && first as u32 == name.id {
                    own = Some((entry, first));
                } else if free.is_none() && entry.read() == TaskEntry::Free {
                    free = Some((entry, first));
                }
                if sequence(first) == 0 {
                    break;
                }
            }
            // Somebody else names the same task at this moment: that is the later of the two.
            if own.is_some_and(|(_, first)| !sequence(first).is_multiple_of(2)) {
                return Ok(());
            }
            if own.is_none() && name.name().is_empty() {
                return Ok(());
            }
            let (entry, first) = own.or(free).ok_or(Full)?;
            if entry.write(first, name) {
                return Ok(());
            }
        }
    }
}

impl Recorder {
    /// Gives a task its name, in the region: whoever finds the region has it, on this machine or in an image of its RAM. A name that
    /// the task has already is replaced; an empty one gives the room back. Of a name longer than 48 bytes the first are kept.
    ///
    /// # Errors
    /// [`RecordError::NotInstalled`]; [`RecordError::TooManyTaskNames`] where [`Sizes::task_names`](super::Sizes::task_names) tasks
    /// have names already.
    ///
    /// # Context
    /// Any, also a tracer, on several cores at a time: waits for nobody. Where two name one task at the same time, one of
    /// the names stays. Looks at each entry of the table.
    pub fn name_task(&self, id: u32, name: &str) -> Result<(), RecordError> {
        let names = self.installed()?.region.task_names();
        let most = names.0.len();
        let named = names.set(TaskName::new(id, name));
        named.map_err(|Full| RecordError::TooManyTaskNames { most })
    }

    /// The name of a task; `None` where it has none, or just gets one.
    ///
    /// # Context
    /// Any.
    pub fn task_name(&self, id: u32) -> Option<TaskName> {
        self.installed().ok()?.region.task_names().get(id)
    }
}

/// Sends names, in as many frames as they take.
pub(super) fn send_task_names<S: Sink>(
    stream: &mut Stream<S>,
    mut names: impl Iterator<Item = TaskName>,
) -> Result<(), SinkError> {
    let mut payload = [0; BATCH * (HEAD + TASK_NAME_BYTES)];
    loop {
        let mut len = 0;
        for name in names.by_ref().take(BATCH) {
            let text = name.name().as_bytes();
            let parts = [
                &name.id.to_le_bytes()[..],
                &(text.len() as u16).to_le_bytes(),
                text,
            ];
            for part in parts {
                payload[len..len + part.len()].copy_from_slice(part);
                len += part.len();
            }
        }
        if len == 0 {
            return Ok(());
        }
        stream.frame(FrameKind::Tasks, NO_CORE, &[&payload[..len]])?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::boxed::Box;
    use std::string::{String, ToString as _};
    use std::thread;
    use std::vec::Vec;

    fn table(entries: usize) -> TaskNames {
        let free = || Entry([const { AtomicU64::new(0) }; WORDS]);
        let entries: Vec<Entry> = core::iter::repeat_with(free).take(entries).collect();
        TaskNames(Box::leak(entries.into_boxed_slice()))
    }

    fn set(names: TaskNames, id: u32, name: &str) -> bool {
        names.set(TaskName::new(id, name)).is_ok()
    }

    fn all(names: TaskNames) -> Vec<(u32, String)> {
        names
            .iter()
            .map(|name| (name.id, name.to_string()))
            .collect()
    }

    #[test]
    fn a_name_is_replaced_given_back_and_refused_where_there_is_no_room() {
        let names = table(2);
        assert!(set(names, 5, ""), "it had none");
        assert!(set(names, 0, "idle") && set(names, 7, "shell"));
        assert!(!set(names, 8, "one too many"));
        assert!(set(names, 8, ""), "it had none, and takes no room");
        assert!(set(names, 7, "sh"));
        assert_eq!(all(names), [(0, "idle".into()), (7, "sh".into())]);
        assert!(set(names, 0, "") && set(names, 8, "net"));
        assert_eq!(all(names), [(8, "net".into()), (7, "sh".into())]);
        assert_eq!(names.get(0), None);
        assert_eq!(names.get(7), Some(TaskName::new(7, "sh")));
        assert!(!set(table(0), 1, "a"));
    }

    #[test]
    fn a_long_name_is_cut_behind_a_whole_character() {
        let names = table(1);
        let long = "x".repeat(47) + "\u{fc}";
        assert!(set(names, 1, &long));
        assert_eq!(all(names), [(1, "x".repeat(47))]);
        assert!(set(names, 1, &long[1..]));
        assert_eq!(all(names), [(1, long[1..].into())]);
    }

    /// Its sequence number is never that of an entry that was never used, nor odd.
    #[test]
    fn an_entry_is_written_for_ever() {
        let names = table(1);
        for sequence in [u32::MAX - 1, u32::MAX - 3] {
            names.0[0].0[0].store(first_word(4, sequence), Ordering::Relaxed);
            assert!(set(names, 4, "a") && set(names, 4, "b"));
            assert_eq!(all(names), [(4, "b".into())], "{sequence:#x}");
        }
    }

    /// Whoever was interrupted while it wrote: nobody waits, and its entry is nobody else's.
    #[test]
    fn an_entry_that_is_being_written_is_left_to_its_writer() {
        let names = table(2);
        assert!(set(names, 4, "four"));
        let own = &names.0[0];
        own.0[0].store(first_word(4, 3), Ordering::Relaxed);
        assert!(set(names, 4, "later") && set(names, 5, "five"));
        assert!(!set(names, 6, "six"));
        assert_eq!(all(names), [(5, "five".into())]);
        assert_eq!(own.read(), TaskEntry::Torn);
        let untouched = own.0[0].load(Ordering::Relaxed) == first_word(4, 3);
        assert!(untouched, "somebody else wrote to it");
    }

    /// Names of one task by several writers, and of others beside it: whole ones are read, and none takes a second entry.
    #[test]
    fn readers_meet_whole_names_while_several_write() {
        const WRITERS: u32 = 3;
        const ROUNDS: u32 = 20_000;
        let names = table(1 + WRITERS as usize);
        let text = |n: u32| {
            char::from(b'a' + (n % 26) as u8)
                .to_string()
                .repeat(1 + n as usize % 48)
        };
        thread::scope(|scope| {
            for writer in 1..=WRITERS {
                scope.spawn(move || {
                    for n in 0..ROUNDS {
                        assert!(set(names, 0, &text(n)), "there is room for it");
                        assert!(set(names, writer, &text(n + writer)));
                    }
                });
            }
            for _ in 0..ROUNDS {
                for name in names.iter() {
                    let text = name.to_string();
                    let first = &text[..1];
                    assert_eq!(text, first.repeat(text.len()), "torn");
                }
            }
        });
        let mut ids: Vec<u32> = names.iter().map(|name| name.id).collect();
        ids.sort_unstable();
        assert_eq!(ids, [0, 1, 2, 3]);
    }
}
