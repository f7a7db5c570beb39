//! What there is to trace: each workload works on things of its own, from a seed, and ends in a checksum that is the same
//! every time, traced or not.

use crate::checksum::{Checksum, Fnv1a};
use crate::disk::{DiskError, MemoryDisk, SECTOR_BYTES, Volume};
use crate::format::{self, Align, Table};
use crate::index::{Broken, Tree};
use crate::klog::{Level, Ring};
use crate::net::{NetError, Network};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Bound;
use regex::Regex;

/// What a workload did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How many operations.
    pub operations: u64,
    /// A checksum over all that came out of them.
    pub checksum: u64,
}

/// A workload found that the kernel's code is wrong.
#[derive(Debug)]
pub enum Failure {
    /// The index is not a tree as it should be.
    Index(Broken),
    /// The index says something else than the standard library's map.
    Model,
    /// The disk or the volume.
    Disk(DiskError),
    /// The network.
    Net(NetError),
    /// A pattern that does not compile.
    Pattern,
    /// What came out of the packer or the network is not what went in.
    Changed,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Index(broken) => write!(f, "the index is broken: {broken}"),
            Self::Model => f.write_str("the index and its model differ"),
            Self::Disk(error) => write!(f, "the disk: {error}"),
            Self::Net(error) => write!(f, "the network: {error}"),
            Self::Pattern => f.write_str("a pattern does not compile"),
            Self::Changed => f.write_str("what came out is not what went in"),
        }
    }
}

impl From<Broken> for Failure {
    fn from(broken: Broken) -> Self {
        Self::Index(broken)
    }
}

impl From<DiskError> for Failure {
    fn from(error: DiskError) -> Self {
        Self::Disk(error)
    }
}

impl From<NetError> for Failure {
    fn from(error: NetError) -> Self {
        Self::Net(error)
    }
}

/// A workload.
pub struct Workload {
    /// Its name.
    pub name: &'static str,
    /// What it does, in a line.
    pub about: &'static str,
    /// Runs it.
    pub run: fn() -> Result<Outcome, Failure>,
}

/// All of them.
pub const ALL: &[Workload] = &[
    Workload {
        name: "index",
        about: "random inserts, removals and ranges on the tree, beside a model",
        run: index,
    },
    Workload {
        name: "format",
        about: "paragraphs, tables and dumps",
        run: text,
    },
    Workload {
        name: "log",
        about: "lines through a ring that is too small for them",
        run: log,
    },
    Workload {
        name: "disk",
        about: "files written, replaced, deleted and checked",
        run: disk,
    },
    Workload {
        name: "pack",
        about: "text packed and unpacked (miniz_oxide)",
        run: pack,
    },
    Workload {
        name: "net",
        about: "text through TCP and UDP to itself (smoltcp)",
        run: net,
    },
    Workload {
        name: "grep",
        about: "patterns sought in text (regex)",
        run: grep,
    },
];

/// Random numbers that are the same every time (xorshift64*, Marsaglia 2003 and Vigna 2016).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 32) % bound
    }
}

/// Gathers an outcome.
struct Tally {
    operations: u64,
    sum: Fnv1a,
}

