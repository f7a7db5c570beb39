//! A client of a stub for GDB, as QEMU, OpenOCD and others have one: it reads memory, and leaves the target as it found it.

mod memory;
mod monitor;
pub mod packet;

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

pub use memory::{Memory, REFUSED_MAX};
use packet::{Decoder, Incoming, encode};

/// How often a packet is asked for or sent again.
const TRIES: u32 = 5;
/// What a stub takes that says nothing of it: GDB's own least.
const PACKET_BYTES: usize = 400;
/// Of a stub that says it takes less than this, at least so much is believed: a request, and an answer with some bytes.
const PACKET_BYTES_MIN: usize = 64;
/// Bytes that come while an answer is waited for, the stub's own words among them: as much as the longest answers of all tries,
/// and many words. Who says more and never answers is no stub.
pub const SAID_MAX: usize = 16 * packet::PAYLOAD_MAX;

/// Why a target could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GdbError {
    /// Nobody listens there.
    #[error(
        "{address}: {source}: is the target up, and its stub (QEMU: -gdb tcp::1234; OpenOCD: gdb_port)?"
    )]
    Connect {
        /// Host and port.
        address: String,
        /// The system's words.
        source: io::Error,
    },
    /// The line does not work any more.
    #[error("the stub's line: {0}")]
    Io(#[from] io::Error),
    /// No answer in time.
    #[error(
        "no answer to `{request}`: is it a stub for GDB, and is no debugger connected to it already?"
    )]
    Silent {
        /// What was asked.
        request: String,
    },
    /// It goes on and on.
    #[error(
        "{SAID_MAX} bytes came after `{request}`, and no answer among them: is it a stub for GDB?"
    )]
    Endless {
        /// What was asked.
        request: String,
    },
    /// The stub has gone.
    #[error("the stub closed the line after `{request}`")]
    Closed {
        /// What was asked.
        request: String,
    },
    /// Packets come damaged, or are never understood.
    #[error("`{request}` was tried {TRIES} times, and no answer with a right checksum came")]
    Damaged {
        /// What was asked.
        request: String,
    },
    /// `E` and a number.
    #[error("the stub refuses `{request}`: error {code}")]
    Refused {
        /// What was asked.
        request: String,
        /// The stub's own.
        code: String,
    },
    /// An answer that this request has not, or none: the stub does not know it.
    #[error("the stub answers `{request}` with {answer:?}")]
    Unexpected {
        /// What was asked.
        request: String,
        /// Its beginning.
        answer: String,
    },
    /// A command of the stub's own (`monitor` in GDB) failed.
    #[error("the stub refuses its own command `{command}`: {said}")]
    Monitor {
        /// The command.
        command: String,
        /// The stub's words.
        said: String,
    },
    /// The stub knows no way to take addresses as physical.
    #[error(
        "the stub reads no physical memory: it knows neither QEMU's Qqemu.PhyMemMode nor OpenOCD's `monitor mdw phys`; give addresses as the core maps them, without --physical"
    )]
    NotPhysical,
    /// A read stopped the target that was to run.
    #[error(
        "the stub stops the target at `{request}` ({answer}): it cannot read while the target runs; without --running the target is stopped, read, and runs on"
    )]
    Stops {
        /// What was asked.
        request: String,
        /// Why it stopped.
        answer: String,
    },
    /// There is nothing to read from.
    #[error("the target has ended ({answer})")]
    Ended {
        /// The stub's words.
        answer: String,
    },
}

/// How addresses are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Addresses {
    /// As the core maps them.
    Mapped,
    /// As physical ones: the stub was told so.
    Told,
    /// As physical ones: by the stub's own command.
    Monitor,
}

/// A stub that is connected to.
pub struct Client<S> {
    line: S,
    decoder: Decoder,
    received: Vec<u8>,
    next: usize,
    /// Bytes since the last request.
    said: usize,
    packet_bytes: usize,
    addresses: Addresses,
    runs: bool,
    /// It ran when it was connected to, and was stopped since.
    resume: bool,
}

impl Client<TcpStream> {
    /// Connects to a stub, `HOST:PORT` or `:PORT` of this machine. Stubs stop the target thereby.
    ///
    /// # Errors
    /// [`GdbError`]: nobody listens, or it is no stub.
    pub fn connect(address: &str, patience: Duration) -> Result<Self, GdbError> {
        let failed = |source| GdbError::Connect {
            address: address.to_owned(),
            source,
        };
        let whole = match address.strip_prefix(':') {
            Some(port) => format!("127.0.0.1:{port}"),
            None => address.to_owned(),
        };
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in whole.to_socket_addrs().map_err(failed)? {
            match TcpStream::connect_timeout(&address, patience) {
                Ok(line) => {
                    line.set_nodelay(true)?;
                    line.set_read_timeout(Some(patience))?;
                    line.set_write_timeout(Some(patience))?;
                    return Self::new(line);
                }
                Err(error) => last = error,
            }
        }
        Err(failed(last))
    }
}

impl<S: Read + Write> Client<S> {
    /// On a line that is open.
    ///
    /// # Errors
    /// [`GdbError`]: it is no stub, or its target has ended.
    pub fn new(line: S) -> Result<Self, GdbError> {
        let mut client = Self {
            line,
            decoder: Decoder::new(),
            received: Vec::new(),
            next: 0,
            said: 0,
            packet_bytes: PACKET_BYTES,
            addresses: Addresses::Mapped,
            runs: false,
            resume: false,
        };
        let features = client.ask("qSupported")?;
        let said = features
            .split(|byte| *byte == b';')
            .filter_map(|feature| str::from_utf8(feature).ok()?.strip_prefix("PacketSize="))
            .find_map(|digits| usize::from_str_radix(digits, 16).ok());
        if let Some(bytes) = said {
            client.packet_bytes = bytes.clamp(PACKET_BYTES_MIN, packet::PAYLOAD_MAX);
        }
        client.runs = client.says_that_it_runs()?;
        Ok(client)
    }

