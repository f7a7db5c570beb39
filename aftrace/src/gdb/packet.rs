//! Packets of GDB's remote serial protocol (GDB manual, appendix "GDB Remote Serial Protocol", section "Overview"):
//! `$`, the payload, `#`, two digits of the sum of the bytes between them. In a payload `}` is followed by a byte with bit 5
//! inverted, and `*` by how often the byte before it is repeated, plus 29.

const ESCAPE: u8 = b'}';
const ESCAPED: u8 = 0x20;
const REPEAT: u8 = b'*';
/// From the byte behind `*` to the number of repetitions.
const REPEAT_BIAS: u8 = 29;

/// Bytes of a payload that are kept, repetitions unfolded: no stub says so much at once.
pub const PAYLOAD_MAX: usize = 1 << 16;

/// What has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// `+`: the other side has the packet.
    Ack,
    /// `-`: it wants it again.
    Again,
    /// A packet with a right sum.
    Packet(Vec<u8>),
    /// A packet that is none: its sum is wrong, it is too long, or it repeats or escapes nothing.
    Damaged,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Between,
    Payload,
    Sum(Option<u8>),
}

/// Takes bytes as they come. Holds no more than one payload.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    /// As it came, not yet unfolded.
    raw: Vec<u8>,
    sum: u8,
    too_long: bool,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// Between packets.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            state: State::Between,
            raw: Vec::new(),
            sum: 0,
            too_long: false,
        }
    }

    /// Takes one byte. Bytes between packets that mean nothing are passed over.
    pub fn push(&mut self, byte: u8) -> Option<Incoming> {
        match (self.state, byte) {
            (State::Between, b'+') => return Some(Incoming::Ack),
            (State::Between, b'-') => return Some(Incoming::Again),
            (State::Between, b'$') => self.begin(),
            (State::Between, _) => {}
            // Never part of a payload: the packet before was cut off.
            (State::Payload | State::Sum(_), b'$') => {
                self.begin();
                return Some(Incoming::Damaged);
            }
            (State::Payload, b'#') => self.state = State::Sum(None),
            (State::Payload, _) => {
                self.sum = self.sum.wrapping_add(byte);
                match self.raw.len() < PAYLOAD_MAX {
                    true => self.raw.push(byte),
                    false => self.too_long = true,
                }
            }
            (State::Sum(None), _) => self.state = State::Sum(Some(byte)),
            (State::Sum(Some(high)), _) => {
                self.state = State::Between;
                return Some(self.finish([high, byte]));
            }
        }
        None
    }

    fn begin(&mut self) {
        self.state = State::Payload;
        self.raw.clear();
        self.sum = 0;
        self.too_long = false;
    }

    fn finish(&mut self, digits: [u8; 2]) -> Incoming {
        let raw = std::mem::take(&mut self.raw);
        let right = !self.too_long && byte(digits) == Some(self.sum);
        right
            .then(|| unfold(&raw))
            .flatten()
            .map_or(Incoming::Damaged, Incoming::Packet)
    }
}

/// The payload without escapes and repetitions.
fn unfold(raw: &[u8]) -> Option<Vec<u8>> {
    let mut payload = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            ESCAPE => payload.push(bytes.next()? ^ ESCAPED),
            REPEAT => {
                let count = bytes.next()?.checked_sub(REPEAT_BIAS)?;
                let last = *payload.last()?;
                payload.resize(payload.len() + usize::from(count), last);
            }
            _ => payload.push(byte),
        }
        if payload.len() > PAYLOAD_MAX {
            return None;
        }
    }
    Some(payload)
}

/// A packet with this payload.
#[must_use]
pub fn encode(payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![b'$'];
    for &byte in payload {
        match byte {
            ESCAPE | REPEAT | b'$' | b'#' => packet.extend([ESCAPE, byte ^ ESCAPED]),
            _ => packet.push(byte),
        }
    }
    let sum = packet[1..]
        .iter()
        .fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    packet.extend(format!("#{sum:02x}").bytes());
    packet
}

/// The byte that two hexadecimal digits stand for.
fn byte(digits: [u8; 2]) -> Option<u8> {
    let digit = |digit: u8| char::from(digit).to_digit(16);
    u8::try_from(digit(digits[0])? << 4 | digit(digits[1])?).ok()
}

/// The bytes that pairs of hexadecimal digits stand for.
#[must_use]
pub fn bytes(digits: &[u8]) -> Option<Vec<u8>> {
    let (pairs, rest) = digits.as_chunks::<2>();
    let all: Option<Vec<u8>> = pairs.iter().map(|pair| byte(*pair)).collect();
    all.filter(|_| rest.is_empty())
}
