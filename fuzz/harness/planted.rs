//! A reader with a bug on purpose: whoever looks for bugs must find this one, or looks for nothing.

/// As frames are read, but nobody asks whether the payload is all there. It takes four bytes of magic and a length to get
/// so far, and no seed has them: the fuzzer begins with nothing.
pub fn planted(data: &[u8]) -> bool {
    const HEAD: usize = 24;
    const LENGTH: usize = 8;
    const MAGIC: u32 = u32::from_le_bytes(*b"AFT\xf1");
    let magic = data.first_chunk().map(|magic| u32::from_le_bytes(*magic));
    let Some(head) = data.first_chunk::<HEAD>().filter(|_| magic == Some(MAGIC)) else {
        return false;
    };
    let length = usize::from(head[LENGTH]) | usize::from(head[LENGTH + 1]) << 8;
    let payload = &data[HEAD..HEAD + length];
    payload.iter().any(|&byte| byte != 0)
}
