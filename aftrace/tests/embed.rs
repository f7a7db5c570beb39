//! Kernels made to order: what is read from them, what is written into them, and each way it can fail.

mod fixture;

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use aarch64_ftrace::names::{Names, layout_hash};
use aftrace::elf::{ElfError, Kernel};
use aftrace::embed::{EmbedError, embed_bytes, embed_file};
use fixture::{Fixture, TEXT, TEXT_LOADED};
use object::elf;

const FUNCTIONS: [(u64, &str); 4] = [
    (0x48, "_ZN5sched4idle17h0123456789abcdefE"),
    (0x88, "_RNvMNtCs1234_5alloc3vecINtB2_3VechE4push.llvm.99"),
    (0x88, "_ZN4demo4push17h0123456789abcdefE"),
    (0xC8, "memcpy"),
];

fn embedded(bytes: &[u8]) -> Names<'_> {
    let space = Kernel::parse(bytes).unwrap().names_space().unwrap();
    Names::parse(&bytes[space.file]).unwrap()
}

fn paths(bytes: &[u8]) -> Vec<Vec<String>> {
    embedded(bytes)
        .iter()
        .map(|aliases| aliases.map(|n| n.to_string()).collect())
        .collect()
}

const PATHS: [&[&str]; 3] = [
    &["sched::idle"],
    &["alloc::vec::Vec<u8>::push", "demo::push"],
    &["memcpy"],
];

#[test]
fn names_arrive_in_order_of_address_with_all_aliases() {
    let mut fixture = Fixture::new(&FUNCTIONS);
    fixture.traced.reverse();
    let mut bytes = fixture.build();
    let report = embed_bytes(&mut bytes).unwrap();
    assert_eq!(paths(&bytes), PATHS);
    assert_eq!(
        (
            report.callsites,
            report.names,
            report.aliases,
            report.nameless
        ),
        (3, 4, 1, 0)
    );
    assert_eq!(report.reserved, 4096);
    assert!(report.changed);
    let names = embedded(&bytes);
    assert_eq!(report.bytes, names.size());
    assert_eq!(names.build_id(), [0xB1; 20]);
    assert_eq!(
        names.layout_hash(),
        layout_hash([0x40, 0x80, 0xC0].into_iter())
    );
}

/// Functions of 48 bytes, each with its next record directly behind it but for the padding, or with more between.
#[test]
fn a_function_with_other_code_behind_it_has_an_end() {
    let functions = [(0x48, "a"), (0x80, "b"), (0xC8, "c"), (0x100, "d")];
    let mut fixture = Fixture::new(&functions);
    let ends = |fixture: &Fixture| {
        let mut bytes = fixture.build();
        embed_bytes(&mut bytes).unwrap();
        [0, 1, 2, 3].map(|index| embedded(&bytes).end(index))
    };
    // No symbol says how long they are.
    assert_eq!(ends(&fixture), [None; 4]);
    fixture.size = 0x30;
    // 0x78 is the next record; then 16 bytes more; then it again. Nobody says where the text ends.
    assert_eq!(ends(&fixture), [None, Some(0x30), None, Some(0x30)]);
    let text = [
        ("__ftrace_text_start", TEXT),
        ("__ftrace_text_end", TEXT + 0x134),
    ];
    fixture.symbols = text.to_vec();
    assert_eq!(ends(&fixture), [None, Some(0x30), None, None]);
    fixture.traced.remove(2);
    let mut bytes = fixture.build();
    embed_bytes(&mut bytes).unwrap();
    assert_eq!(embedded(&bytes).end(1), Some(0x30), "one of c's size too");
}

#[test]
fn position_independent_kernels_have_their_records_in_relocations() {
    let mut fixture = Fixture::new(&FUNCTIONS);
    fixture.pie = true;
    fixture.kind = elf::ET_DYN;
    let mut bytes = fixture.build();
    embed_bytes(&mut bytes).unwrap();
    assert_eq!(paths(&bytes), PATHS);
}

#[test]
fn the_text_is_what_stands_between_its_symbols_and_its_segment_says_where_it_is_loaded() {
    let mut fixture = Fixture::new(&FUNCTIONS);
    let text = |fixture: &Fixture| {
        let bytes = fixture.build();
        let kernel = Kernel::parse(&bytes).unwrap();
        kernel
            .text()
            .map(|text| (text.bytes.to_vec(), text.load_address))
    };
    assert_eq!(text(&fixture), None);
    for (start, end) in [(8, 8), (8, 4), (8, 0x1001), (0x1000, 0x1004)] {
        fixture.symbols = vec![
            ("__ftrace_text_start", TEXT + start),
            ("__ftrace_text_end", TEXT + end),
        ];
        assert_eq!(text(&fixture), None, "{start:#x}..{end:#x}");
    }
    fixture.symbols = vec![
        ("__ftrace_text_start", TEXT + 8),
        ("__ftrace_text_end", TEXT + 12),
    ];
    assert_eq!(text(&fixture), Some((vec![8, 9, 10, 11], TEXT_LOADED + 8)));
}

#[test]
fn symbols_bound_the_sections_when_they_are_part_of_others() {
    let mut fixture = Fixture::new(&FUNCTIONS);
    fixture.symbols = vec![
        ("__start___patchable_function_entries", fixture::RECORDS + 8),
        ("__stop___patchable_function_entries", fixture::RECORDS + 24),
        ("__start_ftrace_names", fixture::NAMES),
        ("__stop_ftrace_names", fixture::NAMES + 1024),
    ];
    let mut bytes = fixture.build();
    let report = embed_bytes(&mut bytes).unwrap();
    assert_eq!(paths(&bytes), PATHS[1..]);
    assert_eq!(report.reserved, 1024);
}

