//! Deterministic mutations for the runs under `cargo test`: the same inputs on every machine, every time.
#![forbid(unsafe_code)]

// Named, because the library has no prelude of std.
use std::vec::Vec;

/// Inputs of each harness.
pub const EXECUTIONS: usize = 20_000;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    /// Below `limit`; zero when that is zero.
    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

/// Gives `harness` this many inputs made of `seeds`. Fails unless some were accepted and some refused: otherwise the
/// mutations are too mild or too wild to reach the parser.
pub fn run(seeds: &[Vec<u8>], executions: usize, harness: impl Fn(&[u8]) -> bool) {
    let mut random = Random(1);
    let mut accepted = 0;
    for number in 0..executions {
        let mut data = seeds[number % seeds.len()].clone();
        for _ in 0..1 + random.below(4) {
            mutate(&mut data, seeds, &mut random);
        }
        accepted += usize::from(harness(&data));
    }
    let refused = executions - accepted;
    assert!(
        accepted >= executions / 100,
        "only {accepted} of {executions} were accepted"
    );
    assert!(
        refused >= executions / 100,
        "only {refused} of {executions} were refused"
    );
}

fn mutate(data: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut Random) {
    const INTERESTING: [u64; 10] = [
        0,
        1,
        7,
        0x7F,
        0xFF,
        0xFFFF,
        0x7FFF_FFFF,
        0xFFFF_FFFF,
        u64::MAX - 7,
        u64::MAX,
    ];
    let at = random.below(data.len());
    match random.below(16) {
        0 => data.truncate(at),
        1 | 2 => {
            // A splice: what stands in some seed, over what stands here.
            let other = &seeds[random.below(seeds.len())];
            let from = random.below(other.len());
            let len = random.below(64.min(other.len() - from) + 1);
            let end = (at + len).min(data.len());
            data.splice(at..end, other[from..from + len].iter().copied());
        }
        3 | 4 => {
            let from = random.below(data.len());
            let len = random.below(32).min(data.len() - from);
            let copy = data[from..from + len].to_vec();
            data.splice(at..at, copy);
        }
        5..=7 => {
            let width = [1, 2, 4, 8][random.below(4)];
            let value = match random.below(3) {
                0 => random.next(),
                _ => INTERESTING[random.below(INTERESTING.len())],
            };
            let at = at / width * width;
            if let Some(field) = data.get_mut(at..at + width) {
                field.copy_from_slice(&value.to_le_bytes()[..width]);
            }
        }
        8 => {
            let end = (at + random.below(32)).min(data.len());
            data.drain(at..end);
        }
        9 if random.below(8) == 0 => {
            *data = (0..random.below(256))
                .map(|_| random.next() as u8)
                .collect();
        }
        _ => {
            if let Some(byte) = data.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
    }
}
