//! [`BootConfig`]: what is traced from boot on, said before the kernel's first instruction: in space of its image that
//! `aftrace record` fills, or in the bootargs of its device tree. The text is the same (docs/boot-config.md). Read in place,
//! without allocation, from bytes that nobody has to trust.
#![forbid(unsafe_code)]

mod error;
pub(crate) mod fdt;
mod setting;

pub use error::BootError;
pub use fdt::bootargs;
pub use setting::Setting;

use crate::filter::MAX_PATTERNS;
use crate::glob;
use crate::graph::GraphOptions;
use crate::trace::crc32;
use core::hint::black_box;

/// What [`BootSpace`] begins with.
pub const MAGIC: [u8; 8] = *b"AFTBOOT1";
/// Bytes before the text: magic, length of the text (4), CRC-32 of the text (4).
pub const HEAD_BYTES: usize = 16;
/// The name by which the host finds the space.
pub const STATIC: &str = "FTRACE_BOOT_CONFIG";
const PREFIX: &str = "ftrace.";

/// What a pattern is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// `ftrace.function=`: calls are recorded.
    Function,
    /// `ftrace.graph=`: entries and returns are recorded.
    Graph,
    /// `ftrace.notrace=`: taken away from both.
    Notrace,
    /// `ftrace.graph_roots=`: the graph records what these call ([`crate::record::Recorder::graph_roots`]).
    Roots,
    /// `ftrace.graph_notrace=`: the graph records nothing inside of these ([`crate::record::Recorder::graph_notrace`]).
    Silent,
}

impl Purpose {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Function,
        Self::Graph,
        Self::Notrace,
        Self::Roots,
        Self::Silent,
    ];

    /// How its option is called.
    pub const fn option(self) -> &'static str {
        match self {
            Self::Function => "ftrace.function",
            Self::Graph => "ftrace.graph",
            Self::Notrace => "ftrace.notrace",
            Self::Roots => "ftrace.graph_roots",
            Self::Silent => "ftrace.graph_notrace",
        }
    }
}

/// A text whose every option is in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BootConfig<'a> {
    text: &'a str,
}

impl<'a> BootConfig<'a> {
    /// Reads options between blanks. What does not begin with `ftrace.` is somebody else's; quotes (`"`) hold blanks together.
    ///
    /// # Errors
    /// [`BootError::Option`], [`BootError::Quote`], [`BootError::Glob`], [`BootError::Value`], [`BootError::TooMany`],
    /// [`BootError::NoGraph`]: nothing of the text counts then.
    ///
    /// # Context
    /// Any.
    pub fn parse(text: &'a str) -> Result<Self, BootError> {
        let mut counts = [0; Purpose::ALL.len()];
        let mut of_graph = None;
        for option in Options::of(text) {
            let (at, what) = option?;
            if let What::Pattern(purpose, pattern) = what {
                let glob = pattern.strip_prefix('!').unwrap_or(pattern);
                if !glob.starts_with("0x") && !glob.starts_with('#') {
                    glob::validate(glob).map_err(|error| BootError::Glob { at, error })?;
                }
                counts[purpose as usize] += 1;
            }
            if what.is_of_graph() {
                of_graph = of_graph.or(Some(at));
            }
        }
        let [function, graph, notrace, roots, silent] = counts;
        let filters = [function + notrace, graph + notrace, roots, silent];
        let count = filters.into_iter().fold(0, usize::max);
        match of_graph {
            _ if count > MAX_PATTERNS => Err(BootError::TooMany { count }),
            Some(at) if graph == 0 => Err(BootError::NoGraph { at }),
            _ => Ok(Self { text }),
        }
    }

    /// Whether nothing is to be traced.
    pub fn is_empty(&self) -> bool {
        self.patterns(Purpose::Function).next().is_none()
            && self.patterns(Purpose::Graph).next().is_none()
    }

    /// The patterns for a purpose, in order.
    pub fn patterns(&self, purpose: Purpose) -> impl Iterator<Item = &'a str> {
        Options::of(self.text)
            .flatten()
            .filter_map(move |(_, what)| match what {
                What::Pattern(found, pattern) if found == purpose => Some(pattern),
                _ => None,
            })
    }

    /// What the graph is to record besides entry and exit, and of which calls; `None` where that is the plain graph. Of an option
    /// that is said more than once, the last counts. `frequency`: ticks of CNTVCT_EL0 a second.
    pub fn graph_options(&self, frequency: u64) -> Option<GraphOptions> {
        let mut options = GraphOptions::new();
        let mut is_plain = true;
        for (_, what) in Options::of(self.text).flatten() {
            is_plain &= !what.is_of_graph();
            match what {
                What::Pattern(Purpose::Roots, _) => options.rooted = true,
                What::Setting(setting, value) => setting.put(value, frequency, &mut options),
                _ => {}
            }
        }
        (!is_plain).then_some(options)
    }
}

/// What an option says.
#[derive(Clone, Copy)]
enum What<'a> {
    Foreign,
    Pattern(Purpose, &'a str),
    Setting(Setting, u64),
}

impl What<'_> {
    /// Whether it says which calls of the graph are recorded, or what of them: of no use without the graph.
    const fn is_of_graph(&self) -> bool {
        matches!(
            self,
            Self::Setting(..) | Self::Pattern(Purpose::Roots | Purpose::Silent, _)
        )
    }
}

/// An option: where it begins, what it says.
type Found<'a> = (usize, What<'a>);

