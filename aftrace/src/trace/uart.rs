//! Takes a console apart that carries text and frames: `00 01`, a frame in COBS, `00` (docs/trace-format.md, section 3).

use aarch64_ftrace::trace::{FRAME_HEAD_BYTES, PAYLOAD_BYTES_MAX, cobs_decode};

/// Bytes of the longest frame in COBS: one more for each run of 254.
const LONGEST: usize = {
    let frame = FRAME_HEAD_BYTES + PAYLOAD_BYTES_MAX as usize;
    frame + frame / 254 + 2
};

/// What a console carried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Text of the kernel.
    Text(Vec<u8>),
    /// A whole frame, head and payload, its CRC right.
    Frame(Vec<u8>),
    /// What begins as a frame at this offset of the console is none.
    Bad {
        /// Of the first byte behind `00 01`.
        offset: u64,
        /// Bytes up to the zero that ended it.
        bytes: u64,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Text,
    Zero,
    Frame,
}

/// Takes bytes as they come. Holds no more than one frame.
#[derive(Debug)]
pub struct Demultiplexer {
    state: State,
    held: Vec<u8>,
    /// Of the frame, also what was too long to be held.
    bytes: u64,
    offset: u64,
}

impl Default for Demultiplexer {
    fn default() -> Self {
        Self::new()
    }
}

impl Demultiplexer {
    /// At the beginning of a console.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            state: State::Text,
            held: Vec::new(),
            bytes: 0,
            offset: 0,
        }
    }

    /// Takes these bytes and says what has become complete.
    pub fn push(&mut self, bytes: &[u8], mut out: impl FnMut(Output)) {
        let mut text = Vec::new();
        for &byte in bytes {
            self.offset += 1;
            match (self.state, byte) {
                (State::Frame, 0) => {
                    let good = self.finish(&mut out);
                    // The zero of a frame that was cut off may be the first byte of the next one.
                    self.state = if good { State::Text } else { State::Zero };
                }
                (State::Frame, _) => {
                    self.bytes += 1;
                    if self.held.len() <= LONGEST {
                        self.held.push(byte);
                    }
                }
                (_, 0) => self.state = State::Zero,
                (State::Zero, 1) => {
                    if !text.is_empty() {
                        out(Output::Text(std::mem::take(&mut text)));
                    }
                    self.state = State::Frame;
                    self.bytes = 0;
                    self.held.clear();
                }
                (State::Zero | State::Text, _) => {
                    self.state = State::Text;
                    text.push(byte);
                }
            }
        }
        if !text.is_empty() {
            out(Output::Text(text));
        }
    }

    /// The console has ended: a frame that has not is reported.
    pub fn end(&mut self, mut out: impl FnMut(Output)) {
        if self.state == State::Frame {
            self.offset += 1;
            self.finish(&mut out);
            self.state = State::Text;
        }
    }

    fn finish(&mut self, out: &mut impl FnMut(Output)) -> bool {
        let mut held = std::mem::take(&mut self.held);
        let length = (held.len() as u64 == self.bytes)
            .then(|| cobs_decode(&mut held))
            .flatten();
        let whole = length.is_some_and(|length| {
            held.truncate(length);
            is_one_frame(&held)
        });
        if whole {
            out(Output::Frame(held));
        } else {
            out(Output::Bad {
                offset: self.offset - 1 - self.bytes,
                bytes: self.bytes,
            });
        }
        whole
    }
}

fn is_one_frame(bytes: &[u8]) -> bool {
    matches!(
        aarch64_ftrace::trace::Frame::parse(bytes),
        Ok((_, length)) if length == bytes.len()
    )
}

/// Takes a recorded console apart in bounded memory: the frames go to `out`, so that they make a trace file.
///
/// # Errors
/// Those of `console` and of `out`.
pub fn extract(
    mut console: impl std::io::Read,
    mut out: impl FnMut(Output) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let mut demultiplexer = Demultiplexer::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let length = console.read(&mut buffer)?;
        let mut result = Ok(());
        let mut each = |output| {
            if result.is_ok() {
                result = out(output);
            }
        };
        match length {
            0 => demultiplexer.end(&mut each),
            length => demultiplexer.push(&buffer[..length], &mut each),
        }
        result?;
        if length == 0 {
            return Ok(());
        }
    }
}
