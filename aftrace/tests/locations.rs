//! Lines and inlined functions, by a kernel's debug information.

mod fixture;

use aarch64_ftrace::trace::Header;
use aftrace::trace::symbols::{Naming, SymbolError, Symbols};
use fixture::{Fixture, TEXT, lines};

const ALL: Naming = Naming {
    short: false,
    aliases: true,
    location: true,
    inlined: true,
};
/// The kernel runs so far from where it was linked.
const SLIDE: u64 = 0x1000_0000;

fn header() -> Header {
    Header {
        text_start: TEXT + SLIDE,
        text_bytes: 0x1000,
        link_start: TEXT,
        ..Header::default()
    }
}

#[test]
fn functions_and_callers_have_their_lines() {
    let functions = [
        (0x40, "outer"),
        (0x50, "inlines_at_once"),
        (0x60, "after"),
        (0x80, "twin"),
        (0x80, "other"),
    ];
    let mut kernel = Fixture::new(&functions[..1]);
    kernel.functions.extend(&functions[3..]);
    kernel.sections = lines::sections();
    let mut more = Fixture::new(&functions);
    more.sections = lines::sections();
    let more = more.build();
    let more = Symbols::named(&more, &header(), true, ALL).expect("a kernel");
    let kernel = kernel.build();
    let named = |naming| Symbols::named(&kernel, &header(), true, naming).expect("a kernel");
    let low = |offset: u64| (TEXT + SLIDE + offset) as u32;
    let symbols = named(ALL);
    assert_eq!(symbols.shown(low(0x50)), "outer (/src/main.rs:10)");
    assert_eq!(
        more.shown(low(0x54)),
        "inlines_at_once (/src/main.rs:12)",
        "its own line, not that of what is inlined there"
    );
    assert_eq!(more.shown(low(0x64)), "after (/src/main.rs:13)");
    assert_eq!(symbols.shown(low(0x90)), "other = twin");
    assert_eq!(symbols.shown_caller(low(0x94)), "other = twin");
    // The call is the instruction before the parent.
    assert_eq!(
        symbols.shown_caller(low(0x60)),
        "inner (inlined, /src/main.rs:90) <- outer (/src/main.rs:12)"
    );
    assert_eq!(symbols.shown_caller(low(0x64)), "outer (/src/main.rs:13)");
    let symbols = named(Naming {
        location: false,
        ..ALL
    });
    assert_eq!(symbols.shown(low(0x50)), "outer");
    assert_eq!(symbols.shown_caller(low(0x60)), "inner (inlined) <- outer");
    let symbols = named(Naming {
        inlined: false,
        ..ALL
    });
    assert_eq!(symbols.shown_caller(low(0x60)), "outer (/src/main.rs:12)");
    let symbols = named(Naming::default());
    assert_eq!(symbols.shown(low(0x90)), "other");
    assert_eq!(symbols.shown_caller(low(0x60)), "outer");
}

#[test]
fn a_kernel_without_lines_or_of_another_build_is_refused() {
    let kernel = Fixture::new(&[(0x40, "outer")]).build();
    let error = Symbols::named(&kernel, &header(), true, ALL).expect_err("no lines");
    assert!(matches!(error, SymbolError::Location(_)));
    assert!(
        error
            .to_string()
            .starts_with("no debug information: build with")
    );
    let mut other = header();
    (other.build_id[0], other.build_id_len) = (7, 20);
    let error = Symbols::named(&kernel, &other, false, ALL).expect_err("another build");
    assert!(matches!(error, SymbolError::OtherBuild { .. }));
}

#[test]
fn a_kernel_is_the_one_that_recorded_where_both_have_its_build_id() {
    let same_build = |kernel: Option<u8>, trace: Option<u8>| {
        let mut elf = Fixture::new(&[(0x40, "outer")]);
        elf.build_id = kernel.map(|id| [id; 20]);
        let mut header = header();
        header.build_id_len = trace.map_or(0, |_| 20);
        header.build_id[..20].fill(trace.unwrap_or(0));
        let symbols = Symbols::named(&elf.build(), &header, true, Naming::default());
        symbols.expect("a kernel").is_of_same_build()
    };
    assert!(same_build(Some(1), Some(1)));
    for (kernel, trace) in [
        (Some(1), Some(2)),
        (Some(1), None),
        (None, Some(1)),
        (None, None),
    ] {
        assert!(!same_build(kernel, trace), "{kernel:?} {trace:?}");
    }
}

#[test]
fn debug_information_is_read_only_where_it_is_asked_for() {
    let mut kernel = Fixture::new(&[(0x40, "outer")]);
    kernel.sections = lines::sections();
    for (name, bytes) in &mut kernel.sections {
        if *name == ".debug_info" {
            bytes.fill(0xFF);
        }
    }
    let kernel = kernel.build();
    let plain = Naming {
        short: true,
        aliases: true,
        ..Naming::default()
    };
    let symbols = Symbols::named(&kernel, &header(), true, plain).expect("names alone");
    assert_eq!(symbols.shown((TEXT + SLIDE + 0x50) as u32), "outer");
    for naming in [
        Naming {
            location: true,
            ..plain
        },
        Naming {
            inlined: true,
            ..plain
        },
    ] {
        let error = Symbols::named(&kernel, &header(), true, naming).expect_err("damaged");
        assert!(
            error
                .to_string()
                .starts_with("its debug information cannot be read: "),
            "{error}"
        );
    }
}
