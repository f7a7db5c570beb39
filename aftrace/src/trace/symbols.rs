//! Names for the addresses in a trace: from the kernel's ELF file, or from the SYMBOLS frames of the trace itself.

use std::rc::Rc;

use super::file::{Symbol, Trace};
use super::locations::{LocationError, Locations};
use super::replay::shorten;
use crate::elf::{ElfError, Kernel};
use aarch64_ftrace::trace::Header;

/// Functions by address, as the kernel ran.
#[derive(Clone, Debug, Default)]
pub struct Symbols {
    /// In ascending order, each address once.
    sorted: Vec<Symbol>,
    /// Further names of those addresses, ascending.
    aliases: Vec<Symbol>,
    header: Header,
    naming: Naming,
    locations: Option<Rc<Locations>>,
    of_same_build: bool,
}

/// What is shown of a function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Naming {
    /// Generic arguments as `<...>`.
    pub short: bool,
    /// All names of functions that were merged: `a = b`.
    pub aliases: bool,
    /// File and line of its entry, of a caller those of the call. Needs the kernel.
    pub location: bool,
    /// Of a caller, the functions that were inlined where it calls. Needs the kernel.
    pub inlined: bool,
}

impl Naming {
    /// Whether its debug information is needed.
    #[must_use]
    pub const fn asks_kernel(self) -> bool {
        self.location || self.inlined
    }
}

/// Why names of a kernel are not those of a trace.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SymbolError {
    /// The file is no kernel.
    #[error(transparent)]
    Elf(#[from] ElfError),
    /// Another build.
    #[error(
        "build id {kernel}, the trace was recorded by {trace}: give the kernel that ran (--any-build takes this one all the same)"
    )]
    OtherBuild {
        /// In the ELF file.
        kernel: String,
        /// In the trace.
        trace: String,
    },
    /// Lines are wanted, and it has none.
    #[error(transparent)]
    Location(#[from] LocationError),
}

/// Hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A name without what a terminal obeys, and a format takes for the end of a line.
pub(crate) fn in_one_line(name: &str) -> String {
    name.replace(char::is_control, " ")
}

impl Symbols {
    /// Those that the trace brings along.
    #[must_use]
    pub fn of_trace(trace: &Trace) -> Self {
        Self::new(trace.symbols.clone(), trace.header)
    }

    /// Those of the kernel, moved to where it ran.
    ///
    /// # Errors
    /// [`SymbolError`]: no kernel, or another one than that which recorded (unless `any_build`).
    pub fn of_kernel(kernel: &[u8], header: &Header, any_build: bool) -> Result<Self, SymbolError> {
        Self::named(kernel, header, any_build, Naming::default())
    }

    /// As [`Self::of_kernel`], shown so.
    ///
    /// # Errors
    /// [`SymbolError`]: also where lines are wanted and the kernel has none.
    pub fn named(
        kernel: &[u8],
        header: &Header,
        any_build: bool,
        naming: Naming,
    ) -> Result<Self, SymbolError> {
        let kernel = Kernel::parse(kernel)?;
        let ids = (kernel.build_id(), header.build_id());
        if !any_build && !ids.0.is_empty() && !ids.1.is_empty() && ids.0 != ids.1 {
            return Err(SymbolError::OtherBuild {
                kernel: hex(ids.0),
                trace: hex(ids.1),
            });
        }
        let locations = match naming.asks_kernel() {
            true => Some(Rc::new(Locations::of_kernel(&kernel)?)),
            false => None,
        };
        let slide = header.text_start.wrapping_sub(header.link_start);
        let symbols = kernel
            .functions()
            .into_iter()
            .map(|(address, bytes, name)| Symbol {
                address: address.wrapping_add(slide),
                bytes,
                name,
            });
        Ok(Self {
            naming,
            locations,
            of_same_build: !ids.0.is_empty() && ids.0 == ids.1,
            ..Self::new(symbols.collect(), *header)
        })
    }

    /// None: addresses are shown.
    #[must_use]
    pub fn none(header: Header) -> Self {
        Self::new(Vec::new(), header)
    }

    fn new(mut symbols: Vec<Symbol>, header: Header) -> Self {
        for symbol in &mut symbols {
            if symbol.name.contains(char::is_control) {
                symbol.name = in_one_line(&symbol.name);
            }
        }
        symbols.sort_by(|a, b| (a.address, &a.name).cmp(&(b.address, &b.name)));
        symbols.dedup();
        let mut aliases = Vec::new();
        symbols.dedup_by(|next, first| {
            let merged = next.address == first.address;
            if merged && next.name != first.name {
                aliases.push(next.clone());
            }
            merged
        });
        Self {
            sorted: symbols,
            aliases,
            header,
            naming: Naming::default(),
            locations: None,
            of_same_build: false,
        }
    }

    /// Whether they are of a kernel with the build id that the recorder names. Without one in both, nothing shows it.
    #[must_use]
    pub const fn is_of_same_build(&self) -> bool {
        self.of_same_build
    }

    /// These, with names shown as the kernel is not needed for.
    #[must_use]
    pub fn shown_as(self, naming: Naming) -> Self {
        Self { naming, ..self }
    }

    /// All of them, the first name of each address.
    #[must_use]
    pub fn all(&self) -> &[Symbol] {
        &self.sorted
    }

    /// All names, by address: those of functions that were merged, too.
    #[must_use]
    pub fn every_name(&self) -> Vec<Symbol> {
        let mut every = [&self.sorted[..], &self.aliases].concat();
        every.sort_by_key(|symbol| symbol.address);
        every
    }

