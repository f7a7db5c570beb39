//! Checksums over bytes, behind one trait.

/// A checksum in the making.
pub trait Checksum {
    /// Its name.
    fn name(&self) -> &'static str;
    /// Takes more bytes.
    fn update(&mut self, bytes: &[u8]);
    /// The checksum of all bytes so far.
    fn value(&self) -> u64;
}

/// CRC-32 as in IEEE 802.3: reflected, polynomial 0xEDB88320.
pub struct Crc32(u32);

/// Adler-32, RFC 1950.
pub struct Adler32 {
    a: u32,
    b: u32,
}

/// FNV-1a, 64 bits.
pub struct Fnv1a(u64);

const CRC_POLYNOMIAL: u32 = 0xedb8_8320;
const CRC_TABLE: [u32; 256] = crc_table();
const ADLER_MODULUS: u32 = 65521;
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x100_0000_01b3;

const fn crc_table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < table.len() {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < u8::BITS {
            crc = crc >> 1 ^ if crc & 1 == 1 { CRC_POLYNOMIAL } else { 0 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
}

impl Crc32 {
    /// Of nothing yet.
    pub const fn new() -> Self {
        Self(u32::MAX)
    }
}

impl Checksum for Crc32 {
    fn name(&self) -> &'static str {
        "crc32"
    }

    fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let slot = (self.0 ^ u32::from(*byte)) & 0xff;
            self.0 = self.0 >> 8 ^ CRC_TABLE[slot as usize];
        }
    }

    fn value(&self) -> u64 {
        u64::from(!self.0)
    }
}

impl Adler32 {
    /// Of nothing yet.
    pub const fn new() -> Self {
        Self { a: 1, b: 0 }
    }
}

impl Checksum for Adler32 {
    fn name(&self) -> &'static str {
        "adler32"
    }

    fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.a = (self.a + u32::from(*byte)) % ADLER_MODULUS;
            self.b = (self.b + self.a) % ADLER_MODULUS;
        }
    }

    fn value(&self) -> u64 {
        u64::from(self.b << 16 | self.a)
    }
}

impl Fnv1a {
    /// Of nothing yet.
    pub const fn new() -> Self {
        Self(FNV_OFFSET)
    }
}

impl Checksum for Fnv1a {
    fn name(&self) -> &'static str {
        "fnv1a"
    }

    fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(FNV_PRIME);
        }
    }

    fn value(&self) -> u64 {
        self.0
    }
}

/// The CRC-32 of `bytes`.
pub fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = Crc32::new();
    crc.update(bytes);
    crc.value() as u32
}