struct Options<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Options<'a> {
    const fn of(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    fn option(&self, at: usize, word: &'a str) -> Result<Found<'a>, BootError> {
        // The whole option may stand in quotes, or its value.
        let word = unquoted(word);
        if !word.starts_with(PREFIX) {
            return Ok((at, What::Foreign));
        }
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        let value = unquoted(value);
        if let Some(setting) = Setting::ALL.into_iter().find(|it| it.option() == name) {
            let value = setting.value(value).ok_or(BootError::Value { at })?;
            return Ok((at, What::Setting(setting, value)));
        }
        let purpose = Purpose::ALL.into_iter().find(|it| it.option() == name);
        match purpose {
            Some(purpose) if !value.is_empty() && !value.contains('"') => {
                Ok((at, What::Pattern(purpose, value)))
            }
            _ => Err(BootError::Option { at }),
        }
    }
}

fn unquoted(text: &str) -> &str {
    let inner = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    inner.unwrap_or(text)
}

impl<'a> Iterator for Options<'a> {
    type Item = Result<Found<'a>, BootError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.text.get(self.at..)?;
        let word = rest.trim_start_matches(|c: char| c.is_ascii_whitespace());
        let at = self.text.len() - word.len();
        if word.is_empty() {
            return None;
        }
        let mut quoted = false;
        let end = word.bytes().position(|byte| {
            quoted ^= byte == b'"';
            !quoted && byte.is_ascii_whitespace()
        });
        let end = end.unwrap_or(word.len());
        self.at = at + end;
        if quoted && end == word.len() {
            return Some(Err(BootError::Quote { at }));
        }
        Some(self.option(at, &word[..end]))
    }
}

/// Space in the image for a [`BootConfig`]: [`reserve_boot_config!`](crate::reserve_boot_config) makes it.
#[repr(C, align(8))]
pub struct BootSpace<const BYTES: usize>([u8; BYTES]);

impl<const BYTES: usize> BootSpace<BYTES> {
    #[doc(hidden)]
    #[must_use]
    pub const fn new() -> Self {
        assert!(
            BYTES > HEAD_BYTES,
            "reserve_boot_config!: more than 16 bytes"
        );
        let mut bytes = [0; BYTES];
        let mut at = 0;
        while at < MAGIC.len() {
            bytes[at] = MAGIC[at];
            at += 1;
        }
        Self(bytes)
    }

    /// What the host has written there; empty where it has not.
    ///
    /// # Errors
    /// As [`read`] and [`BootConfig::parse`].
    ///
    /// # Context
    /// Any.
    pub fn config(&self) -> Result<BootConfig<'_>, BootError> {
        // The host writes after the link: the compiler must not take the space for what is written here.
        read(&black_box(self).0)
    }
}

impl<const BYTES: usize> Default for BootSpace<BYTES> {
    fn default() -> Self {
        Self::new()
    }
}

/// Reads the bytes of a [`BootSpace`].
///
/// # Errors
/// [`BootError::Magic`], [`BootError::Length`], [`BootError::Checksum`], [`BootError::Utf8`], and those of [`BootConfig::parse`].
///
/// # Context
/// Any.
pub fn read(space: &[u8]) -> Result<BootConfig<'_>, BootError> {
    let head = space.split_first_chunk::<HEAD_BYTES>();
    let Some((head, room)) = head.filter(|(head, _)| head.starts_with(&MAGIC)) else {
        return Err(BootError::Magic);
    };
    let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let length = word(MAGIC.len()) as usize;
    let text = room.get(..length).ok_or(BootError::Length {
        length,
        room: room.len(),
    })?;
    let (found, expected) = (crc32(text), word(MAGIC.len() + 4));
    if found != expected {
        return Err(BootError::Checksum { found, expected });
    }
    let text = str::from_utf8(text).map_err(|error| BootError::Utf8 {
        at: error.valid_up_to(),
    })?;
    BootConfig::parse(text)
}

/// Puts this text into the bytes of a [`BootSpace`].
///
/// # Errors
/// [`BootError::Magic`], [`BootError::Length`], and those of [`BootConfig::parse`]: nothing is written then.
pub fn write(space: &mut [u8], text: &str) -> Result<(), BootError> {
    BootConfig::parse(text)?;
    if !space.starts_with(&MAGIC) || space.len() <= HEAD_BYTES {
        return Err(BootError::Magic);
    }
    let (head, room) = space.split_at_mut(HEAD_BYTES);
    let available = room.len();
    let Some(place) = room.get_mut(..text.len()) else {
        return Err(BootError::Length {
            length: text.len(),
            room: available,
        });
    };
    place.copy_from_slice(text.as_bytes());
    head[8..12].copy_from_slice(&(text.len() as u32).to_le_bytes());
    head[12..16].copy_from_slice(&crc32(text.as_bytes()).to_le_bytes());
    Ok(())
}

/// Reserves so many bytes for a [`BootConfig`], in a static `FTRACE_BOOT_CONFIG`. Once in a kernel:
/// `reserve_boot_config!(1024);`, then `RECORDER.boot(&FTRACE_BOOT_CONFIG.config()?)`.
#[macro_export]
macro_rules! reserve_boot_config {
    ($bytes:expr) => {
        /// What `aftrace record` says about tracing from boot on.
        #[used]
        static FTRACE_BOOT_CONFIG: $crate::bootconfig::BootSpace<{ $bytes }> =
            $crate::bootconfig::BootSpace::new();
    };
}
