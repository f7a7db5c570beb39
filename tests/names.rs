//! The reader of the name table against tables written by hand from docs/names-format.md. (aftrace/tests/names.rs holds it
//! against the writer.)

use aarch64_ftrace::names::{Names, NamesError, Reserved, format, layout_hash};

/// Two records, three names: `a::b`, `a::bb` for the first, none for the second.
fn by_hand() -> Vec<u8> {
    let mut table = vec![0; 96];
    // Short codes: 1 is the byte 'a', 2 is rule 257, 3 is the byte 'b'.
    let shorts_at = table.len();
    for symbol in [0_u16, u16::from(b'a'), 257, u16::from(b'b')] {
        table.extend(symbol.to_le_bytes());
    }
    table.resize(shorts_at + 480, 0);
    // Rule 256 is "::", rule 257 is rule 256 and 'b': `::b`.
    let rules_at = table.len();
    table.extend([b':', 0x00, b':']);
    table.extend([0x00, 0x01, b'b']);
    table.resize(table.len().next_multiple_of(4), 0);
    let markers_at = table.len();
    table.extend(0_u32.to_le_bytes());
    // 'a', rule 256 by its long form, whose second byte is no separator, 'b' | 'a', rule 257, 'b' | nothing
    let stream_at = table.len();
    table.extend([8, 1, 241, 0, 3, 0, 1, 2, 3, 0]);
    let stream_len = 10;
    table.resize(table.len().next_multiple_of(4), 0);
    // One end: the second record's function has 40 bytes.
    let ends_at = table.len();
    for word in [1_u32, 1, 40] {
        table.extend(word.to_le_bytes());
    }
    table.resize(table.len().next_multiple_of(8), 0);

    let total = table.len() as u32;
    let mut put = |at: usize, bytes: &[u8]| table[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"AFTNAMES");
    put(8, &2_u16.to_le_bytes());
    put(10, &96_u16.to_le_bytes());
    put(12, &1_u32.to_le_bytes());
    put(16, &total.to_le_bytes());
    put(20, &2_u32.to_le_bytes());
    put(24, &layout_hash([0x1000, 0x1020].into_iter()).to_le_bytes());
    put(40, &3_u32.to_le_bytes());
    put(44, &[7, 8, 9]);
    put(64, &2_u32.to_le_bytes());
    put(68, &2_u32.to_le_bytes());
    put(72, &(shorts_at as u32).to_le_bytes());
    put(76, &(rules_at as u32).to_le_bytes());
    put(80, &(markers_at as u32).to_le_bytes());
    put(84, &(stream_at as u32).to_le_bytes());
    put(88, &(stream_len as u32).to_le_bytes());
    put(92, &(ends_at as u32).to_le_bytes());
    seal(&mut table);
    table
}

/// The checksum as the document says it, in other words than the library's.
fn seal(table: &mut [u8]) {
    let mut sum = 0_u64;
    for (i, word) in table.chunks(8).enumerate() {
        if i != 4 {
            sum = (sum.rotate_left(5) ^ u64::from_le_bytes(word.try_into().unwrap()))
                .wrapping_mul(0x517C_C1B7_2722_0A95);
        }
    }
    table[32..40].copy_from_slice(&sum.to_le_bytes());
}

fn text(names: &Names<'_>, index: usize) -> Option<Vec<String>> {
    Some(names.get(index)?.map(|n| n.to_string()).collect())
}

#[test]
fn a_table_from_the_document_is_read() {
    let table = by_hand();
    let names = Names::parse(&table).unwrap();
    assert_eq!(
        (names.count(), names.total_names(), names.size()),
        (2, 2, table.len())
    );
    assert_eq!(names.build_id(), [7, 8, 9]);
    assert_eq!(
        text(&names, 0),
        Some(vec!["a::b".to_owned(), "a::bb".to_owned()])
    );
    assert_eq!(text(&names, 1), Some(vec![]));
    assert_eq!(text(&names, 2), None);
    assert_eq!(
        [0, 1, 2].map(|index| names.end(index)),
        [None, Some(40), None]
    );
    assert_eq!(
        names.belongs_to([0x4000_1000, 0x4000_1020].into_iter()),
        Ok(())
    );
    assert_eq!(
        format!("{:?}", names.get(0).unwrap()),
        r#"["a::b", "a::bb"]"#
    );
    let first = names.get(0).unwrap().next().unwrap();
    assert!(first == *"a::b" && first != *"a::");
}

#[test]
fn what_follows_the_table_is_ignored() {
    let mut section = by_hand();
    let len = section.len();
    section.resize(4096, 0xAA);
    assert_eq!(Names::parse(&section).unwrap().size(), len);
}

