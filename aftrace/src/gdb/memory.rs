//! The target's memory as an image whose offsets are addresses.

use std::io::{self, Read, Seek, SeekFrom, Write};

use super::{Client, GdbError};

/// A refusal is taken to hold to the end of such a page, no further.
const PAGE: u64 = 4096;
/// Bytes that are refused with none read between them, before the memory is given up: more than gaps between regions, and what
/// a hostile region claims to be its size must not decide how often a stub is asked.
pub const REFUSED_MAX: u64 = 64 << 20;

/// Reads as a file. What the stub refuses to read is zeroes here, and counted; more than [`REFUSED_MAX`] in a row is an error.
pub struct Memory<S> {
    client: Client<S>,
    address: u64,
    unreadable: u64,
    /// Of them, those since the last that could be read.
    in_a_row: u64,
}

impl<S: Read + Write> Memory<S> {
    /// Of this target.
    pub const fn new(client: Client<S>) -> Self {
        Self {
            client,
            address: 0,
            unreadable: 0,
            in_a_row: 0,
        }
    }

    /// Bytes that the stub refused.
    pub const fn unreadable(&self) -> u64 {
        self.unreadable
    }

    /// The target again.
    pub fn into_client(self) -> Client<S> {
        self.client
    }
}

impl<S: Read + Write> Read for Memory<S> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let page = PAGE - self.address % PAGE;
        let length = into.len().min(page as usize);
        if length == 0 {
            return Ok(0);
        }
        let read = match self.client.read(self.address, length) {
            Ok(bytes) => {
                into[..bytes.len()].copy_from_slice(&bytes);
                self.in_a_row = 0;
                bytes.len()
            }
            Err(GdbError::Refused { .. }) => {
                into[..length].fill(0);
                self.unreadable += length as u64;
                self.in_a_row += length as u64;
                if self.in_a_row > REFUSED_MAX {
                    return Err(io::Error::other(format!(
                        "the stub refuses to read {REFUSED_MAX} bytes in a row, up to {:#x}: is there memory, and as the core maps it?",
                        self.address
                    )));
                }
                length
            }
            Err(GdbError::Io(error)) => return Err(error),
            Err(error) => return Err(io::Error::other(error)),
        };
        self.address = self.address.wrapping_add(read as u64);
        Ok(read)
    }
}

impl<S: Read + Write> Seek for Memory<S> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.address = match to {
            SeekFrom::Start(address) => address,
            SeekFrom::Current(by) => self.address.wrapping_add_signed(by),
            SeekFrom::End(_) => return Err(io::ErrorKind::Unsupported.into()),
        };
        Ok(self.address)
    }
}