impl Tally {
    fn new() -> Self {
        Self {
            operations: 0,
            sum: Fnv1a::new(),
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.operations += 1;
        self.sum.update(bytes);
    }

    fn number(&mut self, number: u64) {
        self.take(&number.to_le_bytes());
    }

    fn outcome(self) -> Outcome {
        Outcome {
            operations: self.operations,
            checksum: self.sum.value(),
        }
    }
}

fn index() -> Result<Outcome, Failure> {
    const KEYS: u64 = 300;
    let mut random = Random(0x1234_5678_9abc_def1);
    let mut tally = Tally::new();
    let mut tree = Tree::new();
    let mut model = BTreeMap::new();
    for _ in 0..1500 {
        let key = random.below(KEYS);
        let same = if random.below(3) < 2 {
            let value = random.next();
            tree.insert(key, value) == model.insert(key, value)
        } else {
            tree.remove(&key) == model.remove(&key)
        };
        if !same || tree.get(&key) != model.get(&key) {
            return Err(Failure::Model);
        }
        tally.number(tree.len() as u64);
    }
    tree.check()?;
    if !tree.range(Bound::Unbounded).eq(model.iter()) {
        return Err(Failure::Model);
    }
    let from = KEYS / 2;
    for (key, value) in tree.range(Bound::Excluded(&from)) {
        tally.number(key ^ value);
    }
    tally.number(u64::from(tree.height()));
    Ok(tally.outcome())
}

const PROSE: &str = "A callsite is the patchable entry of one function: two words before it that hold a pointer, and two in \
    it that do nothing until somebody asks.\n\nA tracer costs the functions that it traces, and no others, however many \
    other tracers there are.";

fn text() -> Result<Outcome, Failure> {
    let mut tally = Tally::new();
    for width in (24..80).step_by(4) {
        let page = format::justify(PROSE, width);
        tally.take(page.as_bytes());
    }
    let mut table = Table::new(&[
        ("page", Align::Left),
        ("size", Align::Right),
        ("bytes", Align::Right),
        ("time", Align::Right),
    ]);
    let mut random = Random(42);
    for page in 1..40 {
        let bytes = random.below(1 << 32) >> random.below(32);
        table.row(&[
            &format::roman(page),
            &format::size(bytes),
            &format::grouped(bytes),
            &format::seconds(bytes),
        ]);
    }
    tally.take(format!("{table}").as_bytes());
    tally.take(format::hex_dump(PROSE.as_bytes()).as_bytes());
    Ok(tally.outcome())
}

fn log() -> Result<Outcome, Failure> {
    let mut tally = Tally::new();
    let mut ring: Ring<2048> = Ring::new();
    let mut random = Random(7);
    for time in 0..200 {
        let level = match random.below(3) {
            0 => Level::Debug,
            1 => Level::Info,
            _ => Level::Warn,
        };
        let (a, b) = (random.below(1000), random.next());
        ring.push(time, level, format_args!("event {a} with value {b:#x}"));
        tally.number(ring.counts().1 as u64);
    }
    for line in ring.lines() {
        let text = format!("{:>6} {:<5} {}", line.time, line.level, line.text());
        tally.take(text.as_bytes());
    }
    Ok(tally.outcome())
}

fn disk() -> Result<Outcome, Failure> {
    let mut tally = Tally::new();
    let mut random = Random(99);
    let mut volume = Volume::format(Box::new(MemoryDisk::new(48)));
    for _ in 0..40 {
        let name = file_name(random.below(12));
        let bytes = random.below(3 * SECTOR_BYTES as u64) as usize;
        let contents: Vec<u8> = (0..bytes).map(|_| random.next() as u8).collect();
        volume.write(&name, &contents)?;
        if random.below(4) == 0 {
            volume.delete(&name)?;
        }
        tally.number(volume.free() as u64);
    }
    tally.number(volume.scrub()? as u64);
    for (name, bytes) in volume.list() {
        tally.take(format!("{name} {bytes}").as_bytes());
    }
    for (name, sum) in volume.digest()? {
        tally.take(name.as_bytes());
        tally.number(sum);
    }
    Ok(tally.outcome())
}

fn pack() -> Result<Outcome, Failure> {
    let mut tally = Tally::new();
    for (level, width) in (1..=9).zip((30..).step_by(7)) {
        let page = format::justify(PROSE, width);
        let packed = miniz_oxide::deflate::compress_to_vec_zlib(page.as_bytes(), level);
        tally.take(&packed);
        let unpacked = miniz_oxide::inflate::decompress_to_vec_zlib(&packed);
        if !unpacked.is_ok_and(|unpacked| unpacked == page.as_bytes()) {
            return Err(Failure::Changed);
        }
    }
    Ok(tally.outcome())
}

fn net() -> Result<Outcome, Failure> {
    let mut tally = Tally::new();
    let mut network = Network::new()?;
    let page = format::hex_dump(PROSE.as_bytes());
    let arrived = network.through_tcp(page.as_bytes())?;
    tally.take(&arrived);
    let lines: Vec<&[u8]> = page.lines().map(str::as_bytes).collect();
    let datagrams = network.through_udp(&lines)?;
    for datagram in &datagrams {
        tally.take(datagram);
    }
    if arrived != page.as_bytes() || datagrams != lines {
        return Err(Failure::Changed);
    }
    Ok(tally.outcome())
}

fn grep() -> Result<Outcome, Failure> {
    let mut tally = Tally::new();
    let page = format::hex_dump(PROSE.as_bytes());
    for pattern in [
        r"[0-9a-f]{6}",
        r"(?i-u:CALLSITE|tracer)s?",
        r"([a-z]+) ([a-z]+)[.,]",
        r"^0000[0-9]0 .*$",
    ] {
        let pattern = format!("(?m){pattern}");
        let regex = Regex::new(&pattern).map_err(|_| Failure::Pattern)?;
        for captures in [PROSE, &page]
            .iter()
            .flat_map(|text| regex.captures_iter(text))
        {
            for part in captures.iter().flatten() {
                tally.take(part.as_str().as_bytes());
                tally.number(part.start() as u64);
            }
        }
    }
    Ok(tally.outcome())
}

fn file_name(number: u64) -> String {
    format!(
        "log/{:02}.{}",
        number,
        if number.is_multiple_of(2) {
            "txt"
        } else {
            "bin"
        }
    )
}
