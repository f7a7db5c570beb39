//! The brackets of a path, found in one pass: symbols come from files, and a hostile one may have a million.

/// A bracket and what closes it. Kinds need not agree: the one that was opened last is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    /// Where it opens.
    pub(crate) open: usize,
    /// Where it closes.
    pub(crate) close: usize,
    /// The first space directly within.
    pub(crate) space: Option<usize>,
    /// The first ` as ` directly within.
    pub(crate) as_at: Option<usize>,
}

/// Between what separates a type from its trait.
pub(crate) const AS: &str = " as ";

/// All pairs of `<>`, `()`, `[]` and `{}`, ascending by where they open. The `>` of `->` is none.
pub(crate) fn pairs(path: &str) -> Vec<Pair> {
    let mut waiting: Vec<Pair> = Vec::new();
    let mut found = Vec::new();
    let mut before = 0;
    for (at, c) in path.bytes().enumerate() {
        match c {
            b'<' | b'(' | b'[' | b'{' => waiting.push(Pair {
                open: at,
                close: at,
                space: None,
                as_at: None,
            }),
            b'>' if before == b'-' => {}
            b'>' | b')' | b']' | b'}' => {
                found.extend(waiting.pop().map(|pair| Pair { close: at, ..pair }));
            }
            b' ' => {
                if let Some(within) = waiting.last_mut() {
                    within.space = within.space.or(Some(at));
                    if path[at..].starts_with(AS) {
                        within.as_at = within.as_at.or(Some(at));
                    }
                }
            }
            _ => {}
        }
        before = c;
    }
    found.sort_unstable_by_key(|pair| pair.open);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bracket_has_what_closes_it_and_the_spaces_directly_within() {
        let show = |path: &str| -> Vec<(usize, usize, Option<usize>, Option<usize>)> {
            let found = pairs(path).into_iter();
            found.map(|p| (p.open, p.close, p.space, p.as_at)).collect()
        };
        assert_eq!(
            show("<<A as B>::C as fn() -> D>::f"),
            [
                (0, 25, Some(12), Some(12)),
                (1, 8, Some(3), Some(3)),
                (18, 19, None, None)
            ]
        );
        assert_eq!(show("<dyn A as B>"), [(0, 11, Some(4), Some(6))]);
        assert_eq!(show("(\u{fc} as)"), [(0, 6, Some(3), None)]);
        assert_eq!(show(")]a<b("), []);
        assert_eq!(show("<(>x"), [(1, 2, None, None)]);
        assert_eq!(show("a -> b as c"), []);
    }
}
