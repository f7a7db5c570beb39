//! Good inputs of each harness, which mutations and libFuzzer begin with.

use aarch64_ftrace::bootconfig;
use aarch64_ftrace::insn::Insn;
use aarch64_ftrace::names::Names;
use aarch64_ftrace::trace::{
    EndReason, Event, FrameCounts, FrameKind, Header, NO_CORE, Type, counts_payload, end_payload,
    events_head,
};
use aftrace::gdb::packet::encode as encode_packet;
use aftrace::names::{Record, encode};
use aftrace::trace::ram::FrameWriter;

use super::fixture::{Fixture, TEXT, lines};

/// Written by the recorders' own tests: a region, the trace that it makes, the same on a serial line.
const REGION: &[u8] = include_bytes!("../../aftrace/tests/golden/two_cores.region");
const NAMED_REGION: &[u8] = include_bytes!("../../aftrace/tests/golden/task_names.region");
const FILE: &[u8] = include_bytes!("../../aftrace/tests/golden/two_cores.aft");
const ARGUMENTS: &[u8] = include_bytes!("../../aftrace/tests/golden/arguments.aft");
const ADDED: &[u8] = include_bytes!("../../aftrace/tests/golden/added.aft");
const SERIAL: &[u8] = include_bytes!("../../aftrace/tests/golden/two_cores.serial");

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

/// Linked kernels: with addresses, with relocations, with debug information.
pub fn kernels() -> Vec<Vec<u8>> {
    let with = |change: &dyn Fn(&mut Fixture)| {
        let mut fixture = Fixture::new(&FUNCTIONS);
        fixture.symbols = vec![
            ("__ftrace_notrace_start", TEXT + 0x100),
            ("__ftrace_notrace_end", TEXT + 0x200),
            ("__ftrace_text_start", TEXT),
            ("__ftrace_text_end", TEXT + 0x800),
        ];
        change(&mut fixture);
        fixture.build()
    };
    let units = vec![("/src/lib.rs/@/aarch64_ftrace.1234-cgu.0", vec![0x108])];
    vec![
        with(&|_| {}),
        with(&|f| f.pie = true),
        with(&|f| f.units = units.clone()),
        with(&|f| f.sections = lines::sections()),
    ]
}

/// Symbols of both manglings.
pub fn symbols() -> Vec<Vec<u8>> {
    FUNCTIONS
        .iter()
        .map(|f| f.1)
        .chain([
            "_RINvNtCs1_4core3mem4swaphECs2_14aarch64_ftrace",
            "_ZN52_$LT$demo..Pipe$u20$as$u20$core..ops..drop..Drop$GT$4drop17h0123456789abcdefE",
        ])
        .map(|s| s.as_bytes().to_vec())
        .collect()
}

/// Name tables.
pub fn names() -> Vec<Vec<u8>> {
    let table = |count| {
        let records: Vec<Record> = (0..count)
            .map(|i| Record {
                address: 0x4020_0000 + 64 * i,
                names: (0..i % 3)
                    .map(|k| format!("demo::module{}::call{k}", i % 7))
                    .collect(),
                end: (i % 5 == 2).then_some(40),
            })
            .collect();
        encode(&records, &[0xB1; 20]).expect("a table")
    };
    let tables: Vec<Vec<u8>> = [1, 70, 200].map(table).to_vec();
    assert!(tables.iter().all(|table| Names::parse(table).is_ok()));
    tables
}

/// Headers of regions.
pub fn headers() -> Vec<Vec<u8>> {
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
    let named = Header {
        task_names: 2048,
        task_name_count: 32,
        task_name_stride: 64,
        ..header
    };
    [header, at_the_end, named]
        .map(|h| h.to_bytes().to_vec())
        .to_vec()
}

/// Instruction words.
pub fn words() -> Vec<Vec<u8>> {
    let words = [
        Insn::NOP.0,
        Insn::MOV_X9_X30.0,
        Insn::BTI_C.0,
        0x9400_0001,
        0x97FF_FFFF,
        0x1600_0000,
        0x15FF_FFFF,
    ];
    words.map(|w| w.to_le_bytes().to_vec()).to_vec()
}

/// Regions, one with names of tasks, with an event that was never finished.
pub fn regions() -> Vec<Vec<u8>> {
    vec![REGION.to_vec(), NAMED_REGION.to_vec()]
}

/// Memory images, one with the region behind other things.
pub fn images() -> Vec<Vec<u8>> {
    let mut behind = vec![0xA5; 4096];
    behind.extend(REGION);
    vec![REGION.to_vec(), behind, NAMED_REGION.to_vec()]
}