    /// Whether the stub says that its target runs: by signal 0, as OpenOCD does where no `gdb-attach` event halts it. Other stubs
    /// stop the target when they are connected to.
    fn says_that_it_runs(&mut self) -> Result<bool, GdbError> {
        let state = self.ask("?")?;
        match state.as_slice() {
            [b'S' | b'T', signal @ ..] => Ok(signal.starts_with(b"00")),
            [b'W' | b'X', ..] => Err(GdbError::Ended {
                answer: shown(&state),
            }),
            _ => Err(unexpected("?", &state)),
        }
    }

    /// Bytes that one answer holds.
    fn at_once(&self) -> usize {
        // Two digits each, and what stands around them.
        (self.packet_bytes - 8) / 2
    }

    /// Reads memory: what one packet holds, at most `length` bytes, at least one.
    ///
    /// # Errors
    /// [`GdbError::Refused`]: nothing can be read there. Others: of the line.
    pub fn read(&mut self, address: u64, length: usize) -> Result<Vec<u8>, GdbError> {
        if self.addresses == Addresses::Monitor {
            return self.words(address, length);
        }
        let length = length.min(self.at_once());
        let request = format!("m{address:x},{length:x}");
        let answer = self.ask(&request);
        let stopped = match &answer {
            // QEMU's stub takes the packet's first byte for Ctrl-C, and the rest for nothing.
            Err(GdbError::Silent { .. }) if self.runs => Some("no answer".to_owned()),
            Ok(answer) if self.runs && matches!(answer.first(), Some(b'S' | b'T')) => {
                Some(shown(answer))
            }
            _ => None,
        };
        if let Some(answer) = stopped {
            self.runs = false;
            return Err(GdbError::Stops { request, answer });
        }
        let answer = answer?;
        match packet::bytes(&answer) {
            Some(bytes) if (1..=length).contains(&bytes.len()) => Ok(bytes),
            _ => Err(unexpected(&request, &answer)),
        }
    }

    fn expect_ok(&mut self, request: &str) -> Result<(), GdbError> {
        match self.ask(request)? {
            answer if answer == b"OK" => Ok(()),
            answer => Err(unexpected(request, &answer)),
        }
    }

    /// Sends a request and waits for its answer.
    fn ask(&mut self, request: &str) -> Result<Vec<u8>, GdbError> {
        self.ask_and_listen(request, &mut Vec::new())
    }

    /// The same; what the stub or the target prints meanwhile is added to `printed`.
    fn ask_and_listen(
        &mut self,
        request: &str,
        printed: &mut Vec<u8>,
    ) -> Result<Vec<u8>, GdbError> {
        let packet = encode(request.as_bytes());
        self.line.write_all(&packet)?;
        self.said = 0;
        let mut tries = 1;
        loop {
            match self.receive(request)? {
                Incoming::Ack => {}
                Incoming::Again | Incoming::Damaged if tries == TRIES => {
                    return Err(GdbError::Damaged {
                        request: request.to_owned(),
                    });
                }
                Incoming::Again => {
                    tries += 1;
                    self.line.write_all(&packet)?;
                }
                Incoming::Damaged => {
                    tries += 1;
                    self.line.write_all(b"-")?;
                }
                Incoming::Packet(answer) => {
                    self.line.write_all(b"+")?;
                    // `O` and digits: what is printed; without digits, that the stub is still there.
                    if let Some(digits) = answer.strip_prefix(b"O")
                        && answer != b"OK"
                    {
                        printed.extend(packet::bytes(digits).unwrap_or_default());
                        continue;
                    }
                    return match answer.split_first() {
                        Some((b'E', code)) => Err(GdbError::Refused {
                            request: request.to_owned(),
                            code: shown(code),
                        }),
                        _ => Ok(answer),
                    };
                }
            }
        }
    }

    fn receive(&mut self, request: &str) -> Result<Incoming, GdbError> {
        loop {
            while let Some(byte) = self.received.get(self.next) {
                self.next += 1;
                self.said += 1;
                if self.said > SAID_MAX {
                    return Err(GdbError::Endless {
                        request: request.to_owned(),
                    });
                }
                if let Some(incoming) = self.decoder.push(*byte) {
                    return Ok(incoming);
                }
            }
            self.received.resize(4096, 0);
            self.next = 0;
            let length = match self.line.read(&mut self.received) {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    self.received.clear();
                    continue;
                }
                Err(error) => {
                    self.received.clear();
                    let silent = [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut];
                    return Err(match silent.contains(&error.kind()) {
                        true => GdbError::Silent {
                            request: request.to_owned(),
                        },
                        false => error.into(),
                    });
                }
            };
            self.received.truncate(length);
            if length == 0 {
                return Err(GdbError::Closed {
                    request: request.to_owned(),
                });
            }
        }
    }
}

fn unexpected(request: &str, answer: &[u8]) -> GdbError {
    GdbError::Unexpected {
        request: request.to_owned(),
        answer: shown(answer),
    }
}

fn shown(answer: &[u8]) -> String {
    String::from_utf8_lossy(&answer[..answer.len().min(40)]).into_owned()
}
