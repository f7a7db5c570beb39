//! What a guest says of its own text, and the host checks against the file: lines that begin with `host: `.

use std::fs;
use std::path::Path;

use aftrace::elf::Kernel;
use anyhow::{Context as _, Result, bail};

/// How such a line begins.
const HOST: &str = "host: ";

/// The bits of an address that lead through the page tables: a kernel runs where it was loaded, but for those above.
const ADDRESS_MASK: u64 = (1 << 39) - 1;

/// Checks every claim on a console.
///
/// # Errors
/// The first one that is not understood, or not so.
pub fn hold(console: &str, elf: &Path) -> Result<()> {
    let claims: Vec<(&str, Claim)> = claims(console)?;
    if claims.is_empty() {
        return Ok(());
    }
    let bytes = fs::read(elf)?;
    let kernel = Kernel::parse(&bytes)?;
    claims
        .iter()
        .try_for_each(|(line, claim)| claim.check(&kernel).with_context(|| format!("  {line}")))
}

fn claims(console: &str) -> Result<Vec<(&str, Claim<'_>)>> {
    let lines = console.lines().filter_map(|line| line.strip_prefix(HOST));
    lines
        .map(str::trim)
        .map(|line| {
            let claim = Claim::parse(line).with_context(|| format!("  not understood: {line}"))?;
            Ok((line, claim))
        })
        .collect()
}

/// One line.
#[derive(Debug, PartialEq, Eq)]
enum Claim<'a> {
    /// `ADDRESS, in text at START, is NAME`: the addresses are where it ran.
    Name {
        address: u64,
        start: u64,
        name: &'a str,
    },
    /// `text at START, BYTES bytes, has CRC CRC`: it is byte for byte the file's.
    Text { start: u64, bytes: u64, crc: u32 },
}

impl<'a> Claim<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let hex = |text: &str| u64::from_str_radix(text.strip_prefix("0x")?, 16).ok();
        if let Some(rest) = line.strip_prefix("text at ") {
            let (start, rest) = rest.split_once(", ")?;
            let (bytes, crc) = rest.split_once(" bytes, has CRC ")?;
            return Some(Self::Text {
                start: hex(start)?,
                bytes: bytes.parse().ok()?,
                crc: hex(crc)?.try_into().ok()?,
            });
        }
        let (address, rest) = line.split_once(", in text at ")?;
        let (start, name) = rest.split_once(", is ")?;
        Some(Self::Name {
            address: hex(address)?,
            start: hex(start)?,
            name,
        })
    }

    fn check(&self, kernel: &Kernel) -> Result<()> {
        let (Self::Name { start, .. } | Self::Text { start, .. }) = *self;
        let text = kernel.text().context("no text in the file")?;
        if start & ADDRESS_MASK != text.load_address {
            bail!("  the file is loaded to {:#x}", text.load_address);
        }
        match *self {
            Self::Name { address, name, .. } => {
                let slide = kernel.slide(start).context("no text in the file")?;
                let entry = address.wrapping_sub(slide);
                let found = kernel.callsites().iter().find(|site| site.entry() == entry);
                if !found.is_some_and(|site| site.paths().iter().any(|path| path == name)) {
                    bail!("  in the file {entry:#x} is {found:?}");
                }
            }
            Self::Text { bytes, crc, .. } => {
                let (len, expected) = (text.bytes.len() as u64, crc32fast::hash(text.bytes));
                if (bytes, crc) != (len, expected) {
                    bail!("  in the file it has {len} bytes, CRC {expected:#010x}");
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_claims_are_understood_and_nothing_else() {
        assert_eq!(
            Claim::parse("0x1010, in text at 0x1000, is a::b"),
            Some(Claim::Name {
                address: 0x1010,
                start: 0x1000,
                name: "a::b"
            })
        );
        assert_eq!(
            Claim::parse("text at 0x1000, 24 bytes, has CRC 0x0000beef"),
            Some(Claim::Text {
                start: 0x1000,
                bytes: 24,
                crc: 0xbeef
            })
        );
        for bad in [
            "",
            "text at 0x1000",
            "text at 1000, 24 bytes, has CRC 0xbeef",
            "text at 0x1000, 24 bytes, has CRC 0x100000000",
            "0x10, in text at 0x1000",
        ] {
            assert_eq!(Claim::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_claim_that_nobody_understands_is_an_error() {
        assert_eq!(claims("a line\nanother: host: one\n").unwrap(), []);
        let good = claims("host: 0x18, in text at 0x10, is a\r\n").unwrap();
        assert_eq!(good.len(), 1);
        assert!(claims("host: nonsense\n").is_err());
    }
}
