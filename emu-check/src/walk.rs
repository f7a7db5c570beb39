//! The path of each traced call: every instruction from a callsite's BL to the return into the function, counted by entry.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use crate::image::{Image, Role};
use crate::insn::NOP;

/// A tracer that never returns must not fill the memory.
const LONGEST: usize = 100_000;
/// How many distinct paths are kept.
const DISTINCT: usize = 1000;

struct Call {
    end: u64,
    parent: u64,
    disturbed: bool,
    path: Vec<(u64, u32)>,
}

/// Entry, instructions, how many calls took it.
type Path = (String, Vec<(u64, u32)>, u64);

#[derive(Default)]
struct Count {
    calls: u64,
    least: usize,
    most: usize,
    asm_least: usize,
    asm_most: usize,
}

#[derive(Default)]
pub struct Walks {
    /// The calls that each core is inside of.
    open: Vec<Vec<Call>>,
    counts: BTreeMap<String, Count>,
    paths: HashMap<Vec<u64>, Path>,
    /// Calls with an exception in them, and calls within such: not counted.
    disturbed: u64,
    /// Calls whose path was one too many to be kept.
    dropped: u64,
}

impl Walks {
    pub fn new(cores: usize) -> Self {
        Self {
            open: (0..cores).map(|_| Vec::new()).collect(),
            ..Self::default()
        }
    }

    /// An exception is taken: what is open on this core has other instructions in it from now on.
    pub fn disturb(&mut self, core: usize) {
        self.open[core]
            .iter_mut()
            .for_each(|call| call.disturbed = true);
    }

    /// One instruction. Answers whether the core is inside a call.
    pub fn step(
        &mut self,
        image: &Image,
        core: usize,
        at: u64,
        word: u32,
        parent: impl Fn() -> u64,
    ) -> bool {
        while let Some(call) = self.open[core].last()
            && (call.end == at || call.parent == at)
        {
            if let Some(call) = self.open[core].pop() {
                self.close(image, call);
            }
        }
        if let Some(Role::Branch(index)) = image.roles.get(&at)
            && word != NOP
        {
            self.open[core].push(Call {
                end: image.callsites[*index].end(),
                parent: parent(),
                disturbed: false,
                path: Vec::new(),
            });
        }
        for call in &mut self.open[core] {
            if call.path.len() < LONGEST {
                call.path.push((at, word));
            } else {
                call.disturbed = true;
            }
        }
        !self.open[core].is_empty()
    }

    fn close(&mut self, image: &Image, call: Call) {
        if call.disturbed {
            self.disturbed += 1;
            return;
        }
        let entry = call.path.iter().find_map(|&(at, _)| image.entry(at));
        let first = call.path.get(1).and_then(|&(at, _)| image.symbol(at));
        let name = entry.or(first).unwrap_or("?").to_owned();
        // The BL stands outside the asm but is the library's instruction.
        let asm = 1 + call
            .path
            .iter()
            .filter(|&&(at, _)| image.in_asm(at))
            .count();
        let all = call.path.len();
        let count = self.counts.entry(name.clone()).or_insert(Count {
            least: usize::MAX,
            asm_least: usize::MAX,
            ..Count::default()
        });
        count.calls += 1;
        count.least = count.least.min(all);
        count.most = count.most.max(all);
        count.asm_least = count.asm_least.min(asm);
        count.asm_most = count.asm_most.max(asm);
        let key: Vec<u64> = call.path.iter().skip(1).map(|&(at, _)| at).collect();
        if self.paths.len() < DISTINCT || self.paths.contains_key(&key) {
            self.paths.entry(key).or_insert((name, call.path, 0)).2 += 1;
        } else {
            self.dropped += 1;
        }
    }

    /// One line for each entry.
    pub fn summary(&self) -> String {
        let mut text = String::new();
        for (name, count) in &self.counts {
            let _ = writeln!(
                text,
                "entry {name}: calls {}, instructions {}..{}, of them asm {}..{}",
                count.calls, count.least, count.most, count.asm_least, count.asm_most
            );
        }
        let _ = writeln!(
            text,
            "calls with an exception in them, not counted: {}",
            self.disturbed
        );
        let _ = writeln!(text, "calls whose path was not kept: {}", self.dropped);
        text
    }

    /// Every distinct path: a head line, then address, word and disassembly of each instruction.
    pub fn paths(&self, disassembly: &HashMap<u32, String>) -> String {
        let mut all: Vec<_> = self.paths.values().collect();
        all.sort_by(|a, b| (&a.0, a.1.len(), &a.1).cmp(&(&b.0, b.1.len(), &b.1)));
        let mut text = String::new();
        for (name, path, calls) in all {
            let _ = writeln!(
                text,
                "path {name} instructions {} calls {calls}",
                path.len()
            );
            for (at, word) in path {
                let words = disassembly.get(word).map_or("", String::as_str);
                let _ = writeln!(text, "{at:#x} {word:08x} {words}");
            }
        }
        text
    }
}
