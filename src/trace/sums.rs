//! PROFILE and COVERAGE frames: what a kernel has added up, without a log (docs/trace-format.md, section 3).
#![forbid(unsafe_code)]

/// Bytes of one function in a PROFILE payload.
pub const PROFILE_ENTRY_BYTES: usize = 56;
/// Bytes of one function in a COVERAGE payload.
pub const COVERAGE_ENTRY_BYTES: usize = 4;

/// One function on one core, as a PROFILE frame has it. Times are in ticks, over calls that have returned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProfileEntry {
    /// The low 32 bits of the address after the callsite's BL, the lowest three zero.
    pub callsite: u32,
    /// Calls.
    pub hits: u64,
    /// Time from entry to return, of all of them.
    pub total: u64,
    /// The same without the time of profiled functions that they called.
    pub own: u64,
    /// The longest.
    pub longest: u64,
    /// The sum of the squares of the times.
    pub squares: u128,
}

impl ProfileEntry {
    /// Its bytes.
    pub fn to_bytes(self) -> [u8; PROFILE_ENTRY_BYTES] {
        let words = [
            u64::from(self.callsite),
            self.hits,
            self.total,
            self.own,
            self.longest,
            self.squares as u64,
            (self.squares >> u64::BITS) as u64,
        ];
        let mut bytes = [0; PROFILE_ENTRY_BYTES];
        for (to, word) in bytes.chunks_exact_mut(size_of::<u64>()).zip(words) {
            to.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// The entry of 56 bytes.
    pub fn from_bytes(bytes: &[u8; PROFILE_ENTRY_BYTES]) -> Self {
        let mut words = [0; PROFILE_ENTRY_BYTES / size_of::<u64>()];
        for (word, from) in words.iter_mut().zip(bytes.as_chunks().0) {
            *word = u64::from_le_bytes(*from);
        }
        let [callsite, hits, total, own, longest, low, high] = words;
        Self {
            // The upper half is zero in this version.
            callsite: callsite as u32,
            hits,
            total,
            own,
            longest,
            squares: u128::from(high) << u64::BITS | u128::from(low),
        }
    }
}

/// The functions of a PROFILE payload; `None` where it is not a whole number of them.
pub fn profile_entries(payload: &[u8]) -> Option<impl Iterator<Item = ProfileEntry> + '_> {
    let (entries, rest) = payload.as_chunks();
    rest.is_empty()
        .then(|| entries.iter().map(ProfileEntry::from_bytes))
}

/// The callsites of a COVERAGE payload; `None` where it is not a whole number of them.
pub fn coverage_entries(payload: &[u8]) -> Option<impl Iterator<Item = u32> + '_> {
    let (entries, rest) = payload.as_chunks::<COVERAGE_ENTRY_BYTES>();
    rest.is_empty()
        .then(|| entries.iter().map(|entry| u32::from_le_bytes(*entry)))
}
