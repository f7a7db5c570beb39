//! Harness of the packets of GDB's protocol, and of the client that believes them.

use std::io::{self, Read, Write};

use aftrace::gdb::packet::{Decoder, Incoming, encode};
use aftrace::gdb::{Client, Memory, SAID_MAX};

use super::repair;

/// A stub that says these bytes, whatever it is asked; again and again, as often as `left` says.
struct Stub<'a> {
    says: &'a [u8],
    rest: &'a [u8],
    left: usize,
}

impl Read for Stub<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.rest.is_empty() && self.left > 0 {
            self.left -= 1;
            self.rest = self.says;
        }
        self.rest.read(into)
    }
}

impl Write for Stub<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a stub says, with right sums: as packets, and as answers.
pub fn gdb(data: &[u8]) -> bool {
    let mut said = data.to_vec();
    repair::packets(&mut said);
    let mut any = false;
    for payload in packets(&said) {
        let again = encode(&payload);
        assert_eq!(packets(&again), [payload], "encoded to something else");
        any = true;
    }
    let whole = encode(data);
    assert_eq!(packets(&whole), [data], "encoded to something else");
    // Some go on for ever, as far as anybody waits: three requests and their limits.
    if data.len().is_multiple_of(16) && !said.is_empty() {
        let left = 4 * SAID_MAX / said.len();
        let mut stub = stub(&said, left);
        if let Ok(mut client) = Client::new(&mut stub) {
            let _ = client.read(0x4020_0000, 16);
        }
        assert!(
            stub.left > 0,
            "a stub without an end is listened to for ever"
        );
    }
    if let Ok(mut client) = Client::new(stub(&said, 0)) {
        let _ = client.use_physical();
        for length in [1, 16, 1 << 20] {
            if let Ok(bytes) = client.read(0x4020_0000, length) {
                assert!(
                    (1..=length).contains(&bytes.len()),
                    "more than was asked for"
                );
            }
        }
        let mut memory = Memory::new(client);
        let mut bytes = [0; 300];
        while memory.read(&mut bytes).is_ok_and(|length| length > 0) {}
        let _ = memory.into_client().detach();
    }
    any
}

fn stub(says: &[u8], left: usize) -> Stub<'_> {
    Stub {
        says,
        rest: says,
        left,
    }
}

fn packets(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut decoder = Decoder::new();
    let incoming = bytes.iter().filter_map(|&byte| decoder.push(byte));
    incoming
        .filter_map(|incoming| match incoming {
            Incoming::Packet(payload) => Some(payload),
            _ => None,
        })
        .collect()
}