/// Trace files: the recorders', one with every kind of event and of frame, one with arguments and results.
pub fn files() -> Vec<Vec<u8>> {
    let header = Header::from_bytes(REGION.first_chunk().expect("a header")).expect("a header");
    let text = header.text_start;
    let (outer, inner) = (text + 0x110, text + 0x210);
    let event = |kind, time, at, upper| Event::new(kind, time, at, upper, 0, 12);
    let events = [
        event(Type::Task, 1000, 0, 7),
        event(Type::Entry, 1010, outer, text as u32 + 0x40),
        event(Type::Entry, 1020, inner, outer as u32 + 16),
        event(Type::Function, 1030, outer, inner as u32),
        event(Type::Exit, 1100, inner, 80),
        event(Type::Stack, 1110, outer, 1),
        event(Type::Data, 1, 0, outer as u32),
        event(Type::Task, 1120, 0, 8),
        event(Type::Entry, 1130, inner, header.return_start as u32),
        event(Type::Exit, 1150, inner, 20),
        event(Type::Task, 1160, 0, 7),
        event(Type::Trigger, 1170, inner, 2),
        event(Type::Exit, 1200, outer, 190),
        event(Type::Exit, 1300, inner, 600),
    ];
    let mut symbols = Vec::new();
    for (address, name) in [
        (text + 0x100, "fs::open"),
        (text + 0x200, "<A as B>::hidden"),
    ] {
        symbols.extend(address.to_le_bytes());
        symbols.extend(0x80_u32.to_le_bytes());
        symbols.extend((name.len() as u16).to_le_bytes());
        symbols.extend(name.as_bytes());
    }
    let mut tasks = 7_u32.to_le_bytes().to_vec();
    tasks.extend(5_u16.to_le_bytes());
    tasks.extend(b"shell");
    let slots: Vec<u8> = events.iter().flat_map(|event| event.to_bytes()).collect();
    let (first, second) = slots.split_at(16 * 6);
    let mut bytes = Vec::new();
    let mut out = FrameWriter::new(&mut bytes);
    let frames: [(FrameKind, u16, &[&[u8]]); 6] = [
        (FrameKind::Header, NO_CORE, &[&header.to_bytes()]),
        (FrameKind::Symbols, NO_CORE, &[&symbols]),
        (FrameKind::Tasks, NO_CORE, &[&tasks]),
        (FrameKind::Events, 0, &[&events_head(0, 0), first]),
        (FrameKind::Events, 0, &[&events_head(6, 0), second]),
        (FrameKind::Events, 1, &[&events_head(3, 3), first]),
    ];
    for (kind, core, payload) in frames {
        out.frame(kind, core, payload)
            .expect("writing memory does not fail");
    }
    vec![
        FILE.to_vec(),
        bytes,
        ARGUMENTS.to_vec(),
        ADDED.to_vec(),
        extreme(),
    ]
}

/// A trace file with the largest of everything: addresses, times, counts; a slow clock, and names that formats must not take for their own.
fn extreme() -> Vec<u8> {
    const LATEST: u64 = (1 << 56) - 1;
    let text = u64::MAX - 0xFFFF;
    let header = Header {
        cpus: 2,
        rings: 2,
        region_bytes: 1 << 20,
        controls: 256,
        frequency: 1,
        text_start: text,
        text_bytes: 1 << 16,
        link_start: 0x4020_0000,
        return_start: u64::MAX - 63,
        return_bytes: 64,
        ..Header::default()
    };
    let at = u64::MAX - 0xFF;
    let event = |kind, time, upper| Event::new(kind, time, at, upper, 0, 12);
    let events = [
        event(Type::Task, 0, u32::MAX),
        event(Type::Entry, 0, u32::MAX),
        event(Type::Entry, LATEST, 0),
        event(Type::Exit, LATEST, u32::MAX),
        event(Type::Exit, 1, u32::MAX),
        event(Type::Task, LATEST, 1_000_000),
        event(Type::Function, 0, u32::MAX),
        event(Type::Trigger, LATEST, u32::MAX),
    ];
    let slots: Vec<u8> = events.iter().flat_map(|event| event.to_bytes()).collect();
    let name = "\0\n\"\\;%s\u{7f}\u{2028} = {}";
    let mut symbol = (u64::MAX - 0xFF).to_le_bytes().to_vec();
    symbol.extend(u32::MAX.to_le_bytes());
    symbol.extend((name.len() as u16).to_le_bytes());
    symbol.extend(name.as_bytes());
    let mut task = u32::MAX.to_le_bytes().to_vec();
    task.extend((name.len() as u16).to_le_bytes());
    task.extend(name.as_bytes());
    let counts = counts_payload(FrameCounts {
        written: u64::MAX,
        overwritten: u64::MAX,
        dropped: u64::MAX,
        unfinished: u64::MAX,
        refused: u64::MAX,
    });
    let lost = events_head(u64::MAX, u64::MAX);
    let mut bytes = Vec::new();
    let mut out = FrameWriter::new(&mut bytes);
    let frames: [(FrameKind, u16, &[&[u8]]); 7] = [
        (FrameKind::Header, NO_CORE, &[&header.to_bytes()]),
        (FrameKind::Symbols, NO_CORE, &[&symbol]),
        (FrameKind::Tasks, NO_CORE, &[&task]),
        (FrameKind::Events, 0, &[&lost, &slots]),
        (FrameKind::Events, NO_CORE - 1, &[&lost, &slots]),
        (FrameKind::Counts, NO_CORE - 1, &[&counts]),
        (
            FrameKind::End,
            NO_CORE,
            &[&end_payload(u64::MAX, EndReason::Asked)],
        ),
    ];
    for (kind, core, payload) in frames {
        out.frame(kind, core, payload)
            .expect("writing memory does not fail");
    }
    bytes
}

