//! The proof that own code is never traced: kernels that hold to it, and kernels that break it in each way.

mod fixture;

use aftrace::check::{CheckError, Own, Report, check};
use aftrace::elf::Kernel;
use fixture::{Fixture, TEXT};

const OWN: &str = "_ZN14aarch64_ftrace3ops3Ops8register17h0123456789abcdefE";
const USER: &str = "_ZN4demo4main17h0123456789abcdefE";
/// `core::mem::swap::<u8>`, instantiated by the crate.
const INSTANCE: &str = "_RINvNtCs1_4core3mem4swaphECs2_14aarch64_ftrace";

/// The range that is never traced is 0x100..0x200 of the text.
fn checked(
    functions: &[(u64, &'static str)],
    change: impl Fn(&mut Fixture),
) -> Result<Report, CheckError> {
    let mut fixture = Fixture::new(functions);
    fixture.symbols = vec![
        ("__ftrace_notrace_start", TEXT + 0x100),
        ("__ftrace_notrace_end", TEXT + 0x200),
    ];
    change(&mut fixture);
    let bytes = fixture.build();
    check(&Kernel::parse(&bytes).unwrap())
}

fn violations(report: &Report) -> Vec<(u64, Own)> {
    report
        .violations
        .iter()
        .map(|v| (v.entry - TEXT, v.own))
        .collect()
}

#[test]
fn own_code_within_the_range_is_the_proof() {
    let report = checked(&[(0x48, USER), (0x108, OWN), (0x148, INSTANCE)], |_| {}).unwrap();
    assert!(report.proves());
    assert_eq!((report.callsites, report.own, report.marked), (3, 2, 0));
    assert!(
        report
            .to_string()
            .ends_with("own code is never traced (by symbols only: no debug information)")
    );
}

#[test]
fn own_code_outside_is_a_violation_by_path_by_instance_and_as_an_alias() {
    let trait_impl = "_ZN66_$LT$demo..Board$u20$as$u20$aarch64_ftrace..platform..Platform$GT$10write_insn17h0123456789abcdefE";
    let functions = [
        (0x48, OWN),
        (0x88, INSTANCE),
        (0xC8, USER),
        (0xC8, trait_impl),
        (0x108, OWN),
        (0x208, OWN),
    ];
    let report = checked(&functions, |_| {}).unwrap();
    assert_eq!(
        violations(&report),
        [
            (0x48, Own::Path),
            (0x88, Own::Instantiated),
            (0xC8, Own::Path),
            (0x208, Own::Path)
        ]
    );
    assert!(!report.proves());
    let text = report.to_string();
    assert!(
        text.contains("VIOLATION 0x40200048 aarch64_ftrace::ops::Ops::register (by its path)"),
        "{text}"
    );
    assert!(
        text.ends_with("own code CAN BE TRACED (by symbols only: no debug information)"),
        "{text}"
    );
}

#[test]
fn the_last_byte_of_the_range_is_before_its_end() {
    let report = checked(&[(0x100, OWN), (0x1F8, OWN), (0x200, OWN)], |_| {}).unwrap();
    assert_eq!(report.own, 2);
    assert_eq!(violations(&report), [(0x200, Own::Path)]);
}

#[test]
fn debug_information_tells_what_symbols_do_not() {
    // A legacy symbol of core says nothing of the crate that it was instantiated for.
    let core = "_ZN4core3mem4swap17h0123456789abcdefE";
    let unit = |name| {
        checked(&[(0x48, core), (0x108, OWN)], move |f| {
            f.units = vec![(name, vec![0x48, 0x108])]
        })
        .unwrap()
    };
    let own = unit("src/lib.rs/@/aarch64_ftrace.0123-cgu.0");
    assert_eq!(violations(&own), [(0x48, Own::Emitted)]);
    assert!(own.dwarf);
    assert!(own.to_string().contains("help: "), "{own}");
    for other in [
        "src/main.rs/@/demo.0123-cgu.0",
        "src/lib.rs/@/aarch64_ftrace_demo.0123-cgu.0",
        "boot.S",
    ] {
        let report = unit(other);
        assert!(report.proves() && report.dwarf, "{other}");
        assert!(
            report
                .to_string()
                .ends_with("own code is never traced (by symbols and DWARF)")
        );
    }
}

#[test]
fn others_in_the_range_are_told_apart() {
    let mention = "_RINvCs3_4demo4showNtCs2_14aarch64_ftrace5ErrorEB2_";
    let report = checked(&[(0x108, OWN), (0x148, mention), (0x188, USER)], |_| {}).unwrap();
    assert_eq!((report.own, report.marked), (1, 1));
    let expected = (
        TEXT + 0x148,
        vec!["demo::show::<aarch64_ftrace::Error>".to_owned()],
    );
    assert_eq!(report.bystanders, [expected]);
}

#[test]
fn without_range_or_without_own_code_there_is_no_proof() {
    let none = checked(&[(0x108, OWN)], |f| f.symbols.clear());
    assert!(matches!(none, Err(CheckError::NoRange)));
    let empty = checked(&[(0x108, OWN)], |f| f.symbols[1].1 = TEXT + 0x100);
    assert!(matches!(empty, Err(CheckError::NoRange)));
    assert!(matches!(
        checked(&[(0x48, USER)], |_| {}),
        Err(CheckError::NothingOwn)
    ));
}
