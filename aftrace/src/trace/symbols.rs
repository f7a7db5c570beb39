//! Names for the addresses in a trace: from the kernel's ELF file, or from the SYMBOLS frames of the trace itself.

use super::file::{Symbol, Trace};
use crate::elf::{ElfError, Kernel};
use aarch64_ftrace::trace::Header;

/// Functions by address, as the kernel ran.
#[derive(Clone, Debug, Default)]
pub struct Symbols {
    /// In ascending order, each address once.
    sorted: Vec<Symbol>,
    header: Header,
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
}

/// Hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
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
        let kernel = Kernel::parse(kernel)?;
        let ids = (kernel.build_id(), header.build_id());
        if !any_build && !ids.0.is_empty() && !ids.1.is_empty() && ids.0 != ids.1 {
            return Err(SymbolError::OtherBuild {
                kernel: hex(ids.0),
                trace: hex(ids.1),
            });
        }
        let slide = header.text_start.wrapping_sub(header.link_start);
        let symbols = kernel
            .functions()
            .into_iter()
            .map(|(address, bytes, name)| Symbol {
                address: address.wrapping_add(slide),
                bytes,
                name,
            });
        Ok(Self::new(symbols.collect(), *header))
    }

    /// None: addresses are shown.
    #[must_use]
    pub fn none(header: Header) -> Self {
        Self::new(Vec::new(), header)
    }

    fn new(mut symbols: Vec<Symbol>, header: Header) -> Self {
        symbols.sort_by(|a, b| (a.address, &a.name).cmp(&(b.address, &b.name)));
        symbols.dedup_by_key(|symbol| symbol.address);
        Self {
            sorted: symbols,
            header,
        }
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> &[Symbol] {
        &self.sorted
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
        self.name(parent.wrapping_sub(4))
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
