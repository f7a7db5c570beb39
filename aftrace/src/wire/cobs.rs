//! Consistent Overhead Byte Stuffing (S. Cheshire and M. Baker, IEEE/ACM Transactions on Networking 7, 2, 1999): bytes without
//! a zero, so that a zero separates. Encoded as they come, over 254 bytes of state: a frame is sent without a copy of it.
#![forbid(unsafe_code)]

/// Bytes that one code byte can stand before.
const RUN: usize = 254;

/// Encodes what it is given into runs for `out`.
pub struct CobsEncoder {
    run: [u8; RUN + 1],
    len: usize,
}

impl CobsEncoder {
    /// Nothing given yet.
    #[allow(
        clippy::new_without_default,
        reason = "an encoder without an end is a mistake, not a default"
    )]
    pub const fn new() -> Self {
        Self {
            run: [0; RUN + 1],
            len: 0,
        }
    }

    /// Takes some bytes; `out` gets whole runs.
    ///
    /// # Errors
    /// Those of `out`; the encoding is of no use then.
    pub fn put<E>(
        &mut self,
        bytes: &[u8],
        mut out: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        for &byte in bytes {
            if byte != 0 {
                self.len += 1;
                self.run[self.len] = byte;
            }
            if byte == 0 || self.len == RUN {
                self.flush(&mut out)?;
            }
        }
        Ok(())
    }

    /// The last run. What follows begins a new encoding.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn end<E>(&mut self, mut out: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        self.flush(&mut out)
    }

    fn flush<E>(&mut self, out: &mut impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        self.run[0] = self.len as u8 + 1;
        let run = &self.run[..=self.len];
        self.len = 0;
        out(run)
    }
}

/// Decodes in place what stood between two zeroes; says how many bytes it was. `None` where it is no encoding: it holds a zero,
/// or its last run is cut off.
pub fn cobs_decode(bytes: &mut [u8]) -> Option<usize> {
    let (mut from, mut to) = (0, 0);
    while let Some(&code) = bytes.get(from) {
        let run = usize::from(code).checked_sub(1)?;
        let end = from + 1 + run;
        if bytes.get(from + 1..end)?.contains(&0) {
            return None;
        }
        bytes.copy_within(from + 1..end, to);
        to += run;
        // A run of 254 stands for no zero, and the last one's zero is not of the data.
        if run < RUN && end < bytes.len() {
            bytes[to] = 0;
            to += 1;
        }
        from = end;
    }
    Some(to)
}
