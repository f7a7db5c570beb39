//! Puts checksums right, so that hostile fields behind them are reached too.

use aarch64_ftrace::trace::{
    CONTROL_BYTES, FRAME_HEAD_BYTES, Frame, HEADER_BYTES, TASK_ENTRY_BYTES, control_crc, crc32,
    crc32_of,
};

const CRC_BYTES: usize = size_of::<u32>();
/// Offsets in a region's header of the first control block and of their number.
const CONTROLS: usize = 88;
const RINGS: usize = 96;
/// Offsets in a region's header of the table of the tasks' names, of the number of its entries, and of an entry's bytes.
const NAMES: [usize; 3] = [160, 164, 168];
/// Offsets in a frame's head.
const FRAME_LENGTH: usize = 8;
const FRAME_CRC: usize = 16;
/// Control blocks and names that are repaired: a hostile number of them must not decide how long an input takes.
const RINGS_MAX: usize = 64;

fn word(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_le_bytes(*bytes) as usize)
}

/// A region's header, and the control blocks that it speaks of.
pub fn region(bytes: &mut [u8]) {
    let Some(header) = bytes.first_chunk_mut::<HEADER_BYTES>() else {
        return;
    };
    let (body, crc) = header.split_at_mut(HEADER_BYTES - CRC_BYTES);
    crc.copy_from_slice(&crc32(body).to_le_bytes());
    let (Some(first), Some(count)) = (word(bytes, CONTROLS), word(bytes, RINGS)) else {
        return;
    };
    let controls = bytes.get_mut(first..).unwrap_or_default();
    for control in controls
        .chunks_exact_mut(CONTROL_BYTES)
        .take(count.min(RINGS_MAX))
    {
        let crc = control_crc(control).to_le_bytes();
        control[CONTROL_BYTES - CRC_BYTES..].copy_from_slice(&crc);
    }
    let [Some(first), Some(count), Some(stride)] = NAMES.map(|at| word(bytes, at)) else {
        return;
    };
    let names = bytes.get_mut(first..).unwrap_or_default();
    let entries = names.chunks_mut(stride.max(1)).take(count.min(RINGS_MAX));
    for entry in entries.filter_map(|entry| entry.first_chunk_mut::<TASK_ENTRY_BYTES>()) {
        let (body, crc) = entry.split_at_mut(TASK_ENTRY_BYTES - CRC_BYTES);
        crc.copy_from_slice(&crc32(body).to_le_bytes());
    }
}

/// Every frame whose magic stands there and that ends within the bytes.
pub fn frames(mut bytes: &mut [u8]) {
    while let Some(at) = Frame::find(bytes) {
        bytes = &mut bytes[at..];
        let Some(length) = word(bytes, FRAME_LENGTH) else {
            return;
        };
        let mut skip = 1;
        if let Some(end) = FRAME_HEAD_BYTES.checked_add(length)
            && let Some(payload) = bytes.get(FRAME_HEAD_BYTES..end)
        {
            let crc = crc32_of([&bytes[..FRAME_CRC], payload]);
            bytes[FRAME_CRC..FRAME_CRC + CRC_BYTES].copy_from_slice(&crc.to_le_bytes());
            skip = end;
        }
        bytes = &mut bytes[skip..];
    }
}

/// Every packet of GDB's protocol that has an end and room for its sum.
pub fn packets(bytes: &mut [u8]) {
    let mut begin = None;
    for at in 0..bytes.len() {
        match (bytes[at], begin) {
            (b'$', _) => begin = Some(at + 1),
            (b'#', Some(from)) => {
                let payload = bytes[from..at].iter();
                let sum = payload.fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
                if let Some(digits) = bytes.get_mut(at + 1..at + 3) {
                    digits.copy_from_slice(format!("{sum:02x}").as_bytes());
                }
                begin = None;
            }
            _ => {}
        }
    }
}
