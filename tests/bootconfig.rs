//! Boot configurations: what is taken, what is refused and where, and what no bytes may do.

use aarch64_ftrace::GraphOptions;
use aarch64_ftrace::bootconfig::{
    BootConfig, BootError, BootSpace, HEAD_BYTES, Purpose, Setting, bootargs, read, write,
};
use proptest::prelude::*;

fn patterns(text: &str) -> Result<[Vec<&str>; 5], BootError> {
    let config = BootConfig::parse(text)?;
    Ok(Purpose::ALL.map(|purpose| config.patterns(purpose).collect()))
}

#[test]
fn options_are_taken_in_order_and_those_of_others_passed_over() {
    let text = "console=ttyAMA0 ftrace.function=sched::* quiet \"x y\" ftrace.graph=\"<fs::Pipe as fs::File>::*\"\n\
                \t\"ftrace.function=a b\" ftrace.notrace=*::drop ftrace.function=!0x4000 ftrace.graph=#7 ftracefoo=1";
    assert_eq!(
        patterns(text),
        Ok([
            vec!["sched::*", "a b", "!0x4000"],
            vec!["<fs::Pipe as fs::File>::*", "#7"],
            vec!["*::drop"],
            vec![],
            vec![]
        ])
    );
    assert!(BootConfig::parse(" \n").unwrap().is_empty());
    assert!(BootConfig::parse("ftrace.notrace=a").unwrap().is_empty());
    assert!(!BootConfig::parse("ftrace.graph=a").unwrap().is_empty());
}

#[test]
fn one_wrong_option_and_nothing_counts() {
    let wrong = |text: &str| BootConfig::parse(text).unwrap_err();
    for option in [
        "ftrace.functions=a",
        "ftrace.function",
        "ftrace.graph=",
        "ftrace.graph=\"\"",
        "ftrace.graph=a\"b\"c",
    ] {
        let text = format!("ftrace.function=a {option} ftrace.graph=b");
        assert_eq!(wrong(&text), BootError::Option { at: 18 }, "{option}");
    }
    assert_eq!(wrong("a ftrace.graph=\"x y"), BootError::Quote { at: 2 });
    assert!(matches!(
        wrong("  ftrace.graph=[a"),
        BootError::Glob { at: 2, .. }
    ));
    let many = |function: usize, notrace: usize| {
        "ftrace.function=a ".repeat(function) + &"ftrace.notrace=b ".repeat(notrace)
    };
    assert!(BootConfig::parse(&many(20, 12)).is_ok());
    assert_eq!(wrong(&many(20, 13)), BootError::TooMany { count: 33 });
}

#[test]
fn the_graph_is_told_where_and_what_to_record() {
    let options = |text: &str| {
        let text = format!("ftrace.graph=fs::* {text}");
        BootConfig::parse(&text).unwrap().graph_options(62_500_000)
    };
    let plain = GraphOptions::new();
    assert_eq!(options("ftrace.notrace=a quiet"), None);
    assert_eq!(options("ftrace.graph_notrace=a"), Some(plain));
    let rooted = GraphOptions {
        rooted: true,
        ..plain
    };
    assert_eq!(options("\"ftrace.graph_roots=a b\""), Some(rooted));
    let text = "ftrace.graph_roots=fs::open ftrace.graph_roots=a ftrace.graph_notrace=\"x y\" ftrace.graph=b";
    assert_eq!(
        patterns(text).unwrap()[1..],
        [vec!["b"], vec![], vec!["fs::open", "a"], vec!["x y"]]
    );
    let all = GraphOptions {
        arguments: 8,
        result: true,
        depth: 65_536,
        ..plain
    };
    let text = "ftrace.graph_depth=3 ftrace.graph_result=1 ftrace.graph_arguments=\"8\" ftrace.graph_depth=65536";
    assert_eq!(options(text), Some(all));
    assert_eq!(options("ftrace.graph_result=0"), Some(plain));
    // Ticks of 16 ns; never fewer than one.
    for (time, minimum) in [
        ("1ns", 1),
        ("16ns", 1),
        ("17ns", 2),
        ("10us", 625),
        ("2ms", 125_000),
        ("3s", 187_500_000),
    ] {
        let text = format!("ftrace.graph_minimum={time}");
        let expected = GraphOptions { minimum, ..plain };
        assert_eq!(options(&text), Some(expected), "{time}");
    }
    let longest = BootConfig::parse("ftrace.graph=a ftrace.graph_minimum=18446744073s").unwrap();
    for (frequency, ticks) in [(0, 1), (1, 18_446_744_073), (u64::MAX, u64::MAX)] {
        let options = longest.graph_options(frequency);
        assert_eq!(options.map(|options| options.minimum), Some(ticks));
    }
}

