//! Harness of the library's readers of regions, frames and byte stuffing.

use aarch64_ftrace::trace::{
    CobsEncoder, FRAME_HEAD_BYTES, Frame, FrameError, FrameKind, PAYLOAD_BYTES_MAX, Region,
    TASK_NAME_BYTES, TaskEntry, TaskName, cobs_decode, frame_head,
};

use super::repair;

/// A region: the bytes as they are, then with the CRCs put right.
pub fn region(data: &[u8]) -> bool {
    let mut repaired = data.to_vec();
    repair::region(&mut repaired);
    rings(data) | rings(&repaired)
}

fn rings(bytes: &[u8]) -> bool {
    let Ok(region) = Region::parse(bytes) else {
        return false;
    };
    assert!(region.header().region_bytes <= bytes.len() as u64);
    let names = region.task_names();
    assert!(names.size_hint().1 <= Some(region.header().task_name_count as usize));
    for name in names.filter_map(TaskEntry::name) {
        assert!(!name.name().is_empty() && name.name().len() <= TASK_NAME_BYTES);
        let again = TaskEntry::from_bytes(&TaskName::new(name.id, name.name()).to_bytes(2));
        let again = again.name().expect("what was written is read");
        assert_eq!((again.id, again.name()), (name.id, name.name()));
    }
    for ring in region.rings() {
        let counts = ring.counts();
        let (mut whole, mut unfinished) = (0, 0);
        let mut last = None;
        for (number, event) in ring.events() {
            assert!(
                last.is_none_or(|last| number == last + 1),
                "a number left out"
            );
            last = Some(number);
            match event {
                Some(event) => {
                    whole += 1;
                    let _ = (event.kind(), event.data(), event.upper());
                    assert!(event.without_lap().is_of(0, 12), "a lap is left");
                }
                None => unfinished += 1,
            }
        }
        assert_eq!(unfinished, counts.unfinished);
        assert_eq!(whole + unfinished + counts.overwritten, counts.written);
    }
    true
}

/// A frame: the bytes as they are, then with its CRC put right.
pub fn frame(data: &[u8]) -> bool {
    let mut repaired = data.to_vec();
    repair::frames(&mut repaired);
    one_frame(data) | one_frame(&repaired)
}

fn one_frame(bytes: &[u8]) -> bool {
    if let Some(at) = Frame::find(bytes) {
        assert_ne!(Frame::parse(&bytes[at..]), Err(FrameError::Magic));
    }
    match Frame::parse(bytes) {
        Ok((frame, length)) => {
            assert_eq!(length, FRAME_HEAD_BYTES + frame.payload.len());
            let head = &bytes[..FRAME_HEAD_BYTES];
            if let Some(kind) = FrameKind::from_code(frame.kind)
                && head[5] == 0
                && head[20..] == [0; 4]
            {
                let again = frame_head(kind, frame.core, frame.number, &[frame.payload]);
                assert_eq!(again.as_ref().map(|head| &head[..]), Ok(head));
            }
            true
        }
        Err(error) => {
            if let FrameError::Short { needed } = error {
                assert!(needed > bytes.len(), "nothing is missing");
                let most = FRAME_HEAD_BYTES + PAYLOAD_BYTES_MAX as usize;
                assert!(needed <= most, "more than a frame is waited for");
            }
            let _ = error.to_string();
            false
        }
    }
}

/// Byte stuffing: what the bytes encode to is decoded to them; and what they decode to, encoded, is decoded to that.
pub fn cobs(data: &[u8]) -> bool {
    let mut encoded = stuffed(data);
    assert!(!encoded.contains(&0), "a zero inside");
    assert!(encoded.len() <= data.len() + data.len() / 254 + 1);
    let length = cobs_decode(&mut encoded).expect("what was encoded is decoded");
    assert!(encoded[..length] == *data, "decoded to something else");
    let mut decoded = data.to_vec();
    let Some(length) = cobs_decode(&mut decoded) else {
        return false;
    };
    decoded.truncate(length);
    let mut again = stuffed(&decoded);
    let length = cobs_decode(&mut again).expect("what was encoded is decoded");
    assert!(again[..length] == *decoded, "decoded to something else");
    true
}

/// Encoded in two pieces.
fn stuffed(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut take = |run: &[u8]| {
        out.extend_from_slice(run);
        Ok::<_, std::convert::Infallible>(())
    };
    let mut encoder = CobsEncoder::new();
    let (first, second) = data.split_at(data.len() / 3);
    let result = encoder
        .put(first, &mut take)
        .and_then(|()| encoder.put(second, &mut take))
        .and_then(|()| encoder.end(&mut take));
    match result {
        Ok(()) => out,
        Err(never) => match never {},
    }
}
