//! The writer against the reader.

use aarch64_ftrace::names::{Names, NamesError};
use aftrace::names::{EncodeError, Record, encode};
use proptest::collection::vec;
use proptest::prelude::*;

fn decoded(names: &Names<'_>) -> Vec<Vec<String>> {
    names
        .iter()
        .map(|aliases| aliases.map(|n| n.to_string()).collect())
        .collect()
}

fn records(names: &[Vec<String>]) -> Vec<Record> {
    let at = |i: usize| 0x4020_0000 + 16 * i as u64;
    names
        .iter()
        .enumerate()
        .map(|(i, n)| Record {
            address: at(i),
            names: n.clone(),
            end: (i % 3 == 1).then_some(8 * i as u32),
        })
        .collect()
}

/// Names that share much, as real ones do, so that rules nest.
fn name() -> impl Strategy<Value = String> {
    let part = prop_oneof!["alloc::", "core::", "<u8>", "Vec", "\u{fc}", "[a-z]{1,3}"];
    vec(part, 1..12).prop_map(|parts| parts.concat())
}

fn table() -> impl Strategy<Value = Vec<Vec<String>>> {
    vec(vec(name(), 0..4), 0..200)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read(names in table(), id in vec(any::<u8>(), 0..=20)) {
        let records = records(&names);
        let bytes = encode(&records, &id).unwrap();
        let read = Names::parse(&bytes).unwrap();
        prop_assert_eq!(read.count(), names.len());
        prop_assert_eq!(read.total_names(), names.iter().flatten().count());
        prop_assert_eq!(read.size(), bytes.len());
        prop_assert_eq!(read.build_id(), &id[..]);
        prop_assert_eq!(read.belongs_to(records.iter().map(|r| r.address)), Ok(()));
        prop_assert_eq!(&decoded(&read), &names);
        for (i, expected) in names.iter().enumerate() {
            let got: Vec<String> = read.get(i).unwrap().map(|n| n.to_string()).collect();
            prop_assert_eq!(&got, expected);
            prop_assert_eq!(read.end(i), records[i].end.map(|end| end as usize));
        }
        prop_assert!(read.get(names.len()).is_none());
    }

    #[test]
    fn damage_is_an_error(names in table(), at in any::<prop::sample::Index>(), flip in 1..=255_u8) {
        let mut bytes = encode(&records(&names), b"id").unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        prop_assert!(Names::parse(&bytes).is_err(), "byte {} xor {:#x}", at, flip);
    }

    /// Bytes with a valid checksum and anything else: the reader stays within bounds and ends.
    #[test]
    fn hostile_tables_are_read_without_panic(
        names in table(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
    ) {
        let mut bytes = encode(&records(&names), b"id").unwrap();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let sum = aarch64_ftrace::names::format::checksum(&bytes);
        bytes[32..40].copy_from_slice(&sum.to_le_bytes());
        if let Ok(read) = Names::parse(&bytes) {
            prop_assert_eq!(read.iter().count(), read.count());
            for i in 0..read.count() {
                for name in read.get(i).unwrap() {
                    prop_assert!(name.bytes().count() <= 65535);
                    let _ = name.to_string();
                }
            }
            decoded(&read);
        }
    }
}

#[test]
fn every_truncation_is_an_error() {
    let names: Vec<Vec<String>> = (0..130)
        .map(|i| vec![format!("demo::function_{i}")])
        .collect();
    let bytes = encode(&records(&names), b"0123456789abcdef0123").unwrap();
    for len in 0..bytes.len() {
        let error = Names::parse(&bytes[..len]).unwrap_err();
        let expected = match len {
            0 => NamesError::NoSection,
            1..96 => NamesError::Truncated {
                expected: 96,
                found: len,
            },
            _ => NamesError::Truncated {
                expected: bytes.len(),
                found: len,
            },
        };
        assert_eq!(error, expected);
    }
}

#[test]
fn every_corrupt_byte_is_an_error() {
    let names: Vec<Vec<String>> = (0..70)
        .map(|i| vec![format!("demo::function_{i}")])
        .collect();
    let bytes = encode(&records(&names), b"id").unwrap();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            assert!(Names::parse(&damaged).is_err(), "byte {at} bit {bit}");
        }
    }
}

#[test]
fn a_kernel_with_other_gaps_is_refused_and_a_moved_one_is_not() {
    let bytes = encode(&records(&vec![vec!["a".to_owned()]; 3]), b"").unwrap();
    let names = Names::parse(&bytes).unwrap();
    assert_eq!(names.belongs_to([0, 16, 32].into_iter()), Ok(()));
    for other in [&[0, 16, 40][..], &[0, 16], &[0, 16, 32, 48], &[]] {
        let error = names.belongs_to(other.iter().copied()).unwrap_err();
        assert!(
            matches!(error, NamesError::OtherKernel { expected, .. } if expected == names.layout_hash())
        );
    }
}

#[test]
fn input_beyond_the_format_is_an_error() {
    let one = |address, name: &str| Record {
        address,
        names: vec![name.to_owned()],
        end: None,
    };
    assert_eq!(
        encode(&[one(16, "a"), one(8, "b")], b""),
        Err(EncodeError::Unsorted {
            index: 1,
            address: 8
        })
    );
    assert_eq!(
        encode(&[one(0, "a\0b")], b""),
        Err(EncodeError::BadName {
            index: 0,
            name: "a\0b".to_owned()
        })
    );
    assert_eq!(
        encode(&[one(0, &"x".repeat(65_536))], b""),
        Err(EncodeError::TooLong {
            index: 0,
            len: 65_536,
            limit: 65_535
        })
    );
    assert_eq!(encode(&[], &[0; 21]), Err(EncodeError::BuildId { len: 21 }));
    // The longest name that fits also comes back.
    let longest = "ab".repeat(32_767) + "c";
    let bytes = encode(&[one(0, &longest)], b"").unwrap();
    assert_eq!(decoded(&Names::parse(&bytes).unwrap()), [[longest]]);
}

/// The names of this test's own executable: some thousands, as a compiler makes them.
#[test]
fn real_names_are_small() {
    use object::{Object, ObjectSymbol};
    let file = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    let elf = object::File::parse(&*file).unwrap();
    let mut symbols: Vec<_> = elf
        .symbols()
        .filter(|s| s.kind() == object::SymbolKind::Text && s.is_definition())
        .map(|s| (s.address(), aftrace::demangle::path(s.name().unwrap())))
        .collect();
    symbols.sort();
    symbols.truncate(3000);
    let records: Vec<_> = symbols
        .into_iter()
        .map(|(address, name)| Record {
            address,
            names: vec![name],
            end: None,
        })
        .collect();
    let plain: usize = records.iter().map(|r| r.names[0].len()).sum();
    let bytes = encode(&records, b"").unwrap();
    let names = Names::parse(&bytes).unwrap();
    assert!(
        names
            .iter()
            .zip(&records)
            .all(|(a, r)| a.map(|n| n.to_string()).eq(r.names.iter().cloned()))
    );
    let each = |n: usize| n as f64 / records.len() as f64;
    println!(
        "{} names, {:.1} characters, {:.1} bytes each",
        records.len(),
        each(plain),
        each(bytes.len())
    );
    assert!(
        bytes.len() * 3 < plain,
        "{} bytes for {plain} characters",
        bytes.len()
    );
    // Each one, pasted as a filter, matches itself.
    for record in &records {
        let name = &record.names[0];
        assert!(aarch64_ftrace::glob::matches(name, name.bytes()), "{name}");
    }
}