#[test]
fn what_the_graph_cannot_be_told_is_refused_whole() {
    let wrong = |text: &str| BootConfig::parse(text).unwrap_err();
    let values = "depth=0 depth=65537 depth= depth depth=-1 depth=+1 depth=1us depth=x depth=18446744073709551616 \
                  arguments=0 arguments=9 result=2 result=yes minimum=0ns minimum=5 minimum=1m minimum=us \
                  minimum=1.5us minimum=18446744074s";
    for value in values.split_whitespace() {
        let text = format!("ftrace.graph=a ftrace.graph_{value} ftrace.graph_depth=1");
        assert_eq!(wrong(&text), BootError::Value { at: 15 }, "{value}");
    }
    for option in [
        Setting::Minimum.option(),
        Purpose::Roots.option(),
        Purpose::Silent.option(),
    ] {
        let text = format!("ftrace.function=a {option}=1us ftrace.graph_result=1");
        assert_eq!(wrong(&text), BootError::NoGraph { at: 18 });
    }
    for option in ["ftrace.graph_roots=b ", "ftrace.graph_notrace=b "] {
        let many = |count: usize| "ftrace.graph=a ".to_owned() + &option.repeat(count);
        assert!(BootConfig::parse(&many(32)).is_ok());
        assert_eq!(wrong(&many(33)), BootError::TooMany { count: 33 });
    }
}

#[test]
fn what_the_host_writes_is_read_and_damage_is_named() {
    let text = "ftrace.function=\"sched::*\"\n";
    let space = BootSpace::<64>::new();
    assert!(space.config().unwrap().is_empty());
    let mut bytes = [0; 64];
    bytes[..8].copy_from_slice(b"AFTBOOT1");
    write(&mut bytes, text).unwrap();
    assert_eq!(read(&bytes), BootConfig::parse(text));
    let spoilt = |at: usize| {
        let mut bytes = bytes;
        bytes[at] ^= 1;
        read(&bytes).map(drop)
    };
    assert_eq!(spoilt(0), Err(BootError::Magic));
    assert_eq!(
        spoilt(11),
        Err(BootError::Length {
            length: text.len() + (1 << 24),
            room: 48
        })
    );
    for at in (8..9).chain(12..HEAD_BYTES + text.len()) {
        assert!(
            matches!(spoilt(at), Err(BootError::Checksum { .. })),
            "{at}"
        );
    }
    let before = bytes;
    let long = format!("ftrace.function={}", "x".repeat(64));
    assert_eq!(
        write(&mut bytes, &long),
        Err(BootError::Length {
            length: 80,
            room: 48
        })
    );
    assert_eq!(
        write(&mut bytes, "ftrace.graph=["),
        BootConfig::parse("ftrace.graph=[").map(drop)
    );
    assert_eq!(bytes, before);
    assert_eq!(write(&mut [0; 64], text), Err(BootError::Magic));
}

