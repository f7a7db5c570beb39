//! Hostile inputs for every parser: deterministic mutations of good ones.

mod fixture;
#[path = "../../fuzz/harness/kernel.rs"]
mod kernel;
#[path = "../../fuzz/harness/library.rs"]
mod library;
#[path = "../../fuzz/harness/mutate.rs"]
mod mutate;

use aarch64_ftrace::insn::Insn;
use aarch64_ftrace::trace::Header;
use aftrace::names::{Record, encode};
use fixture::{Fixture, TEXT};
use mutate::EXECUTIONS;

const FUNCTIONS: [(u64, &str); 5] = [
    (0x48, "_ZN5sched4idle17h0123456789abcdefE"),
    (0x88, "_RNvMNtCs1234_5alloc3vecINtB2_3VechE4push.llvm.99"),
    (0x88, "_ZN4demo4push17h0123456789abcdefE"),
    (0xC8, "memcpy.7"),
    (
        0x108,
        "_ZN14aarch64_ftrace3ops3Ops8register17h0123456789abcdefE",
    ),
];

fn kernels() -> Vec<Vec<u8>> {
    let with = |change: &dyn Fn(&mut Fixture)| {
        let mut fixture = Fixture::new(&FUNCTIONS);
        fixture.symbols = vec![
            ("__ftrace_notrace_start", TEXT + 0x100),
            ("__ftrace_notrace_end", TEXT + 0x200),
            ("__ftrace_text_start", TEXT),
        ];
        change(&mut fixture);
        fixture.build()
    };
    let units = vec![("/src/lib.rs/@/aarch64_ftrace.1234-cgu.0", vec![0x108])];
    let kernels = vec![
        with(&|_| {}),
        with(&|f| f.pie = true),
        with(&|f| f.units = units.clone()),
    ];
    for kernel in &kernels {
        assert!(kernel::kernel(kernel), "the seeds are good");
    }
    kernels
}

#[test]
fn hostile_kernels_are_read_or_refused() {
    mutate::run(&kernels(), EXECUTIONS, kernel::kernel);
}

#[test]
fn hostile_symbols_have_a_path() {
    let seeds: Vec<Vec<u8>> = FUNCTIONS
        .iter()
        .map(|f| f.1)
        .chain([
            "_RINvNtCs1_4core3mem4swaphECs2_14aarch64_ftrace",
            "_ZN52_$LT$demo..Pipe$u20$as$u20$core..ops..drop..Drop$GT$4drop17h0123456789abcdefE",
        ])
        .map(|s| s.as_bytes().to_vec())
        .collect();
    mutate::run(&seeds, EXECUTIONS, kernel::symbol);
}

#[test]
fn hostile_name_tables_are_read_or_refused() {
    let seeds: Vec<Vec<u8>> = [1, 70, 200]
        .into_iter()
        .map(|count| {
            let records: Vec<Record> = (0..count)
                .map(|i| Record {
                    address: 0x4020_0000 + 64 * i,
                    names: (0..i % 3)
                        .map(|k| format!("demo::module{}::call{k}", i % 7))
                        .collect(),
                })
                .collect();
            encode(&records, &[0xB1; 20]).expect("a table")
        })
        .collect();
    assert!(
        seeds.iter().all(|seed| library::names(seed)),
        "the seeds are good"
    );
    mutate::run(&seeds, EXECUTIONS, library::names);
}

#[test]
fn hostile_trace_headers_are_read_or_refused() {
    let header = Header {
        cpus: 4,
        region_bytes: 1 << 20,
        frequency: 62_500_000,
        text_start: 0xFFFF_0000_4020_0000,
        text_bytes: 1 << 20,
        link_start: 0x4020_0000,
        controls: 256,
        rings: 8,
        build_id: [7; 32],
        build_id_len: 20,
        ..Header::default()
    };
    let at_the_end = Header {
        text_start: u64::MAX - 0xFFFF,
        text_bytes: 1 << 16,
        ..header
    };
    let seeds = [header, at_the_end].map(|h| h.to_bytes().to_vec());
    mutate::run(&seeds, EXECUTIONS, library::header);
}

#[test]
fn hostile_words_decode_to_what_encodes_to_them() {
    let words = [
        Insn::NOP.0,
        Insn::MOV_X9_X30.0,
        Insn::BTI_C.0,
        0x9400_0001,
        0x97FF_FFFF,
        0x1600_0000,
        0x15FF_FFFF,
    ];
    let seeds: Vec<Vec<u8>> = words.map(|w| w.to_le_bytes().to_vec()).to_vec();
    mutate::run(&seeds, EXECUTIONS, library::insn);
}