/// Frames: each of the recorders' files begins with one.
pub fn frames() -> Vec<Vec<u8>> {
    files()
}

/// What byte stuffing is given, encoded or not.
pub fn stuffed() -> Vec<Vec<u8>> {
    let encoded = SERIAL.split(|&byte| byte == 0).max_by_key(|run| run.len());
    vec![
        encoded.unwrap_or_default().to_vec(),
        FILE.to_vec(),
        vec![9; 600],
        vec![0; 20],
    ]
}

/// What stubs say: QEMU's words, one that refuses, one with escapes and repetitions.
pub fn stubs() -> Vec<Vec<u8>> {
    let packets = |payloads: &[&[u8]]| {
        let mut said = Vec::new();
        for payload in payloads {
            said.push(b'+');
            said.extend(encode_packet(payload));
        }
        said
    };
    let mut folded = b"+$PacketSize=400#00+$T05#00+$OK#00+$0*\"}]#00".to_vec();
    super::repair::packets(&mut folded);
    vec![
        packets(&[
            b"PacketSize=1000;qXfer:features:read+;vContSupported+;multiprocess+",
            b"T02thread:01;",
            b"OK",
            b"2a",
            b"000102030405060708090a0b0c0d0e0f",
            b"ff",
            b"OK",
        ]),
        packets(&[b"", b"S05", b"", b"E14", b"O6869", b"01"]),
        folded,
    ]
}

const BOOTARGS: &str = "console=ttyAMA0 ftrace.function=sched::* \"ftrace.graph=<fs::Pipe as fs::File>::*\" ftrace.notrace=#7 ftrace.graph_depth=3 ftrace.graph_minimum=10us ftrace.graph_roots=fs::open";

/// Boot configurations: in their space, and as text.
pub fn boot_spaces() -> Vec<Vec<u8>> {
    let mut space = vec![0; 256];
    space[..8].copy_from_slice(&bootconfig::MAGIC);
    bootconfig::write(&mut space, BOOTARGS).expect("a text in order");
    vec![space, BOOTARGS.as_bytes().to_vec()]
}

/// A device tree: `/` with a property, `/cpus`, `/chosen` with bootargs.
pub fn trees() -> Vec<Vec<u8>> {
    let name = |text: &[u8; 4]| u32::from_be_bytes(*text);
    // Nodes: 1 and the name, 2 at the end. A property: 3, length, name, value. 4 is nothing, 9 the end of all.
    let begin = [
        &[1, 0, 3, 4, 0, name(b"aft\0")][..],
        &[1, name(b"cpus"), 0, 4, 2],
        &[1, name(b"chos"), name(b"en\0\0")],
        &[3, BOOTARGS.len() as u32 + 1, 6],
    ];
    let strings = b"model\0bootargs\0";
    let mut structure = begin
        .concat()
        .into_iter()
        .flat_map(u32::to_be_bytes)
        .collect::<Vec<_>>();
    structure.extend(BOOTARGS.bytes().chain([0]));
    structure.resize(structure.len().next_multiple_of(4), 0);
    structure.extend([2_u32, 2, 9].map(u32::to_be_bytes).concat());
    let (start, end) = (40, 40 + structure.len() as u32);
    let header = [
        0xd00d_feed,
        end + strings.len() as u32,
        start,
        end,
        0,
        17,
        16,
        0,
        strings.len() as u32,
        structure.len() as u32,
    ];
    let header = header.map(u32::to_be_bytes).concat();
    let tree = [&header[..], &structure, strings].concat();
    assert_eq!(bootconfig::bootargs(&tree), Ok(BOOTARGS));
    vec![tree]
}

/// What is typed.
pub fn typed() -> Vec<Vec<u8>> {
    [
        "500ns\n10us\n1.5ms\n2s\n7\n1e9s",
        "1.5~2.25\n~3\n4~\n~",
        "0x40000000+256M\n0+1\n4K+2G\n0xffff000040200000",
        "sched::*\n<[T]>::len\n[a-z]?[!x]*\\*",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

/// Consoles.
pub fn consoles() -> Vec<Vec<u8>> {
    let mut cut = SERIAL[..SERIAL.len() / 2].to_vec();
    cut.extend(SERIAL);
    vec![SERIAL.to_vec(), cut]
}
