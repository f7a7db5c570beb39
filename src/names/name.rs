//! One name, expanded byte by byte from the table's grammar.
//!
//! A name is a run of codes; a code stands for a symbol; a symbol is a byte or a rule, and a rule is two symbols below its
//! own. So an expansion always ends, whatever the bytes, and needs only a short stack that is part of the cursor: no
//! allocation, and a copy of the cursor is a place to go back to.
//!
//! Damaged tables are refused as a whole by their checksum. For bytes that pass it and are still wrong (a writer's bug),
//! a name ends at the first code that makes no sense.
#![forbid(unsafe_code)]

use core::fmt::{self, Write as _};
use core::iter::FusedIterator;

use super::format::{FIRST_RULE, MAX_NAME, RULE_SIZE, SEPARATOR, SHORT_CODES, STACK};

/// The two tables that turn codes into bytes.
#[derive(Clone, Copy)]
pub(super) struct Grammar<'a> {
    /// u16 a code byte below [`SHORT_CODES`].
    pub(super) shorts: &'a [u8],
    /// [`RULE_SIZE`] bytes a rule.
    pub(super) rules: &'a [u8],
}

impl Grammar<'_> {
    fn short(&self, code: u8) -> Option<u16> {
        let at = usize::from(code) * 2;
        let word = self.shorts.get(at..)?.first_chunk()?;
        Some(u16::from_le_bytes(*word))
    }

    /// The two halves of a rule; `None` when there is no such rule or it does not refer to smaller symbols.
    fn rule(&self, symbol: u16) -> Option<(u16, u16)> {
        let at = usize::from(symbol.checked_sub(FIRST_RULE)?) * RULE_SIZE;
        let &[left, high, right] = self.rules.get(at..)?.first_chunk()?;
        let left = u16::from(high & 0x0F) << 8 | u16::from(left);
        let right = u16::from(high >> 4) << 8 | u16::from(right);
        (left < symbol && right < symbol).then_some((left, right))
    }
}

/// The names of one callsite: one for each function that the linker or the compiler merged into it.
///
/// Empty when the ELF file had no symbol there.
#[derive(Clone, Copy)]
pub struct Aliases<'a> {
    grammar: Grammar<'a>,
    codes: &'a [u8],
}

impl<'a> Aliases<'a> {
    pub(super) fn new(grammar: Grammar<'a>, codes: &'a [u8]) -> Self {
        Self { grammar, codes }
    }
}

impl<'a> Iterator for Aliases<'a> {
    type Item = Name<'a>;

    fn next(&mut self) -> Option<Name<'a>> {
        if self.codes.is_empty() {
            return None;
        }
        let mut at = 0;
        loop {
            match self.codes.get(at) {
                None | Some(&SEPARATOR) => break,
                Some(SHORT_CODES..) => at += 2,
                Some(_) => at += 1,
            }
        }
        let codes = self.codes.get(..at).unwrap_or(self.codes);
        self.codes = self.codes.get(at + 1..).unwrap_or_default();
        Some(Name {
            grammar: self.grammar,
            codes,
        })
    }
}

impl FusedIterator for Aliases<'_> {}

impl fmt::Debug for Aliases<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(*self).finish()
    }
}

/// The path of one function, for example `demo::sched::Queue::push`. Display prints it.
#[derive(Clone, Copy)]
pub struct Name<'a> {
    grammar: Grammar<'a>,
    codes: &'a [u8],
}

impl<'a> Name<'a> {
    /// The path's UTF-8 bytes, for [`glob::matches`](crate::glob::matches) and the like.
    #[must_use]
    pub fn bytes(&self) -> Bytes<'a> {
        Bytes {
            grammar: self.grammar,
            codes: self.codes,
            waiting: [0; STACK],
            waits: 0,
            left: MAX_NAME,
        }
    }
}

impl PartialEq<str> for Name<'_> {
    fn eq(&self, other: &str) -> bool {
        self.bytes().eq(other.bytes())
    }
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut chunk = [0; 64];
        let mut used = 0;
        let mut bytes = self.bytes();
        loop {
            let mut ended = true;
            for (slot, byte) in chunk.iter_mut().skip(used).zip(&mut bytes) {
                *slot = byte;
                used += 1;
                ended = used < 64;
            }
            let valid = write_utf8(f, chunk.get(..used).unwrap_or_default(), ended)?;
            if ended {
                return Ok(());
            }
            // At most three bytes of a character that the next chunk completes.
            chunk.copy_within(valid..used, 0);
            used -= valid;
        }
    }
}

impl fmt::Debug for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// Writes what is UTF-8, U+FFFD for what is not, and returns how many bytes are done with. Unless `last`, a character that
/// is cut off by the end is left for later.
fn write_utf8(f: &mut fmt::Formatter<'_>, bytes: &[u8], last: bool) -> Result<usize, fmt::Error> {
    let mut done = 0;
    for chunk in bytes.utf8_chunks() {
        f.write_str(chunk.valid())?;
        done += chunk.valid().len();
        let bad = chunk.invalid();
        if bad.is_empty() {
            continue;
        }
        let cut_off = done + bad.len() == bytes.len()
            && core::str::from_utf8(bad).is_err_and(|e| e.error_len().is_none());
        if cut_off && !last {
            return Ok(done);
        }
        f.write_char(char::REPLACEMENT_CHARACTER)?;
        done += bad.len();
    }
    Ok(done)
}

/// The bytes of a [`Name`]. A clone is cheap and goes on from the same place.
#[derive(Clone)]
pub struct Bytes<'a> {
    grammar: Grammar<'a>,
    codes: &'a [u8],
    waiting: [u16; STACK],
    waits: u8,
    left: u16,
}

impl Bytes<'_> {
    fn symbol(&mut self) -> Option<u16> {
        if let Some(top) = self.waits.checked_sub(1) {
            self.waits = top;
            return self.waiting.get(usize::from(top)).copied();
        }
        let (&code, rest) = self.codes.split_first()?;
        if code < SHORT_CODES {
            self.codes = rest;
            return self.grammar.short(code);
        }
        let (&low, rest) = rest.split_first()?;
        self.codes = rest;
        Some(u16::from(code - SHORT_CODES) << 8 | u16::from(low))
    }

    fn expand(&mut self) -> Option<u8> {
        self.left = self.left.checked_sub(1)?;
        let mut symbol = self.symbol()?;
        loop {
            if let Ok(byte) = u8::try_from(symbol) {
                return Some(byte);
            }
            let (left, right) = self.grammar.rule(symbol)?;
            *self.waiting.get_mut(usize::from(self.waits))? = right;
            self.waits += 1;
            symbol = left;
        }
    }
}

impl Iterator for Bytes<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let byte = self.expand();
        if byte.is_none() {
            self.codes = &[];
            self.waits = 0;
        }
        byte
    }
}

impl FusedIterator for Bytes<'_> {}