#[test]
fn a_record_without_symbol_stays_nameless() {
    let mut fixture = Fixture::new(&FUNCTIONS);
    fixture.traced.push(0x108);
    let mut bytes = fixture.build();
    let report = embed_bytes(&mut bytes).unwrap();
    assert_eq!(
        (
            report.callsites,
            report.names,
            report.aliases,
            report.nameless
        ),
        (4, 4, 1, 1)
    );
    assert_eq!(paths(&bytes)[3], [""; 0]);
}

#[test]
fn embedding_twice_changes_nothing() {
    let mut bytes = Fixture::new(&FUNCTIONS).build();
    embed_bytes(&mut bytes).unwrap();
    let once = bytes.clone();
    let report = embed_bytes(&mut bytes).unwrap();
    assert!(!report.changed);
    assert_eq!(bytes, once);
}

#[test]
fn a_file_is_replaced_as_a_whole_and_only_when_it_changes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("kernel");
    let link = directory.path().join("link");
    std::fs::write(&path, Fixture::new(&FUNCTIONS).build()).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o750)).unwrap();
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let before = std::fs::metadata(&path).unwrap().ino();
    assert!(embed_file(&link).unwrap().changed);
    let after = std::fs::metadata(&path).unwrap();
    assert_ne!(after.ino(), before, "written in place");
    assert_eq!(after.mode() & 0o777, 0o750);
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(paths(&std::fs::read(&path).unwrap()), PATHS);
    assert!(!embed_file(&path).unwrap().changed);
    assert_eq!(std::fs::metadata(&path).unwrap().ino(), after.ino());
    assert_eq!(
        std::fs::read_dir(directory.path()).unwrap().count(),
        2,
        "no temporary file stays"
    );
}

#[test]
fn too_little_space_fails_with_the_size_needed_and_leaves_the_kernel() {
    let mut fixture = Fixture::new(&FUNCTIONS);
    fixture.names = Some(
        aarch64_ftrace::names::Reserved::<96>::new()
            .as_bytes()
            .to_vec(),
    );
    let mut bytes = fixture.build();
    let before = bytes.clone();
    let error = embed_bytes(&mut bytes).unwrap_err();
    let EmbedError::TooSmall {
        needed,
        reserved: 96,
        suggested,
    } = error
    else {
        panic!("{error}")
    };
    assert_eq!(bytes, before);
    assert_eq!(
        error.to_string(),
        format!(
            "{needed} bytes of names, 96 reserved: write `reserve_names!({suggested});` in the kernel"
        )
    );
    // The size it asks for is the size that does.
    fixture.names.as_mut().unwrap().resize(needed, 0);
    assert_eq!(embed_bytes(&mut fixture.build()).unwrap().bytes, needed);
    fixture.names.as_mut().unwrap().resize(needed - 8, 0);
    assert!(matches!(
        embed_bytes(&mut fixture.build()),
        Err(EmbedError::TooSmall { .. })
    ));
}

#[test]
fn each_missing_part_has_its_own_error() {
    let fails = |change: &dyn Fn(&mut Fixture)| {
        let mut fixture = Fixture::new(&FUNCTIONS);
        change(&mut fixture);
        embed_bytes(&mut fixture.build()).unwrap_err()
    };
    assert!(matches!(
        fails(&|f| f.names = None),
        EmbedError::NoSpace { suggested: 1024 }
    ));
    assert!(matches!(
        fails(&|f| f.names = Some(b"something else".repeat(20))),
        EmbedError::Foreign(_)
    ));
    assert!(matches!(
        fails(&|f| f.traced.clear()),
        EmbedError::Elf(ElfError::NoRecords)
    ));
    assert!(matches!(
        fails(&|f| f.functions.clear()),
        EmbedError::Elf(ElfError::NoSymbols)
    ));
    assert!(matches!(
        fails(&|f| f.kind = elf::ET_REL),
        EmbedError::Elf(ElfError::NotLinked)
    ));
    assert!(matches!(
        fails(&|f| f.machine = elf::EM_X86_64),
        EmbedError::Elf(ElfError::NotAarch64 { machine: 62 })
    ));
    assert!(matches!(
        fails(&|f| f.symbols = vec![
            ("__start___patchable_function_entries", fixture::RECORDS),
            ("__stop___patchable_function_entries", fixture::RECORDS + 12),
        ]),
        EmbedError::Elf(ElfError::BadRecords {
            address: fixture::RECORDS,
            size: 12
        })
    ));
    assert!(matches!(
        fails(&|f| f.traced.push(8u64.wrapping_sub(TEXT))),
        EmbedError::Elf(ElfError::EmptyRecord { .. })
    ));
    assert!(matches!(
        embed_bytes(&mut b"#!/bin/sh".to_vec()),
        Err(EmbedError::Elf(ElfError::Object(_)))
    ));
}

/// Whatever a damaged file says, there is an error or a result, never a panic.
#[test]
fn damaged_files_do_not_panic() {
    let whole = Fixture::new(&FUNCTIONS).build();
    for len in (0..whole.len()).step_by(61) {
        _ = embed_bytes(&mut whole[..len].to_vec());
    }
    // The ELF header, the section headers and the tables behind the text.
    for at in (0..64).chain(0x2000..whole.len()) {
        for value in [0, 1, 0x7F, 0xFF] {
            let mut bytes = whole.clone();
            bytes[at] = value;
            _ = embed_bytes(&mut bytes);
        }
    }
}
