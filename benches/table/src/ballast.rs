//! Code that gives the kernel a realistic number of callsites: what is measured for each of them should not hang on the
//! few functions of the bench itself.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::hint::black_box;

/// Uses collections, text and numbers of core and alloc; the result only keeps the compiler from leaving them out.
pub fn run() -> usize {
    let numbers: Vec<u64> = (0..black_box(64)).map(|n| n * 0x9e37_79b9 % 1009).collect();
    let mut sorted = numbers.clone();
    sorted.sort();
    sorted.dedup();
    let mut index: BTreeMap<u64, String> = numbers
        .iter()
        .map(|n| (*n, format!("{n:#x}/{:?}", n.checked_sub(500))))
        .collect();
    let words: BTreeSet<String> = index.values().map(|text| text.replace("x", "-")).collect();
    index.retain(|n, _| n % 3 != 0);
    let mut queue: VecDeque<String> = words.into_iter().collect();
    queue.rotate_left(black_box(5));
    let joined: String = queue.make_contiguous().join(",");
    let parsed: Vec<i64> = joined
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|text| text.parse().ok())
        .collect();
    let float: f64 = black_box("2.75").parse().unwrap_or(0.0);
    let text = format!(
        "{parsed:?} {float:.3e} {:?} {:>20}",
        joined.char_indices().rev().nth(3),
        index.len()
    );
    text.chars().filter(|c| c.is_alphanumeric()).count()
        + sorted.binary_search(&black_box(77)).unwrap_or_else(|at| at)
}
