//! From a symbol to the path that a person filters by.
//!
//! Both manglings of Rust give the same path where they can: without hashes, without the suffixes that LLVM appends, and
//! with an inherent method written as its author thinks of it, `alloc::vec::Vec<u8>::push`. (v0 would say
//! `<alloc::vec::Vec<u8>>::push`.) Methods of traits keep `<Type as Trait>::method`, and those on types without a path
//! keep their brackets: `<[u8]>::len`. Other languages' symbols stay as they are.

use crate::brackets::{self, Pair};

/// The path of the function that `symbol` names.
#[must_use]
pub fn path(symbol: &str) -> String {
    let stem = without_llvm_suffix(symbol);
    match rustc_demangle::try_demangle(stem) {
        // The alternate form leaves out hashes and the disambiguators of crates.
        Ok(path) => unwrap_inherent(&format!("{path:#}")),
        Err(_) => stem.to_owned(),
    }
}

/// Takes off `.llvm.1234` (a local symbol promoted across modules) and `.1234` (renamed against a collision). Suffixes
/// that tell of another body, such as `.cold`, stay.
fn without_llvm_suffix(symbol: &str) -> &str {
    let mut stem = symbol;
    if let Some(at) = stem.find(".llvm.") {
        stem = &stem[..at];
    }
    while let Some((head, tail)) = stem.rsplit_once('.') {
        if head.is_empty() || tail.is_empty() || !tail.bytes().all(|b| b.is_ascii_digit()) {
            break;
        }
        stem = head;
    }
    stem
}

/// Rewrites each `<path>::` to `path::`.
fn unwrap_inherent(path: &str) -> String {
    let pairs = brackets::pairs(path).into_iter();
    let mut away: Vec<usize> = pairs
        .filter(|pair| is_inherent(path, pair))
        .flat_map(|pair| [pair.open, pair.close])
        .collect();
    away.sort_unstable();
    let mut out = String::with_capacity(path.len());
    let mut from = 0;
    for at in away {
        out.push_str(&path[from..at]);
        from = at + 1;
    }
    out.push_str(&path[from..]);
    out
}

/// Whether these are the brackets around an inherent impl's type.
fn is_inherent(path: &str, pair: &Pair) -> bool {
    // After a letter, `>` or `::` it opens generic arguments.
    let before = path[..pair.open].chars().next_back();
    let generic = before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | ':' | '>'));
    // `<[u8]>`, `<&T>`, `<(A, B)>` and `<<T as A>::B as C>` have no path to unwrap.
    let is_path = |c: char| c.is_alphabetic() || c == '_';
    // A space: ` as `, `impl T`, `dyn T`, `for<'a> fn(..)`, `extern "C" fn(..)`, which are none.
    path[pair.open..].starts_with('<')
        && !generic
        && path[pair.open + 1..].starts_with(is_path)
        && pair.space.is_none()
        && path[pair.close..].starts_with(">::")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_manglings_without_hashes_and_suffixes() {
        let table = [
            ("_ZN5sched4idle17h0123456789abcdefE", "sched::idle"),
            (
                "_ZN5sched4idle17h0123456789abcdefE.llvm.8376512341234",
                "sched::idle",
            ),
            ("_ZN5sched4idle17h0123456789abcdefE.12", "sched::idle"),
            ("_RNvCs1234_5sched4idle", "sched::idle"),
            ("_RNvCs1234_5sched4idle.llvm.99", "sched::idle"),
            (
                "_RNvMNtCs1234_5alloc3vecINtB2_3VechE4push",
                "alloc::vec::Vec<u8>::push",
            ),
            (
                "_ZN52_$LT$demo..Pipe$u20$as$u20$core..ops..drop..Drop$GT$4drop17h0123456789abcdefE",
                "<demo::Pipe as core::ops::drop::Drop>::drop",
            ),
            ("memcpy", "memcpy"),
            ("memcpy.cold", "memcpy.cold"),
            ("memcpy.llvm.7", "memcpy"),
            (".7", ".7"),
        ];
        for (symbol, expected) in table {
            assert_eq!(path(symbol), expected, "{symbol}");
        }
    }

    #[test]
    fn inherent_types_lose_their_brackets_and_nothing_else_does() {
        let table = [
            ("<a::B>::new", "a::B::new"),
            ("<str>::trim", "str::trim"),
            (
                "<a::B<u8, (u8, u8)>>::new::<u8>",
                "a::B<u8, (u8, u8)>::new::<u8>",
            ),
            (
                "<a::B>::new::<<a::C>::f::{closure#0}, u8>",
                "a::B::new::<a::C::f::{closure#0}, u8>",
            ),
            (
                "<a::B<<c::D as c::E>::F>>::new",
                "a::B<<c::D as c::E>::F>::new",
            ),
            ("<[u8]>::len", "<[u8]>::len"),
            ("<&a::B>::f", "<&a::B>::f"),
            ("<a::B as a::C>::f", "<a::B as a::C>::f"),
            ("<a::B as a::C<d::E>>::f", "<a::B as a::C<d::E>>::f"),
            ("<<a::B as c::D>::E as F>::g", "<<a::B as c::D>::E as F>::g"),
            ("<dyn a::B>::f", "<dyn a::B>::f"),
            ("<a::B<fn(u8) -> u8>>::f", "a::B<fn(u8) -> u8>::f"),
            ("a::f::<u8>", "a::f::<u8>"),
            (
                "core::slice::<impl [T]>::len",
                "core::slice::<impl [T]>::len",
            ),
            ("<a::B", "<a::B"),
            ("a::f::<a::B>::g", "a::f::<a::B>::g"),
            ("<a::B> for c", "<a::B> for c"),
        ];
        for (printed, expected) in table {
            assert_eq!(unwrap_inherent(printed), expected);
        }
    }
}
