//! The Rust that the documents show compiles: each block stands, line for line, in hello or in this file.
#![allow(
    dead_code,
    unused_variables,
    clippy::undocumented_unsafe_blocks,
    reason = "compiled, not run: snippets, with comments where a kernel does something"
)]

use std::fs;
use std::path::{Path, PathBuf};

const NOT_SHOWN: &str = "// not shown";

/// What the blocks take for granted.
mod kernel {
    use aarch64_ftrace::{AliasError, Ftrace, Platform};

    struct Board;

    // SAFETY: nobody initialises this tracer.
    unsafe impl Platform for Board {
        fn patch_begin(&self) -> Result<isize, AliasError> {
            unreachable!("nothing is patched")
        }

        fn sync_cores(&self) {}

        fn cpu_index(&self) -> usize {
            0
        }
    }

    pub static FTRACE: Ftrace = Ftrace::new(&Board);
}

#[rustfmt::skip]
mod recording {
    use super::kernel::FTRACE;
    use aarch64_ftrace::Filter;

    use aarch64_ftrace::record::{Item, RecordMemory, Recorder, Sizes};
    use aarch64_ftrace::Mode;

    static RECORDER: Recorder = Recorder::new(&FTRACE);
    static MEMORY: RecordMemory<{ 4096 + 4 * 65536 }> = RecordMemory::new();

    fn record() -> Result<(), Box<dyn std::error::Error>> { // not shown
        let sizes = Sizes { cores: 4, ring_bytes: 65536, mode: Mode::Overwrite, spare: false, task_names: 16 };
        RECORDER.install(MEMORY.take().unwrap(), sizes)?;
        FTRACE.register(RECORDER.ops()?, &Filter::new(&["sched::*"]))?;
        // ... later, while it goes on
        for item in RECORDER.read(0)? {
            if let Item::Event { event, .. } = item { /* event.time(), event.callsite_low(), event.upper() */ }
        }
        Ok(())
    }

    use aarch64_ftrace::{ReturnFrame, ReturnStack, Storage};

    static STACK: ReturnStack = ReturnStack::new();
    static FRAMES: Storage<ReturnFrame, 64> = Storage::new([const { ReturnFrame::new() }; 64]);

    fn record_graph() -> Result<(), Box<dyn std::error::Error>> { // not shown
        STACK.set_frames(FRAMES.take().unwrap())?;
        // SAFETY: STACK is this task's alone; the context switch says the same line for the task that runs next.
        unsafe { FTRACE.switch_return_stack(&STACK) };
        FTRACE.register(RECORDER.graph_ops()?, &Filter::new(&["fs::*"]))?;
        Ok(())
    }
}

#[rustfmt::skip]
mod boot_configuration {
    use super::kernel::FTRACE;
    use aarch64_ftrace::record::{Recorder, Sizes};
    use core::mem::MaybeUninit;

    static RECORDER: Recorder = Recorder::new(&FTRACE);

    aarch64_ftrace::reserve_boot_config!(1024);          // once: a static FTRACE_BOOT_CONFIG

    fn boot(memory: &'static mut [MaybeUninit<u8>], sizes: Sizes) -> Result<(), Box<dyn std::error::Error>> { // not shown
        FTRACE.init()?;
        RECORDER.install(memory, sizes)?;
        RECORDER.boot(&FTRACE_BOOT_CONFIG.config()?)?;       // an empty one changes nothing
        Ok(())
    }
}

#[rustfmt::skip]
mod survivor {
    use super::kernel::FTRACE;
    use aarch64_ftrace::record::{Persistent, Recorder, Sizes};

    static RECORDER: Recorder = Recorder::new(&FTRACE);

    fn boot(start: core::ptr::NonNull<u8>, bytes: usize, sizes: Sizes) -> Result<(), Box<dyn std::error::Error>> {
        let memory = unsafe { Persistent::new(start, bytes) };
        match RECORDER.survivor(&memory) {
            Ok(survivor) => { /* survivor.build(), .read(core), .print(&mut console, 20), .send(&mut stream) */ }
            Err(why) => { /* no magic on a cold start; else what is damaged */ }
        }
        RECORDER.install_persistent(memory, sizes)?;
        Ok(())
    }
}

/// The lines of a text without their indents; in a source, those that end with [`NOT_SHOWN`] stand in no block.
fn lines(text: &str) -> Vec<&str> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.ends_with(NOT_SHOWN))
        .collect()
}

/// The blocks of Rust in a document: the line where each begins, and its text.
fn blocks(document: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut inside = false;
    for (number, line) in document.lines().enumerate() {
        match line.trim() {
            "```rust" => {
                inside = true;
                found.push((number + 1, String::new()));
            }
            "```" => inside = false,
            _ if inside => {
                if let Some((_, text)) = found.last_mut() {
                    text.push_str(line);
                    text.push('\n');
                }
            }
            _ => {}
        }
    }
    found
}

fn documents(root: &Path) -> Vec<PathBuf> {
    let docs = fs::read_dir(root.join("docs")).expect("docs/");
    let docs = docs.map(|entry| entry.expect("an entry").path());
    let mut all: Vec<_> = docs
        .filter(|path| path.extension().is_some_and(|end| end == "md"))
        .collect();
    all.push(root.join("README.md"));
    all.sort();
    all
}

#[test]
fn every_block_of_rust_stands_in_code_that_compiles() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = [
        "examples/hello/src/main.rs",
        "tests/guest/src/bin/text_further_than_a_branch_is_traced.rs",
        "tests/documents.rs",
    ]
    .map(|path| fs::read_to_string(root.join(path)).expect("a source"));
    let mut checked = 0;
    for path in documents(root) {
        let text = fs::read_to_string(&path).expect("a document");
        for (line, block) in blocks(&text) {
            let block = lines(&block);
            let stands =
                |source: &String| lines(source).windows(block.len()).any(|part| part == block);
            assert!(
                sources.iter().any(stands),
                "{}:{line}: no code that is compiled has these lines: put them into tests/documents.rs",
                path.display()
            );
            checked += 1;
        }
    }
    assert!(checked >= 3, "only {checked} blocks of Rust were found");
}
