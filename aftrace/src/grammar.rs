//! Re-Pair: the grammar that makes names small.
//!
//! The pair of symbols that occurs most often becomes a new symbol, until no pair occurs often enough to pay for its rule.
//! N. J. Larsson and A. Moffat, "Offline Dictionary-Based Compression", DCC 1999. Rules refer only to older symbols, and
//! none needs more than [`STACK`] waiting symbols in the reader.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use aarch64_ftrace::names::format::{FIRST_RULE, MAX_RULES, STACK};
use rustc_hash::{FxHashMap, FxHashSet};

type Pair = (u16, u16);

/// A rule takes three bytes. A pair that occurs twice saves four at most, and takes the place from better ones.
const WORTH_A_RULE: usize = 3;

/// Texts as symbols, and the rules of the symbols from [`FIRST_RULE`] on.
pub(crate) struct Compressed {
    pub(crate) texts: Vec<Vec<u16>>,
    pub(crate) rules: Vec<Pair>,
}

/// Compresses `texts` together. The same input always gives the same output.
pub(crate) fn compress<'a>(texts: impl Iterator<Item = &'a [u8]>) -> Compressed {
    let texts: Vec<Vec<u16>> = texts
        .map(|t| t.iter().map(|b| u16::from(*b)).collect())
        .collect();
    let mut state = State {
        pairs: FxHashMap::default(),
        heap: BinaryHeap::new(),
        texts,
    };
    for text in 0..state.texts.len() {
        state.count(text, Change::First);
    }
    let seeds: Vec<Pair> = state.pairs.keys().copied().collect();
    for pair in seeds {
        state.offer(pair);
    }

    let mut rules = Vec::new();
    let mut needs: Vec<usize> = Vec::new();
    let need = |needs: &[usize], symbol: u16| match symbol.checked_sub(FIRST_RULE) {
        None => 0,
        Some(rule) => needs[usize::from(rule)],
    };
    while rules.len() < MAX_RULES {
        let Some(pair) = state.best() else { break };
        // The reader puts the right half aside while it expands the left one.
        let own = (1 + need(&needs, pair.0)).max(need(&needs, pair.1)).max(1);
        if own > STACK {
            state.pairs.remove(&pair);
            continue;
        }
        let symbol = FIRST_RULE + u16::try_from(rules.len()).expect("at most MAX_RULES");
        rules.push(pair);
        needs.push(own);
        state.replace(pair, symbol);
    }
    Compressed {
        texts: state.texts,
        rules,
    }
}

#[derive(Default)]
struct Occurrences {
    count: usize,
    /// Texts that had the pair at some time; some more than once.
    texts: Vec<usize>,
}

/// Why the pairs of a text are counted.
#[derive(Clone, Copy)]
enum Change {
    /// For the first time.
    First,
    /// Taken away, before it is rewritten.
    Before,
    /// Added again, rewritten with this symbol: no other pair is new to it.
    After(u16),
}

struct State {
    texts: Vec<Vec<u16>>,
    pairs: FxHashMap<Pair, Occurrences>,
    /// Counts as they were when they were offered; `best` compares them with the present.
    heap: BinaryHeap<(usize, Reverse<Pair>)>,
}

impl State {
    /// Adds the pairs of one text to the counts, or takes them away. Overlapping ones (`aaa`) count once.
    fn count(&mut self, text: usize, change: Change) {
        let symbols = &self.texts[text];
        let mut last = None;
        for (at, pair) in symbols.windows(2).enumerate() {
            let pair = (pair[0], pair[1]);
            if last == Some((at.wrapping_sub(1), pair)) {
                last = None;
                continue;
            }
            last = Some((at, pair));
            let known = self.pairs.entry(pair).or_default();
            let (sign, is_new) = match change {
                Change::First => (1, true),
                Change::Before => (-1, false),
                Change::After(symbol) => (1, pair.0 == symbol || pair.1 == symbol),
            };
            known.count = known.count.saturating_add_signed(sign);
            if is_new && known.texts.last() != Some(&text) {
                known.texts.push(text);
            }
        }
    }

    fn offer(&mut self, pair: Pair) {
        let count = self.pairs.get(&pair).map_or(0, |known| known.count);
        if count >= WORTH_A_RULE {
            self.heap.push((count, Reverse(pair)));
        }
    }

    fn best(&mut self) -> Option<Pair> {
        loop {
            let (offered, Reverse(pair)) = self.heap.pop()?;
            if self
                .pairs
                .get(&pair)
                .is_some_and(|known| known.count == offered)
            {
                return Some(pair);
            }
            self.offer(pair);
        }
    }

    fn replace(&mut self, pair: Pair, symbol: u16) {
        let Some(mut known) = self.pairs.remove(&pair) else {
            return;
        };
        known.texts.sort_unstable();
        known.texts.dedup();
        // No other pair becomes more frequent. Each once: the heap would otherwise hold one entry for each place.
        let mut raised: FxHashSet<Pair> = FxHashSet::default();
        for text in known.texts {
            if !self.texts[text].windows(2).any(|w| (w[0], w[1]) == pair) {
                continue;
            }
            self.count(text, Change::Before);
            let old = std::mem::take(&mut self.texts[text]);
            let mut new = Vec::with_capacity(old.len());
            let mut at = 0;
            while at < old.len() {
                if old.get(at + 1).is_some_and(|next| (old[at], *next) == pair) {
                    new.push(symbol);
                    at += 2;
                } else {
                    new.push(old[at]);
                    at += 1;
                }
            }
            self.texts[text] = new;
            self.count(text, Change::After(symbol));
            let pairs = self.texts[text].windows(2).map(|w| (w[0], w[1]));
            raised.extend(pairs.filter(|w| w.0 == symbol || w.1 == symbol));
        }
        self.pairs.remove(&pair);
        for pair in raised {
            self.offer(pair);
        }
    }
}