/// Cells of a tree's structure block.
fn node(name: &str, inside: &[u8]) -> Vec<u8> {
    let mut bytes = 1_u32.to_be_bytes().to_vec();
    bytes.extend(padded(&[name.as_bytes(), b"\0"].concat()));
    bytes.extend(inside);
    bytes.extend(2_u32.to_be_bytes());
    bytes
}

fn padded(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn property(key: u32, value: &str) -> Vec<u8> {
    let value = [value.as_bytes(), b"\0"].concat();
    let head = [3, value.len() as u32, key].map(u32::to_be_bytes).concat();
    [head, padded(&value)].concat()
}

/// The strings are `x` at 0 and `bootargs` at 2.
fn tree(root: &[u8]) -> Vec<u8> {
    let structure = [node("", root), 9_u32.to_be_bytes().to_vec()].concat();
    let strings = b"x\0bootargs\0";
    let at = 40 + structure.len() as u32;
    let total = at + strings.len() as u32;
    let head = [
        0xd00d_feed,
        total,
        40,
        at,
        28,
        17,
        16,
        0,
        strings.len() as u32,
        structure.len() as u32,
    ];
    [
        head.map(u32::to_be_bytes).concat(),
        structure,
        strings.to_vec(),
    ]
    .concat()
}

fn chosen() -> Vec<u8> {
    let decoy = node(
        "cpus",
        &[property(2, "decoy"), node("chosen", &property(2, "deeper"))].concat(),
    );
    let chosen = [property(0, "odd"), property(2, "ftrace.graph=fs::*")].concat();
    let nop = 4_u32.to_be_bytes().to_vec();
    tree(&[property(2, "root"), nop, decoy, node("chosen", &chosen)].concat())
}

#[test]
fn bootargs_are_those_of_the_chosen_node() {
    let tree_bytes = chosen();
    assert_eq!(bootargs(&tree_bytes), Ok("ftrace.graph=fs::*"));
    assert_eq!(
        bootargs(&[&tree_bytes[..], &[0xff; 9]].concat()),
        Ok("ftrace.graph=fs::*")
    );
    assert_eq!(bootargs(&tree(&node("chosen", &property(0, "x")))), Ok(""));
    // What stands behind the node is not the node's.
    let behind = [node("chosen", &[]), property(2, "root")].concat();
    assert_eq!(bootargs(&tree(&behind)), Ok(""));
    // The name's beginning alone is another name, and so is its middle.
    let mut other = tree(&node("chosen", &property(2, "ftrace.graph=x")));
    let end = other.len() - 1;
    other[end] = b's';
    assert_eq!(bootargs(&other), Ok(""));
    assert_eq!(bootargs(&tree(&node("chosen", &property(3, "x")))), Ok(""));
    assert_eq!(bootargs(&[0; 64]), Err(BootError::Tree { at: 0 }));
    assert_eq!(
        bootargs(&tree_bytes[..tree_bytes.len() - 1]),
        Err(BootError::Tree { at: 4 })
    );
}

proptest! {
    #[test]
    fn no_text_and_no_space_break_the_reader(text in "[ -~\n]{0,100}", bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        if let Ok(config) = BootConfig::parse(&text) {
            for purpose in Purpose::ALL {
                for pattern in config.patterns(purpose) {
                    prop_assert!(text.contains(pattern) && !pattern.is_empty());
                }
            }
        }
        let _ = read(&bytes);
        let _ = read(&[&b"AFTBOOT1"[..], &bytes].concat());
    }

    /// Each cell of a good tree replaced in turn: an answer or an error, and an end.
    #[test]
    fn no_device_tree_breaks_the_reader(cells in prop::collection::vec((any::<prop::sample::Index>(), prop_oneof![0..12_u32, any::<u32>(), Just(u32::MAX)]), 1..4)) {
        let mut bytes = chosen();
        for (at, value) in cells {
            let at = at.index(bytes.len() / 4) * 4;
            bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
        }
        let _ = bootargs(&bytes);
    }
}
