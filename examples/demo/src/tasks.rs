//! The tasks that run beside the shell: they keep the index, the volume and the log busy, a little, all the time.

use crate::disk::{MemoryDisk, Volume};
use crate::index::Tree;
use crate::klog::{self, Level};
use crate::sched;
use crate::sync::Lock;
use alloc::boxed::Box;
use alloc::format;

static INDEX: Lock<Tree<u64, u64>> = Lock::new(Tree::new());

const SECTORS: usize = 16;
const FILES: u64 = 4;
/// Keys that the indexer keeps.
const KEYS: u64 = 64;

/// Starts them.
pub fn start() {
    sched::spawn("indexer", sched::STACK_BYTES, indexer);
    sched::spawn("scrubber", sched::STACK_BYTES, scrubber);
    sched::spawn("reporter", sched::STACK_BYTES, reporter);
}

/// Keys and height of the tree that the indexer keeps.
pub fn index_size() -> (usize, u32) {
    let index = INDEX.lock();
    (index.len(), index.height())
}

/// Moves a window of keys through the tree.
fn indexer() {
    for number in 0.. {
        let mut index = INDEX.lock();
        index.insert(number, number * number);
        if number >= KEYS {
            index.remove(&(number - KEYS));
        }
        drop(index);
        sched::sleep(5);
    }
}

/// Writes files to a volume of its own and checks all of them, in turn.
fn scrubber() {
    let mut volume = Volume::format(Box::new(MemoryDisk::new(SECTORS)));
    for number in 0_u64.. {
        let name = format!("scrub-{}", number % FILES);
        let contents = [number as u8; 600];
        let written = volume.write(&name, &contents);
        sched::yield_now();
        let result = written.and_then(|()| volume.scrub());
        match result {
            Ok(files) => klog::log(Level::Debug, format_args!("{files} files are whole")),
            Err(error) => klog::log(Level::Warn, format_args!("scrub: {error}")),
        }
        sched::sleep(40);
    }
}

/// Writes a line to the log now and then.
fn reporter() {
    loop {
        let (keys, height) = index_size();
        klog::log(
            Level::Info,
            format_args!("index: {keys} keys, {height} levels"),
        );
        sched::sleep(100);
    }
}
