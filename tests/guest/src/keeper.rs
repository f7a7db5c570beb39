//! Users of entry and exit: one proves that each call's words come back as they were kept, one that its caller keeps what is to be kept.

use crate::probe::TRASH;
use aarch64_ftrace::{Fregs, Ops, PROBE_WORDS, Probe};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use virt::println;

/// Keeps what its exit knows, too, and asks for the exits of calls whose first argument is a multiple of a number.
#[derive(Debug)]
pub struct Keeper {
    of: u64,
    salt: u64,
    entries: AtomicU64,
    exits: AtomicU64,
    damaged: AtomicU64,
}

impl Keeper {
    /// Of which multiples it wants the exits, and something that no other keeper has.
    pub const fn new(of: u64, salt: u64) -> Self {
        Self {
            of,
            salt,
            entries: AtomicU64::new(0),
            exits: AtomicU64::new(0),
            damaged: AtomicU64::new(0),
        }
    }

    /// Entries and exits so far.
    pub fn calls(&self) -> u64 {
        self.entries.load(Relaxed) + self.exits.load(Relaxed)
    }

    /// Whether each exit had what its entry has kept.
    pub fn is_intact(&self) -> bool {
        self.damaged.load(Relaxed) == 0
    }

    /// Prints what was counted since the last time.
    pub fn report(&self, what: &str) {
        let [entries, exits, damaged] =
            [&self.entries, &self.exits, &self.damaged].map(|count| count.swap(0, Relaxed));
        println!("  {what}: entries {entries}, exits {exits}, damaged {damaged}");
    }
}

aarch64_ftrace::notrace! {
    fn words(salt: u64, ip: usize, parent_ip: usize, fregs: &Fregs) -> [u64; PROBE_WORDS] {
        let [ip, parent_ip] = [ip as u64, parent_ip as u64];
        [ip ^ salt, parent_ip ^ salt, fregs.sp() ^ salt, fregs.fp() ^ salt]
    }
}

aarch64_ftrace::notrace! {
    impl Probe for Keeper {
        fn entry(
            &self,
            ip: usize,
            parent_ip: usize,
            fregs: &mut Fregs,
            kept: &mut [u64; PROBE_WORDS],
        ) -> bool {
            self.entries.fetch_add(1, Relaxed);
            let fresh = *kept == [0; PROBE_WORDS];
            self.damaged.fetch_add(u64::from(!fresh), Relaxed);
            *kept = words(self.salt, ip, parent_ip, fregs);
            matches!(fregs.arg(0), Some(n) if n % self.of == 0)
        }

        fn exit(
            &self,
            ip: usize,
            parent_ip: usize,
            fregs: &mut Fregs,
            kept: &[u64; PROBE_WORDS],
        ) {
            self.exits.fetch_add(1, Relaxed);
            let same = *kept == words(self.salt, ip, parent_ip, fregs);
            self.damaged.fetch_add(u64::from(!same), Relaxed);
        }
    }
}

/// Destroys whatever a tracer may, at the entry or at the exit: the second time it would change nothing.
#[derive(Debug)]
pub struct Trash {
    /// At which of them.
    pub at_exit: bool,
}

/// [`TRASH`] does not look at its ops.
static NOBODY: Ops = Ops::unguarded(TRASH);

aarch64_ftrace::notrace! {
    impl Probe for Trash {
        fn entry(&self, ip: usize, to: usize, fregs: &mut Fregs, _: &mut [u64; PROBE_WORDS]) -> bool {
            if !self.at_exit {
                TRASH(ip, to, &NOBODY, fregs);
            }
            true
        }

        fn exit(&self, ip: usize, to: usize, fregs: &mut Fregs, _: &[u64; PROBE_WORDS]) {
            if self.at_exit {
                TRASH(ip, to, &NOBODY, fregs);
            }
        }
    }
}
