//! Compares a console with what it must say. Pure.
//!
//! Lines are equal, trailing blanks aside. `{*}` stands for any text in a line, `{#}` for a decimal number, `{x}` for a
//! hexadecimal one; a line `...` stands for any number of lines.

/// The first place where the console differs.
#[derive(Debug, PartialEq, Eq)]
pub struct Difference {
    /// Line of the expected file, from 1.
    pub line: usize,
    /// What it says there; nothing when it is at its end.
    pub expected: Option<String>,
    /// What the console says; nothing when it is at its end.
    pub found: Option<String>,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let show = |text: &Option<String>| {
            text.as_ref()
                .map_or_else(|| "the end".to_owned(), |line| format!("`{line}`"))
        };
        write!(
            f,
            "line {} of the expected file: expected {}, found {}",
            self.line,
            show(&self.expected),
            show(&self.found)
        )
    }
}

/// Compares; an expected text without a single line to compare matches nothing.
///
/// # Errors
/// The furthest line that still had to match and did not.
pub fn compare(expected: &str, console: &str) -> Result<(), Difference> {
    let expected: Vec<&str> = expected.trim_end().lines().map(str::trim_end).collect();
    let console: Vec<&str> = console.trim_end().lines().map(str::trim_end).collect();
    if expected
        .iter()
        .all(|line| line.is_empty() || *line == "...")
    {
        return Err(Difference {
            line: 1,
            expected: Some("(the expected file says nothing)".to_owned()),
            found: console.first().map(|&line| line.to_owned()),
        });
    }
    let (mut e, mut c) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    let mut furthest = (0, 0);
    loop {
        if furthest < (e, c) {
            furthest = (e, c);
        }
        if expected.get(e) == Some(&"...") {
            retry = Some((e + 1, c));
            e += 1;
        } else if e == expected.len() && c == console.len() {
            return Ok(());
        } else if let (Some(pattern), Some(line)) = (expected.get(e), console.get(c))
            && line_matches(pattern, line)
        {
            e += 1;
            c += 1;
        } else if let Some((back, start)) = retry
            && start < console.len()
        {
            // The last `...` takes one line more.
            retry = Some((back, start + 1));
            (e, c) = (back, start + 1);
        } else {
            let (e, c) = furthest;
            return Err(Difference {
                line: e + 1,
                expected: expected.get(e).map(|&line| line.to_owned()),
                found: console.get(c).map(|&line| line.to_owned()),
            });
        }
    }
}

fn line_matches(pattern: &str, line: &str) -> bool {
    let Some(start) = ["{*}", "{#}", "{x}"]
        .iter()
        .filter_map(|mark| pattern.find(mark))
        .min()
    else {
        return pattern == line;
    };
    let Some(rest) = line.strip_prefix(&pattern[..start]) else {
        return false;
    };
    let (mark, pattern) = pattern[start..].split_at(3);
    match mark {
        "{*}" => ends(rest).any(|at| line_matches(pattern, &rest[at..])),
        "{#}" => numbers(rest, 0, |c| c.is_ascii_digit(), pattern),
        _ => {
            let prefix = if rest.starts_with("0x") { 2 } else { 0 };
            numbers(rest, prefix, |c| c.is_ascii_hexdigit(), pattern)
        }
    }
}

/// Every place of a character, and the end.
fn ends(text: &str) -> impl Iterator<Item = usize> {
    text.char_indices()
        .map(|(at, _)| at)
        .chain(std::iter::once(text.len()))
}

fn numbers(text: &str, prefix: usize, digit: impl Fn(char) -> bool, pattern: &str) -> bool {
    let count = text[prefix..].chars().take_while(|&c| digit(c)).count();
    (1..=count)
        .rev()
        .any(|taken| line_matches(pattern, &text[prefix + taken..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_text_matches_and_trailing_blanks_do_not_count() {
        assert_eq!(compare("a\n b\n", "a  \n b\n\n"), Ok(()));
        assert!(compare("a\nb\n", "a\n b\n").is_err());
    }

    #[test]
    fn missing_and_surplus_lines_are_differences() {
        let difference = compare("a\nb\n", "a\n").unwrap_err();
        assert_eq!((difference.line, difference.found), (2, None));
        let difference = compare("a\n", "a\nb\n").unwrap_err();
        assert_eq!(
            (difference.expected, difference.found),
            (None, Some("b".into()))
        );
    }

    #[test]
    fn an_expected_file_without_text_matches_nothing() {
        assert!(compare("", "").is_err());
        assert!(compare("...\n", "anything\n").is_err());
    }

    #[test]
    fn marks_match_their_kind_only() {
        assert_eq!(
            compare("n={#} at {x}: {*}!", "n=42 at 0xffee: any thing!"),
            Ok(())
        );
        assert!(compare("n={#}", "n=4x").is_err());
        assert!(compare("n={#}", "n=").is_err());
        assert!(compare("{x}", "0x").is_err());
        assert_eq!(compare("{*}é", "ééé"), Ok(()));
        assert_eq!(compare("{#}0", "100"), Ok(()));
    }

    #[test]
    fn dots_take_any_number_of_lines() {
        for console in ["a\nz", "a\nb\nz", "a\nb\nz\nc\nz"] {
            assert_eq!(compare("a\n...\nz", console), Ok(()), "{console}");
        }
        assert!(compare("a\n...\nz", "a\nb").is_err());
        assert!(compare("a\n...\nz", "a\nz\nb").is_err());
        assert_eq!(compare("...\nx\n...\ny\n...", "1\nx\n2\nx\ny\n3"), Ok(()));
    }

    #[test]
    fn the_difference_names_the_line() {
        let difference = compare("a\nb\nc\n", "a\nb\nx\n").unwrap_err();
        assert_eq!(
            difference.to_string(),
            "line 3 of the expected file: expected `c`, found `x`"
        );
    }
}
