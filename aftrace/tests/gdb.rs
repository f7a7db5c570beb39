//! The client of stubs for GDB, on a stub that is played, and on bytes that no stub sends.

use std::io::{Cursor, Read, Seek as _, SeekFrom, Write};

use aftrace::gdb::packet::{Decoder, Incoming, PAYLOAD_MAX, bytes, encode};
use aftrace::gdb::{Client, GdbError, Memory, REFUSED_MAX, SAID_MAX};
use proptest::prelude::*;

fn decoded(line: &[u8]) -> Vec<Incoming> {
    let mut decoder = Decoder::new();
    line.iter().filter_map(|byte| decoder.push(*byte)).collect()
}

/// A stub on the other end: answers what `stub` says, spoils what it is told to, notes what is asked.
struct Played<F> {
    stub: F,
    decoder: Decoder,
    answers: Cursor<Vec<u8>>,
    last: Vec<u8>,
    /// Answers that are still to be spoiled.
    spoil: usize,
    asked: Vec<String>,
}

impl<F: FnMut(&str) -> Vec<u8>> Played<F> {
    fn new(stub: F) -> Self {
        Self {
            stub,
            decoder: Decoder::new(),
            answers: Cursor::new(Vec::new()),
            last: Vec::new(),
            spoil: 0,
            asked: Vec::new(),
        }
    }

    fn say(&mut self, bytes: &[u8]) {
        let mut bytes = bytes.to_vec();
        if self.spoil > 0 && bytes.len() > 4 {
            self.spoil -= 1;
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
        }
        self.answers.get_mut().extend(bytes);
    }
}

