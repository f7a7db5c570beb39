//! Where a kernel has the space for a boot configuration (docs/boot-config.md).

use std::ops::Range;

use aarch64_ftrace::bootconfig::STATIC;
use object::{Object as _, ObjectSymbol as _};

use super::Kernel;
use crate::demangle;

/// Its bytes in the file: of the one symbol with the static's name.
pub fn space(kernel: &Kernel) -> Option<Range<usize>> {
    let mut symbols = kernel.file.symbols().filter(|symbol| {
        let name = symbol.name().unwrap_or_default();
        // Demangling is slow, and there are many symbols.
        symbol.is_definition()
            && name.contains(STATIC)
            && demangle::path(name).rsplit("::").next() == Some(STATIC)
    });
    let symbol = symbols.next().filter(|_| symbols.next().is_none())?;
    let end = symbol.address().checked_add(symbol.size())?;
    kernel.file_range(&(symbol.address()..end))
}
