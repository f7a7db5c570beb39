//! Harness of the host tool's parsers: ELF, DWARF, symbols, the proof, and embedding.

use aarch64_ftrace::names::Names;
use aarch64_ftrace::trace::Header;
use aftrace::check::check;
use aftrace::demangle;
use aftrace::elf::Kernel;
use aftrace::embed::embed_bytes;
use aftrace::trace::symbols::{Naming, Symbols};

/// Addresses of the seeds: in a function, behind one that was inlined, in none.
const PLACES: [u32; 4] = [0x4020_0050, 0x4020_0060, 0x4020_0114, 0];

/// An ELF file through all that `aftrace` does with one.
pub fn kernel(data: &[u8]) -> bool {
    let mut bytes = data.to_vec();
    let embedded = embed_bytes(&mut bytes);
    let Ok(kernel) = Kernel::parse(data) else {
        assert!(embedded.is_err(), "embedded into what is no kernel");
        assert_eq!(bytes, data, "changed in spite of an error");
        return false;
    };
    let callsites = kernel.callsites();
    assert!(callsites.is_sorted_by_key(|c| c.record));
    for callsite in callsites {
        let _ = (callsite.entry(), callsite.paths());
    }
    let _ = (kernel.build_id(), kernel.slide(7), kernel.symbol("main"));
    let all = Naming {
        short: true,
        aliases: true,
        location: true,
        inlined: true,
    };
    for naming in [Naming::default(), all] {
        let symbols = Symbols::named(data, &Header::default(), true, naming);
        let Ok(symbols) = symbols else { continue };
        for low in PLACES {
            let _ = (symbols.shown(low), symbols.shown_caller(low));
        }
    }
    if let Some(text) = kernel.text() {
        assert!(!text.bytes.is_empty(), "text without bytes");
    }
    if let Ok(report) = check(&kernel) {
        let _ = (report.proves(), report.to_string());
    }
    match embedded {
        Ok(report) => {
            let space = kernel
                .names_space()
                .expect("names were embedded there")
                .file;
            let names = Names::parse(&bytes[space]).expect("what was embedded is a table");
            assert_eq!(names.count(), report.callsites);
            let paths = |c: &aftrace::elf::Callsite| c.paths();
            for (aliases, callsite) in names.iter().zip(callsites) {
                let read: Vec<String> = aliases.map(|name| name.to_string()).collect();
                assert_eq!(read, paths(callsite));
            }
        }
        Err(error) => {
            let _ = error.to_string();
            assert_eq!(bytes, data, "changed in spite of an error");
        }
    }
    true
}

/// A symbol: to its path; accepted where that is another.
pub fn symbol(data: &[u8]) -> bool {
    let symbol = String::from_utf8_lossy(data);
    demangle::path(&symbol) != symbol
}
