//! The bootargs out of a flattened device tree (Devicetree Specification 0.4, chapter "Flattened Devicetree (DTB) Format").
#![forbid(unsafe_code)]

use super::BootError;

const MAGIC: u32 = 0xd00d_feed;
const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROP: u32 = 3;
const NOP: u32 = 4;
const END: u32 = 9;
/// Offsets of the header's fields.
const TOTAL: usize = 4;
const STRUCTURE: usize = 8;
const STRINGS: usize = 12;
const CELL: usize = 4;

/// Property `bootargs` of node `/chosen`, or an empty text. `blob` may go on behind the tree.
///
/// # Errors
/// [`BootError::Tree`], [`BootError::Utf8`].
///
/// # Context
/// Any.
pub fn bootargs(blob: &[u8]) -> Result<&str, BootError> {
    if cell(blob, 0)? != MAGIC {
        return Err(BootError::Tree { at: 0 });
    }
    let total = cell(blob, TOTAL)? as usize;
    let tree = blob.get(..total).ok_or(BootError::Tree { at: TOTAL })?;
    let strings = cell(tree, STRINGS)? as usize;
    let mut at = cell(tree, STRUCTURE)? as usize;
    let mut depth = 0_usize;
    let mut in_chosen = false;
    loop {
        let token = cell(tree, at)?;
        let here = at;
        at += CELL;
        match token {
            BEGIN_NODE => {
                let name = name(tree, at)?;
                at = (at + name.len() + 1).next_multiple_of(CELL);
                depth += 1;
                in_chosen = depth == 2 && name == b"chosen";
            }
            END_NODE => {
                depth = depth.checked_sub(1).ok_or(BootError::Tree { at: here })?;
                in_chosen = false;
            }
            PROP => {
                let length = cell(tree, at)? as usize;
                let key = cell(tree, at + CELL)? as usize;
                let start = at + 2 * CELL;
                let value = start
                    .checked_add(length)
                    .and_then(|end| tree.get(start..end))
                    .ok_or(BootError::Tree { at: here })?;
                if in_chosen && name(tree, strings.saturating_add(key))? == b"bootargs" {
                    let text = value.strip_suffix(b"\0").unwrap_or(value);
                    return str::from_utf8(text).map_err(|error| BootError::Utf8 {
                        at: error.valid_up_to(),
                    });
                }
                at = (start + length).next_multiple_of(CELL);
            }
            NOP => {}
            END => return Ok(""),
            _ => return Err(BootError::Tree { at: here }),
        }
    }
}

/// Cells are big-endian.
fn cell(tree: &[u8], at: usize) -> Result<u32, BootError> {
    let bytes = tree.get(at..).and_then(|rest| rest.first_chunk());
    bytes
        .map(|bytes| u32::from_be_bytes(*bytes))
        .ok_or(BootError::Tree { at })
}

/// Up to the zero that ends it.
fn name(tree: &[u8], at: usize) -> Result<&[u8], BootError> {
    let rest = tree.get(at..).ok_or(BootError::Tree { at })?;
    let end = rest.iter().position(|byte| *byte == 0);
    Ok(&rest[..end.ok_or(BootError::Tree { at })?])
}
