//! The rules of the house that a reader relies on: where `unsafe` and `asm!` stand, and how long a file is.

use std::fs;
use std::path::{Path, PathBuf};

/// Every file of the library that has `unsafe` in it, and why it must. `docs/architecture.md` names them too.
const UNSAFE: &[(&str, &str)] = &[
    ("src/areas.rs", "the list of cores' areas, and their rings"),
    ("src/arch/aarch64/entries.rs", "names of the asm entries"),
    ("src/arch/aarch64/image.rs", "the linker's symbols"),
    (
        "src/arch/aarch64/live.rs",
        "the text: loads, stores, cache maintenance",
    ),
    ("src/arch/aarch64/mod.rs", "system registers"),
    ("src/arch/aarch64/semihosting.rs", "the trap of semihosting"),
    ("src/arch/host.rs", "entries have the type of asm entries"),
    ("src/boxed.rs", "boxes that live while they are registered"),
    ("src/cpu.rs", "the stacks that an area points to"),
    ("src/fprobe.rs", "an ops that is its first field"),
    ("src/fregs.rs", "a tracer may send the function elsewhere"),
    ("src/fuzz.rs", "records that a table wants for ever"),
    ("src/image.rs", "records described by hand"),
    (
        "src/kernel_stack.rs",
        "frame records on a stack whose bounds only the kernel knows",
    ),
    ("src/lock.rs", "the value behind the lock"),
    ("src/names.rs", "a link_section attribute"),
    ("src/notrace.rs", "a link_section attribute"),
    ("src/ops.rs", "entries that are asm"),
    ("src/platform.rs", "the contract with the kernel"),
    (
        "src/record/memory.rs",
        "the kernel's memory, cut into rings",
    ),
    (
        "src/record/persistent.rs",
        "memory that a linker script sets aside",
    ),
    ("src/registry.rs", "the next pointer of the list of ops"),
    (
        "src/return_stack.rs",
        "whose stack it is, only the kernel knows",
    ),
    ("src/ring.rs", "slots at an address"),
    ("src/set.rs", "sets with their members behind them"),
    ("src/set_memory.rs", "the allocator's calls"),
    (
        "src/shutdown.rs",
        "a kernel that keeps its other cores still",
    ),
    ("src/storage.rs", "values handed out once"),
    ("src/table.rs", "the section's records as atomics"),
    ("src/tests/builtin.rs", "what the asm reads of a set"),
    ("src/tests/kernel_stack.rs", "frame records to walk"),
    ("src/tests/lock.rs", "a Platform of the tests"),
    ("src/tests/stack_tracer.rs", "a Platform of the tests"),
    (
        "src/tests/recorder.rs",
        "a Platform of the tests; a region as a debugger reads it",
    ),
    ("src/tests/ring.rs", "memory for a ring"),
    ("src/tests/scarce.rs", "an allocator that can be exhausted"),
    (
        "src/tests/world.rs",
        "made-up addresses of tracers and entries, which nothing calls",
    ),
];

/// Files without `unsafe` that cannot forbid it, because modules below them have it.
const PARENTS: [&str; 4] = [
    "src/record.rs",
    "src/lib.rs",
    "src/arch/mod.rs",
    "src/tests/mod.rs",
];

const MOST_LINES: usize = 400;

/// A file, by its path from the root with `/` between.
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// The text without comments. A `//` in a string ends its line here too, which hides nothing that is looked for.
    fn code(&self) -> String {
        let line = |line: &str| line.split("//").next().unwrap_or("").to_owned() + "\n";
        self.text.lines().map(line).collect()
    }

    fn has_word(&self, word: &str) -> bool {
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        self.code().split(|c| !is_part(c)).any(|each| each == word)
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(directory: &str) -> Vec<Source> {
    let mut found = Vec::new();
    let mut todo = vec![root().join(directory)];
    while let Some(at) = todo.pop() {
        for entry in fs::read_dir(&at).unwrap_or_else(|e| panic!("{}: {e}", at.display())) {
            let path: PathBuf = entry.expect("a readable directory").path();
            let name = path.file_name().unwrap_or_default();
            let hidden = name.to_string_lossy().starts_with('.');
            if path.is_dir() && name != "target" && !hidden {
                todo.push(path);
            } else if path.extension().is_some_and(|e| e == "rs" || e == "S") {
                let text = fs::read_to_string(&path).expect("source is UTF-8");
                let path = path.strip_prefix(root()).expect("below the root");
                let path = path.to_string_lossy().replace('\\', "/");
                found.push(Source { path, text });
            }
        }
    }
    assert!(!found.is_empty(), "{directory} has no source");
    found
}

fn may_be_unsafe(path: &str) -> bool {
    UNSAFE.iter().any(|(file, _)| *file == path)
}

#[test]
fn unsafe_stands_only_where_it_is_said_to() {
    let sources = sources("src");
    for source in &sources {
        let has = source.has_word("unsafe");
        assert_eq!(has, may_be_unsafe(&source.path), "{}", source.path);
    }
    for &(file, _) in UNSAFE {
        assert!(sources.iter().any(|s| s.path == file), "{file} is gone");
    }
}

#[test]
fn every_other_file_forbids_unsafe_code() {
    for source in sources("src") {
        let exempt = may_be_unsafe(&source.path) || PARENTS.contains(&source.path.as_str());
        let forbids = source.code().contains("#![forbid(unsafe_code)]");
        assert!(forbids || exempt, "{} does not forbid it", source.path);
    }
}

/// By its path, or by that of its directory with a `/` behind.
#[test]
fn the_architecture_names_every_file_with_unsafe() {
    let page = fs::read_to_string(root().join("docs/architecture.md")).expect("the page exists");
    for &(file, why) in UNSAFE {
        let directories = file.match_indices('/').map(|(i, _)| &file[..=i]);
        let named = directories
            .filter(|directory| *directory != "src/")
            .chain([file])
            .any(|path| page.contains(&format!("`{path}`")));
        assert!(named, "docs/architecture.md does not name {file} ({why})");
    }
}

#[test]
fn asm_stands_only_under_src_arch() {
    let macros = ["asm", "global_asm", "naked_asm"];
    let mut seen = 0;
    for source in sources("src").iter().filter(|s| s.path.ends_with(".rs")) {
        let code = source.code();
        let has = macros
            .iter()
            .any(|name| code.contains(&format!("{name}!(")));
        assert!(
            !has || source.path.starts_with("src/arch/"),
            "{}",
            source.path
        );
        seen += usize::from(has);
    }
    assert!(
        seen > 0,
        "no asm is found any more: this test looks for the wrong thing"
    );
}

/// All of the repository: a list of directories would miss the next one.
#[test]
fn no_file_is_longer_than_one_thought() {
    for source in sources("") {
        let lines = source.text.lines().count();
        assert!(lines <= MOST_LINES, "{}: {lines} lines", source.path);
    }
}
