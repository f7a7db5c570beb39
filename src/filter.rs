//! [`Filter`]: which functions an ops traces.
#![forbid(unsafe_code)]

use crate::error::Error;
use crate::glob;

/// How many patterns one filter takes, notrace patterns included.
pub const MAX_PATTERNS: usize = 32;

/// Which functions an ops traces: patterns, and patterns that take away.
///
/// A pattern is one of
/// * a glob over the function's path as Rust writes it, e.g. `sched::*`, `*::drop`, `alloc::vec::Vec<*>::push`; any of
///   the names of a merged function will do (see [`crate::glob`]);
/// * `0x` and an address: the function's entry, or any address within the callsite;
/// * `#` and an index, as [`crate::Ftrace::callsites`] numbers them.
///
/// With `!` before it, a pattern takes away what those before it have taken. When the first pattern begins with `!`,
/// or there is none, all functions are taken to begin with. A notrace pattern always wins.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter<'a> {
    patterns: &'a [&'a str],
    notrace: &'a [&'a str],
    addresses: &'a [usize],
}

impl<'a> Filter<'a> {
    /// Every function.
    pub const ALL: Filter<'static> = Filter {
        patterns: &[],
        notrace: &[],
        addresses: &[],
    };

    /// The functions that match the patterns, taken in order.
    pub const fn new(patterns: &'a [&'a str]) -> Self {
        Self {
            patterns,
            notrace: &[],
            addresses: &[],
        }
    }

    /// The functions at these addresses (`function as usize`). Needs no names, and looks at nothing else.
    pub const fn at(addresses: &'a [usize]) -> Self {
        Self {
            patterns: &[],
            notrace: &[],
            addresses,
        }
    }

    /// The same without the functions that match any of these patterns.
    #[must_use]
    pub const fn notrace(mut self, notrace: &'a [&'a str]) -> Self {
        self.notrace = notrace;
        self
    }

    /// Adds functions by address to those that the patterns take.
    #[must_use]
    pub const fn and_at(mut self, addresses: &'a [usize]) -> Self {
        self.addresses = addresses;
        self
    }

    pub(crate) fn addresses(&self) -> &'a [usize] {
        self.addresses
    }

    /// Whether every function is taken.
    pub(crate) fn is_all(&self) -> bool {
        self.patterns.is_empty() && self.notrace.is_empty() && self.addresses.is_empty()
    }

    /// Whether functions are named by address alone.
    pub(crate) fn is_by_address(&self) -> bool {
        self.patterns.is_empty() && self.notrace.is_empty() && !self.addresses.is_empty()
    }

    /// Whether a function that no pattern matches is taken.
    pub(crate) fn takes_unmatched(&self) -> bool {
        match self.patterns.first() {
            Some(first) => first.starts_with('!'),
            None => self.addresses.is_empty(),
        }
    }

    /// All patterns in order, those of notrace last, each with what it does to a function that it matches.
    ///
    /// # Errors
    /// [`Error::TooManyPatterns`], [`Error::Glob`], [`Error::Number`].
    pub(crate) fn parse(&self) -> Result<Patterns<'a>, Error> {
        let count = self.patterns.len() + self.notrace.len();
        if count > MAX_PATTERNS {
            return Err(Error::TooManyPatterns { count });
        }
        let mut patterns = Patterns {
            all: [Pattern::NEVER; MAX_PATTERNS],
            count,
            notrace_from: self.patterns.len(),
        };
        let taking = self
            .patterns
            .iter()
            .map(|text| match text.strip_prefix('!') {
                Some(text) => (text, false),
                None => (*text, true),
            });
        let away = self.notrace.iter().map(|text| (*text, false));
        for (i, (text, takes)) in taking.chain(away).enumerate() {
            patterns.all[i] = Pattern {
                what: What::parse(i, text)?,
                takes,
            };
        }
        Ok(patterns)
    }
}

/// A filter's patterns, checked.
#[derive(Clone, Copy)]
pub(crate) struct Patterns<'a> {
    all: [Pattern<'a>; MAX_PATTERNS],
    count: usize,
    /// Patterns from here on are those of notrace.
    notrace_from: usize,
}

impl<'a> Patterns<'a> {
    pub(crate) fn as_slice(&self) -> &[Pattern<'a>] {
        &self.all[..self.count]
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [Pattern<'a>] {
        &mut self.all[..self.count]
    }

    /// Whether the pattern with this number is one of notrace.
    pub(crate) fn is_notrace(&self, pattern: usize) -> bool {
        pattern >= self.notrace_from
    }

    /// Whether any pattern is over names.
    pub(crate) fn need_names(&self) -> bool {
        self.as_slice()
            .iter()
            .any(|pattern| matches!(pattern.what, What::Glob(_)))
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Pattern<'a> {
    pub(crate) what: What<'a>,
    /// Whether a match takes the function or takes it away.
    pub(crate) takes: bool,
}

impl Pattern<'_> {
    const NEVER: Self = Pattern {
        what: What::Index(usize::MAX),
        takes: false,
    };
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum What<'a> {
    Glob(&'a str),
    Address(usize),
    Index(usize),
}

impl<'a> What<'a> {
    fn parse(pattern: usize, text: &'a str) -> Result<Self, Error> {
        if let Some(digits) = text.strip_prefix("0x") {
            return usize::from_str_radix(digits, 16)
                .map(Self::Address)
                .map_err(|_| Error::Number { pattern });
        }
        if let Some(digits) = text.strip_prefix('#') {
            return digits
                .parse()
                .map(Self::Index)
                .map_err(|_| Error::Number { pattern });
        }
        glob::validate(text).map_err(|error| Error::Glob { pattern, error })?;
        Ok(Self::Glob(text))
    }
}