impl<F: FnMut(&str) -> Vec<u8>> Write for Played<F> {
    fn write(&mut self, sent: &[u8]) -> std::io::Result<usize> {
        for byte in sent {
            match self.decoder.push(*byte) {
                Some(Incoming::Packet(request)) => {
                    let request = String::from_utf8(request).unwrap();
                    let answer = encode(&(self.stub)(&request));
                    self.asked.push(request);
                    self.say(b"+");
                    self.last.clone_from(&answer);
                    self.say(&answer);
                }
                Some(Incoming::Again) => {
                    let last = self.last.clone();
                    self.say(&last);
                }
                _ => {}
            }
        }
        Ok(sent.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<F> Read for Played<F> {
    /// A few bytes at a time.
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let few = into.len().min(3);
        self.answers.read(&mut into[..few])
    }
}

/// 64 KiB whose byte at address A is A / 16; 0x3000..0x4000 is refused.
fn stub(request: &str) -> Vec<u8> {
    if request.starts_with("qSupported") {
        return b"PacketSize=400;other+".to_vec();
    }
    if request == "?" {
        return b"T05thread:01;".to_vec();
    }
    let Some((address, length)) = request.strip_prefix('m').and_then(|m| m.split_once(',')) else {
        return b"OK".to_vec();
    };
    let number = |text| u64::from_str_radix(text, 16).unwrap();
    let (address, length) = (number(address), number(length));
    assert!(
        2 * length <= 0x400,
        "{length} bytes do not fit the stub's packets"
    );
    match address {
        0x3000..0x4000 => b"E14".to_vec(),
        _ => (address..address + length)
            .flat_map(|at| format!("{:02x}", (at / 16) as u8).into_bytes())
            .collect(),
    }
}

#[test]
fn memory_is_read_over_damaged_lines_and_what_is_refused_is_counted() {
    let mut played = Played::new(stub);
    played.spoil = 4;
    let mut memory = Memory::new(Client::new(played).unwrap());
    memory.seek(SeekFrom::Start(0x2ff0)).unwrap();
    let mut read = vec![0xEE; 0x1020];
    memory.read_exact(&mut read).unwrap();
    let expected: Vec<u8> = (0x2ff0..0x4010_u64)
        .map(|at| {
            if (0x3000..0x4000).contains(&at) {
                0
            } else {
                (at / 16) as u8
            }
        })
        .collect();
    assert!(read == expected);
    assert_eq!(memory.unreadable(), 0x1000);
}

#[test]
fn a_target_is_let_go_with_what_was_set_taken_back() {
    let mut asked = Vec::new();
    let played = Played::new(|request: &str| {
        asked.push(request.to_owned());
        stub(request)
    });
    let mut client = Client::new(played).unwrap();
    client.use_physical().unwrap();
    client.detach().unwrap();
    let expected = [
        "qSupported",
        "?",
        "Qqemu.PhyMemMode:1",
        "Qqemu.PhyMemMode:0",
        "D",
    ];
    assert_eq!(asked, expected);
}

/// What goes wrong is told apart.
#[test]
fn errors_say_what_the_stub_did() {
    let error = |stub: fn(&str) -> Vec<u8>, spoil| {
        let mut played = Played::new(stub);
        played.spoil = spoil;
        let client = Client::new(played);
        client
            .and_then(|mut client| client.read(0x3000, 16))
            .unwrap_err()
    };
    assert!(matches!(error(stub, 0), GdbError::Refused { code, .. } if code == "14"));
    assert!(matches!(error(stub, 100), GdbError::Damaged { request } if request == "qSupported"));
    let ended = |request: &str| match request {
        "?" => b"W00".to_vec(),
        _ => stub(request),
    };
    assert!(matches!(error(ended, 0), GdbError::Ended { .. }));
    let strange = |request: &str| match request.starts_with('m') {
        true => b"zz".to_vec(),
        false => stub(request),
    };
    assert!(matches!(error(strange, 0), GdbError::Unexpected { answer, .. } if answer == "zz"));
    let more = |request: &str| match request.starts_with('m') {
        true => vec![b'0'; 40],
        false => stub(request),
    };
    assert!(matches!(error(more, 0), GdbError::Unexpected { .. }));
    let closed = Client::new(Cursor::new(Vec::new())).err();
    assert!(
        matches!(closed, Some(GdbError::Closed { .. })),
        "{closed:?}"
    );
    let babbling = |request: &str| match request {
        "?" => b"O68".to_vec(),
        _ => stub(request),
    };
    assert!(matches!(error(babbling, 0), GdbError::Closed { request } if request == "?"));
}

/// Begins with a byte and then says the same without an end, whatever it is asked, and counts.
struct Endless {
    first: u8,
    words: &'static [u8],
    said: usize,
}

impl Read for &mut Endless {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        for at in into.iter_mut() {
            *at = match self.said.checked_sub(1) {
                Some(behind) => self.words[behind % self.words.len()],
                None => self.first,
            };
            self.said += 1;
        }
        Ok(into.len())
    }
}

impl Write for &mut Endless {
    fn write(&mut self, sent: &[u8]) -> std::io::Result<usize> {
        Ok(sent.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_stub_that_goes_on_without_an_answer_is_left() {
    let stubs = [
        (b'+', &b"+"[..]),
        (b'+', b"no stub at all "),
        (b'$', b"an answer without an end "),
        (b'+', b"$O61#b6"),
    ];
    for (first, words) in stubs {
        let said = 0;
        let mut stub = Endless { first, words, said };
        let error = Client::new(&mut stub).err();
        assert!(
            matches!(&error, Some(GdbError::Endless { request }) if request == "qSupported"),
            "{error:?}"
        );
        assert!(
            (SAID_MAX..2 * SAID_MAX).contains(&stub.said),
            "{}",
            stub.said
        );
    }
}

/// A hostile region may claim to be of any size: what is not there is not asked for page by page to its end.
#[test]
fn memory_that_is_refused_and_refused_is_given_up() {
    let refusing = |request: &str| match request.starts_with('m') {
        true => b"E14".to_vec(),
        false => stub(request),
    };
    let mut memory = Memory::new(Client::new(Played::new(refusing)).unwrap());
    let mut page = [0; 4096];
    let mut read = 0;
    let error = loop {
        match memory.read(&mut page) {
            Ok(length) => read += length as u64,
            Err(error) => break error.to_string(),
        }
        assert!(read <= REFUSED_MAX, "it goes on");
    };
    assert_eq!(read, REFUSED_MAX);
    assert!(error.contains("up to 0x4000000"), "{error}");
    // A gap is none: what can be read begins the count anew.
    let mut pages = 0;
    let gaps = |request: &str| match request.starts_with('m') {
        true => {
            pages += 1;
            match pages % 16_000 {
                0 => b"00".to_vec(),
                _ => b"E14".to_vec(),
            }
        }
        false => stub(request),
    };
    let mut memory = Memory::new(Client::new(Played::new(gaps)).unwrap());
    let mut read = 0;
    while read < 2 * REFUSED_MAX {
        read += memory.read(&mut page).unwrap() as u64;
    }
}

/// Where no multiple of a page follows any more, there is no region, and no sum that overflows.
#[test]
fn the_end_of_the_address_space_is_looked_through() {
    let mut memory = Memory::new(Client::new(Played::new(stub)).unwrap());
    let range = aftrace::arguments::memory("0xfffffffffffffff0+8").unwrap();
    assert!(
        aftrace::trace::ram::find(&mut memory, range)
            .unwrap()
            .is_empty()
    );
}

#[test]
fn repetitions_and_escapes_are_unfolded() {
    // The manual's own example: `0* ` is four zeroes.
    assert_eq!(decoded(b"$0* #7a"), [Incoming::Packet(b"0000".to_vec())]);
    assert_eq!(
        decoded(b"+$}\x03#80-"),
        [
            Incoming::Ack,
            Incoming::Packet(b"#".to_vec()),
            Incoming::Again
        ]
    );
    for wrong in [
        &b"$0* #7b"[..],
        b"$* #4a",
        b"$}#7d",
        b"$0*\x01#5b",
        b"$ab$#00",
    ] {
        assert_eq!(decoded(wrong)[0], Incoming::Damaged, "{wrong:?}");
    }
    // Seven letters unfold to more than is held.
    let many = [b"x".to_vec(), b"*~".repeat(PAYLOAD_MAX / 90)].concat();
    let sum = many.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    let line = [b"$".to_vec(), many, format!("#{sum:02x}").into_bytes()].concat();
    assert_eq!(decoded(&line), [Incoming::Damaged]);
    assert_eq!(bytes(b"00ff1"), None);
    assert_eq!(bytes(b"00fF"), Some(vec![0, 255]));
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(payload in prop::collection::vec(any::<u8>(), 0..300), before in "[a-z+]{0,5}") {
        let line = [before.into_bytes(), encode(&payload)].concat();
        prop_assert_eq!(decoded(&line).pop(), Some(Incoming::Packet(payload)));
    }

    /// Whatever comes: no panic, no payload longer than the limit, and a good packet behind it is understood, at the latest
    /// the second one.
    #[test]
    fn no_line_breaks_the_decoder(line in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'$'), Just(b'#'), Just(b'*'), Just(b'}'), Just(b'~')], 0..200)) {
        let found = decoded(&line);
        for incoming in &found {
            if let Incoming::Packet(payload) = incoming {
                prop_assert!(payload.len() <= PAYLOAD_MAX);
            }
        }
        let good = encode(b"T05");
        let behind = decoded(&[&line[..], &good, &good].concat());
        prop_assert_eq!(behind.last(), Some(&Incoming::Packet(b"T05".to_vec())));
    }

    /// A stub that says anything at all gives an error or bytes, and comes to an end.
    #[test]
    fn no_stub_breaks_the_client(answers in prop::collection::vec("[ -~]{0,20}", 1..8)) {
        let mut turn = answers.iter().cycle();
        let played = Played::new(|_: &str| turn.next().unwrap().clone().into_bytes());
        if let Ok(mut client) = Client::new(played) {
            if let Ok(bytes) = client.read(0, 100) {
                prop_assert!(bytes.len() <= 100);
            }
            let _ = client.detach();
        }
    }
}
