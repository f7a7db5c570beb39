//! Globs over function paths: the language of filters.
//!
//! | pattern | matches |
//! |---|---|
//! | `*` | any run of characters, also none, also across `::` |
//! | `?` | one character |
//! | `[Ss]` `[a-z]` `[!x]` | one character of a class; outside it after `!`; a `]` that stands first belongs to the class |
//! | `\` | takes the meaning from the next character, in a class too |
//! | anything else | itself |
//!
//! A pattern without wildcards is exact. Two rules are not those of a shell, because the text is a Rust path:
//!
//! * **Slice and array types are literal.** A `[` directly after `<`, `(`, `[`, `{`, `&`, `,` or a space stands where a
//!   Rust path has a slice or an array type, so `<[T]>::len` means the three characters `[T]`, as its user thinks, and so
//!   does `&[u8]`. Everywhere else, `drop_[a-z]*` or `*::[Ss]et`, it opens a class. Hence each path, pasted from a list of
//!   functions, matches itself. A class in a type position is the price: write `?` there.
//! * **The last generic arguments are optional.** `sched::spawn` matches `sched::spawn::<demo::Task>` too. To ask for one
//!   instance, write its arguments.
//!
//! No recursion, no allocation. Backtracking goes to the last `*` only: time is at most the product of the two lengths,
//! and linear for patterns whose runs between stars do not repeat.
#![forbid(unsafe_code)]

use core::fmt;

/// What is wrong with a pattern, and where. Positions are byte offsets into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GlobError {
    /// The pattern has no characters, so it could only match an empty name.
    Empty,
    /// The `[` at this offset has no `]`.
    UnclosedClass {
        /// Offset of the `[`.
        at: usize,
    },
    /// A range such as `z-a`: nothing lies in it.
    ReversedRange {
        /// Offset of the range's first character.
        at: usize,
    },
    /// The `\` at this offset is the last character: nothing follows that it could protect.
    TrailingEscape {
        /// Offset of the `\`.
        at: usize,
    },
}

impl fmt::Display for GlobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Empty => f.write_str("empty pattern: write `*` for every function"),
            Self::UnclosedClass { at } => {
                write!(
                    f,
                    "`[` at offset {at} has no `]`: close it, or write `\\[` for the character itself"
                )
            }
            Self::ReversedRange { at } => {
                write!(f, "range at offset {at} runs backwards: swap its ends")
            }
            Self::TrailingEscape { at } => {
                write!(
                    f,
                    "`\\` at offset {at} ends the pattern: write `\\\\` for the character itself"
                )
            }
        }
    }
}

impl core::error::Error for GlobError {}

/// Refuses a pattern that cannot mean what its author wrote.
///
/// [`matches()`] takes such patterns too and reads the faulty character as itself.
///
/// # Errors
/// [`GlobError`]: the first fault from the left.
pub fn validate(pattern: &str) -> Result<(), GlobError> {
    if pattern.is_empty() {
        return Err(GlobError::Empty);
    }
    let mut cursor = Pattern::new(pattern);
    loop {
        let at = cursor.at;
        match cursor.next() {
            None => return Ok(()),
            Some(Element::Class { body, .. }) => check_ranges(pattern, body)?,
            Some(Element::Char('[')) if opens_class(pattern, at) => {
                return Err(GlobError::UnclosedClass { at });
            }
            Some(Element::Char('\\')) if cursor.at == at + 1 => {
                return Err(GlobError::TrailingEscape { at });
            }
            Some(_) => {}
        }
    }
}

/// Whether `pattern` matches the whole of `text`, the UTF-8 bytes of a function's path.
///
/// ```
/// use aarch64_ftrace::glob::matches;
/// assert!(matches("sched::*", "sched::run::idle".bytes()));
/// assert!(matches("*::drop", "<demo::Pipe as core::ops::drop::Drop>::drop".bytes()));
/// assert!(matches("<[T]>::len", "<[T]>::len".bytes()));
/// assert!(!matches("sched::spawn::<u8>", "sched::spawn::<u16>".bytes()));
/// ```
///
/// # Context
/// Any: it neither allocates nor blocks.
pub fn matches(pattern: &str, text: impl Iterator<Item = u8> + Clone) -> bool {
    let mut text = Chars { bytes: text };
    let mut pattern = Pattern::new(pattern);
    // Where to go on when the run after the last `*` does not fit: behind that star, one character later in the text.
    let mut retry: Option<(Pattern<'_>, Chars<_>)> = None;
    loop {
        let mut rest = pattern;
        let fits = match rest.next() {
            Some(Element::Star) => {
                if rest.at == rest.text.len() {
                    return true;
                }
                retry = Some((rest, text.clone()));
                pattern = rest;
                continue;
            }
            Some(element) => match text.next() {
                Some(c) => element.accepts(c),
                // Each element up to the next star takes one character: starting later leaves fewer of them.
                None => return false,
            },
            None => {
                if only_generics_left(text.clone()) {
                    return true;
                }
                false
            }
        };
        if fits {
            pattern = rest;
            continue;
        }
        let Some((after_star, from)) = &mut retry else {
            return false;
        };
        if from.next().is_none() {
            return false;
        }
        pattern = *after_star;
        text = from.clone();
    }
}

/// Nothing is left, or one `::<...>` that closes with the last character.
fn only_generics_left(mut text: impl Iterator<Item = char>) -> bool {
    match text.next() {
        None => return true,
        Some(':') => {}
        Some(_) => return false,
    }
    if text.next() != Some(':') || text.next() != Some('<') {
        return false;
    }
    let mut depth = 1_u32;
    let mut before = '<';
    for c in text {
        if depth == 0 {
            return false;
        }
        match c {
            '<' => depth += 1,
            // The arrow of `fn() -> u8` closes nothing.
            '>' if before != '-' => depth -= 1,
            _ => {}
        }
        before = c;
    }
    depth == 0
}

#[derive(Clone, Copy)]
enum Element<'a> {
    Star,
    Any,
    Char(char),
    Class { negated: bool, body: &'a str },
}

impl Element<'_> {
    fn accepts(self, c: char) -> bool {
        match self {
            Self::Star | Self::Any => true,
            Self::Char(own) => own == c,
            Self::Class { negated, body } => {
                ClassItems { rest: body }.any(|(low, high)| (low..=high).contains(&c)) != negated
            }
        }
    }
}

