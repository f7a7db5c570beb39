//! Harness of boot configurations: the text, the space in the image, the device tree.

use aarch64_ftrace::bootconfig::{
    BootConfig, BootError, HEAD_BYTES, MAGIC, Purpose, bootargs, read, write,
};
use aarch64_ftrace::trace::crc32;

/// A device tree; its bootargs are read, too.
pub fn tree(data: &[u8]) -> bool {
    match bootargs(data) {
        Ok(text) => {
            let within = data.as_ptr_range();
            assert!(text.is_empty() || within.contains(&text.as_ptr()));
            config(text);
            true
        }
        Err(error) => {
            let _ = error.to_string();
            false
        }
    }
}

/// The space in an image, as it is and with the CRC of its text; then the bytes as a text.
pub fn space(data: &[u8]) -> bool {
    let mut repaired = data.to_vec();
    let length = data
        .get(MAGIC.len()..)
        .and_then(|rest| rest.first_chunk())
        .map_or(0, |length| u32::from_le_bytes(*length) as usize);
    if let Some((head, room)) = repaired.split_first_chunk_mut::<HEAD_BYTES>()
        && let Some(text) = room.get(..length)
    {
        head[HEAD_BYTES - 4..].copy_from_slice(&crc32(text).to_le_bytes());
    }
    let any = read(data).is_ok() | read(&repaired).is_ok();
    str::from_utf8(data).is_ok_and(config) | any
}

/// Whether the text is taken: then it is what is read once it was written.
fn config(text: &str) -> bool {
    let parsed = match BootConfig::parse(text) {
        Ok(parsed) => parsed,
        Err(error) => {
            let (BootError::Option { at }
            | BootError::Quote { at }
            | BootError::Value { at }
            | BootError::NoGraph { at }
            | BootError::Glob { at, .. }) = error
            else {
                return false;
            };
            assert!(
                text.is_char_boundary(at) && at < text.len(),
                "no offset: {at}"
            );
            return false;
        }
    };
    let mut space = vec![0; HEAD_BYTES + text.len() + 1];
    space[..MAGIC.len()].copy_from_slice(&MAGIC);
    write(&mut space, text).expect("what is parsed can be written");
    let again = read(&space).expect("what was written is read");
    for purpose in Purpose::ALL {
        let patterns = parsed.patterns(purpose);
        assert!(patterns.eq(again.patterns(purpose)), "another text");
    }
    let options = parsed.graph_options(1_000_000);
    assert_eq!(options, again.graph_options(1_000_000), "another text");
    true
}