/// Header fields, one wrong value each, with a valid checksum.
#[test]
fn each_impossible_field_is_told_with_offset_value_and_limit() {
    let good = by_hand();
    let total = good.len() as u64;
    let header = |offset, found, expected| NamesError::Header {
        offset,
        found,
        expected,
    };
    let table: [(usize, u32, NamesError); 13] = [
        (10, 95, header(10, 95, 96)),
        (12, 2, header(12, 2, 1)),
        (16, 88, header(16, 88, 96)),
        (16, 601, header(16, 601, 608)),
        (20, 11, header(20, 11, 10)),
        (40, 21, header(40, 21, 20)),
        (68, 3841, header(68, 3841, 3840)),
        (72, good.len() as u32, header(72, total, total - 480)),
        (76, u32::MAX, header(76, u32::MAX.into(), total - 6)),
        (80, good.len() as u32, header(80, total, total - 4)),
        (84, good.len() as u32, header(84, total, total - 10)),
        (88, u32::MAX, header(88, u32::MAX.into(), total)),
        (92, good.len() as u32, header(92, total, total - 4)),
    ];
    for (at, value, expected) in table {
        let mut bad = good.clone();
        let width = if at == 10 { 2 } else { 4 };
        bad[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
        seal(&mut bad);
        assert_eq!(Names::parse(&bad).unwrap_err(), expected, "field at {at}");
    }
}

#[test]
fn other_files_other_versions_and_damage_are_told_apart() {
    let good = by_hand();
    let mut bad = good.clone();
    bad[0] = b'B';
    assert_eq!(
        Names::parse(&bad).unwrap_err(),
        NamesError::Magic {
            found: u64::from_le_bytes(*b"BFTNAMES")
        }
    );
    bad = good.clone();
    // One before and one behind.
    for found in [1, 3] {
        bad[8] = found;
        let (found, expected) = (found.into(), 2);
        let error = NamesError::Version { found, expected };
        assert_eq!(Names::parse(&bad).unwrap_err(), error);
    }
    bad = good.clone();
    *bad.last_mut().unwrap() ^= 1;
    assert!(matches!(
        Names::parse(&bad),
        Err(NamesError::Checksum { .. })
    ));
}

#[test]
fn no_section_reserved_and_embedded_are_three_states() {
    assert_eq!(Names::parse(&[]).unwrap_err(), NamesError::NoSection);
    let reserved = Reserved::<1024>::new();
    assert_eq!(
        Names::parse(reserved.as_bytes()).unwrap_err(),
        NamesError::NotEmbedded { reserved: 1024 }
    );
    let told = NamesError::NotEmbedded { reserved: 1024 }.to_string();
    assert!(
        told.contains("1024 bytes reserved") && told.contains("run `aftrace embed KERNEL`"),
        "{told}"
    );
}

/// Codes that no writer writes: names end there, nothing panics, nothing runs on.
#[test]
fn senseless_codes_end_a_name() {
    let good = by_hand();
    let stream = u32::from_le_bytes(good[84..88].try_into().unwrap()) as usize;
    let rules = u32::from_le_bytes(good[76..80].try_into().unwrap()) as usize;
    let rule_257 = [(stream, 2), (stream + 2, 2)];
    let cases: [(&[(usize, u8)], &str); 6] = [
        // The long form without its second byte.
        (&[(stream, 2), (stream + 2, 241)], "a"),
        // A rule that does not exist.
        (&[(stream, 3), (stream + 2, 241), (stream + 3, 2)], "a"),
        // The left half of rule 257 is itself, then a higher one; then the right half is itself.
        (&[rule_257[0], rule_257[1], (rules + 3, 1)], "a"),
        (&[rule_257[0], rule_257[1], (rules + 3, 2)], "a"),
        (
            &[rule_257[0], rule_257[1], (rules + 4, 0x11), (rules + 5, 1)],
            "a",
        ),
        // Rule 256 refers to a higher one that would come to an end: `bc`.
        (
            &[
                (rules, 1),
                (rules + 1, 1),
                (rules + 3, b'b'),
                (rules + 4, 0),
                (rules + 5, b'c'),
            ],
            "a",
        ),
    ];
    for (changes, expected) in cases {
        let mut bad = good.clone();
        for &(at, value) in changes {
            bad[at] = value;
        }
        seal(&mut bad);
        let names = Names::parse(&bad).unwrap();
        assert_eq!(names.iter().len(), 2);
        let first = names
            .get(0)
            .unwrap()
            .next()
            .map(|n| n.to_string())
            .unwrap_or_default();
        assert_eq!(first, expected, "{changes:?}");
        assert_eq!(names.iter().count(), 2);
    }
}

#[test]
fn entries_that_are_cut_off_or_not_where_their_marker_says_are_refused() {
    let good = by_hand();
    let at = |field: usize| u32::from_le_bytes(*good[field..].first_chunk().unwrap()) as usize;
    let (markers, stream) = (at(80), at(84));
    for (change, index) in [
        // A length beyond the stream, of the first entry and of the second.
        ((stream, 0x7F), 0),
        ((stream + 9, 1), 1),
        // The first takes the second's bytes.
        ((stream, 9), 1),
        ((markers, 9), 0),
        ((markers + 3, 0x80), 0),
    ] {
        let mut bad = good.clone();
        bad[change.0] = change.1;
        seal(&mut bad);
        let refused = Names::parse(&bad).unwrap_err();
        assert_eq!(refused, NamesError::Entry { index }, "{change:?}");
    }
}

/// Of as many ends as there is no room for the part's place is told; of a wrong order that it is wrong.
#[test]
fn ends_that_nobody_could_find_are_refused() {
    let good = by_hand();
    let at = u32::from_le_bytes(*good[92..].first_chunk().unwrap()) as usize;
    let total = good.len() as u64;
    let refused = |at: usize, word: u32| {
        let mut bad = good.clone();
        bad[at..at + 4].copy_from_slice(&word.to_le_bytes());
        seal(&mut bad);
        Names::parse(&bad)
            .map(|names| names.end(1))
            .map_err(|error| (error, at))
    };
    for (count, bytes) in [(9, 76), (u32::MAX, u64::from(u32::MAX) * 8 + 4)] {
        let error = NamesError::Header {
            offset: 92,
            found: at as u64,
            expected: total.saturating_sub(bytes),
        };
        assert_eq!(refused(at, count), Err((error, at)), "{count} ends");
    }
    assert_eq!(refused(at, 0), Ok(None));
    // There are two records.
    assert_eq!(refused(at + 4, 2), Err((NamesError::Ends, at + 4)));
    assert_eq!(refused(at + 4, 0), Ok(None));
    // A second end whose record is the same, or one before.
    for rank in [0, 1_u32] {
        let mut bad = good.clone();
        bad.extend([0; 8]);
        let total = bad.len() as u32;
        bad[16..20].copy_from_slice(&total.to_le_bytes());
        bad[at..at + 4].copy_from_slice(&2_u32.to_le_bytes());
        bad[at + 12..at + 16].copy_from_slice(&rank.to_le_bytes());
        seal(&mut bad);
        assert_eq!(Names::parse(&bad).unwrap_err(), NamesError::Ends, "{rank}");
    }
}

/// Each rule is the one before it, twice: 2^40 bytes, if one let it.
#[test]
fn an_exploding_grammar_is_cut_off() {
    let mut table = by_hand();
    let rules_at = table.len() as u32;
    for symbol in 256..296_u16 {
        let half = if symbol == 256 {
            u16::from(b'x')
        } else {
            symbol - 1
        };
        let [low, high] = half.to_le_bytes();
        table.extend([low, high | high << 4, low]);
    }
    table.resize(table.len().next_multiple_of(8), 0);
    let total = table.len() as u32;
    table[16..20].copy_from_slice(&total.to_le_bytes());
    table[68..72].copy_from_slice(&40_u32.to_le_bytes());
    table[76..80].copy_from_slice(&rules_at.to_le_bytes());
    for (low, expected) in [(271 - 256, 65_535), (272 - 256, 0), (295 - 256, 0)] {
        // Code 1 is now this rule. Sixteen waiting symbols are the limit: a deeper rule gives nothing.
        table[98..100].copy_from_slice(&(256_u16 + low).to_le_bytes());
        seal(&mut table);
        let names = Names::parse(&table).unwrap();
        let name = names.get(0).unwrap().next().unwrap();
        assert_eq!(name.bytes().count(), expected, "rule {low}");
    }
}

#[test]
fn display_keeps_characters_whole_across_its_chunks() {
    // 'a' and then two-byte characters: one of them straddles each chunk of 64 bytes.
    let path = format!("a{}", "\u{fc}".repeat(100));
    let mut table = by_hand();
    let stream_at = table.len() as u32;
    let codes = path.bytes().flat_map(|b| [240, b]);
    let codes: Vec<u8> = codes.collect();
    table.extend([codes.len() as u8 & 0x7F | 0x80, (codes.len() >> 7) as u8]);
    table.extend(&codes);
    table.push(0);
    let stream_len = table.len() as u32 - stream_at;
    table.resize(table.len().next_multiple_of(8), 0);
    let total = table.len() as u32;
    table[16..20].copy_from_slice(&total.to_le_bytes());
    table[84..88].copy_from_slice(&stream_at.to_le_bytes());
    table[88..92].copy_from_slice(&stream_len.to_le_bytes());
    seal(&mut table);
    let names = Names::parse(&table).unwrap();
    assert_eq!(text(&names, 0), Some(vec![path]));
}

#[test]
fn the_hash_sees_gaps_and_count_but_not_the_base() {
    let hash = |records: &[u64]| layout_hash(records.iter().copied());
    assert_eq!(
        hash(&[0x1000, 0x1010]),
        hash(&[0xFFFF_0000_0000_1000, 0xFFFF_0000_0000_1010])
    );
    let all = [
        hash(&[]),
        hash(&[8]),
        hash(&[8, 16]),
        hash(&[8, 24]),
        hash(&[8, 8, 16]),
    ];
    for (i, one) in all.iter().enumerate() {
        assert!(all[i + 1..].iter().all(|other| one != other));
    }
    assert_eq!(format::checksum(&[]), 0);
}