/// A position in a pattern; yields its elements.
#[derive(Clone, Copy)]
struct Pattern<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Pattern<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    fn next(&mut self) -> Option<Element<'a>> {
        let rest = self.text.get(self.at..)?;
        let mut chars = rest.chars();
        let first = chars.next()?;
        let mut used = first.len_utf8();
        let element = match first {
            '*' => Element::Star,
            '?' => Element::Any,
            '\\' => match chars.next() {
                Some(c) => {
                    used += c.len_utf8();
                    Element::Char(c)
                }
                None => Element::Char('\\'),
            },
            '[' if opens_class(self.text, self.at) => match class_body(rest) {
                Some((negated, body, len)) => {
                    used = len;
                    Element::Class { negated, body }
                }
                None => Element::Char('['),
            },
            c => Element::Char(c),
        };
        self.at += used;
        Some(element)
    }
}

/// Whether the `[` at `at` opens a class, that is: does not stand where a path has a slice or an array type.
fn opens_class(pattern: &str, at: usize) -> bool {
    let before = at.checked_sub(1).and_then(|i| pattern.as_bytes().get(i));
    !matches!(before, Some(b'<' | b'(' | b'[' | b'{' | b'&' | b',' | b' '))
}

/// Splits `[...]` at the head of `text`: negated or not, what stands between, the length of all.
fn class_body(text: &str) -> Option<(bool, &str, usize)> {
    let inner = text.strip_prefix('[')?;
    let (negated, body) = match inner.strip_prefix('!') {
        Some(body) => (true, body),
        None => (false, inner),
    };
    let start = text.len() - body.len();
    let mut protected = false;
    for (i, c) in body.char_indices() {
        match c {
            _ if protected => protected = false,
            '\\' => protected = true,
            ']' if i > 0 => return Some((negated, body.get(..i)?, start + i + 1)),
            _ => {}
        }
    }
    None
}

/// The ranges of a class's body; a single character is a range of one.
struct ClassItems<'a> {
    rest: &'a str,
}

impl ClassItems<'_> {
    fn one(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let mut c = chars.next()?;
        if c == '\\' {
            c = chars.next().unwrap_or('\\');
        }
        self.rest = chars.as_str();
        Some(c)
    }
}

impl Iterator for ClassItems<'_> {
    type Item = (char, char);

    fn next(&mut self) -> Option<(char, char)> {
        let low = self.one()?;
        // A `-` at the end of the class is itself.
        match self.rest.strip_prefix('-') {
            Some(after) if !after.is_empty() => {
                self.rest = after;
                Some((low, self.one()?))
            }
            _ => Some((low, low)),
        }
    }
}

fn check_ranges(pattern: &str, body: &str) -> Result<(), GlobError> {
    let end = body.as_ptr() as usize - pattern.as_ptr() as usize + body.len();
    let mut items = ClassItems { rest: body };
    loop {
        let at = end - items.rest.len();
        match items.next() {
            None => return Ok(()),
            Some((low, high)) if low > high => return Err(GlobError::ReversedRange { at }),
            Some(_) => {}
        }
    }
}

/// Characters of UTF-8 bytes; what is not UTF-8 becomes U+FFFD, one for each byte that cannot begin a character.
#[derive(Clone)]
struct Chars<I> {
    bytes: I,
}

impl<I: Iterator<Item = u8> + Clone> Iterator for Chars<I> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        let first = self.bytes.next()?;
        let (more, mut value) = match first {
            0..0x80 => return Some(char::from(first)),
            0xC0..0xE0 => (1, u32::from(first & 0x1F)),
            0xE0..0xF0 => (2, u32::from(first & 0x0F)),
            0xF0..0xF8 => (3, u32::from(first & 0x07)),
            _ => return Some(char::REPLACEMENT_CHARACTER),
        };
        for _ in 0..more {
            let mut ahead = self.bytes.clone();
            match ahead.next() {
                Some(byte @ 0x80..0xC0) => value = value << 6 | u32::from(byte & 0x3F),
                _ => return Some(char::REPLACEMENT_CHARACTER),
            }
            self.bytes = ahead;
        }
        Some(char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER))
    }
}
