//! CRC-32 as IEEE 802.3 has it (polynomial 0x04C11DB7, reflected), by half bytes: a table of 64 bytes.
#![forbid(unsafe_code)]

const POLYNOMIAL: u32 = 0xedb8_8320;
const NIBBLE_BITS: u32 = 4;

const TABLE: [u32; 1 << NIBBLE_BITS] = {
    let mut table = [0; 1 << NIBBLE_BITS];
    let mut i = 0;
    while i < table.len() {
        let mut crc = i as u32;
        let mut bit = 0;
        while bit < NIBBLE_BITS {
            crc = crc >> 1 ^ if crc & 1 == 1 { POLYNOMIAL } else { 0 };
            bit += 1;
        }
        table[i] = crc;
        i += 1;
    }
    table
};

/// The CRC-32 of some bytes.
pub fn crc32(bytes: &[u8]) -> u32 {
    crc32_of([bytes])
}

/// The CRC-32 of several runs of bytes, one behind the other.
pub fn crc32_of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u32 {
    let step = |crc: u32, nibble: u32| {
        crc >> NIBBLE_BITS ^ TABLE[((crc ^ nibble) & ((1 << NIBBLE_BITS) - 1)) as usize]
    };
    !parts.into_iter().flatten().fold(!0, |crc, &byte| {
        step(step(crc, u32::from(byte)), u32::from(byte) >> NIBBLE_BITS)
    })
}
