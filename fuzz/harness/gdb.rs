//! Harness of the packets of GDB's protocol, and of the client that believes them.

use std::io::{self, Read, Write};

use aftrace::gdb::packet::{Decoder, Incoming, encode};
use aftrace::gdb::{Client, Memory};

use super::repair;

/// A stub that says these bytes, whatever it is asked.
struct Stub<'a>(&'a [u8]);

impl Read for Stub<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
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
    if let Ok(mut client) = Client::new(Stub(&said)) {
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
