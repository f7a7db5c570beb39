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
/// The property's name with its end.
const BOOTARGS: &[u8] = b"bootargs\0";

/// Property `bootargs` of node `/chosen`, or an empty text. `blob` may go on behind the tree. Takes time in proportion to the
/// tree's size, whatever it holds.
///
/// # Errors
/// [`BootError::Tree`], [`BootError::Utf8`].
///
/// # Context
/// Any.
pub fn bootargs(blob: &[u8]) -> Result<&str, BootError> {
    counted(blob, |_| {})
}

/// As [`bootargs`]; `looked` is told how many bytes were looked at, each time.
pub(crate) fn counted(blob: &[u8], looked: impl FnMut(usize)) -> Result<&str, BootError> {
    let mut head = Tree {
        bytes: blob,
        looked,
    };
    if head.cell(0)? != MAGIC {
        return Err(BootError::Tree { at: 0 });
    }
    let total = head.cell(TOTAL)? as usize;
    let bytes = blob.get(..total).ok_or(BootError::Tree { at: TOTAL })?;
    let mut tree = Tree {
        bytes,
        looked: head.looked,
    };
    let strings = tree.cell(STRINGS)? as usize;
    let mut at = tree.cell(STRUCTURE)? as usize;
    let mut depth = 0_usize;
    let mut in_chosen = false;
    loop {
        let token = tree.cell(at)?;
        let here = at;
        at += CELL;
        match token {
            BEGIN_NODE => {
                let name = tree.name(at)?;
                at = (at + name.len() + 1).next_multiple_of(CELL);
                depth += 1;
                in_chosen = depth == 2 && name == b"chosen";
            }
            END_NODE => {
                depth = depth.checked_sub(1).ok_or(BootError::Tree { at: here })?;
                in_chosen = false;
            }
            PROP => {
                let length = tree.cell(at)? as usize;
                let key = tree.cell(at + CELL)? as usize;
                let start = at + 2 * CELL;
                let value = start
                    .checked_add(length)
                    .and_then(|end| bytes.get(start..end))
                    .ok_or(BootError::Tree { at: here })?;
                if in_chosen && tree.begins(strings.saturating_add(key), BOOTARGS)? {
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

/// Every byte of a tree is looked at through here.
struct Tree<'a, F> {
    bytes: &'a [u8],
    looked: F,
}

impl<'a, F: FnMut(usize)> Tree<'a, F> {
    /// Cells are big-endian.
    fn cell(&mut self, at: usize) -> Result<u32, BootError> {
        let bytes = self.from(at)?.first_chunk();
        (self.looked)(CELL);
        bytes
            .map(|bytes| u32::from_be_bytes(*bytes))
            .ok_or(BootError::Tree { at })
    }

    /// Up to the zero that ends it. For nodes: the walk goes on behind it, so that no byte is looked at twice.
    fn name(&mut self, at: usize) -> Result<&'a [u8], BootError> {
        let rest = self.from(at)?;
        let end = rest.iter().position(|byte| *byte == 0);
        (self.looked)(end.map_or(rest.len(), |end| end + 1));
        Ok(&rest[..end.ok_or(BootError::Tree { at })?])
    }

    /// Whether there stands `what`. For properties: the names of all may be one, as long as the tree, so it is not measured.
    fn begins(&mut self, at: usize, what: &[u8]) -> Result<bool, BootError> {
        let rest = self.from(at)?;
        (self.looked)(what.len());
        Ok(rest.starts_with(what))
    }

    fn from(&self, at: usize) -> Result<&'a [u8], BootError> {
        self.bytes.get(at..).ok_or(BootError::Tree { at })
    }
}
