//! Harness of the library's public parsers. Each function panics where a promise is broken, and says whether the input
//! was accepted.

use aarch64_ftrace::insn::{Insn, Kind};
use aarch64_ftrace::names::{Names, format};
use aarch64_ftrace::trace::{Event, HEADER_BYTES, Header, crc32};

/// Events and headers: the bytes as they are, then with the CRC put right, so that hostile fields are reached too.
pub fn header(data: &[u8]) -> bool {
    if let Some(bytes) = data.first_chunk() {
        let event = Event::from_bytes(*bytes);
        assert_eq!(event.to_bytes(), *bytes);
        let _ = (
            event.kind(),
            event.data(),
            event.time(),
            event.upper(),
            event.without_lap(),
        );
        let _ = event.is_of(u64::from(event.code()), u32::from(event.code()));
    }
    let Some(bytes) = data.first_chunk::<HEADER_BYTES>() else {
        return false;
    };
    let mut repaired = *bytes;
    let (body, crc) = repaired.split_at_mut(HEADER_BYTES - 4);
    crc.copy_from_slice(&crc32(body).to_le_bytes());
    let mut accepted = false;
    for bytes in [bytes, &repaired] {
        let Ok(header) = Header::from_bytes(bytes) else {
            continue;
        };
        accepted = true;
        assert_eq!(header.build_id().len(), header.build_id_len as usize);
        // The low bits tell every address of the text.
        for at in [0, header.text_bytes - 1] {
            let at = header.text_start.wrapping_add(at);
            assert_eq!(header.text_address(at as u32), at);
        }
        for low in [
            0,
            1,
            header.text_start as u32,
            (header.text_start as u32).wrapping_sub(1),
            u32::MAX,
        ] {
            assert_eq!(header.text_address(low) as u32, low);
        }
        assert_eq!(Header::from_bytes(&header.to_bytes()), Ok(header));
    }
    accepted
}

/// A name table: the bytes as they are, then with the checksum put right.
pub fn names(data: &[u8]) -> bool {
    let as_it_is = walk(data);
    let mut repaired = data.to_vec();
    let total = repaired.get(format::field::TOTAL_SIZE).map_or(0, |b| {
        u32::from_le_bytes(b.try_into().expect("4 bytes")) as usize
    });
    let sum = repaired.get(..total).map(format::checksum);
    if let (Some(sum), Some(field)) = (sum, repaired.get_mut(format::field::CHECKSUM)) {
        field.copy_from_slice(&sum.to_le_bytes());
    }
    walk(&repaired) | as_it_is
}

/// Each name of each entry, by the iterator and by rank.
fn walk(section: &[u8]) -> bool {
    let Ok(names) = Names::parse(section) else {
        return false;
    };
    assert!(names.size() <= section.len());
    assert!(names.build_id().len() <= 20);
    let _ = (
        names.total_names(),
        format!("{names:?}"),
        names.belongs_to([1, 2].into_iter()),
    );
    let (mut entries, mut ends) = (0, 0);
    for aliases in &names {
        let by_rank = names.get(entries);
        let mut by_rank = by_rank.expect("each rank below the count has an entry");
        for name in aliases {
            let again = by_rank.next().expect("a name by the iterator alone");
            assert!(name.bytes().eq(again.bytes()), "another name by rank");
            assert!(name.bytes().count() <= usize::from(format::MAX_NAME));
            let _ = name.to_string();
        }
        assert!(by_rank.next().is_none(), "a name by rank alone");
        ends += usize::from(names.end(entries).is_some());
        entries += 1;
    }
    assert_eq!(entries, names.count());
    assert!(names.get(entries).is_none() && names.end(entries).is_none());
    assert!(ends <= names.size() / format::END_SIZE);
    true
}

/// Instruction words, each at an address: what is decoded encodes to the same word.
pub fn insn(data: &[u8]) -> bool {
    let mut branches = 0;
    for (i, word) in data.as_chunks::<4>().0.iter().enumerate() {
        let (insn, at) = (Insn(u32::from_le_bytes(*word)), usize::MAX - 3 - 4 * i);
        for at in [at, 4 * i] {
            let encoded = match (insn.kind(), insn.branch_target(at)) {
                (Kind::Bl(_), Some(to)) => Insn::bl(at, to),
                (Kind::B(_), Some(to)) => Insn::b(at, to),
                (_, None) => continue,
                (kind, Some(to)) => panic!("{kind:?} branches to {to:#x}"),
            };
            assert!(encoded.is_ok_and(|again| again == insn), "{insn}");
            branches += 1;
        }
        let _ = (insn.to_string(), insn.is_bti());
    }
    branches > 0
}