    /// What the addresses are relative to.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The function in whose code the address with these low bits lies.
    #[must_use]
    pub fn function(&self, low: u32) -> Option<&Symbol> {
        let address = self.header.text_address(low);
        let after = self
            .sorted
            .partition_point(|symbol| symbol.address <= address);
        let symbol = self.sorted.get(after.checked_sub(1)?)?;
        let inside = symbol.bytes == 0 || address - symbol.address < u64::from(symbol.bytes);
        inside.then_some(symbol)
    }

    /// Its address, or the address itself where no function is known.
    #[must_use]
    pub fn entry(&self, low: u32) -> u64 {
        self.function(low)
            .map_or_else(|| self.header.text_address(low), |symbol| symbol.address)
    }

    /// Its name, or the address in digits.
    #[must_use]
    pub fn name(&self, low: u32) -> String {
        match self.function(low) {
            Some(symbol) => symbol.name.clone(),
            None => format!("{:#x}", self.header.text_address(low)),
        }
    }

    /// The name of the function that a parent lies in: it is the address behind a call, which may be the function's last instruction.
    #[must_use]
    pub fn caller(&self, parent: u32) -> String {
        if self.is_tail(parent) {
            return "return_to_handler".to_owned();
        }
        if self.is_nobody(parent) {
            return "unknown".to_owned();
        }
        self.name(parent.wrapping_sub(4))
    }

    /// Whether nobody is returned to, as by the first function of a task.
    fn is_nobody(&self, parent: u32) -> bool {
        let call = self.header.text_address(parent.wrapping_sub(4));
        parent == 0 && call.wrapping_sub(self.header.text_start) >= self.header.text_bytes
    }

    /// The function as it is to be shown, but for [`Self::fit`]: what is asked for besides its name tells functions of one name apart.
    #[must_use]
    pub fn full(&self, low: u32) -> String {
        let name = self.names(low);
        let Some(symbol) = self.function(low) else {
            return name;
        };
        let line = match (&self.locations, self.naming.location) {
            (Some(locations), true) => locations.line(self.linked(symbol.address)),
            _ => None,
        };
        in_brackets(name, line.as_deref(), "")
    }

    /// Its name, or where that is asked for all of them.
    fn names(&self, low: u32) -> String {
        let mut names = self.name(low);
        let Some(symbol) = self.function(low).filter(|_| self.naming.aliases) else {
            return names;
        };
        let from = |s: &Symbol| s.address < symbol.address;
        let further = &self.aliases[self.aliases.partition_point(from)..];
        for alias in further.iter().take_while(|s| s.address == symbol.address) {
            names.push_str(" = ");
            names.push_str(&alias.name);
        }
        names
    }

    /// The function that a parent lies in, as [`Self::full`]; what was inlined there stands before it, from the inside out.
    #[must_use]
    pub fn full_caller(&self, parent: u32) -> String {
        if self.is_tail(parent) || self.is_nobody(parent) {
            return self.caller(parent);
        }
        let call = parent.wrapping_sub(4);
        let caller = self.names(call);
        let Some(locations) = &self.locations else {
            return caller;
        };
        let places = locations.places(self.linked(self.header.text_address(call)));
        let line = |index: usize| {
            let place = places.get(index).filter(|_| self.naming.location)?;
            place.line.as_deref()
        };
        let outermost = places.len().saturating_sub(1);
        if !self.naming.inlined {
            // The line of the call is in what was inlined, if anything was; the outermost is in the function that is named.
            return in_brackets(caller, line(outermost), "");
        }
        let mut text = String::new();
        for (index, place) in places.iter().enumerate().take(outermost) {
            let name = place.function.clone().unwrap_or_else(|| "?".to_owned());
            text.push_str(&in_brackets(name, line(index), "inlined"));
            text.push_str(" <- ");
        }
        text + &in_brackets(caller, line(outermost), "")
    }

    /// Shortened, where that is asked for.
    #[must_use]
    pub fn fit(&self, text: &str) -> String {
        self.fitted(text.to_owned())
    }

    /// The function as it is to be shown.
    #[must_use]
    pub fn shown(&self, low: u32) -> String {
        self.fitted(self.full(low))
    }

    /// The function that a parent lies in, as it is to be shown.
    #[must_use]
    pub fn shown_caller(&self, parent: u32) -> String {
        self.fitted(self.full_caller(parent))
    }

    fn fitted(&self, text: String) -> String {
        match self.naming.short {
            true => shorten(&text),
            false => text,
        }
    }

    /// Where the kernel was linked to what runs here.
    const fn linked(&self, address: u64) -> u64 {
        let slide = self.header.text_start.wrapping_sub(self.header.link_start);
        address.wrapping_sub(slide)
    }

    /// Whether this parent is the function graph's return handler: a tail call.
    #[must_use]
    pub fn is_tail(&self, parent: u32) -> bool {
        u64::from(parent.wrapping_sub(self.header.return_start as u32)) < self.header.return_bytes
    }

    /// Nanoseconds of so many ticks.
    #[must_use]
    pub fn nanoseconds(&self, ticks: u64) -> u64 {
        const SECOND: u64 = 1_000_000_000;
        let frequency = self.header.frequency.max(1);
        match (SECOND.is_multiple_of(frequency), ticks.checked_mul(SECOND)) {
            (true, _) => ticks.saturating_mul(SECOND / frequency),
            (false, Some(product)) => product / frequency,
            (false, None) => {
                let wide = u128::from(ticks) * u128::from(SECOND) / u128::from(frequency);
                u64::try_from(wide).unwrap_or(u64::MAX)
            }
        }
    }
}

/// A name with a word and a line behind it.
fn in_brackets(name: String, line: Option<&str>, word: &str) -> String {
    match (word, line) {
        ("", None) => name,
        ("", Some(line)) => format!("{name} ({line})"),
        (word, None) => format!("{name} ({word})"),
        (word, Some(line)) => format!("{name} ({word}, {line})"),
    }
}
